"""Refresh and quorum change on a simulated network: leavers, joiners, crashes, absences, locks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from attrs import evolve

from metanode.errors import UserError
from metanode.protocol.tables.effects import Effects
from spec import messages as m
from tests.simulation import asking
from tests.simulation.simulator import (
    QUICK,
    START,
    Crash,
    Simulation,
    sends,
    turns,
    with_key,
    writes_cell,
)

CHANGE = ((0, 1, 2, 4), 3, 1)
"""Node 4 in the place of node 3."""


def ask(sim: Simulation, change: tuple[Sequence[int], int, int] | None = None) -> int:
    """Let every operator ask for new shares, a refresh or a change; return the epoch to follow."""
    key = next(node.core.ctx.epoch for node in sim.running() if node.core.ctx.holds_share)
    kind, fields = "keyrefresh", {"key_id": key.key_id.hex(), "epoch": key.number}
    asked = {node.number for node in sim.running()}
    if change is not None:
        numbers, threshold, byzantine = change
        kind = "quorumchange"
        ids = sorted(sim.nodes[number].node_id.hex() for number in numbers)
        fields |= {"members": ids, "threshold": threshold, "byzantine": byzantine}
        asked = {*numbers, *(sim.number_of(member) for member in key.roster)}
        for number in numbers:
            if sim.nodes[number].core is None:
                sim.join(number)

    def accepted() -> bool:
        try:
            return all(sim.core(number).requests.check(kind, fields) for number in asked)
        except UserError:
            return False

    sim.run_until(accepted, 8.0, "every operator may ask")
    for number in sorted(asked):
        asking.ask(sim, number, kind, **fields)
    return key.number


def works(sim: Simulation, numbers: Sequence[int], after: int) -> bool:
    """Return whether these nodes all hold shares of an epoch after this one."""
    cores = [sim.nodes[number].core for number in numbers]
    return all(
        core is not None
        and core.ctx.key is not None
        and core.ctx.key.number > after
        and core.ctx.holds_share
        for core in cores
    )


def pays(sim: Simulation) -> None:
    """Check that the key still pays, at the same address."""
    key = sim.public_key
    assert {node.core.ctx.key.public_key for node in sim.running() if node.core.ctx.key} == {key}
    sim.deposit()
    sim.settle(40.0)


@pytest.mark.real_transfers
def test_a_refresh_changes_every_share_and_not_the_key() -> None:
    """Catches a key that moves, an old share left on disk, and a payout lost in between."""
    sim = with_key(31)
    sim.mine_every(0.7)
    before = {n.number: n.core.ctx.epoch.share.secret_share for n in sim.running()}
    sim.deposit()
    epoch = ask(sim)
    sim.run_until(lambda: works(sim, range(4), epoch), 12.0, "new shares work")
    for node in sim.running():
        assert node.core.ctx.epoch.share.secret_share != before[node.number]
        assert node.disk.get("holding", node.node_id, epoch) == "erased"
        (first,) = node.disk.usable_keys()
        assert first.keyshare is None
    pays(sim)


def test_every_night_the_shares_are_refreshed() -> None:
    """Catches a night without a refresh, and a second refresh in the same night."""
    to_midnight = 86400 - START % 86400
    sim = with_key(32, begin_s=to_midnight - 1.5)
    sim.mine_every(0.7)
    sim.run(1.0)
    assert {node.core.ctx.epoch.number for node in sim.running()} == {1}
    sim.run_until(lambda: works(sim, range(4), 1), 10.0, "the night's refresh")
    numbers = {node.core.ctx.epoch.number for node in sim.running()}
    sim.run(10.0)
    assert {node.core.ctx.epoch.number for node in sim.running()} == numbers
    pays(sim)


def test_members_leave_and_join_and_the_threshold_changes() -> None:
    """Catches a wrong Lagrange weight, a joiner without the locks, a leaver that still signs."""
    sim = with_key(33, joiners=3)
    sim.mine_every(0.7)
    changes = (
        CHANGE,
        ((0, 1, 2, 4, 5), 4, 1),
        ((1, 2, 4, 5, 6), 5, 0),
        ((1, 2), 2, 0),
        ((1, 2, 3), 3, 0),
    )
    for change in changes:
        epoch = ask(sim, change)
        sim.run_until(lambda c=change, e=epoch: works(sim, c[0], e), 20.0, f"{change}")
        holders = {n.number for n in sim.running() if n.core.ctx.holds_share}
        assert holders == set(change[0])
        pays(sim)


def held(state: str) -> Callable[[Effects], bool]:
    """Return a moment: a share comes into this state on disk."""

    def moment(effects: Effects) -> bool:
        return any(w.cell == "holding" and w.after == state for w in effects.writes)

    return moment


MOMENTS: dict[str, Callable[[Effects], bool]] = {
    "dealing begins": sends(m.Release),
    "dealing goes on": sends(m.Step),
    "prepared": held("prepared"),
    "fenced": held("fenced"),
    "handed over": sends(m.HandedOver),
    "succession is signed": writes_cell("signature_kept"),
    "active": held("active"),
    "erased": held("erased"),
}


OF_OLD_HOLDERS = ("fenced", "handed over", "erased")
"""What a joiner never does."""


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("kind", "point"), [("refresh", "before"), ("refresh", "amid"), ("reshare", "after")]
)
def test_a_crash_in_each_phase_leaves_a_key_that_signs(
    kind: str, moment: str, point: str
) -> None:
    """Catches a share erased too early, a fence or a lock forgotten, a half-activated epoch.

    In a reshare it is the joiner who crashes, or the leaver where a joiner has nothing to do.
    """
    sim = with_key(40, joiners=1)
    sim.mine_every(0.7)
    epoch = ask(sim, None if kind == "refresh" else CHANGE)
    stay = range(4) if kind == "refresh" else CHANGE[0]
    victim = 1 if kind == "refresh" else 3 if moment in OF_OLD_HOLDERS else 4
    sim.run(0.4)
    sim.crashes.append(Crash(node=victim, when=MOMENTS[moment], point=point, restart_s=0.7))
    sim.run_until(lambda: works(sim, stay, epoch) and not sim.crashes, 40.0, "crash, new shares")
    sim.run_until(sim.all_running, 3.0, "the node is back")
    pays(sim)


def test_a_fenced_share_of_a_later_epoch_survives_a_restart() -> None:
    """Catches a share that is taken for erased: with n = t the old epoch could never hand over."""
    sim = with_key(55, joiners=2)
    sim.mine_every(0.7)
    epoch = ask(sim, ((0, 1, 2, 4), 4, 0))
    sim.run_until(lambda: works(sim, (0, 1, 2, 4), epoch), 20.0, "all four are needed now")
    sim.crashes.append(Crash(node=4, when=held("fenced"), point="after", restart_s=0.5))
    epoch = ask(sim, ((0, 1, 2, 5), 3, 1))
    sim.run_until(lambda: works(sim, (0, 1, 2, 5), epoch), 20.0, "handed on")
    assert not sim.crashes
    pays(sim)


def test_who_was_away_while_the_key_was_handed_over_catches_up() -> None:
    """Catches a member that is left behind with a prepared share, or works without the locks."""
    sim = with_key(51)
    sim.mine_every(0.7)
    sim.crashes.append(Crash(node=2, when=held("prepared"), point="amid", restart_s=None))
    epoch = ask(sim)
    sim.run_until(lambda: works(sim, (0, 1, 3), epoch), 12.0, "the others go on")
    pays(sim)
    sim.start(2)
    sim.run_until(lambda: works(sim, range(4), epoch), 12.0, "it has caught up")
    assert sim.core(2).ctx.epoch.number == sim.core(0).ctx.epoch.number
    sim.crash(0)
    sim.deposit()
    sim.run_until(sim.all_settled, 40.0, "its share is needed now, and good")


def test_a_payout_that_was_locked_is_paid_by_the_next_epoch_as_it_was_locked() -> None:
    """F-24: catches a lock that is forgotten, and one that can never be paid any more."""
    sim = with_key(52, joiners=1)
    sim.mine_every(0.7)
    sim.run(0.3)
    for place in range(3):
        number = turns(sim)[place]
        sim.crashes.append(Crash(node=number, when=writes_cell("released"), point="after"))
    sim.deposit()
    sim.run_until(lambda: not sim.crashes, 12.0, "three signers release and crash")
    (event,) = sim.checkers.releases
    (digest,) = sim.checkers.releases[event]
    epoch = ask(sim, CHANGE)
    sim.run_until(lambda: works(sim, CHANGE[0], epoch), 30.0, "the key is handed over")
    sim.settle(40.0)
    assert set(sim.checkers.releases[event]) == {digest}
    locks = {sim.nodes[n].disk.get("lock", sim.nodes[n].node_id, event) for n in CHANGE[0]}
    assert locks <= {digest, None}


def test_a_silent_member_costs_a_few_attempts_and_not_the_night() -> None:
    """F-26: catches a regroup that waits for one member for ever, or gives up too soon."""
    sim = with_key(53, members=6, threshold=4, byzantine=1)
    sim.mine_every(0.7)
    epoch = ask(sim)
    sim.crash(3)
    rest = (0, 1, 2, 4, 5)
    sim.run_until(lambda: works(sim, rest, epoch), 60.0, "the others go on without it")
    assert sim.core(0).ctx.epoch.roster == tuple(sorted(sim.nodes[n].node_id for n in rest))
    assert (sim.core(0).ctx.epoch.threshold, sim.core(0).ctx.epoch.byzantine) == (4, 1)
    told = {n for _, n, note in sim.notes if note["event"] == "regroup.failed"}
    assert told
    pays(sim)
    sim.start(3)
    sim.run_until(lambda: sim.core(3).ctx.epoch.number > epoch, 12.0, "it knows the epoch")
    assert not sim.core(3).ctx.holds_share
    assert sim.nodes[3].disk.get("holding", sim.nodes[3].node_id, 1) == "erased"


def test_who_has_stepped_back_goes_on_after_the_request_ran_out() -> None:
    """Catches holders that are fenced for good, because nobody wants the new shares any more."""
    sim = with_key(54, preset=evolve(QUICK, request_lifetime_s=9))
    sim.mine_every(0.7)
    for number in range(4):
        sim.tamper[number] = lambda _to, message: (
            [] if isinstance(message, m.Setup) and message.purpose == "succession" else [message]
        )
    epoch = ask(sim)
    sim.run_until(lambda: len(sim.noted("epoch.handed_over")) == 4, 9.0, "all step back")
    sim.run(12.0)
    assert not any(core.requests.open() for core in map(sim.core, range(4)))
    assert {core.rounds.phase() for core in map(sim.core, range(4))} == {"Regroup"}
    sim.tamper.clear()
    sim.run_until(lambda: works(sim, range(4), epoch), 12.0, "the new shares work")
    pays(sim)
