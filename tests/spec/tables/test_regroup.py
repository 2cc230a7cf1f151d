"""The regroup: what the tables as a whole are not asked, and that every row of it is run."""

from __future__ import annotations

from model_checks.models import (
    night_seats,
    regroup_complaints,
    regroup_handover,
    regroup_retry,
)
from spec.messages import MESSAGE_OF_CELL
from spec.protocol import PROTOCOL
from spec.tables import regroup

MACHINE = PROTOCOL.machines["regroup"]


def test_no_crash_loses_a_share_or_a_fence() -> None:
    """Catches a step of the regroup that is only in memory."""
    own = {cell.name for cell in regroup.CELLS}
    assert not own & {cell.name for cell in PROTOCOL.lost_in_a_crash()}
    assert PROTOCOL.cells["holding"].kept == "disk"


def test_an_erased_share_stays_erased_and_a_fence_stays_up() -> None:
    """Catches a way back to signing with old shares (F-24)."""
    ways = {(rule.source, rule.target) for rule in MACHINE.rules}
    assert {target for source, target in ways if source == "fenced"} == {"fenced", "erased"}
    assert {target for source, target in ways if source == "erased"} == {"erased"}


def test_members_hear_of_every_step() -> None:
    """Catches a step that others wait for and that no message tells."""
    told = {cell.name for cell in regroup.CELLS if cell.kept == "network"}
    assert told == {
        "ready_said", "lock_shown", "handed_over", "missed", "attended", "complained", "answered",
        "opened", "proof_shown", "withheld",
    }
    assert told <= set(MESSAGE_OF_CELL)


def test_the_networks_run_every_row() -> None:
    """Catches a row that nothing checks."""
    run = {
        event
        for network in (
            regroup_handover.NETWORK, regroup_retry.NETWORK, regroup_complaints.NETWORK,
            night_seats.NETWORK,
        )
        for table, event in network.rows
        if table == "regroup"
    }
    assert run == set(MACHINE.signatures)
