"""The shares of a home: listed, verified, exported, imported, backed up with a trial."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from attrs import evolve

from metanode.errors import Unavailable, UserError
from metanode.protocol.wire.codec import Codec
from metanode.runtime.home.home import Home
from metanode.runtime.home.wiring import open_disk
from metanode.runtime.secrets import keyshares
from metanode.runtime.secrets.keyshares import (
    back_up,
    choose,
    export_share,
    import_share,
    list_shares,
    verify_shares,
)
from metanode.runtime.secrets.keystore import Passphrase
from metanode.tss.keyshare import Keyshare
from spec import messages as m
from tests.runtime.secrets.support import (
    NODES,
    home_with_share,
    share_file,
    share_of,
    store_share,
)
from tests.runtime.support import PASSPHRASE, config, keystore

ME = NODES[0].node_id
OTHER_PASSPHRASE = Passphrase(b"of the exported file")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The home of party 1 with its share of a locked-in key."""
    return home_with_share(tmp_path / "home")


def export(home: Home, target: Path, passphrase: Passphrase = PASSPHRASE) -> Path:
    """Export the only share of a home."""
    entry = choose(list_shares(home, ME), None, None)
    export_share(home, config(), PASSPHRASE, entry, target, passphrase)
    return target


def test_list_joins_files_and_store(home: Home) -> None:
    """Catches a share whose numbers, state or file are wrong, and one that is not shown."""
    store_share(home, share_of(1, 2), slot=8)
    store_share(home, share_of(1, 1, "other"), slot=9, state="certified_by_all")
    stray = share_of(1, 4, "stray")
    keystore(home.keyshares).save(stray.to_bytes(), stray.key_id, 4, stray.public_key)
    shown = {
        (e.label.key_id, e.label.epoch): (e.state, e.active, e.threshold, e.index, e.members)
        for e in list_shares(home, ME)
    }
    key, other = share_of(1).key_id, share_of(1, 1, "other").key_id
    assert shown == {
        (key, 1): ("locked_in", False, 2, 1, 3),
        (key, 2): ("locked_in", True, 2, 1, 3),
        (other, 1): ("certified_by_all", False, 2, 1, 3),
        (stray.key_id, 4): ("unknown", False, None, None, None),
    }
    assert all(e.file is not None and e.file.is_file() for e in list_shares(home, ME))


def test_missing_share_is_listed_and_not_good(home: Home) -> None:
    """Catches a lost share that nobody hears of before the node is asked to sign."""
    share_file(home).unlink()
    (entry,) = list_shares(home, ME)
    assert entry.file is None
    assert entry.active
    ((_, fault),) = verify_shares(home, config(), PASSPHRASE)
    assert isinstance(fault, UserError)
    assert "is missing" in str(fault)


def test_verify_opens_each(home: Home) -> None:
    """Catches a verification that opens nothing."""
    store_share(home, share_of(1, 2), slot=8)
    found = dict(verify_shares(home, config(), PASSPHRASE))
    assert [(e.label.epoch, share) for e, share in found.items()] == [
        (1, share_of(1, 1)),
        (2, share_of(1, 2)),
    ]


def test_choose(home: Home) -> None:
    """Catches an export of another share than the one that was named."""
    store_share(home, share_of(1, 2), slot=8)
    entries = list_shares(home, ME)
    key = entries[0].label.key_id.hex()
    assert choose(entries, key[:6], 2).label.epoch == 2
    assert choose(entries, key.upper(), 1).label.epoch == 1
    for question, complaint in (
        ((None, None), "several shares fit"),
        ((key, 3), "no share fits"),
        (("00", 1), "no share fits"),
    ):
        with pytest.raises(UserError, match=complaint) as caught:
            choose(entries, *question)
        assert "epoch 1; key" in str(caught.value)


@pytest.mark.parametrize("passphrase", [PASSPHRASE, OTHER_PASSPHRASE], ids=["same", "own"])
def test_export_then_import(home: Home, tmp_path: Path, passphrase: Passphrase) -> None:
    """Catches a share in the clear, one that does not come back, or a node that cannot load it."""
    target = export(home, tmp_path / "share.export", passphrase)
    data = target.read_bytes()
    share = share_of(1)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert share.secret_share.to_bytes(32, "big") not in data
    assert share.pair_state[2].zero_seed not in data
    share_file(home).unlink()
    entry = import_share(home, config(), PASSPHRASE, target, passphrase)
    assert entry.file == share_file(home)
    disk = open_disk(home, config(), NODES[0], PASSPHRASE, Codec(m.MESSAGES))
    label = entry.label
    loaded = disk.keystore.load(label.key_id, label.epoch, label.public_key)
    disk.close()
    assert Keyshare.from_bytes(loaded) == share


def test_nothing_is_overwritten(home: Home, tmp_path: Path) -> None:
    """Catches an export or import over a file that may be the only copy."""
    target = export(home, tmp_path / "share.export")
    before = target.read_bytes(), share_file(home).read_bytes()
    with pytest.raises(UserError, match="never overwritten"):
        export(home, target)
    with pytest.raises(UserError, match="never overwritten"):
        import_share(home, config(), PASSPHRASE, target, PASSPHRASE)
    assert (target.read_bytes(), share_file(home).read_bytes()) == before


def test_backup_opens_and_leaves_the_home_alone(home: Home, tmp_path: Path) -> None:
    """Catches a backup that lacks a file, holds the signing log, or touches the home."""
    before = {p: p.read_bytes() for p in home.path.rglob("*") if p.is_file()}
    assert back_up(home, PASSPHRASE, tmp_path / "copy") == 1
    copy = tmp_path / "copy"
    names = sorted(p.relative_to(copy).as_posix() for p in copy.rglob("*") if p.is_file())
    assert names == ["config.toml", "identity.key", f"keyshares/{share_file(home).name}"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in copy.rglob("*") if p.is_file()} == {0o600}
    assert {p: p.read_bytes() for p in before} == before
    # Restoring by hand: the files go back to where they were.
    share_file(home).unlink()
    home.identity.unlink()
    shutil.copytree(copy, home.path, dirs_exist_ok=True)
    assert [type(found) for _, found in verify_shares(home, config(), PASSPHRASE)] == [Keyshare]


def test_backup_says_ok_only_after_the_trial(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a backup that is never read: a bad copy must not get its name."""
    write = keyshares.atomic_write

    def flaky(path: Path, data: bytes, mode: int = 0o600) -> None:
        bad = path.name.endswith(".share") and "trial" not in str(path)
        write(path, data[:-1] + bytes([data[-1] ^ 1]) if bad else data, mode)

    monkeypatch.setattr(keyshares, "atomic_write", flaky)
    with pytest.raises(UserError, match="damaged"):
        back_up(home, PASSPHRASE, tmp_path / "copy")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home"]


def test_backup_compares_secrets(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a trial that only opens files: here the copy opens and holds another state."""
    other = home_with_share(tmp_path / "other")
    share_file(other).unlink()
    share = share_of(1)
    states = {peer: evolve(pair, zero_seed=bytes(32)) for peer, pair in share.pair_state.items()}
    changed = evolve(share, pair_state=states).to_bytes()
    keystore(other.keyshares).save(changed, share.key_id, 1, share.public_key)
    swapped, write = share_file(other).read_bytes(), keyshares.atomic_write

    def swap(path: Path, data: bytes, mode: int = 0o600) -> None:
        write(path, swapped if path.name.endswith(".share") else data, mode)

    monkeypatch.setattr(keyshares, "atomic_write", swap)
    with pytest.raises(Unavailable, match="differs"):
        back_up(home, PASSPHRASE, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_backup_needs_every_share(home: Home, tmp_path: Path) -> None:
    """Catches a backup that is called whole without a share that the node needs."""
    share_file(home).unlink()
    with pytest.raises(UserError, match="is missing"):
        back_up(home, PASSPHRASE, tmp_path / "copy")
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="never overwritten"):
        back_up(home, PASSPHRASE, tmp_path / "there")
    with pytest.raises(UserError, match="cannot write to"):
        back_up(home, PASSPHRASE, tmp_path / "no" / "copy")
