"""The home: its creation, its modes, and what it refuses."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from metanode.errors import UserError
from metanode.runtime.home.config import load_config
from metanode.runtime.home.home import Home, create_home
from metanode.runtime.secrets.keystore import load_identity
from metanode.runtime.store.cells import CellStore
from metanode.runtime.store.signing_log import SigningLog
from tests.runtime.support import PASSPHRASE, config


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new node's home."""
    made = Home(tmp_path / "home")
    create_home(made, config(), PASSPHRASE)
    return made


def test_new_home_is_complete_and_private(home: Home) -> None:
    """Catches a home in which a part is missing, wrong, or open to other users."""
    home.check_complete()
    assert load_config(home.config) == config()
    identity = load_identity(home.identity, PASSPHRASE)
    assert SigningLog.open(home.signing_log, identity.node_id).load().votes == {}
    assert CellStore.open(home.events, identity.node_id).load() == {}
    for path in home.path.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_second_init_changes_nothing(home: Home) -> None:
    """Catches an `init` that overwrites a node's key or history."""
    before = {path: path.read_bytes() for path in home.path.iterdir() if path.is_file()}
    with pytest.raises(UserError, match="exists already"):
        create_home(home, config(), PASSPHRASE)
    assert before == {path: path.read_bytes() for path in home.path.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ("signing_log.sqlite", r"signing log missing: .*refuses to sign without it: put"),
        ("events.sqlite", r"event store missing: .*refuses to sign without it: put"),
        ("identity.key", "identity.key is missing"),
        ("config.toml", "config.toml is missing"),
    ],
)
def test_missing_part_is_named(home: Home, missing: str, complaint: str) -> None:
    """Catches a node that starts over with an empty signing history, or without a mend."""
    (home.path / missing).unlink()
    with pytest.raises(UserError, match=complaint):
        home.check_complete()
    assert not (home.path / missing).exists()


def test_no_home(tmp_path: Path) -> None:
    """Catches a run that makes an empty home by itself."""
    with pytest.raises(UserError, match="no home at .*: make one with `init"):
        Home(tmp_path / "none").check_complete()
    assert not (tmp_path / "none").exists()


def test_half_made_home_has_no_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an `init` that is killed and leaves an identity without a signing log."""
    from metanode.runtime.secrets import keystore

    home, there = Home(tmp_path / "home"), []

    def crash(*_arguments: object) -> None:
        there.extend(path.name for path in home.path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(keystore, "save_identity", crash)
    with pytest.raises(KeyboardInterrupt):
        create_home(home, config(), PASSPHRASE)
    assert {home.signing_log.name, home.events.name, home.mark.name} <= set(there)
    assert home.identity.name not in there
    assert not home.path.exists(), "what is ended in order leaves nothing"
