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

import sqlalchemy as sa

from metanode.errors import Unavailable, UserError
from metanode.runtime.store.files import DAMAGED, LOST, PRIVATE_FILE, sync_directory

BUSY_TIMEOUT_S = 5.0
metadata_table = sa.Table(
    "metadata", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False), sqlite_with_rowid=False,
)


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

    def __init__(self, path: Path, engine: sa.Engine) -> None:
        self.path = path
        self._engine = engine
        self._one_writer = Lock()

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
            raise Unavailable(f"cannot create {path}: {error.strerror}") from error
        return database

    @classmethod
    def open(cls, path: Path, kind: str, owner: bytes, title: str) -> Database:
        """Open the file; UserError when it is missing, damaged, of another kind or node.

        ``title`` names the file in messages ("signing log").
        """
        if not path.is_file():
            raise UserError(f"{title} missing: {path}; {LOST}")
        database = cls(path, _engine(path))
        try:
            with database._engine.begin() as connection:
                verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                rows = connection.execute(sa.select(metadata_table)).all()
                found: dict[str, bytes] = dict(rows)
        except sa.exc.DatabaseError as error:
            database.close()
            if isinstance(error, sa.exc.OperationalError) and "locked" in str(error.orig):
                raise Unavailable(f"{path} is held by another process: stop it") from error
            raise UserError(f"{title} damaged: {path} ({error.orig}); {DAMAGED}") from error
        fault = None
        if verdict != "ok":
            fault = f"{title} damaged: {path} ({verdict}); {DAMAGED}"
        elif found.get("kind") != kind.encode():
            fault = f"{path} is no {title} of this version; put this node's own {title} back"
        elif found.get("owner") != owner:
            fault = f"{path} belongs to another node; put this node's own {title} back"
        if fault is not None:
            database.close()
            raise UserError(fault)
        return database

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
                raise Unavailable(f"cannot write {self.path}: {error.orig}") from error

    def close(self) -> None:
        """Close the file; what was committed is on disk already."""
        self._engine.dispose()
