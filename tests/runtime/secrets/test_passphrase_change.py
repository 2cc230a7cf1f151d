"""A change of passphrase: all files or none, whenever the process is killed."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from metanode.errors import UserError
from metanode.runtime.home.home import Home
from metanode.runtime.secrets import passphrase_change
from metanode.runtime.secrets.keystore import (
    KIND_SHARE,
    KdfCost,
    Passphrase,
    load_identity,
    open_sealed,
)
from metanode.runtime.secrets.passphrase_change import (
    DECIDED,
    FINISHED,
    UNDONE,
    change_passphrase,
    is_unsettled,
    settle,
)
from tests.runtime.secrets.support import home_with_share, share_file, share_of
from tests.runtime.support import PASSPHRASE

OLD, NEW = Passphrase(b"the old one"), Passphrase(b"the new one")
CHEAP = KdfCost(10)
# Everything that changes names or flushes; each is a moment at which the process may die.
STEPS = [
    (os, "replace"), (os, "rename"), (os, "fsync"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"),
    (tempfile, "mkstemp"),
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a share, its files under the cheapest KDF."""
    made = home_with_share(tmp_path / "home")
    change_passphrase(made, PASSPHRASE, OLD, CHEAP)
    return made


def opens_with(home: Home, passphrase: Passphrase) -> bool:
    """Tell whether the whole home opens with a passphrase, identity and share."""
    try:
        load_identity(home.identity, passphrase)
        share = open_sealed(share_file(home), KIND_SHARE, passphrase)[1]
    except UserError:
        return False
    return share == share_of(1).to_bytes()


def files(home: Home) -> dict[str, bytes]:
    """Return the sealed files of a home."""
    paths = [home.identity, *home.keyshares.iterdir()]
    return {path.name: path.read_bytes() for path in paths}


def test_everything_opens_with_the_new_one_only(home: Home) -> None:
    """Catches a file that stays under the old passphrase, and files left lying about."""
    before = set(home.path.rglob("*"))
    assert change_passphrase(home, OLD, NEW, CHEAP) == 1
    assert opens_with(home, NEW)
    assert not opens_with(home, OLD)
    assert set(home.path.rglob("*")) == before
    assert not is_unsettled(home)
    assert settle(home) is None


def test_wrong_passphrase_changes_nothing(home: Home) -> None:
    """Catches a change that starts before the old passphrase has opened every file."""
    before = files(home)
    with pytest.raises(UserError, match=r"wrong passphrase for .*identity\.key"):
        change_passphrase(home, NEW, OLD, CHEAP)
    with pytest.raises(UserError, match="is the old one"):
        change_passphrase(home, OLD, OLD, CHEAP)
    assert files(home) == before
    assert not is_unsettled(home)


def test_damaged_share_changes_nothing(home: Home) -> None:
    """Catches a change that leaves one file behind because it did not open."""
    path = share_file(home)
    path.write_bytes(path.read_bytes()[:-9])
    before = files(home)
    with pytest.raises(UserError, match="damaged"):
        change_passphrase(home, OLD, NEW, CHEAP)
    assert files(home) == before
    assert not is_unsettled(home)


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Do ``work`` in a child that is killed (SIGKILL) before its ``step``-th file operation.

    Returns whether it was killed; False when it ended by itself, for good.
    """
    child = os.fork()
    if child == 0:
        left = step

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return function(*arguments, **named)

            return call

        for module, name in STEPS:
            setattr(module, name, counted(getattr(module, name)))
        try:
            work()
        finally:
            os._exit(0)  # the child must never return into the test run
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def change(home: Home) -> Callable[[], Any]:
    """Return the change of a home's passphrase, to be done."""
    return partial(change_passphrase, home, OLD, NEW, CHEAP)


def copy_of(home: Home, place: Path) -> Home:
    """Return a copy of a home's files in a new directory."""
    for source in (home.config, home.identity, home.events, *home.keyshares.iterdir()):
        target = place / source.relative_to(home.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        target.chmod(0o600)
    return Home(place)


def test_killed_at_every_step(home: Home, tmp_path: Path) -> None:
    """Catches a moment in which neither passphrase opens the whole home, or the wrong one."""
    outcomes, counts, other = set(), OLD, NEW
    for step in range(200):
        place = copy_of(home, tmp_path / f"killed-{step}")
        if not killed_at(step, change(place)):
            assert opens_with(place, NEW)
            break
        unsettled = is_unsettled(place)
        decided = (place.path / DECIDED).is_dir()
        said = settle(place)
        assert (said is not None) == unsettled
        assert said == FINISHED or not decided
        if said == FINISHED:
            counts, other = NEW, OLD  # from this step on
        assert said != UNDONE or counts is OLD
        assert opens_with(place, counts), f"step {step}: {said}"
        assert not opens_with(place, other)
        assert not list(place.path.rglob(".*"))  # no temporary files
        outcomes.add((said, decided))
    else:
        pytest.fail("200 steps are not enough")
    assert outcomes == {(None, False), (UNDONE, False), (FINISHED, True), (FINISHED, False)}


def test_killed_while_it_is_settled(home: Home, tmp_path: Path) -> None:
    """Catches a recovery that cannot itself be interrupted and repeated."""
    decided, step = home, 0
    while not (decided.path / DECIDED).is_dir():
        decided = copy_of(home, tmp_path / f"decided-{step}")
        assert killed_at(step, change(decided))
        step += 1
    kept = {p.name: p.read_bytes() for p in (decided.path / DECIDED).iterdir()}
    for cut in range(100):
        place = copy_of(home, tmp_path / f"settled-{cut}")
        (place.path / DECIDED).mkdir()
        for name, data in kept.items():
            (place.path / DECIDED / name).write_bytes(data)
        killed = killed_at(cut, partial(settle, place))
        settle(place)
        assert opens_with(place, NEW)
        if not killed:
            break
    else:
        pytest.fail("100 steps are not enough")
    assert cut > 5


def test_full_disk_is_one_line_and_undone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a draft that stays after the disk refused, or a home between two passphrases."""
    before = files(home)
    written = 0
    real = passphrase_change.write_sealed

    def full(path: Path, *rest: Any) -> None:
        nonlocal written
        written += 1
        if written == 2:
            raise UserError(f"cannot write {path}: No space left on device")
        real(path, *rest)

    monkeypatch.setattr(passphrase_change, "write_sealed", full)
    with pytest.raises(UserError, match="No space left"):
        change_passphrase(home, OLD, NEW, CHEAP)
    assert files(home) == before
    assert not is_unsettled(home)
