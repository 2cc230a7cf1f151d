"""The durable half of SAFE-SIGN: what this node voted for, locked on, released and started.

A node that forgets any of it can be led to sign two documents for one event, which is two payments
for one deposit. So every record is flushed before :meth:`SigningLog.record` returns, and the caller
sends only then; nothing is ever deleted; and the log itself refuses a second vote, a lock that goes
back or breaks the promise of a later vote, a release without its lock and a session instance used
twice, whatever the code above it believes. A missing or foreign log refuses to sign: an empty
history is not a clean one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from attrs import field, frozen
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from metanode.errors import LocalFault, UserError
from metanode.runtime.store.history_mark import REPLACE, Stand
from metanode.runtime.store.sqlite import Database
from metanode.runtime.store.tally import Head, Tally, tallied

KIND = "metanode signing log 1"
TITLE = "signing log"
MAX_ATTEMPT = 2**63 - 1
MEND = (
    "put the file itself back, together with its -wal (this node checks them), or `history import` "
    f"an export that was made after this node last ran, or {REPLACE}"
)

_tables = sa.MetaData()
_votes = sa.Table(
    "votes", _tables, sa.Column("event", sa.LargeBinary, primary_key=True),
    sa.Column("attempt", sa.BigInteger, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False), sqlite_with_rowid=False,
)
_locks = sa.Table(
    "locks", _tables, sa.Column("event", sa.LargeBinary, primary_key=True),
    sa.Column("attempt", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("certificate", sa.LargeBinary, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False), sqlite_with_rowid=False,
)
_releases = sa.Table(
    "releases", _tables, sa.Column("event", sa.LargeBinary, primary_key=True),
    sa.Column("digest", sa.LargeBinary, primary_key=True), sqlite_with_rowid=False,
)
_sessions = sa.Table(
    "sessions_used", _tables, sa.Column("instance", sa.LargeBinary, primary_key=True),
    sqlite_with_rowid=False,
)


class SafetyViolation(LocalFault):
    """The node was about to break SAFE-SIGN; nothing was written and nothing may be sent."""


class HistoryConflict(UserError):
    """Two histories of one node contradict each other: the node has run in two places."""


def _identifier(_instance: object, attribute: Any, value: Any) -> None:
    if type(value) is not bytes or len(value) != 32:
        raise LocalFault(f"{attribute.name} must be 32 bytes")


def _attempt(_instance: object, _attribute: object, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= MAX_ATTEMPT:
        raise LocalFault(f"attempt must be an int in 0..{MAX_ATTEMPT}, got {value!r}")


@frozen
class Vote:
    """This node's signed checksum for ``digest`` in attempt ``attempt`` of ``event``."""

    event: bytes = field(validator=_identifier)
    attempt: int = field(validator=_attempt)
    digest: bytes = field(validator=_identifier)


@frozen
class Lock:
    """A certificate seen for ``digest``; ``document`` is what it signs, kept for a retry."""

    event: bytes = field(validator=_identifier)
    attempt: int = field(validator=_attempt)
    digest: bytes = field(validator=_identifier)
    certificate: bytes = field(repr=False)
    document: bytes = field(repr=False)


@frozen
class TakenLock(Lock):
    """A lock taken over from the key epoch before, whose share signs nothing any more.

    A later vote for another digest was a promise about that share, so it does not stand against it.
    """


@frozen
class Release:
    """The first signing message for ``digest`` is about to leave this node."""

    event: bytes = field(validator=_identifier)
    digest: bytes = field(validator=_identifier)


@frozen
class SessionUse:
    """The signing session ``instance`` starts here, once; none survives a restart (F-23)."""

    instance: bytes = field(validator=_identifier)


Record = Vote | Lock | TakenLock | Release | SessionUse


@frozen
class SigningHistory:
    """All that the log holds. ``votes`` maps (event, attempt) to a digest, ``locks`` an event."""

    votes: Mapping[tuple[bytes, int], bytes]
    locks: Mapping[bytes, Lock]
    releases: frozenset[tuple[bytes, bytes]]
    sessions_used: frozenset[bytes]

    def released(self, event: bytes) -> frozenset[bytes]:
        """Return the digests of ``event`` for which a signing message has left."""
        return frozenset(digest for known, digest in self.releases if known == event)


_MEND = (
    "this identity has run in two places; stop both, run neither again, and let the network "
    "replace this node"
)


def additions(ours: SigningHistory, theirs: SigningHistory) -> SigningHistory:
    """Return what ``theirs`` adds to ``ours``, so that the sum forbids what either forbids.

    Votes, releases and sessions are united; of two locks of one event that of the higher attempt
    stays. Raises HistoryConflict for two digests in one attempt: no sum of the two can be honest.
    """
    for (event, attempt), digest in theirs.votes.items():
        known = ours.votes.get((event, attempt), digest)
        if known != digest:
            raise HistoryConflict(
                f"two votes in attempt {attempt} of event {event.hex()}: for {known.hex()} here, "
                f"for {digest.hex()} there: {_MEND}"
            )
    for event, lock in theirs.locks.items():
        held = ours.locks.get(event)
        if held is not None and held.attempt == lock.attempt and held.digest != lock.digest:
            raise HistoryConflict(
                f"two locks in attempt {lock.attempt} of event {event.hex()}: on "
                f"{held.digest.hex()} here, on {lock.digest.hex()} there: {_MEND}"
            )
    locks = {
        event: lock
        for event, lock in theirs.locks.items()
        if event not in ours.locks or ours.locks[event].attempt < lock.attempt
    }
    return SigningHistory(
        votes=MappingProxyType({k: d for k, d in theirs.votes.items() if k not in ours.votes}),
        locks=MappingProxyType(locks),
        releases=theirs.releases - ours.releases,
        sessions_used=theirs.sessions_used - ours.sessions_used,
    )


def _put_vote(connection: sa.Connection, tally: Tally, vote: Vote) -> None:
    where = (_votes.c.event == vote.event) & (_votes.c.attempt == vote.attempt)
    known = connection.execute(sa.select(_votes.c.digest).where(where)).scalar()
    if known is None:
        connection.execute(
            sa.insert(_votes).values(event=vote.event, attempt=vote.attempt, digest=vote.digest)
        )
        tally.add("votes", vote.event, vote.attempt, vote.digest)
    elif known != vote.digest:
        raise SafetyViolation(
            f"second vote in attempt {vote.attempt} of event {vote.event.hex()}: "
            f"voted {known.hex()}, asked for {vote.digest.hex()}"
        )


def _put_lock(connection: sa.Connection, tally: Tally, lock: Lock) -> None:
    if not lock.certificate:
        raise SafetyViolation(f"lock of event {lock.event.hex()} without a certificate")
    where = _locks.c.event == lock.event
    known = connection.execute(sa.select(_locks).where(where)).mappings().first()
    if known is not None and lock.attempt < known["attempt"]:
        raise SafetyViolation(
            f"lock of event {lock.event.hex()} goes back from attempt {known['attempt']} "
            f"to {lock.attempt}"
        )
    if known is not None and lock.attempt == known["attempt"]:
        if lock.digest != known["digest"]:
            raise SafetyViolation(
                f"two locks in attempt {lock.attempt} of event {lock.event.hex()}: "
                f"{known['digest'].hex()} and {lock.digest.hex()}"
            )
        return  # the first certificate of an attempt is as good as any later one
    of_event = (_votes.c.event == lock.event) & (_votes.c.attempt > lock.attempt)
    promise = connection.execute(
        sa.select(_votes.c.attempt).where(of_event & (_votes.c.digest != lock.digest))
    ).scalar()
    if promise is not None and not isinstance(lock, TakenLock):
        raise SafetyViolation(
            f"lock of event {lock.event.hex()} in attempt {lock.attempt} after a vote for another "
            f"digest in attempt {promise}"
        )
    _write_lock(connection, tally, lock)


def _write_lock(connection: sa.Connection, tally: Tally, lock: Lock) -> None:
    known = connection.execute(sa.select(_locks).where(_locks.c.event == lock.event)).first()
    if known is not None:
        tally.remove("locks", *known)
    tally.add(
        "locks", lock.event, lock.attempt, lock.digest, lock.certificate, lock.document
    )
    values = {
        "attempt": lock.attempt,
        "digest": lock.digest,
        "certificate": lock.certificate,
        "document": lock.document,
    }
    statement = sqlite_insert(_locks).values(event=lock.event, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["event"], set_=values))


def _put_release(connection: sa.Connection, tally: Tally, release: Release) -> None:
    locked = connection.execute(
        sa.select(_locks.c.digest).where(_locks.c.event == release.event)
    ).scalar()
    if locked != release.digest:
        held = "no lock" if locked is None else f"a lock on {locked.hex()}"
        raise SafetyViolation(
            f"release of {release.digest.hex()} for event {release.event.hex()} with {held}"
        )
    where = (_releases.c.event == release.event) & (_releases.c.digest == release.digest)
    if connection.execute(sa.select(_releases.c.event).where(where)).first() is None:
        connection.execute(sa.insert(_releases).values(event=release.event, digest=release.digest))
        tally.add("releases", release.event, release.digest)


def _put_session(connection: sa.Connection, tally: Tally, use: SessionUse) -> None:
    where = _sessions.c.instance == use.instance
    if connection.execute(sa.select(_sessions).where(where)).first() is not None:
        raise SafetyViolation(f"session instance {use.instance.hex()} was used before")
    connection.execute(sa.insert(_sessions).values(instance=use.instance))
    tally.add("sessions_used", use.instance)


_PUT: dict[type, Callable[[sa.Connection, Tally, Any], None]] = {
    Vote: _put_vote,
    Lock: _put_lock,
    TakenLock: _put_lock,
    Release: _put_release,
    SessionUse: _put_session,
}


def _load(connection: sa.Connection) -> SigningHistory:
    votes = connection.execute(sa.select(_votes)).all()
    locks = connection.execute(sa.select(_locks)).all()
    releases = connection.execute(sa.select(_releases)).all()
    sessions = connection.execute(sa.select(_sessions.c.instance)).scalars().all()
    return SigningHistory(
        votes=MappingProxyType({(event, attempt): digest for event, attempt, digest in votes}),
        locks=MappingProxyType({row[0]: Lock(*row) for row in locks}),
        releases=frozenset((event, digest) for event, digest in releases),
        sessions_used=frozenset(sessions),
    )


def tally_of(history: SigningHistory) -> Tally:
    """Return the tally of a log that holds a history and nothing else."""
    locks = history.locks.values()
    return tallied(
        [
            *(("votes", event, attempt, d) for (event, attempt), d in history.votes.items()),
            *(("locks", k.event, k.attempt, k.digest, k.certificate, k.document) for k in locks),
            *(("releases", event, digest) for event, digest in history.releases),
            *(("sessions_used", instance) for instance in history.sessions_used),
        ]
    )


class SigningLog:
    """The append-only signing history of one node in one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def create(cls, path: Path, node_id: bytes) -> SigningLog:
        """Make an empty log for a NEW identity; UserError when the file exists."""
        database = Database.create(path, KIND, node_id, _tables)
        database.begin()
        return cls(database)

    @classmethod
    def open(cls, path: Path, node_id: bytes) -> SigningLog:
        """Open the log of ``node_id``; UserError, and with it no signing, when it is not whole."""
        log = cls(Database.open(path, KIND, node_id, TITLE, MEND))
        try:
            log._database.verify(TITLE, tally_of(log.load()))
        except Exception:
            log.close()
            raise
        return log

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    @property
    def stand(self) -> Stand:
        """Where the log stands."""
        return self._database.stand or Stand()

    @property
    def headless(self) -> bool:
        """Whether an earlier version made the file, without a head."""
        return self._database.headless

    def record(self, records: Sequence[Record]) -> None:
        """Write ``records`` in order in ONE transaction, on disk when this returns.

        A record that is there already with the same content is accepted (a retry after a crash),
        except a session instance, which may start once only. Raises SafetyViolation when a record
        breaks SAFE-SIGN, Unavailable when the disk fails; in both cases nothing is written.
        """
        for record in records:
            if type(record) not in _PUT:
                raise LocalFault(f"not a signing record: {type(record).__name__}")
        with self._database.changing() as (connection, tally):
            for record in records:
                _PUT[type(record)](connection, tally, record)

    def load(self) -> SigningHistory:
        """Return everything the log holds."""
        with self._database.transaction() as connection:
            return _load(connection)

    def merge(self, other: SigningHistory) -> SigningHistory:
        """Take in another history of the SAME node and return what of it was new.

        No mark is ever lowered. Raises HistoryConflict when the two contradict each other,
        Unavailable when the disk fails; in both cases nothing is written.
        """
        with self._database.changing() as (connection, tally):
            new = additions(_load(connection), other)
            # What was done in the past is kept as it was: the rules for a new lock or release look
            # at the votes and the lock of today, which may have moved on since.
            for (event, attempt), digest in new.votes.items():
                _put_vote(connection, tally, Vote(event, attempt, digest))
            for lock in new.locks.values():
                _write_lock(connection, tally, lock)
            rows = [{"event": event, "digest": digest} for event, digest in sorted(new.releases)]
            if rows:
                connection.execute(sa.insert(_releases), rows)
            for event, digest in new.releases:
                tally.add("releases", event, digest)
            for instance in sorted(new.sessions_used):
                _put_session(connection, tally, SessionUse(instance))
        return new

    def stands_at(self, head: Head) -> None:
        """Take the place that the mark has for a log that holds the very same records."""
        stand = self.stand
        if not stand.now.holds_same(head):
            raise LocalFault("a log takes the place of one with the same records only")
        with self._database.transaction() as connection:
            self._database.place(connection, Stand(head, head))
        self._database.stand = Stand(head, head)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
