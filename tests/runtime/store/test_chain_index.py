"""The chain index on disk: one commit's state after a crash at any moment, or a file made anew."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from attrs import define, evolve, field

from metanode.chains.base import ChainUpdate
from metanode.custody.errors import LedgerMismatch
from metanode.custody.ledger import Ledger, Spent
from metanode.custody.stakes import Stake
from metanode.custody.types import BlockSummary, Coin, Deposit, Outpoint, Spend
from metanode.errors import Unavailable
from metanode.runtime.home.owner import Owner
from metanode.runtime.store.chain_index import ChainIndex, Stored, Unfit
from tests.custody.support import block, coin, deposit, ident, policy, public
from tests.runtime.support import NODE_ID, python

OWNER = Owner(bytes(32), NODE_ID)
KEY, GENESIS = b"\x02" + bytes(32), ident("genesis")
Contents = tuple[Any, ...]


@define
class History:
    """A chain that grows and is reorganised, as it would be told; every state is the seed's."""

    chance: random.Random
    ledger: Ledger = field(factory=lambda: Ledger(policy()))
    tips: list[bytes] = field(factory=list)
    number: int = 0

    def next(self) -> ChainUpdate:
        """Return the next news, and take them into the oracle."""
        depth = self.chance.choice((0, 0, 0, 1, 2)) if len(self.tips) > 3 else 0
        gone = [self.tips.pop() for _ in range(depth)]
        for block_hash in gone:
            self.ledger.disconnect(block_hash)
        came = [self._mine() for _ in range(depth + self.chance.randrange(1, 3))]
        return ChainUpdate(tuple(gone), tuple(came), True)

    def _mine(self) -> BlockSummary:
        self.number += 1
        tip = self.ledger.tip
        height = 7 if tip is None else tip[0] + 1
        made = tuple(
            deposit(f"{self.number}.{place}", self.chance.randrange(10**9), height, place)
            for place in range(self.chance.randrange(3))
        )
        at_hand = [each.outpoint for each in self.ledger.snapshot(tip[0]).deposits] if tip else []
        gone = self.chance.sample(at_hand, min(len(at_hand), self.chance.randrange(3)))
        paid = f"payout {self.number}"
        mined = block(
            height, branch=f".{self.number}", parent=tip[1] if tip else None, deposits=made,
            change=(coin(paid, height=height),) if gone else (),
            spends=tuple(Spend(outpoint, ident(paid)) for outpoint in gone), fee_rate=self.number,
        )
        self.ledger.connect(mined)
        self.tips.append(mined.hash)
        return mined


def contents(ledger: Ledger) -> Contents:
    """Return all that a ledger knows, comparable."""
    coins = sorted(ledger.coins, key=lambda each: each.outpoint)
    return ledger.blocks, coins, [ledger.spent_by(each.outpoint) for each in coins]


def restored(stored: Stored) -> Contents:
    """Return what a ledger would know of a file; raises when the rows do not fit together."""
    ledger = Ledger(policy())
    ledger.restore(stored.blocks, stored.unspent, stored.spent)
    return contents(ledger)


def reopened(
    path: Path, owner: Owner = OWNER, key: bytes = KEY, genesis: bytes = GENESIS
) -> Stored:
    """Open a file, read it and close it."""
    index = ChainIndex(path, owner)
    try:
        return index.open(key, genesis)
    finally:
        index.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the index is to be."""
    return tmp_path / "chain_index.sqlite"


@pytest.fixture
def index(path: Path) -> Iterator[ChainIndex]:
    """Return an empty index."""
    made = ChainIndex(path, OWNER)
    assert made.open(KEY, GENESIS) == Stored()
    yield made
    made.close()


def test_what_was_flushed_is_there_and_private(index: ChainIndex, path: Path) -> None:
    """Catches a coin, spend or block that a restart forgets or changes, and a file for all eyes."""
    history = History(random.Random(1))
    for _ in range(30):
        index.tell(history.next())
        index.flush(())
    index.close()
    assert path.stat().st_mode & 0o777 == 0o600
    found = reopened(path)
    assert restored(found) == contents(history.ledger)
    assert found.start == 7
    kinds = {type(each) for each in (*found.unspent, *found.spent)}
    assert kinds == {Deposit, Coin, Spent}


def test_a_kill_at_any_statement_leaves_the_state_of_one_commit(
    index: ChainIndex, path: Path, tmp_path: Path
) -> None:
    """Catches a cursor that moves without its blocks, a coin without its block, half an undo.

    What a killed process leaves is what its files hold: they are copied before each statement.
    """
    history = History(random.Random(2))
    copies: list[Path] = []
    for _ in range(4):
        index.tell(history.next())
        index.flush(())
    engine = index._database._engine  # type: ignore[union-attr]  # its statements are the moments

    def kill(*_: object) -> None:
        copy = tmp_path / f"killed {len(copies)}"
        copy.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", copy / f"{path.name}{suffix}")
        copies.append(copy / path.name)

    seen = [deposit("first").outpoint]
    states: list[tuple[Contents, list[Outpoint]]] = [(contents(history.ledger), [])]
    moments: list[int] = []
    sa.event.listen(engine, "before_cursor_execute", kill)
    sa.event.listen(engine, "commit", kill)
    for number in range(3):
        index.tell(history.next())
        index.flush(seen)
        states.append((contents(history.ledger), list(seen)))
        seen = [*seen[-1:], deposit(f"seen {number}").outpoint]
        moments.append(len(copies))
    assert moments[-1] > 30
    for number, copy in enumerate(copies):
        found = reopened(copy)
        commit = sum(moment <= number for moment in moments)
        assert (restored(found), list(found.seen)) in states[commit:commit + 2], f"kill {number}"
    found = reopened(path)
    assert (restored(found), list(found.seen)) == states[-1]


WRITER = """
import random, sys
from pathlib import Path
from tests.runtime.store.test_chain_index import GENESIS, KEY, OWNER, History
from metanode.runtime.store.chain_index import ChainIndex
index, history = ChainIndex(Path(sys.argv[1]), OWNER), History(random.Random(3))
index.open(KEY, GENESIS)
for number in range(10**6):
    index.tell(history.next())
    index.flush([])
    print(number, flush=True)
"""


def test_a_flush_that_returned_survives_sigkill(path: Path) -> None:
    """Catches a flush that is reported before it is safe."""
    with python(WRITER, path) as writer:
        assert writer.stdout is not None
        for _ in range(25):
            writer.stdout.readline()
        writer.kill()  # at whatever it is doing now
        rest = writer.stdout.read().split("\n")[:-1]
    flushed = int(rest[-1]) + 1 if rest else 25
    history = History(random.Random(3))
    for _ in range(flushed):
        history.next()
    states = [contents(history.ledger)]
    history.next()
    states.append(contents(history.ledger))
    assert restored(reopened(path)) in states


def test_a_disk_that_is_full_loses_nothing(
    index: ChainIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches news that are forgotten because they could not be written when they came."""
    history, database = History(random.Random(4)), index._database
    assert database is not None
    index.tell(history.next())
    with monkeypatch.context() as patch:
        patch.setattr(database, "transaction", _refused)
        with pytest.raises(Unavailable):
            index.flush(())
        index.tell(history.next())
        with pytest.raises(Unavailable):
            index.flush(())
    index.flush(())
    index.close()
    assert restored(reopened(path)) == contents(history.ledger)


def _refused() -> Any:
    raise Unavailable("cannot write: database or disk is full")


def test_the_window_is_in_memory_and_the_rest_is_found(index: ChainIndex) -> None:
    """Catches a start that reads a whole life, an old spend taken for unspent, and a lost coin."""
    history = History(random.Random(5))
    for _ in range(40):
        index.tell(history.next())
    index.flush(())
    found = index.open(KEY, GENESIS, 10)
    assert len(found.blocks) == 10
    whole = history.ledger
    part = Ledger(policy(), 10, past=index.spent)
    part.restore(found.blocks, found.unspent, found.spent)
    for _ in range(20):  # what leaves the window from here on is looked up as well
        update = history.next()
        for block_hash in update.disconnected:
            part.disconnect(block_hash)
        for each in update.connected:
            part.connect(each)
        index.tell(update)
        index.flush(())
    coins = whole.coins
    assert len(part.coins) < len(coins)
    assert part.snapshot(part.blocks[3].height) == whole.snapshot(part.blocks[3].height)
    for each in coins:
        for ask in (Ledger.coin, Ledger.spent_by, Ledger.spent_at):
            assert ask(part, each.outpoint) == ask(whole, each.outpoint)
    assert part.spent_by(Outpoint(bytes(32), 0)) is None


# --- files that are not what they should be -------------------------------------------------------


def filled(path: Path, owner: Owner = OWNER) -> Contents:
    """Make a file with a history in it; return what it holds."""
    index, history = ChainIndex(path, owner), History(random.Random(6))
    index.open(KEY, GENESIS)
    for _ in range(20):
        index.tell(history.next())
    index.flush([deposit("seen").outpoint])
    index.close()
    return contents(history.ledger)


def _set(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no database" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:-4096]),
        _set("DROP TABLE coins"),
        _set("DELETE FROM blocks WHERE height = 12"),
        _set("DELETE FROM coins WHERE spent_at IS NOT NULL"),
        _set("UPDATE coins SET spent_at = NULL"),
        _set("UPDATE blocks SET body = (SELECT body FROM blocks WHERE height = 9)"),
        _set("UPDATE metadata SET value = 'metanode chain index 0' WHERE name = 'kind'"),
    ],
)
def test_a_damaged_file_or_another_version_is_made_anew(
    path: Path, damage: Callable[[Path], None]
) -> None:
    """Catches a node that ends on derived data, or goes on with less of it than there was."""
    assert restored_or_unfit(path, filled(path))
    damage(path)
    assert not restored_or_unfit(path, None)
    index = ChainIndex(path, OWNER)
    assert index.renew(KEY, GENESIS).blocks == ()
    index.tell(History(random.Random(7)).next())
    index.flush(())
    index.close()
    assert reopened(path).blocks != ()


def restored_or_unfit(path: Path, expected: Contents | None) -> bool:
    """Return whether a file is taken; what is taken must be what is expected."""
    try:
        found = restored(reopened(path))
    except (Unfit, LedgerMismatch):
        return False
    assert found == expected
    return True


def test_a_flipped_byte_is_noticed_or_changes_nothing(path: Path) -> None:
    """Catches an amount, script or height that a bad disk changed and the node pays by."""
    expected, whole, chance = filled(path), path.read_bytes(), random.Random(8)
    noticed = 0
    for _ in range(60):
        place = chance.randrange(len(whole))
        flipped = whole[place] ^ 1 << chance.randrange(8)
        path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1:])
        noticed += not restored_or_unfit(path, expected)
    assert noticed > 15


@pytest.mark.parametrize(
    "other",
    [
        {"owner": Owner(b"\x01" * 32, NODE_ID)},
        {"owner": Owner(bytes(32), b"\x03" + NODE_ID[1:])},
        {"key": b"\x03" + bytes(32)},
        {"genesis": ident("another genesis")},
    ],
    ids=["network", "node", "key", "chain"],
)
def test_a_file_of_something_else_is_not_taken(path: Path, other: dict[str, Any]) -> None:
    """Catches a file put into another home: its sightings are another node's word, its coins may be
    those of another key or chain.
    """
    filled(path)
    with pytest.raises(Unfit, match="belongs to another"):
        reopened(path, **other)


def test_sightings_outlive_a_new_scan_but_not_their_file(index: ChainIndex, path: Path) -> None:
    """Catches deposits that wait for long because the blocks were scanned again."""
    seen = [deposit(name).outpoint for name in "cab"]
    index.flush(seen)
    assert index.renew(KEY, GENESIS).seen == seen
    index.flush(seen[1:])
    assert list(index.open(KEY, GENESIS).seen) == seen[1:]
    path.write_bytes(b"")
    assert index.renew(KEY, GENESIS).seen == ()


def test_stakes_are_kept_with_the_blocks_that_spent_them(index: ChainIndex, path: Path) -> None:
    """Catches a stake that a restart forgets, so that its spending meanwhile goes unnoticed."""
    history = History(random.Random(5))
    mine = Stake(Outpoint(ident("mine"), 0), public("owner"), 10**6, 3, 30)
    other = evolve(mine, outpoint=Outpoint(ident("other"), 1))
    index.tell(history.next())
    index.flush((), (mine, other))
    assert set(reopened(path).stakes) == {mine, other}
    update = history.next()
    block_after = evolve(update.connected[-1], time=77, stakes=(mine.outpoint,))
    index.tell(evolve(update, connected=(*update.connected[:-1], block_after)))
    index.flush((), (evolve(mine, spent_at=block_after.height),))
    stored = reopened(path)
    assert stored.stakes == [evolve(mine, spent_at=block_after.height)]
    assert stored.blocks[-1].stakes == (mine.outpoint,)
    assert stored.blocks[-1].time == 77


def test_what_sqlite_left_of_a_lost_file_is_not_taken_for_news(path: Path) -> None:
    """Catches a new file that SQLite fills from the journal of the old one."""
    filled(path)
    index = ChainIndex(path, OWNER)
    index.open(KEY, GENESIS)
    index.flush(())  # so that there is a journal
    shutil.copy(f"{path}-wal", f"{path}-kept")
    index.close()
    path.unlink()
    shutil.move(f"{path}-kept", f"{path}-wal")
    assert reopened(path) == Stored()
