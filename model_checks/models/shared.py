"""What several models say: the promises of the protocol, and what stands in where there is one
epoch. ``regroup_handover`` runs the rule itself, with two epochs.
"""

from __future__ import annotations

from model_checks.system import Property
from spec.invariants import PROPERTIES
from spec.language.declarations import Definition

IN_FORCE = Definition(
    "share_in_force(p: Peer, e: Event, a: Attempt)", "True", "one epoch: regroup_handover has two"
)
ALL_WORK = Definition(
    "works(p: Peer, e: Event, a: Attempt)",
    "True",
    "one epoch, and nobody renounces an event: refund_against_payout has who does",
)

ONE_PAYOUT = Definition("needs_all(e: Event)", "False", "a payout, which T sign")
ANYBODY_ASKS = (
    Definition("asked_for(e: Event, a: Attempt, d: Digest)", "True", "by a liar, or by itself"),
    Definition("convened(e: Event, a: Attempt, d: Digest)", "True", "by a liar, or by itself"),
)
"""A coordinator may ask for anything at any time: coordinator_rotation has who it is."""

_PROMISES = {
    each.name: Property(each.name, each.formula, "invariant", each.meaning, of_correct=True)
    for each in PROPERTIES if each.formula
}


def promised(*names: str) -> tuple[Property, ...]:
    """Return properties of ``spec/invariants.py`` with the one text that they have there."""
    return tuple(_PROMISES[name] for name in names)
