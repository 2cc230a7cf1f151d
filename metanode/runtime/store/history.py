"""The signing history of a node as a file: versioned JSON in the spirit of EIP-3076.

::

    {"metadata": {"interchange_format_version": "1", "network_id": HEX},
     "data": [{"node_id": HEX,
               "events": [{"event": HEX,
                           "votes": [{"attempt": NUMBER, "digest": HEX}],
                           "lock": {"attempt", "digest", "certificate", "document"} or null,
                           "released": [HEX]}],
               "sessions_used": [HEX]}]}

Numbers are decimal texts, because JSON's own lose digits in some readers; octets are lower-case
hex without a prefix. There is one way to write each, nothing may be added, left out or said twice,
and a history that no honest node can have is refused: a release without a lock, a lock without the
node's own vote or with a certificate that does not hold. A file gives no leave to sign
anything: it can only make a node stricter. ``spec/vectors/history`` shows both sides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from metanode.errors import Malformed, UserError
from metanode.identity import NODE_ID_BYTES
from metanode.protocol.events.votes import certificate_fault
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import Codec
from metanode.runtime.home.owner import Owner
from metanode.runtime.store.files import read_bounded
from metanode.runtime.store.signing_log import MAX_ATTEMPT, MEND, Lock, SigningHistory
from spec import messages as m

VERSION = "1"
MAX_HISTORY_BYTES = 256 << 20
MAX_LOCK_PART_BYTES = 1 << 20
HASH_BYTES = 32
_HEX = re.compile("(?:[0-9a-f]{2})*")
_NUMBER = re.compile("0|[1-9][0-9]{0,18}")
_MEND = "export the history again, from the home that ran last"


class _Fault(Exception):
    """What is wrong with a file; becomes one line that also names the file."""


def _refuse(where: str, reason: str) -> NoReturn:
    raise _Fault(f"{where}: {reason}" if where else reason)


# --- writing ------------------------------------------------------------------------------------


def encode_history(history: SigningHistory, owner: Owner) -> bytes:
    """Return the one file of a history: sorted, so that equal histories give equal bytes."""
    votes: dict[bytes, list[tuple[int, bytes]]] = {}
    for (event, attempt), digest in history.votes.items():
        votes.setdefault(event, []).append((attempt, digest))
    released: dict[bytes, list[bytes]] = {}
    for event, digest in history.releases:
        released.setdefault(event, []).append(digest)
    events = sorted({*votes, *released, *history.locks})
    record = {
        "node_id": owner.node_id.hex(),
        "events": [
            {
                "event": event.hex(),
                "votes": [
                    {"attempt": str(attempt), "digest": digest.hex()}
                    for attempt, digest in sorted(votes.get(event, ()))
                ],
                "lock": _plain_lock(history.locks.get(event)),
                "released": sorted(digest.hex() for digest in released.get(event, ())),
            }
            for event in events
        ],
        "sessions_used": sorted(instance.hex() for instance in history.sessions_used),
    }
    metadata = {"interchange_format_version": VERSION, "network_id": owner.network_id.hex()}
    text = json.dumps({"metadata": metadata, "data": [record]}, indent=1)
    return text.encode("ascii") + b"\n"


def _plain_lock(lock: Lock | None) -> dict[str, str] | None:
    if lock is None:
        return None
    return {
        "attempt": str(lock.attempt), "digest": lock.digest.hex(),
        "certificate": lock.certificate.hex(), "document": lock.document.hex(),
    }


# --- reading ------------------------------------------------------------------------------------


def read_history(path: Path, owner: Owner) -> SigningHistory:
    """Return the history in ``path``; UserError, one line, when anything about it is wrong."""
    data = read_bounded(path, MAX_HISTORY_BYTES)
    try:
        return decode_history(data, owner)
    except _Fault as fault:
        raise UserError(f"{path} is no signing history of this node: {fault}: {_MEND}") from None


def check_exportable(data: bytes, owner: Owner, path: Path) -> None:
    """Raise UserError unless :func:`read_history` would take ``data``; ``path`` names the log."""
    try:
        if len(data) > MAX_HISTORY_BYTES:
            _refuse("", f"it is longer than {MAX_HISTORY_BYTES} bytes")
        decode_history(data, owner)
    except _Fault as fault:
        raise UserError(
            f"{path} cannot be exported: {fault}: {MEND}"
        ) from None


def decode_history(data: bytes, owner: Owner) -> SigningHistory:
    """Read what :func:`encode_history` wrote, in any order and spacing; for ``read_history``."""
    document = _object("", _parse(data), "metadata", "data")
    metadata = _object("metadata", document["metadata"], "interchange_format_version", "network_id")
    version = metadata["interchange_format_version"]
    if version != VERSION:
        _refuse("metadata", f"version {version!r:.40}, this program reads {VERSION!r}")
    if _octets("network_id", metadata["network_id"], HASH_BYTES) != owner.network_id:
        _refuse("metadata", "it is of another network")
    records = _list("data", document["data"])
    if len(records) != 1:
        _refuse("data", f"{len(records)} records, one is needed")
    record = _object("data", records[0], "node_id", "events", "sessions_used")
    if _octets("node_id", record["node_id"], NODE_ID_BYTES) != owner.node_id:
        _refuse("data", "it is of another node")
    history = _history(record)
    _check_locks(history, owner)
    return history


def _parse(data: bytes) -> Any:
    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            _refuse("", f"key {next(n for n in names if names.count(n) > 1)!r:.40} stands twice")
        return found

    def no_number(text: str) -> NoReturn:
        _refuse("", f"a bare number ({text:.24}): numbers are written as texts")

    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=no_duplicates, parse_int=no_number,
            parse_float=no_number, parse_constant=no_number,
        )
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise _Fault(f"no JSON ({reason})") from None


def _object(where: str, value: Any, *names: str) -> dict[str, Any]:
    if type(value) is not dict:
        _refuse(where or "the file", "an object is needed")
    for name in value:
        if name not in names:
            _refuse(where, f"unknown key {name!r:.40}")
    for name in names:
        if name not in value:
            _refuse(where, f"key {name!r} is missing")
    return value


def _list(where: str, value: Any) -> list[Any]:
    if type(value) is not list:
        _refuse(where, "a list is needed")
    return value


def _octets(where: str, value: Any, exactly: int | None = None) -> bytes:
    if type(value) is not str or _HEX.fullmatch(value) is None:
        _refuse(where, "octets in lower-case hex are needed")
    if exactly is not None and len(value) != 2 * exactly:
        _refuse(where, f"{exactly} octets are needed, not {len(value) / 2:g}")
    if len(value) > 2 * MAX_LOCK_PART_BYTES:
        _refuse(where, f"more than {MAX_LOCK_PART_BYTES} octets")
    return bytes.fromhex(value)


def _attempt(where: str, value: Any) -> int:
    if type(value) is not str or _NUMBER.fullmatch(value) is None or int(value) > MAX_ATTEMPT:
        _refuse(where, f"attempt must be a decimal text from '0' to '{MAX_ATTEMPT}'")
    return int(value)


def _distinct(where: str, values: Sequence[bytes]) -> frozenset[bytes]:
    if len(set(values)) != len(values):
        _refuse(where, "an entry stands twice")
    return frozenset(values)


def _hashes(where: str, value: Any) -> frozenset[bytes]:
    return _distinct(where, [_octets(where, item, HASH_BYTES) for item in _list(where, value)])


def _history(record: dict[str, Any]) -> SigningHistory:
    votes: dict[tuple[bytes, int], bytes] = {}
    locks: dict[bytes, Lock] = {}
    releases: set[tuple[bytes, bytes]] = set()
    seen: list[bytes] = []
    for item in _list("events", record["events"]):
        plain = _object("events", item, "event", "votes", "lock", "released")
        event = _octets("event", plain["event"], HASH_BYTES)
        seen.append(event)
        name = f"event {event.hex()[:16]}"
        for attempt, digest in _votes(name, plain["votes"]):
            if (event, attempt) in votes:
                _refuse(name, f"two votes in attempt {attempt}")
            votes[event, attempt] = digest
        if plain["lock"] is not None:
            locks[event] = _lock(name, event, plain["lock"])
        for digest in _hashes(f"{name}, released", plain["released"]):
            releases.add((event, digest))
    _distinct("events", seen)
    return SigningHistory(
        votes=MappingProxyType(votes), locks=MappingProxyType(locks), releases=frozenset(releases),
        sessions_used=_hashes("sessions_used", record["sessions_used"]),
    )


def _votes(name: str, value: Any) -> Iterable[tuple[int, bytes]]:
    for item in _list(f"{name}, votes", value):
        vote = _object(f"{name}, votes", item, "attempt", "digest")
        yield _attempt(name, vote["attempt"]), _octets(f"{name}, digest", vote["digest"], 32)


def _lock(name: str, event: bytes, value: Any) -> Lock:
    where = f"{name}, lock"
    plain = _object(where, value, "attempt", "digest", "certificate", "document")
    return Lock(
        event,
        _attempt(where, plain["attempt"]),
        _octets(f"{where}, digest", plain["digest"], HASH_BYTES),
        _octets(f"{where}, certificate", plain["certificate"]),
        _octets(f"{where}, document", plain["document"]),
    )


# --- what an honest node can have ---------------------------------------------------------------


def _check_locks(history: SigningHistory, owner: Owner) -> None:
    voted = {(event, digest) for (event, _), digest in history.votes.items()}
    for event, digest in history.releases:
        name = f"event {event.hex()[:16]}"
        if event not in history.locks:
            _refuse(name, "released without a lock")
        if (event, digest) not in voted:
            _refuse(name, "released without a vote for it")
    codec = Codec(m.MESSAGES)
    for lock in history.locks.values():
        fault = _lock_fault(lock, history, owner, codec)
        if fault is not None:
            _refuse(f"event {lock.event.hex()[:16]}, lock", fault)


def _lock_fault(lock: Lock, history: SigningHistory, owner: Owner, codec: Codec) -> str | None:
    """Return what is wrong with a lock, or None.

    This check does not ask who holds the key (rosters change), but a certificate counts only with
    this node's own signature in it: nobody else can make up a lock for this node.
    """
    if history.votes.get((lock.event, lock.attempt)) != lock.digest:
        return "without this node's vote for it"
    try:
        begin = codec.decode(lock.certificate)
        if type(begin) is not m.Begin:
            return "its certificate is another message"
        certificate = begin.certificate
        m.LockedCandidate(lock.document, certificate)  # bounds the document
    except Malformed as fault:
        return f"its certificate is not readable ({fault.reason})"
    except ValueError as fault:
        return str(fault)
    if (certificate.event, certificate.attempt, certificate.digest) != (
        lock.event, lock.attempt, lock.digest
    ):
        return "its certificate is about something else"
    if owner.node_id not in {vote.voter for vote in certificate.votes}:
        return "its certificate lacks this node's vote"
    members = certificate.members
    majority = Quorum(members, len(members) // 2 + 1, 0)  # 2t - n > f: t is more than half
    fault_found = certificate_fault(certificate, codec, owner.network_id, majority)
    return None if fault_found is None else f"its certificate does not hold: {fault_found}"
