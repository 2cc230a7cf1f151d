"""The rest after a round: what the published rules were meant to prevent, and what does prevent it.

F-02 lets a peer rest when T + 1 peers say that they are signing. The rule is for display only here:
``NobodyIsStopped`` says that rounds go on whatever liars say; the variant ``ADVERTISED`` asks the
rule, and one liar stops every round. F-03 lets the rest end with the minute: ``PaidOnce`` says that
a transfer is paid by one event, because the next payout is not eligible while one is open; the
variant ``NEXT_MINUTE`` forgets that, and pays twice.

An event here is one attempt to pay the same transfer from some coins; votes and locks are those of
``signing`` and stand for themselves in ``Sign``: T members that are in the event's signing phase.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.system import Move, Network, Property
from spec.language import Cell

_HONEST = "for p in Peer if not faulty[p]"

NETWORK = Network(
    name="cooldown",
    doc="rounds, rest and the next round",
    rows=(
        ("peer", "Idle -RoundTick-> Proposing"),
        ("peer", "Proposing -Matched-> SetBuilding"),
        ("peer", "SetBuilding -SetFound-> ThresholdSet"),
        ("peer", "ThresholdSet -Certified-> Signing"),
        ("peer", "Signing -Signed-> Cooldown"),
        ("peer", "Signing -Deadline-> Cooldown"),
        ("peer", "Cooldown -NextRound-> Idle"),
    ),
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),
        Cell("open", "bool", ("Attempt",), "False", "given", "the payout of this round is signed"),
        Cell("seen", "bool", ("Peer", "Attempt"), "False", "given", "p has heard of it"),
    ),
)
