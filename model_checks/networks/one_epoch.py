"""What stands in for the key epochs where there is one: everybody works with its share.

``regroup_handover`` runs the rule itself, with two epochs.
"""

from __future__ import annotations

from spec.language import Definition

ALL_WORK = Definition(
    "works(p: Peer, e: Event, a: Attempt)", "True", "one epoch: regroup_handover has two"
)
