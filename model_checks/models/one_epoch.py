"""What stands in for the key epochs where there is one: everybody's share is in force.

``regroup_handover`` runs the rule itself, with two epochs.
"""

from __future__ import annotations

from spec.language.declarations import Definition

IN_FORCE = Definition(
    "share_in_force(p: Peer, e: Event, a: Attempt)", "True", "one epoch: regroup_handover has two"
)
ALL_WORK = Definition(
    "works(p: Peer, e: Event, a: Attempt)",
    "True",
    "one epoch, and nobody renounces an event: refund_against_payout has who does",
)
