"""Whole runs of four made-up nodes, for edits that must be refused."""

from __future__ import annotations

import copy
from functools import lru_cache
from hashlib import sha256
from typing import Any

from tests.model_checks.made_traces import SLOT, Made, Record, node_id
from tests.model_checks.trace_files import Traces

PAYOUT, DIGEST, ROUND = b"P" * 32, b"D" * 32, 7


def settle(made: Made, event: bytes, attempt: int, digest: bytes) -> None:
    """Let A, B and C sign a payout in a round, while D waits for the signature."""
    counts, names = made.epochs[1], "ABCD"
    chosen = {(node_id(p), node_id(q), attempt): True for p in names for q in "ABC"}
    about: dict[str, Any] = {
        "e": event, "a": attempt, "r": attempt, "d": digest, "in_threshold_set": chosen,
        "epoch_signs": {(1, event, attempt): True}, "transfer_eligible": True, "roster_has": True,
        "id_hash_matches": True, "share_proof_valid": True, "set_large_enough": True,
        "i": sha256(event + digest).digest(), "run": "verified", "signature_valid": True,
    }

    def all_fire(who: str, trigger: str, under: str | None = None) -> None:
        for name in who:
            made.fire(name, trigger, counts, under=under, **about)

    def hear(trigger: str) -> None:
        for name in names:
            for q in names:
                made.fire(name, trigger, counts, **{**about, "q": node_id(q)})

    for name in names:
        made.nodes[name].signers[event, attempt] = counts
    all_fire(names, "peer.Offer")
    all_fire(names, "peer.RoundTick")
    hear("round.Hear")
    hear("round.Accept")
    all_fire(names, "peer.Matched")
    hear("round.HearSet")
    all_fire("D", "peer.SetElsewhere")
    for trigger in ("event.Create", "event.Setup", "peer.SetFound"):
        all_fire("ABC", trigger, "signing_set")
    for trigger in ("peer.Certified", "session.Certified", "session.Release"):
        all_fire("ABC", trigger, "vote")
    for trigger in ("session.Finish", "event.Signature", "payout.Finish", "peer.Signed"):
        all_fire("ABC", trigger, "step")


@lru_cache
def _traces() -> Traces:
    made = Made({1: ("ABCD", 3)})
    made.found()
    settle(made, PAYOUT, ROUND, DIGEST)
    made.traces["C"].append({"kind": "started", "at": made.now})
    made.nodes["C"].input = ("", 0, 0, 0)
    made.nodes["C"].values[("phase", (node_id("C"),))] = "Idle"
    for name in "CABD":
        made.fire(name, "peer.Ping", made.epochs[1])
    return {f"node-{number}": made.traces[name] for number, name in enumerate("ABCD")}


def whole_run() -> Traces:
    """Return the traces of four nodes from key generation to a signed payout, with one crash."""
    return copy.deepcopy(_traces())


def keygen_alone(name: str, slot: int = SLOT) -> list[Record]:
    """Return the trace of a node that makes a key all by itself."""
    made = Made({1: (name, 1)})
    for trigger in ("peer.KeygenTick", *(f"keygen.{e}" for e in (
        "Start", "Store", "Certify", "LockIn",
    ))):
        made.fire(name, trigger, made.epochs[1], k=slot)
    return made.traces[name]
