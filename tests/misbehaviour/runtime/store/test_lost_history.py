"""A store that has gone back in time: whatever happened to the files, the node never signs again.

The files are real, and were left by a real process that was killed, with what SQLite keeps beside
a database. Each case does to them what machines and operators do; each line is then followed.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from metanode.errors import UserError
from metanode.identity import Identity
from metanode.runtime.home.home import Home, create_home
from metanode.runtime.store.history_mark import SLOT_BYTES
from metanode.runtime.store.signing_log import SafetyViolation, Vote
from metanode.runtime.store.sqlite import SIDE_FILES
from metanode.runtime.store.stores import Stores, open_stores
from tests.cli.conftest import Run, run
from tests.runtime.support import PASSPHRASE, SECRET_TEXT, config, python

__all__ = ["run"]  # the fixture

ME, OTHER = Identity.from_secret(1), Identity.from_secret(2)
EVENT, DIGEST, CONTRARY = b"\x01" * 32, b"\xaa" * 32, b"\xbb" * 32

WRITER = """
import os, sys, time
from pathlib import Path
from metanode.runtime.home.home import Home
from metanode.runtime.store.cells import CellWrite
from metanode.runtime.store.signing_log import Vote
from metanode.runtime.store.stores import open_stores
home, node_id = Home(Path(sys.argv[1])), bytes.fromhex(sys.argv[2])
first, count, end = int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
stores = open_stores(home, node_id)
for number in range(first, first + count):
    last = number == first + count - 1
    stores.log.record([Vote(b"\\x01" * 32, number, b"\\xaa" * 32)])
    if last and end == "after the log": os._exit(9)
    before = number - 1 if number else None
    stores.store.apply([CellWrite("a", (), before, number, b"%d" % number)])
    if last and end == "after the store": os._exit(9)
    stores.written()
print("written", flush=True)
if end == "closed": stores.close()
else: time.sleep(600)
"""


def write(home: Home, first: int, count: int, end: str = "killed") -> None:
    """Let a node of its own process vote in attempts and end as ``end`` says."""
    with python(WRITER, home.path, ME.node_id.hex(), first, count, end) as writer:
        assert writer.stdout is not None
        if end in ("killed", "closed"):
            assert writer.stdout.readline() == "written\n"
        if end == "killed":
            writer.kill()
    assert writer.returncode == {"killed": -9, "closed": 0}.get(end, 9)


def make(path: Path, identity: Identity = ME) -> Home:
    """Make the home of a new node that a command can run."""
    home, secret = Home(path), identity.secret_bytes()
    create_home(home, config(), PASSPHRASE, lambda _: secret)
    return home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Home]:
    """Homes of one node: ``then`` is the ``now`` of before (closed), ``one`` of one write ago.

    ``clean`` is the ``now`` of before it was killed; ``other`` is another node's.
    """
    place = tmp_path_factory.mktemp("homes")
    homes = {"now": make(place / "now")}
    write(homes["now"], 0, 5, "closed")
    homes["then"] = Home(shutil.copytree(homes["now"].path, place / "then"))
    write(homes["now"], 5, 6, "closed")
    homes["one"] = Home(shutil.copytree(homes["now"].path, place / "one"))
    write(homes["now"], 11, 1, "closed")
    homes["clean"] = Home(shutil.copytree(homes["now"].path, place / "clean"))
    write(homes["now"], 12, 20)  # all of this is in the -wal files alone
    homes["other"] = make(place / "other", OTHER)
    return homes


@pytest.fixture
def home(made: dict[str, Home], tmp_path: Path) -> Home:
    """A copy of the home that was killed, to be spoilt."""
    (tmp_path / "pass").write_bytes(SECRET_TEXT)
    (tmp_path / "pass").chmod(0o600)
    return Home(shutil.copytree(made["now"].path, tmp_path / "home"))


def take(home: Home, source: Home, *names: str) -> None:
    """Put files of another copy in, as `cp` does, with what stands beside them."""
    for name in names:
        for suffix in SIDE_FILES:
            (home.path / f"{name}{suffix}").unlink(missing_ok=True)
            if (source.path / f"{name}{suffix}").exists():
                shutil.copy(source.path / f"{name}{suffix}", home.path / f"{name}{suffix}")


LOG, STORE, MARK = "signing_log.sqlite", "events.sqlite", "history.mark"


def without(*suffixes: str) -> Callable[[Home, dict[str, Home]], None]:
    """Return what removes files."""

    def spoil(home: Home, _made: dict[str, Home]) -> None:
        for name in suffixes:
            (home.path / name).unlink()

    return spoil


def older(which: str, *names: str) -> Callable[[Home, dict[str, Home]], None]:
    """Return what restores files of an older copy."""
    return lambda home, made: take(home, made[which], *names)


def cut(name: str, size: Callable[[int], int]) -> Callable[[Home, dict[str, Home]], None]:
    """Return what cuts a file short, after SQLite had put everything into it."""

    def spoil(home: Home, _made: dict[str, Home]) -> None:
        open_stores(home, ME.node_id).close()
        file = home.path / name
        data = file.read_bytes()
        file.write_bytes(data[: size(len(data))])

    return spoil


def zeroed(name: str, page: int) -> Callable[[Home, dict[str, Home]], None]:
    """Return what a power loss does to one page."""

    def spoil(home: Home, _made: dict[str, Home]) -> None:
        open_stores(home, ME.node_id).close()
        data = bytearray((home.path / name).read_bytes())
        start = 4096 * page if page >= 0 else len(data) + 4096 * page
        data[start : start + 4096] = bytes(4096)
        (home.path / name).write_bytes(data)

    return spoil


def both_slots(home: Home, _made: dict[str, Home]) -> None:
    """Damage the mark beyond reading."""
    home.mark.write_bytes(b"\xff" * home.mark.stat().st_size)


BACK = "has gone back in time"
SPOILT: dict[str, tuple[Callable[[Home, dict[str, Home]], None], str]] = {
    "the log's -wal is gone": (without(f"{LOG}-wal", f"{LOG}-shm"), f"signing log {BACK}"),
    "the store's -wal is gone": (without(f"{STORE}-wal", f"{STORE}-shm"), f"event store {BACK}"),
    "both -wal are gone": (
        without(*(f"{name}-{end}" for name in (LOG, STORE) for end in ("wal", "shm"))),
        f"signing log {BACK}",
    ),
    "an older log": (older("then", LOG), f"signing log {BACK}"),
    "an older store": (older("then", STORE), f"event store {BACK}"),
    "an older log and store": (older("then", LOG, STORE), f"signing log {BACK}"),
    "an older log and mark": (older("then", LOG, MARK), "is older than the event store"),
    "an older store and mark": (older("then", STORE, MARK), "is older than the signing log"),
    "an older mark": (older("then", MARK), "is older than the signing log"),
    "the log is missing": (without(LOG), "signing log missing"),
    "the store is missing": (without(STORE), "event store missing"),
    "the mark is missing": (without(MARK), "history mark missing"),
    "the mark is damaged": (both_slots, "history mark damaged"),
    "another node's log": (older("other", LOG), "belongs to another node"),
    "another node's store": (older("other", STORE), "belongs to another node"),
    "another node's mark": (older("other", MARK), "belongs to another node"),
    "the log cut to nothing": (cut(LOG, lambda _: 0), "signing log damaged"),
    "the store cut to nothing": (cut(STORE, lambda _: 0), "event store damaged"),
    "the mark cut to nothing": (cut(MARK, lambda _: 0), "history mark damaged"),
    "the log cut to two pages": (cut(LOG, lambda _: 8192), "signing log damaged"),
    "the log without its last page": (cut(LOG, lambda n: n - 4096), "signing log damaged"),
    "the first page zeroed": (zeroed(LOG, 0), "signing log damaged"),
    "the last page zeroed": (zeroed(LOG, -1), "signing log"),
    "a page of the store zeroed": (zeroed(STORE, 2), "event store"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_home_never_signs(
    case: str, home: Home, made: dict[str, Home], run: Run, tmp_path: Path
) -> None:
    """Catches a node that starts on a history with a hole, or whose line does not name the file."""
    spoil, complaint = SPOILT[case]
    spoil(home, made)
    before = contents(home)
    command = ("run", "--home", home.path, "--passphrase-file", tmp_path / "pass")
    code, _, said = run(*command)
    assert (code, said.count("\n")) == (2, 1)
    assert complaint in said
    assert str(home.path) in said
    assert "init" in said or "put this node's own" in said
    assert contents(home) == before
    with pytest.raises(UserError):
        open_stores(home, ME.node_id)


def contents(home: Home) -> dict[str, bytes]:
    """Return what a fault may not change; SQLite folds a -wal into its file when it looks."""
    return {name: (home.path / name).read_bytes() for name in (MARK,) if home.mark.exists()}


@pytest.mark.parametrize("case", [name for name in SPOILT if "mark" not in name])
def test_the_newest_files_put_back_are_taken(
    case: str, home: Home, made: dict[str, Home]
) -> None:
    """Catches a line that cannot be followed: the files themselves, put back, must do."""
    SPOILT[case][0](home, made)
    with pytest.raises(UserError):
        open_stores(home, ME.node_id)
    take(home, made["now"], LOG, STORE)
    knows_all(home)


@pytest.mark.parametrize("case", [name for name in SPOILT if "mark" in name])
def test_the_mark_put_back_is_taken(case: str, home: Home, made: dict[str, Home]) -> None:
    """Catches a mark that is refused although it is the newest."""
    SPOILT[case][0](home, made)
    take(home, made["now"], LOG, STORE, MARK)
    knows_all(home)


def knows_all(home: Home, attempts: int = 32) -> None:
    """Check that the home's log has every vote, and refuses the contrary of each."""
    stores = open_stores(home, ME.node_id)
    try:
        votes = stores.log.load().votes
        assert votes == {(EVENT, number): DIGEST for number in range(attempts)}
        for number in range(attempts):
            with pytest.raises(SafetyViolation):
                stores.log.record([Vote(EVENT, number, CONTRARY)])
    finally:
        stores.close()


@pytest.mark.parametrize("case", ["one", "then"])
@pytest.mark.parametrize("name", [LOG, STORE])
def test_a_copy_of_one_write_ago_is_refused(
    case: str, name: str, made: dict[str, Home], tmp_path: Path
) -> None:
    """Catches a copy that is taken for a crash between the store and its mark."""
    home = Home(shutil.copytree(made["clean"].path, tmp_path / "home"))
    take(home, made[case], name)
    with pytest.raises(UserError, match=BACK):
        open_stores(home, ME.node_id)


def test_another_line_of_the_same_home_is_refused(
    made: dict[str, Home], tmp_path: Path
) -> None:
    """Catches a log of a copy that ran elsewhere, with as many writes and other votes."""
    home = Home(shutil.copytree(made["clean"].path, tmp_path / "home"))
    aside = Home(shutil.copytree(made["then"].path, tmp_path / "aside"))
    stores = open_stores(aside, ME.node_id)
    for number in range(7):
        stores.log.record([Vote(EVENT, 200 + number, CONTRARY)])
        stores.written()
    stores.close()
    take(home, aside, LOG)
    with pytest.raises(UserError, match="does not continue"):
        open_stores(home, ME.node_id)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (LOG, "DELETE FROM votes WHERE attempt = 3"),
        (LOG, "UPDATE votes SET digest = zeroblob(32) WHERE attempt = 3"),
        (STORE, "DELETE FROM cells"),
        (STORE, "UPDATE attachments SET value = x'00'"),
    ],
)
def test_a_row_that_was_changed_is_found(
    name: str, change: str, made: dict[str, Home], tmp_path: Path
) -> None:
    """Catches a whole file, to SQLite, in which a vote is missing or is another one."""
    home = Home(shutil.copytree(made["clean"].path, tmp_path / "home"))
    connection = sqlite3.connect(home.path / name)
    with connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(UserError, match=r"damaged: .*were written, or others.*put the file itself"):
        open_stores(home, ME.node_id)


@pytest.mark.parametrize("end", ["after the log", "after the store"])
def test_a_crash_inside_a_flush_is_no_loss(
    end: str, made: dict[str, Home], tmp_path: Path
) -> None:
    """Catches a node that does not start again after kill -9 between two files."""
    home = Home(shutil.copytree(made["clean"].path, tmp_path / "home"))
    write(home, 12, 3, end)
    knows_all(home, 15)
    if end == "after the store":
        write(home, 15, 1, end)
        knows_all(home, 16)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_torn_mark_is_no_loss(slot: int, home: Home) -> None:
    """Catches a mark that power loss, in the middle of its write, makes unreadable."""
    data = bytearray(home.mark.read_bytes())
    data[slot * SLOT_BYTES + 100] ^= 0xFF
    home.mark.write_bytes(data)
    knows_all(home)  # a torn write was not acknowledged: the stores are at most one write ahead


def test_a_home_of_an_earlier_version_gets_its_mark(home: Home) -> None:
    """Catches an upgrade that refuses every home, or that leaves it without a mark."""
    open_stores(home, ME.node_id).close()
    home.mark.unlink()
    for name in (LOG, STORE):
        with sqlite3.connect(home.path / name) as connection:
            connection.execute("DELETE FROM metadata WHERE name LIKE 'head%'")
        connection.close()
    knows_all(home)
    assert home.mark.exists()


# --- the command that helps -----------------------------------------------------------------------


@pytest.fixture
def export(made: dict[str, Home], run: Run, tmp_path: Path) -> dict[str, Path]:
    """Exports of the newest home and of an older one."""
    files = {}
    for name in ("now", "then"):
        copy = Home(shutil.copytree(made[name].path, tmp_path / f"copy {name}"))
        files[name] = tmp_path / f"{name}.json"
        assert run("history", "export", "--home", copy.path, "--to", files[name])[0] == 0
    return files


@pytest.mark.parametrize(
    "case", [name for name in SPOILT if "log" in name and "mark" not in name]
)
def test_the_newest_export_makes_the_log_whole(
    case: str, home: Home, made: dict[str, Home], run: Run, export: dict[str, Path]
) -> None:
    """Catches an import that leaves the log refused, or an older export that lets it sign."""
    SPOILT[case][0](home, made)
    if "store" in case:
        take(home, made["now"], STORE)
    if "another node" in case:
        take(home, made["now"], STORE)
    code, _, said = run("history", "import", "--home", home.path, export["then"])
    assert (code, "does not make the signing log whole" in said) == (2, True)
    with pytest.raises(UserError):
        open_stores(home, ME.node_id)
    code, said, _ = run("history", "import", "--home", home.path, export["now"])
    assert code == 0
    assert said.endswith("whole again: it holds all that this node has written\n")
    knows_all(home)
    stores: Stores = open_stores(home, ME.node_id)
    stores.log.record([Vote(EVENT, 99, DIGEST)])
    stores.written()
    stores.close()
    open_stores(home, ME.node_id).close()


@pytest.mark.parametrize("case", ["the mark is missing", "an older mark", "an older log and mark"])
def test_no_import_replaces_the_mark(
    case: str, home: Home, made: dict[str, Home], run: Run, export: dict[str, Path]
) -> None:
    """Catches an import that makes up what only the mark can know."""
    SPOILT[case][0](home, made)
    code, _, said = run("history", "import", "--home", home.path, export["now"])
    assert code == 2
    assert "history mark" in said
