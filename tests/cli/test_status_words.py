"""Why no payout is being made now, in words: each reason alone, and which hides which."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from metanode.cli.status_words import IN_WORK, SENT, WAITS, why_no_payout
from metanode.custody import transfers
from metanode.protocol.payouts import waiting

ME, *OTHERS = ("02" + letter * 64 for letter in "abcd")


def peer(node_id: str) -> dict[str, Any]:
    """Return a peer that is well."""
    return {"node_id": node_id, "online": True, "health": "ok", "listing": "listed",
            "self": node_id == ME, "linked": node_id != ME, "phase": "Idle", "last_ping_s": 0.5}


STATUS: dict[str, Any] = {
    "node_id": ME, "phase": "Idle", "round": 7, "health": "ok", "chain_fault": None,
    "observing": None, "links": list(OTHERS), "peers": [peer(each) for each in (ME, *OTHERS)],
    "key": {"roster": [ME, *OTHERS], "threshold": 3, "epoch": 1},
    "keygen": {"members": 4, "mode": "clock", "until": 0}, "deposits": [], "payouts": [],
    "chain": {"height": 9}, "periods": {"round_s": 60},
}


def waits(*codes: str) -> list[dict[str, Any]]:
    """Return deposits that wait for these."""
    return [{"waits_for": code, "outpoint": "ab" * 32 + ":0", "amount": 5, "height": 3,
             "reason": "because"} for code in codes]


def gone(status: dict[str, Any], count: int) -> None:
    """Take links away."""
    status["links"] = status["links"][count:]


def without_key(status: dict[str, Any]) -> None:
    """Have no key yet."""
    status["key"] = None


def one_sick(status: dict[str, Any]) -> None:
    """Have one holder away, and one without its daemon."""
    gone(status, 1)
    status["peers"][2]["health"] = "chain_away"


CASES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda s: None, "no deposit waits: everything that counts is paid"),
    (lambda s: s.update(observing={"rounds": 1}), "only observes"),
    (lambda s: s.update(chain_fault="no answer from there"), "does not see the chain: no answer"),
    (lambda s: s.update(health="no_share"), "it has no share"),
    (without_key, "there is no key yet: it is being made"),
    (lambda s: (without_key(s), s["peers"][1].update(listing="unknown")), "3 of 4 members"),
    (lambda s: (without_key(s), s["keygen"].update(mode="command")), "operators ask"),
    (lambda s: s["key"].update(roster=OTHERS), "holds no share"),
    (lambda s: gone(s, 1), "no deposit waits"),
    (lambda s: gone(s, 2), "2 holders are ready, and 3 must sign"),
    (lambda s: gone(s, 2), f"{OTHERS[0][:16]} is not linked"),
    (one_sick, "its chain daemon does not answer"),
    (lambda s: [each.update(listing="unlisted") for each in s["peers"]], "no deposit waits"),
    (lambda s: [each.update(listing="refused") for each in s["peers"]], "has no good stake"),
    (lambda s: s.update(deposits=waits("round", "confirmations")),
     "between rounds: 1 deposit is in line"),
    (lambda s: s.update(deposits=waits("signature", "round")), "a payout of 2 deposits is being"),
    (lambda s: s.update(phase="Signing", deposits=waits("round")), "is being made: phase Signing"),
    (lambda s: s.update(deposits=waits("round")), "the next round begins in 20 s"),
    (lambda s: s.update(deposits=waits("fees", "fees", "held")),
     "2 for lower fees, 1 for the operators"),
    (lambda s: s.update(deposits=waits("block", "confirmations")),
     "1 is paid by a payout on its way; waiting: 1 for more confirmations"),
    (lambda s: s.pop("deposits"), "of another version"),
]


@pytest.mark.parametrize(("change", "words"), CASES)
def test_the_reason_is_told(change: Callable[[dict[str, Any]], Any], words: str) -> None:
    """Catches a reason that is not told, or one that is told although another hides it."""
    status = copy.deepcopy(STATUS)
    change(status)
    assert words in why_no_payout(status, 100.0)


def test_every_word_of_the_node_has_a_meaning_here() -> None:
    """Catches a new reason of the node that this table does not know."""
    codes = set(re.findall(r'Reason\("([a-z]+)"', inspect.getsource(waiting)))
    codes |= set(re.findall(r'Declined\([^)]*?"(held|ignored)"', inspect.getsource(transfers)))
    assert codes
    assert codes <= {*WAITS, *IN_WORK, *SENT}
