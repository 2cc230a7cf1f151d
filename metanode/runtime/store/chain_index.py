"""The chain index on disk: blocks, custody coins, and the deposits that this node saw unconfirmed.

What the chain told between two flushes is written in one transaction, and the newest block in the
file is at once the place from which the chain is told on. So a file always holds the state of one
commit: a crash loses nothing and doubles nothing. All of it but the sightings can be scanned again,
so a file that is damaged, of another version or that belongs elsewhere is made anew, never mended.
SQLite notices pages that are out of order; each row carries a checksum against the rest.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cbor2
import sqlalchemy as sa
from attrs import astuple, field, fields, frozen

from metanode.chains.base import ChainUpdate
from metanode.custody.ledger import Spent
from metanode.custody.stakes import Stake
from metanode.custody.types import ID_BYTES, BlockSummary, Coin, Deposit, Outpoint, Spend
from metanode.errors import LocalFault, MetanodeError, Unavailable, UserError
from metanode.runtime.home.owner import Owner
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.sqlite import SIDE_FILES, Damaged, Database

STORED = (BlockSummary, Deposit, Coin, Spend, Stake)
FIELDS = (each.name for kind in STORED for each in fields(kind))
KIND = f"metanode chain index 2 of {' '.join(FIELDS)}"
TITLE = "chain index"
CHECK_BYTES = 8
COIN_FIELDS = len(fields(Coin)) - 1  # beside its outpoint; a deposit has more
OUTPOINT_BYTES = ID_BYTES + 4
ANSWERS_KEPT = 1024
"""Old coins are asked for again and again while nothing changes."""

_tables = sa.MetaData()
_blocks = sa.Table(
    "blocks", _tables, sa.Column("height", sa.Integer, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
_coins = sa.Table(
    "coins", _tables, sa.Column("outpoint", sa.LargeBinary, primary_key=True),
    sa.Column("spent_at", sa.Integer, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
_sightings = sa.Table(
    "sightings", _tables, sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("outpoint", sa.LargeBinary, nullable=False, unique=True),
)
_stakes = sa.Table(
    "stakes", _tables, sa.Column("outpoint", sa.LargeBinary, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)


class Unfit(MetanodeError):
    """The file is damaged, of something else, or does not fit the chain: it must be made anew."""


@frozen
class Stored:
    """What a file holds: the newest ``blocks``, the unspent coins, those spent in these blocks.

    ``start`` is the height of the oldest block in the file; None when there is none. ``seen`` are
    the deposits that this node saw unconfirmed, the oldest first; ``stakes`` those it follows.
    """

    start: int | None = None
    blocks: Sequence[BlockSummary] = ()
    unspent: Sequence[Deposit | Coin] = ()
    spent: Sequence[Spent] = ()
    seen: Sequence[Outpoint] = field(default=(), repr=False)
    stakes: Sequence[Stake] = field(default=(), repr=False)


class ChainIndex:
    """The index of one node; used by one task at a time, but for :meth:`spent`."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path = path
        self._owner = owner
        self._database: Database | None = None
        self._pending: list[ChainUpdate] = []
        self._seen: dict[Outpoint, None] = {}
        self._followed: dict[Outpoint, Stake] = {}
        self._answers: dict[Outpoint, Spent | None] = {}

    def open(
        self, public_key: bytes, genesis: bytes, window_blocks: int | None = None
    ) -> Stored:
        """Return what is known of a key's coins on the chain that begins with a block.

        Of the blocks, the newest ``window_blocks`` are returned, or all.

        Raises :class:`Unfit` when the file is not of this key, chain, node and version, or damaged:
        then :meth:`renew` it. What was told and not flushed is forgotten.
        """
        self.close()
        owner = self._owner.encode() + public_key + genesis
        if not self._path.exists():
            self._remove()
            self._database = Database.create(self._path, KIND, owner, _tables)
            return Stored()
        try:
            self._database = Database.open(self._path, KIND, owner, TITLE)
        except UserError as fault:
            reason, _, _ = str(fault).partition(";")  # after it, how to mend what cannot be renewed
            raise Unfit(reason) from fault
        with self._transaction(self._database) as connection:
            found = _load(connection, window_blocks)
        self._seen = dict.fromkeys(found.seen)
        self._followed = {stake.outpoint: stake for stake in found.stakes}
        return found

    def renew(self, public_key: bytes, genesis: bytes, _window: int | None = None) -> Stored:
        """Make the file anew; the sightings stay if the old one can be read."""
        seen: Sequence[Outpoint] = ()
        with suppress(Unfit):
            seen = self.open(public_key, genesis).seen
        self.close()
        self._remove()
        self.open(public_key, genesis)
        self.flush(seen)
        return Stored(seen=seen)

    def tell(self, update: ChainUpdate) -> None:
        """Take what came and went, to be written with the next :meth:`flush`."""
        if update.connected or update.disconnected:
            self._pending.append(update)

    def flush(self, seen: Iterable[Outpoint], stakes: Iterable[Stake] = ()) -> None:
        """Write all that was told, and the sightings and stakes that count now; on disk when this
        returns.

        Raises Unavailable when the disk fails (what was told waits for the next time), and
        :class:`Unfit` when the file does not fit what was told.
        """
        wanted, followed = dict.fromkeys(seen), {stake.outpoint: stake for stake in stakes}
        same = wanted.keys() == self._seen.keys() and followed == self._followed
        if not self._pending and same:
            return
        if self._database is None:
            raise LocalFault(f"{TITLE} is not open")
        with self._transaction(self._database) as connection:
            for update in self._pending:
                for block_hash in update.disconnected:
                    _undo(connection, block_hash)
                for block in update.connected:
                    _add(connection, block)
            gone = [{"o": outpoint.encode()} for outpoint in self._seen if outpoint not in wanted]
            if gone:
                where = _sightings.c.outpoint == sa.bindparam("o")
                connection.execute(sa.delete(_sightings).where(where), gone)
            new = [{"outpoint": o.encode()} for o in wanted if o not in self._seen]
            if new:
                connection.execute(sa.insert(_sightings), new)
            if followed != self._followed:
                connection.execute(sa.delete(_stakes))
                if followed:
                    rows = [_stake_row(stake) for stake in followed.values()]
                    connection.execute(sa.insert(_stakes), rows)
        self._pending, self._seen, self._followed = [], wanted, followed
        self._answers.clear()

    def spent(self, outpoint: Outpoint) -> Spent | None:
        """Return a spent coin; None when there is none, or while the file cannot be read."""
        if (database := self._database) is None:
            return None
        if outpoint not in self._answers:
            try:
                with self._transaction(database) as connection:
                    found = _find(connection, outpoint)
            except (Unfit, Unavailable):
                return None  # the next flush meets the same fault, and says so
            if len(self._answers) >= ANSWERS_KEPT:
                self._answers.clear()
            self._answers[outpoint] = found if isinstance(found, Spent) else None
        return self._answers[outpoint]

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
        self._database, self._pending, self._seen, self._followed = None, [], {}, {}
        self._answers.clear()

    def _remove(self) -> None:
        """Remove the file and what SQLite keeps beside it, which it would take for news of it."""
        try:
            for suffix in SIDE_FILES:
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot remove {self._path}: {remedy(self._path, error)}") from error

    @contextmanager
    def _transaction(self, database: Database) -> Iterator[sa.Connection]:
        """Open a transaction; what SQLite says against the file is :class:`Unfit`."""
        try:
            with database.transaction() as connection:
                yield connection
        except (sa.exc.DatabaseError, Damaged) as error:
            cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", error)
            raise Unfit(f"{TITLE} damaged: {self._path} ({cause})") from error
        except Unavailable as fault:
            cause = getattr(fault.__cause__, "orig", None)
            if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:  # a table is gone
                raise Unfit(f"{TITLE} damaged: {self._path} ({cause})") from fault
            raise


def _load(connection: sa.Connection, window_blocks: int | None) -> Stored:
    heights = sa.select(sa.func.min(_blocks.c.height), sa.func.max(_blocks.c.height))
    start, tip = connection.execute(heights).one()
    seen = connection.execute(sa.select(_sightings.c.outpoint).order_by(_sightings.c.number))
    sightings = [_outpoint(encoded) for encoded in seen.scalars()]
    if start is None:
        return Stored(seen=sightings)
    stakes = [_stake(*row) for row in connection.execute(sa.select(_stakes))]
    first = start if window_blocks is None else max(start, tip - window_blocks + 1)
    rows = sa.select(_blocks).where(_blocks.c.height >= first).order_by(_blocks.c.height)
    blocks = [_block(height, body) for height, body in connection.execute(rows)]
    if [block.height for block in blocks] != list(range(first, tip + 1)):
        raise Unfit("a block is missing")
    where = _coins.c.spent_at.is_(None) | (_coins.c.spent_at >= first)
    coins = [_coin(*row) for row in connection.execute(sa.select(_coins).where(where))]
    spent = [coin for coin in coins if isinstance(coin, Spent)]
    unspent = [coin for coin in coins if not isinstance(coin, Spent)]
    return Stored(start, blocks, unspent, spent, sightings, stakes)


def _add(connection: sa.Connection, block: BlockSummary) -> None:
    body = _sealed(block.height, astuple(block))
    connection.execute(sa.insert(_blocks), {"height": block.height, "body": body})
    for made in block.coins:
        connection.execute(sa.insert(_coins), _row(made))
    for spend in block.spends:
        coin = _find(connection, spend.outpoint)
        if coin is None or isinstance(coin, Spent):
            raise Unfit(f"spent coin {spend.outpoint} is not there")
        _change(connection, Spent(coin, spend.txid, block.height))


def _undo(connection: sa.Connection, block_hash: bytes) -> None:
    newest = sa.select(_blocks).order_by(_blocks.c.height.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    block = None if row is None else _block(*row)
    if block is None or block.hash != block_hash:
        raise Unfit(f"block {block_hash.hex()} is not the newest one")
    for spend in block.spends:
        coin = _find(connection, spend.outpoint)
        if not isinstance(coin, Spent):
            raise Unfit(f"coin {spend.outpoint} is not spent")
        _change(connection, coin.coin)
    for made in block.coins:
        connection.execute(sa.delete(_coins).where(_coins.c.outpoint == made.outpoint.encode()))
    connection.execute(sa.delete(_blocks).where(_blocks.c.height == block.height))


def _find(connection: sa.Connection, outpoint: Outpoint) -> Deposit | Coin | Spent | None:
    query = sa.select(_coins).where(_coins.c.outpoint == outpoint.encode())
    row = connection.execute(query).one_or_none()
    return None if row is None else _coin(*row)


def _change(connection: sa.Connection, coin: Deposit | Coin | Spent) -> None:
    row = _row(coin)
    where = _coins.c.outpoint == row["outpoint"]
    connection.execute(sa.update(_coins).where(where), row)


# --- rows -----------------------------------------------------------------------------------------


def _row(coin: Deposit | Coin | Spent) -> dict[str, Any]:
    """Return the row of a coin: (who spent it, and when), then its fields."""
    spent = (coin.txid, coin.height) if isinstance(coin, Spent) else (None, None)
    what = coin.coin if isinstance(coin, Spent) else coin
    key = what.outpoint.encode()
    body = _sealed(key, (*spent, *astuple(what)))
    return {"outpoint": key, "spent_at": spent[1], "body": body}


def _coin(key: bytes, spent_at: int | None, body: bytes) -> Deposit | Coin | Spent:
    txid, height, outpoint, *rest = _opened(key, body)
    kind = Coin if len(rest) == COIN_FIELDS else Deposit
    coin = kind(Outpoint(*outpoint), *rest)
    if spent_at != height:
        raise Unfit(f"coin {coin.outpoint} is spent at {spent_at} and at {height}")
    return coin if height is None else Spent(coin, txid, height)


def _block(height: int, body: bytes) -> BlockSummary:
    opened = _opened(height, body)
    number, block_hash, parent, fee_rate, deposits, change, spends, at, stakes = opened
    return BlockSummary(
        number, block_hash, parent, fee_rate,
        tuple(Deposit(Outpoint(*outpoint), *rest) for outpoint, *rest in deposits),
        tuple(Coin(Outpoint(*outpoint), *rest) for outpoint, *rest in change),
        tuple(Spend(Outpoint(*outpoint), txid) for outpoint, txid in spends),
        at, tuple(Outpoint(*outpoint) for outpoint in stakes),
    )


def _stake_row(stake: Stake) -> dict[str, Any]:
    key = stake.outpoint.encode()
    return {"outpoint": key, "body": _sealed(key, astuple(stake))}


def _stake(key: bytes, body: bytes) -> Stake:
    outpoint, *rest = _opened(key, body)
    return Stake(Outpoint(*outpoint), *rest)


def _outpoint(encoded: bytes) -> Outpoint:
    if len(encoded) != OUTPOINT_BYTES:
        raise Unfit("a sighting names no output")
    return Outpoint(encoded[:ID_BYTES], int.from_bytes(encoded[ID_BYTES:]))


def _sealed(key: int | bytes, plain: tuple[Any, ...]) -> bytes:
    """Return the content of a row behind its checksum."""
    data = cbor2.dumps(plain, canonical=True)
    return _checksum(key, data) + data


def _opened(key: int | bytes, body: bytes) -> list[Any]:
    check, data = body[:CHECK_BYTES], body[CHECK_BYTES:]
    if check != _checksum(key, data):
        raise Unfit("a row is not what was written")
    plain: list[Any] = cbor2.loads(data)
    return plain


def _checksum(key: int | bytes, data: bytes) -> bytes:
    encoded = key if isinstance(key, bytes) else key.to_bytes(8)
    return hashlib.sha256(encoded + data).digest()[:CHECK_BYTES]
