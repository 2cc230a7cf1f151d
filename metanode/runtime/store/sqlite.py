"""SQLite the way both stores need it: a commit that returned survives kill -9 and power loss.

WAL journal, ``synchronous=FULL`` (the log is flushed at each commit), ``BEGIN IMMEDIATE`` (a writer
takes the lock before it reads what it compares). Every file carries its kind, its format and the
node it belongs to, because a file cut to zero bytes is a valid empty database to SQLite, and an
empty signing history must never be taken for a clean one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

import cbor2
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from metanode.errors import Malformed, Unavailable, UserError
from metanode.runtime.store.faults import DAMAGE, remedy, sqlite_code, sqlite_remedy
from metanode.runtime.store.files import PRIVATE_FILE, sync_directory
from metanode.runtime.store.history_mark import REPLACE, Stand
from metanode.runtime.store.tally import Head, Tally

BUSY_TIMEOUT_S = 5.0
SIDE_FILES = ("", "-wal", "-shm")
"""What SQLite keeps of one database, by the end of its name."""
HEAD, HEAD_BEFORE = "head", "head before"
PUT_BACK = f"put the file itself back, together with its -wal (this node checks them), or {REPLACE}"
"""The remedy for a store that is gone or damaged, where no import helps."""
metadata_table = sa.Table(
    "metadata", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False), sqlite_with_rowid=False,
)


def missing(title: str, path: Path, mend: str) -> UserError:
    """Return the error of a store that is not there."""
    return UserError(f"{title} missing: {path}; this node refuses to sign without it: {mend}")


class Damaged(UserError):
    """The file was whole when it was opened, and is not now."""


def _engine(path: Path) -> sa.Engine:
    # mode=rw: opening must never create; creating is a separate, deliberate act.
    file = "file:" + quote(str(path.absolute()))
    address = sa.URL.create("sqlite", database=file, query={"uri": "true", "mode": "rw"})
    engine = sa.create_engine(
        address, poolclass=sa.pool.QueuePool, pool_size=1, max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA fullfsync=ON")
        cursor.execute("PRAGMA trusted_schema=OFF")
        cursor.close()

    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", on_connect)
    sa.event.listen(engine, "begin", on_begin)
    return engine


class Database:
    """One SQLite file of one kind that belongs to one node; one transaction at a time."""

    def __init__(self, path: Path, engine: sa.Engine, mend: str = PUT_BACK) -> None:
        self.path, self.mend = path, mend
        self._engine = engine
        self._one_writer = Lock()
        self.stand: Stand | None = None
        """Where a store with a head stands; None for a file that never has one."""
        self.headless = False
        """Whether a store should have a head and has none: an earlier version made it."""

    @classmethod
    def create(cls, path: Path, kind: str, owner: bytes, tables: sa.MetaData) -> Database:
        """Make the file with its tables; refuses (UserError) to touch a file that is there."""
        if path.exists():
            raise UserError(f"{path} exists already and is never overwritten: name another home")
        try:
            path.touch(mode=PRIVATE_FILE, exist_ok=False)
            database = cls(path, _engine(path))
            with database.transaction() as connection:
                metadata_table.create(connection)
                tables.create_all(connection)
                rows = [{"name": "kind", "value": kind.encode()}, {"name": "owner", "value": owner}]
                connection.execute(sa.insert(metadata_table), rows)
            sync_directory(path.parent)
        except OSError as error:
            raise Unavailable(f"cannot create {path}: {remedy(path, error)}") from error
        return database

    @classmethod
    def open(
        cls, path: Path, kind: str, owner: bytes, title: str, mend: str = PUT_BACK
    ) -> Database:
        """Open the file; UserError when it is missing, damaged, of another kind or node.

        ``title`` names the file in messages ("signing log"), ``mend`` what helps if it is gone.
        """
        if not path.is_file():
            raise missing(title, path, mend)
        database = cls(path, _engine(path), mend)
        try:
            verdict, found = database._look()
        except sa.exc.DatabaseError as error:
            database.close()
            cause = sqlite_remedy(path, error.orig)
            if cause is not None:
                raise Unavailable(f"cannot open {path}: {cause}") from error
            raise UserError(f"{title} damaged: {path} ({error.orig}); {mend}") from error
        fault = None
        if verdict != "ok":
            fault = f"{title} damaged: {path} ({verdict}); {mend}"
        elif found.get("kind") != kind.encode():
            fault = f"{path} is no {title} of this version; put this node's own {title} back"
        elif found.get("owner") != owner:
            fault = f"{path} belongs to another node; put this node's own {title} back"
        if fault is not None:
            database.close()
            raise UserError(fault)
        return database

    def _look(self) -> tuple[object, dict[str, bytes]]:
        """Return SQLite's verdict about the file, and what the file says of itself."""
        with self._engine.begin() as connection:
            verdict: object = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if verdict != "ok":
                return verdict, {}
            found: dict[str, bytes] = dict(connection.execute(sa.select(metadata_table)).all())
        try:
            if HEAD in found:
                now, before = (Head.of(cbor2.loads(found[name])) for name in (HEAD, HEAD_BEFORE))
                self.stand = Stand(now, before)
        except (KeyError, Malformed, ValueError, cbor2.CBORError):
            verdict = "no head of a store"
        return verdict, found

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Yield a connection inside one write transaction; flushed to disk when the block ends.

        An exception undoes everything. A disk that fails or is full raises Unavailable.
        """
        with self._one_writer:
            try:
                with self._engine.begin() as connection:
                    yield connection
            except sa.exc.OperationalError as error:
                cause = sqlite_remedy(self.path, error.orig) or str(error.orig)
                raise Unavailable(f"cannot write {self.path}: {cause}") from error
            except sa.exc.DatabaseError as error:
                if sqlite_code(error.orig) not in DAMAGE:
                    raise
                raise Damaged(f"{self.path} is damaged ({error.orig}); {self.mend}") from error

    @contextmanager
    def changing(self) -> Iterator[tuple[sa.Connection, Tally]]:
        """Yield a connection and the tally of what the store holds, in which changes are counted.

        With the changes, where the store stands is written. The block is not entered twice at once.
        """
        before = self.stand.now if self.stand is not None else Head()
        tally = Tally.of(before)
        with self.transaction() as connection:
            yield connection, tally
            now = tally.head(before.written + 1)
            if now.holds_same(before) and self.stand is not None:
                return  # nothing is new
            self.place(connection, Stand(now, before))
        self.stand = Stand(now, before)

    def begin(self) -> None:
        """Give a new store its head."""
        with self.transaction() as connection:
            self.place(connection, Stand())
        self.stand = Stand()

    def place(self, connection: sa.Connection, stand: Stand) -> None:
        """Write where the store stands, inside a transaction."""
        for name, head in ((HEAD, stand.now), (HEAD_BEFORE, stand.before)):
            value = cbor2.dumps(head.plain(), canonical=True)
            put = sqlite_insert(metadata_table).values(name=name, value=value)
            connection.execute(
                put.on_conflict_do_update(index_elements=["name"], set_={"value": value})
            )

    def verify(self, title: str, found: Tally) -> None:
        """Compare what the file holds with where it says it stands; UserError when they differ.

        A file that was never written under a head, by an earlier version, is taken as it is.
        """
        if self.stand is None:
            self.headless = True
            self.stand = Stand(found.head(0), found.head(0))
        elif not self.stand.now.holds_same(found.head(0)):
            raise UserError(
                f"{title} damaged: {self.path} ({found.records} records where "
                f"{self.stand.now.records} were written, or others); {self.mend}"
            )

    def close(self) -> None:
        """Close the file; what was committed is on disk already."""
        self._engine.dispose()
