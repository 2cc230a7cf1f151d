"""The cell store: the disk cells of the protocol tables, written by compare-and-set.

One row of the tables changes cells from what its guard read to new values. The store repeats that
comparison on the disk: a write whose ``before`` is not what the disk holds undoes the whole batch,
so that memory and disk can never part silently. Keys and values are canonical CBOR; two values are
the same only when their encodings are (``True`` is not ``1``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import cbor2
import sqlalchemy as sa
from attrs import field, frozen
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from metanode.errors import LocalFault, Malformed, UserError
from metanode.runtime.store.history_mark import Stand
from metanode.runtime.store.sqlite import PUT_BACK, Database
from metanode.runtime.store.tally import Tally, tallied

KIND = "metanode cell store 1"
TITLE = "event store"
INT_BOUND = 2**63
MEND = PUT_BACK

Value = bool | int | str | bytes | None
IndexComponent = bytes | int | str
Index = tuple[IndexComponent, ...]

_tables = sa.MetaData()


def _table(name: str) -> sa.Table:
    return sa.Table(
        name, _tables, sa.Column("name", sa.Text, primary_key=True),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False), sqlite_with_rowid=False,
    )


_cells = _table("cells")
_attachments = _table("attachments")


@frozen
class CellWrite:
    """One cell goes from ``before`` to ``after``; ``attachment`` (if any) is stored beside it.

    ``index`` is the cell's index, () for a cell without one. ``None`` stands for the value none.
    """

    cell: str
    index: Index
    before: Value
    after: Value
    attachment: bytes | None = field(default=None, repr=False)


def _check_scalar(what: str, value: object, allowed: tuple[type, ...]) -> None:
    if type(value) not in allowed:
        raise LocalFault(f"{what}: {type(value).__name__} cannot be stored")
    if type(value) is int and not -INT_BOUND <= value < INT_BOUND:
        raise LocalFault(f"{what}: an integer beyond 64 bits cannot be stored")


def encode_index(cell: str, index: Index) -> bytes:
    """Return the canonical CBOR of an index; LocalFault when a component has another type."""
    if type(index) is not tuple:
        raise LocalFault(f"index of {cell}: a tuple is needed, got {type(index).__name__}")
    for component in index:
        _check_scalar(f"index of {cell}", component, (bytes, int, str))
    return cbor2.dumps(list(index), canonical=True)


def encode_value(cell: str, value: Value) -> bytes:
    """Return the canonical CBOR of a cell's value; LocalFault when it has another type."""
    _check_scalar(f"value of {cell}", value, (bool, int, str, bytes, type(None)))
    return cbor2.dumps(value, canonical=True)


def _decode(path: Path, data: bytes) -> Any:
    try:
        return cbor2.loads(data)
    except (cbor2.CBORError, ValueError) as error:
        raise UserError(f"{TITLE} damaged: {path}; {MEND}") from error


def decoded(kind: type[Any], data: bytes) -> Any:
    """Return the object of a kind that is stored beside a cell; UserError when it is damaged."""
    try:
        return kind.decode(data)
    except Malformed as fault:
        raise UserError(f"{TITLE} damaged ({fault}); {MEND}") from fault


class CellStore:
    """The disk cells of one node in one SQLite file.

    ``first_values`` gives the value of a cell that has no row yet (its first value in the
    specification); a cell that is not in it starts as none.
    """

    def __init__(self, database: Database, first_values: Mapping[str, Value]) -> None:
        self._database = database
        self._first = {cell: encode_value(cell, value) for cell, value in first_values.items()}
        self._none = encode_value("none", None)

    @classmethod
    def create(
        cls, path: Path, node_id: bytes, first_values: Mapping[str, Value] | None = None
    ) -> CellStore:
        """Make an empty store; UserError when the file exists."""
        database = Database.create(path, KIND, node_id, _tables)
        database.begin()
        return cls(database, first_values or {})

    @classmethod
    def open(
        cls, path: Path, node_id: bytes, first_values: Mapping[str, Value] | None = None
    ) -> CellStore:
        """Open the store of ``node_id``; UserError when it is missing, damaged or foreign."""
        store = cls(Database.open(path, KIND, node_id, TITLE), first_values or {})
        try:
            store._verify()
        except Exception:
            store.close()
            raise
        return store

    def _verify(self) -> None:
        with self._database.transaction() as connection:
            rows = [
                (table.name, *row)
                for table in (_cells, _attachments)
                for row in connection.execute(sa.select(table)).all()
            ]
        self._database.verify(TITLE, tallied(rows))

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    @property
    def stand(self) -> Stand:
        """Where the store stands."""
        return self._database.stand or Stand()

    @property
    def headless(self) -> bool:
        """Whether an earlier version made the file, without a head."""
        return self._database.headless

    def apply(self, writes: Sequence[CellWrite]) -> None:
        """Make all ``writes`` in order in ONE transaction, on disk when this returns.

        Raises LocalFault when a ``before`` is not the stored value, Unavailable when the disk
        fails; in both cases nothing is written.
        """
        prepared = [
            (write, encode_index(write.cell, write.index), encode_value(write.cell, write.before))
            for write in writes
        ]
        with self._database.changing() as (connection, tally):
            for write, key, before in prepared:
                self._compare_and_set(connection, tally, write, key, before)
                if write.attachment is not None:
                    _upsert(connection, tally, _attachments, write.cell, key, write.attachment)

    def _compare_and_set(
        self, connection: sa.Connection, tally: Tally, write: CellWrite, key: bytes, before: bytes
    ) -> None:
        stored = _stored(connection, _cells, write.cell, key)
        if stored is None:
            stored = self._first.get(write.cell, self._none)
        if stored != before:
            raise LocalFault(
                f"cell {write.cell}[{key.hex()}] changed under us: expected {write.before!r}, "
                f"the disk holds {_decode(self._database.path, stored)!r}"
            )
        after = encode_value(write.cell, write.after)
        _upsert(connection, tally, _cells, write.cell, key, after)

    def load(self) -> dict[str, dict[Index, Value]]:
        """Return every cell that was ever written: cell name → index → value."""
        return cast(dict[str, dict[Index, Value]], self._load(_cells, decode=True))

    def load_attachments(self) -> dict[str, dict[Index, bytes]]:
        """Return every attachment: cell name → index → bytes."""
        return cast(dict[str, dict[Index, bytes]], self._load(_attachments, decode=False))

    def attachment(self, cell: str, index: Index) -> bytes | None:
        """Return the attachment of one cell, or None."""
        where = (_attachments.c.name == cell) & (_attachments.c.key == encode_index(cell, index))
        with self._database.transaction() as connection:
            found = connection.execute(sa.select(_attachments.c.value).where(where)).scalar()
        return cast("bytes | None", found)

    def _load(self, table: sa.Table, *, decode: bool) -> dict[str, dict[Index, Any]]:
        with self._database.transaction() as connection:
            rows: Iterable[tuple[str, bytes, bytes]] = connection.execute(sa.select(table)).all()
        path = self._database.path
        found: dict[str, dict[Index, Any]] = {}
        for name, key, value in rows:
            index = tuple(_decode(path, key))
            found.setdefault(name, {})[index] = _decode(path, value) if decode else value
        return found

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _stored(connection: sa.Connection, table: sa.Table, name: str, key: bytes) -> bytes | None:
    where = (table.c.name == name) & (table.c.key == key)
    found: bytes | None = connection.execute(sa.select(table.c.value).where(where)).scalar()
    return found


def _upsert(
    connection: sa.Connection, tally: Tally, table: sa.Table, name: str, key: bytes, value: bytes
) -> None:
    known = _stored(connection, table, name, key)
    if known is not None:
        tally.remove(table.name, name, key, known)
    tally.add(table.name, name, key, value)
    statement = sqlite_insert(table).values(name=name, key=key, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name", "key"], set_={"value": value})
    )
