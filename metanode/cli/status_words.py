"""What a node's status means in words: above all, why no payout is being made now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

IN_WORK = ("round", "signature")
"""What a deposit waits for while rounds are trying to pay it."""
RESTING = ("Idle", "Cooldown")
"""The phases in which no round is going on."""
SENT = ("broadcast", "block", "daemon")
"""What a deposit waits for when its payout is signed."""
WAITS = {
    "confirmations": "more confirmations",
    "maturity": "new coins to mature",
    "sighting": "being deep enough, since nobody saw them before they were confirmed",
    "fees": "lower fees",
    "index": "blocks that are not read yet",
    "held": "the operators (`custody held`)",
    "ignored": "the operators (`custody held`)",
}
UNWELL = {
    "chain_away": "its chain daemon does not answer",
    "disk_full": "its disk is nearly full",
    "clock_off": "its clock is off",
    "no_share": "it has no share",
}
LISTED, REFUSED = "listed", "refused"
"""What may become of a peer in a round: between both it is unlisted, until it is heard anew."""


def short(node_id: str) -> str:
    """Return how people are shown a node id."""
    return node_id[:16]


def why_no_payout(status: Mapping[str, Any], now: float | None = None) -> str:
    """Return in one sentence why no payout is being made now, or what is being done about one.

    What comes first hides what comes after it. ``now`` is unix seconds.
    """
    try:
        return (
            _of_this_node(status) or _of_the_holders(status)
            or _of_the_deposits(status, time.time() if now is None else now)
        )
    except KeyError as missing:
        return f"unknown: the node is of another version, and does not tell {missing}"


def _of_this_node(status: Mapping[str, Any]) -> str | None:
    """Return what keeps this node from taking part, or None."""
    key, health = status["key"], status["health"]
    if status.get("observing") is not None:
        return "this node was restored from a backup, and only observes (`backup resume`)"
    if status["chain_fault"] is not None:
        return f"this node does not see the chain: {status['chain_fault']}"
    if key is None:
        return _no_key(status)
    if status["node_id"] not in key["roster"]:
        return "this node holds no share, and looks on while others pay"
    if health in UNWELL:
        return f"this node cannot take part: {UNWELL[health]}"
    return None


def _no_key(status: Mapping[str, Any]) -> str:
    listed = sum(peer["listing"] == LISTED for peer in status["peers"])
    members = status["keygen"]["members"]
    if listed < members:
        return f"there is no key yet: {listed} of {members} members are listed, and it needs all"
    if status["keygen"]["mode"] == "command":
        return "there is no key yet: it is made when all members' operators ask (`keygen`)"
    return "there is no key yet: it is being made, and waits until all members have confirmed it"


def _of_the_holders(status: Mapping[str, Any]) -> str | None:
    """Return who is missed, if too few holders are there to sign; else None."""
    key, links = status["key"], set(status["links"])
    heard = {peer["node_id"]: peer for peer in status["peers"]}
    missed = []
    for holder in key["roster"]:
        if holder == status["node_id"]:
            continue
        peer = heard.get(holder)
        if holder not in links:
            missed.append(f"{short(holder)} is not linked")
        elif peer is None or not peer["online"]:
            missed.append(f"{short(holder)} is silent")
        elif peer["health"] != "ok":
            missed.append(f"{short(holder)}: {UNWELL.get(peer['health'], peer['health'])}")
        elif peer["listing"] == REFUSED:
            missed.append(f"{short(holder)} has no good stake")
    there = len(key["roster"]) - len(missed)
    if there >= key["threshold"]:
        return None
    return f"{there} holders are ready, and {key['threshold']} must sign: {'; '.join(missed)}"


def _of_the_deposits(status: Mapping[str, Any], now: float) -> str:
    deposits = status["deposits"]
    codes = Counter(deposit["waits_for"] for deposit in deposits)
    in_work = sum(codes[code] for code in IN_WORK)
    if in_work:
        period = status["periods"]["round_s"]
        left = period - now % period
        what = f"{in_work} {_plural('deposit', in_work)}"
        if status["phase"] in RESTING and not codes["signature"]:
            verb = _plural("is", in_work)
            return f"between rounds: {what} {verb} in line, the next round begins in {left:.0f} s"
        return (
            f"a payout of {what} is being made: phase {status['phase']}, "
            f"the next round begins in {left:.0f} s"
        )
    sent = sum(codes[code] for code in SENT)
    waiting = [f"{n} for {WAITS[code]}" for code, n in sorted(codes.items()) if code in WAITS]
    if not deposits:
        return "no deposit waits: everything that counts is paid"
    parts = [f"{sent} {_plural('is', sent)} paid by a payout on its way"] if sent else []
    if waiting:
        parts.append(f"waiting: {', '.join(waiting)}")
    return f"no deposit is due: {'; '.join(parts)}"


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return {"is": "are", "deposit": "deposits"}[word]
