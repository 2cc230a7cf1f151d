"""The signing history as a file: the conformity vectors on the real log, and round trips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metanode.errors import UserError
from metanode.protocol.tables.view import NodeView, Quorum
from metanode.runtime.home.owner import Owner
from metanode.runtime.secrets.keystore import LIGHT, Keystore
from metanode.runtime.store.cells import CellStore
from metanode.runtime.store.disk import FIRST_VALUES, Disk
from metanode.runtime.store.history import decode_history, encode_history, read_history
from metanode.runtime.store.history_mark import HistoryMark
from metanode.runtime.store.signing_log import (
    Lock,
    Release,
    SafetyViolation,
    SessionUse,
    SigningHistory,
    SigningLog,
    Vote,
)
from spec import messages as m
from spec.language.interpreter import evaluate
from spec.language.ir import BOOL
from spec.protocol import PROTOCOL
from tests.runtime.store.history_vectors import CODEC, DIRECTORY, FULL, ME, NETWORK, NODES, files
from tests.runtime.support import PASSPHRASE
from tests.simulation.disk import FakeDisk
from tests.simulation.simulator import with_key
from tests.spec.support import parse

OWNER = Owner(NETWORK, ME.node_id)
ACCEPTED: dict[str, Any] = json.loads((DIRECTORY / "accepted.json").read_text(encoding="ascii"))
REFUSED: dict[str, Any] = json.loads((DIRECTORY / "refused.json").read_text(encoding="ascii"))
SUBJECT = {"p": "Peer", "e": "Event", "a": "Attempt", "d": "Digest", "i": "Instance"}
# What the tables ask before a node sends: the conjuncts of each kind of question, in order.
RULES = {
    "vote": {
        "first_vote": "first_vote(p, e, a, d)",
        "lock_permits": "lock_permits(p, e, a, d)",
    },
    "lock": {"may_lock": "may_lock(p, e, a, d)"},
    "release": {
        "lock": "lock[p, e] == d and lock_attempt[p, e] == a",
        "instance_used": "not instance_used[p, i]",
    },
}
FORMULAS = {
    rule: parse(text, BOOL, PROTOCOL.names, **SUBJECT)
    for rules in RULES.values()
    for rule, text in rules.items()
}


def decode(plain: Any) -> SigningHistory:
    """Return the history in an interchange document."""
    return decode_history(json.dumps(plain).encode(), OWNER)


def source(case: dict[str, Any], directory: Path) -> Path:
    """Write the file of a case."""
    path = directory / "history.json"
    text = case["file_text"] if "file_text" in case else json.dumps(case["file"])
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SigningLog]:
    """An empty log of this node."""
    made = SigningLog.create(tmp_path / "log.sqlite", ME.node_id)
    yield made
    made.close()


def test_vectors_are_the_generators() -> None:
    """Catches a vector that was edited by hand, or a generator that was not run."""
    for name, text in files():
        assert (DIRECTORY / name).read_text(encoding="ascii") == text


@pytest.mark.parametrize("case", ACCEPTED["cases"], ids=lambda case: case["name"])
def test_accepted_vector(case: dict[str, Any], log: SigningLog, tmp_path: Path) -> None:
    """Catches an import that loses or lowers a mark, and a node that signs what one forbids."""
    log.merge(decode(case["initial"]))
    log.merge(read_history(source(case, tmp_path), OWNER))
    assert encode_history(log.load(), OWNER) == encode_history(decode(case["resulting"]), OWNER)
    log.close()
    for number, query in enumerate(case["queries"]):
        home = tmp_path / str(number)
        home.mkdir()
        (home / "log.sqlite").write_bytes((tmp_path / "log.sqlite").read_bytes())
        ask(query, home)


@pytest.mark.parametrize("case", REFUSED["cases"], ids=lambda case: case["name"])
def test_refused_vector(case: dict[str, Any], log: SigningLog, tmp_path: Path) -> None:
    """Catches a bad file that is taken in, in whole or in part, or refused without its reason."""
    log.merge(decode(REFUSED["initial"]))
    before = log.load()
    with pytest.raises(UserError) as caught:
        log.merge(read_history(source(case, tmp_path), OWNER))
    assert case["reason"] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert log.load() == before


def ask(query: dict[str, Any], home: Path) -> None:
    """Put one question to the tables, as a node loads them, and to the log itself."""
    node_id = ME.node_id
    log = SigningLog.open(home / "log.sqlite", node_id)
    store = CellStore.create(home / "cells.sqlite", node_id, FIRST_VALUES)
    mark = HistoryMark.create(home / "history.mark", node_id, log.stand.now, store.stand.now)
    disk = Disk(node_id, log, store, Keystore(home, PASSPHRASE, LIGHT), CODEC, mark)
    broken = broken_rules(query, disk)
    assert broken[:1] == ([] if query["allowed"] else [query["rule"]]), query
    event, digest = bytes.fromhex(query["event"]), bytes.fromhex(query["digest"])
    attempt = int(query["attempt"])
    records: dict[str, list[Any]] = {
        "vote": [Vote(event, attempt, digest)],
        "lock": [Lock(event, attempt, digest, b"certificate", b"document")],
        "release": [Release(event, digest)],
    }
    if "session" in query:
        records["release"].append(SessionUse(bytes.fromhex(query["session"])))
    if query["allowed"]:
        disk.log.record(records[query["may"]])
    elif query["rule"] != "lock_permits":  # that one needs certificates, which the log never sees
        with pytest.raises(SafetyViolation):
            disk.log.record(records[query["may"]])
    disk.close()


def broken_rules(query: dict[str, Any], disk: Disk) -> list[str]:
    """Return the rules of SAFE-SIGN that forbid a query, by the specification's own formulas."""
    holders = tuple(node.node_id for node in NODES)
    view = NodeView(PROTOCOL, Quorum(holders, 3, 1))
    for cell, values in disk.load().cells.items():
        for index, value in values.items():
            view.put(cell, index, value)
    event, digest = bytes.fromhex(query["event"]), bytes.fromhex(query["digest"])
    attempt = int(query["attempt"])
    shown = [(int(c["attempt"]), bytes.fromhex(c["digest"])) for c in query.get("shown", ())]
    if query["may"] == "lock":
        shown.append((attempt, digest))
    for number, certified in shown:
        for holder in holders[:3]:
            view.deliver("vote", holder, event, number, certified)
    subject: dict[str, Any] = {"p": ME.node_id, "e": event, "a": attempt, "d": digest}
    subject["i"] = bytes.fromhex(query.get("session", ""))
    view.providers["kind"] = lambda _event: "payout"
    view.scopes = lambda _sorts, _index: view.quorum
    view.begin_reading()
    return [rule for rule in RULES[query["may"]] if not evaluate(FORMULAS[rule], view, subject)]


def test_round_trip(log: SigningLog, tmp_path: Path) -> None:
    """Catches a mark that an export leaves out, and an export that differs from time to time."""
    log.merge(decode(FULL))
    written = encode_history(log.load(), OWNER)
    other = SigningLog.create(tmp_path / "other.sqlite", ME.node_id)
    new = other.merge(decode_history(written, OWNER))
    assert other.load() == log.load() == new
    assert encode_history(other.load(), OWNER) == written
    nothing = other.merge(decode_history(written, OWNER))
    assert nothing == SigningHistory({}, {}, frozenset(), frozenset())
    other.close()


def test_import_is_on_disk_and_whole(log: SigningLog, tmp_path: Path) -> None:
    """Catches an import that is reported before it is committed."""
    log.merge(decode(FULL))
    copy = tmp_path / "copy.sqlite"
    for suffix in ("", "-wal"):
        file = tmp_path / f"log.sqlite{suffix}"
        if file.exists():
            copy.with_name(copy.name + suffix).write_bytes(file.read_bytes())
    again = SigningLog.open(copy, ME.node_id)
    assert again.load() == decode(FULL)
    again.close()


def remembered(disk: FakeDisk) -> SigningHistory:
    """Return what a simulated node would find in its signing log."""
    memory = disk.load()
    locks = {
        lock.certificate.event: Lock(
            lock.certificate.event,
            lock.certificate.attempt,
            lock.certificate.digest,
            CODEC.encode(m.Begin(lock.certificate)),
            lock.document,
        )
        for lock in memory.locks
    }
    return SigningHistory(
        votes={(e, a): d for (_, e, a), d in memory.cells["voted"].items()},
        locks=locks,
        releases=frozenset((e, d) for _, e, d in memory.cells["released"]),
        sessions_used=frozenset(i for _, i in memory.cells["instance_used"]),
    )


def test_what_honest_nodes_have_is_taken() -> None:
    """Catches a check that refuses a history that a node gets by following the tables."""
    network = with_key(1)
    network.run(0.3)
    network.deposit()
    network.mine_every(0.7)
    network.settle()
    locks = 0
    for number, node in enumerate(network.nodes):
        owner = Owner(network.core(number).settings.network_id, node.node_id)
        found = remembered(node.disk)
        assert decode_history(encode_history(found, owner), owner) == found
        locks += len(found.locks)
    assert locks >= 2 * len(network.nodes)  # the lock-in and a payout, and the key generations
