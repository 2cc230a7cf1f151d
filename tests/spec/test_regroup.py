"""The regroup table is as well formed as those that the node runs, and the node does not run it."""

from __future__ import annotations

from model_checks import local_views
from model_checks.networks import regroup_handover, regroup_retry
from model_checks.tables import cells_idle, check_table, values_unused
from spec import regroup
from spec.messages import MESSAGE_OF_CELL
from spec.protocol import PROTOCOL
from spec.regroup import REGROUP

MACHINE = REGROUP.machines["regroup"]


def test_the_table_is_well_formed() -> None:
    """Catches rows that overlap, a state out of reach, a fact that no row reads."""
    assert check_table(REGROUP, MACHINE).faults == ()
    assert cells_idle(REGROUP) == []
    assert values_unused(REGROUP) == []
    assert all(rule.row.why for rule in MACHINE.rules)


def test_what_a_node_sees_is_enough() -> None:
    """Catches a row that asks for what others have not sent, or for their disks."""
    assert [breach for breach in local_views.breaches(REGROUP) if not breach.justified] == []


def test_no_crash_loses_a_share_or_a_fence() -> None:
    """Catches a step of the regroup that is only in memory."""
    own = {cell.name for cell in regroup.CELLS}
    assert not own & {cell.name for cell in REGROUP.lost_in_a_crash()}
    assert REGROUP.cells["holding"].kept == "disk"


def test_an_erased_share_stays_erased_and_a_fence_stays_up() -> None:
    """Catches a way back to signing with old shares (F-24)."""
    ways = {(rule.source, rule.target) for rule in MACHINE.rules}
    assert {target for source, target in ways if source == "fenced"} == {"fenced", "erased"}
    assert not {target for source, target in ways if source == "erased"}


def test_the_node_does_not_run_it_yet() -> None:
    """Catches a docstring that is no longer true: then messages, README and findings change too."""
    assert "regroup" not in PROTOCOL.machines
    assert not {cell.name for cell in regroup.CELLS} & set(MESSAGE_OF_CELL)
    assert regroup.__doc__ is not None
    assert "does not run this table yet" in regroup.__doc__


def test_the_networks_run_every_row() -> None:
    """Catches a row that nothing checks."""
    run = {
        event
        for network in (regroup_handover.NETWORK, regroup_retry.NETWORK)
        for table, event in network.rows
        if table == "regroup"
    }
    assert run == set(MACHINE.signatures)
