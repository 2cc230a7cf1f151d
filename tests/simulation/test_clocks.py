"""Wall clocks that are set, stand still, or are wrong at as many nodes as sign; then put right."""

from __future__ import annotations

import pytest

from metanode.errors import Equivocation
from spec import messages as m
from tests.simulation.simulator import QUICK, Simulation, sends, with_key

ONE, SIGNERS, ALL = (0,), (0, 1, 2), (0, 1, 2, 3)
ROUND_S = float(QUICK.round_period_s)
MINED_S = 1.5


def moved(
    nodes: tuple[int, ...], by_s: float, wrong_s: float = 8.0, *, restarted: bool = False
) -> Simulation:
    """Return a network in which clocks were wrong for a while, and are right as of now.

    ``by_s`` 0: they stood still. ``restarted``: their operators started the nodes again, too.
    """
    sim = with_key(5)
    sim.run(3.0)
    for number in nodes:
        node = sim.nodes[number]
        node.offset, node.frozen = by_s, None if by_s else sim.now
    sim.mine_every(MINED_S)
    sim.deposit()
    sim.run(wrong_s)
    for number in nodes:
        sim.nodes[number].offset, sim.nodes[number].frozen = 0.0, None
        if restarted:
            sim.crash(number)
            sim.start(number)
    return sim


def goes_on(sim: Simulation) -> None:
    """Check that a deposit is paid in the round that follows, and that nobody is the worse for it.

    The deposit is confirmed, then waits for the round to begin; its payout is then mined.
    """
    deposit = sim.deposit()
    sim.run_until(lambda: sim.users.is_settled(deposit), 2 * ROUND_S + 2 * MINED_S, "it is paid")
    sim.settle()
    assert sim.refusals == []
    assert not [fault for _, _, fault in sim.faults if isinstance(fault, Equivocation)]
    for node in sim.running():
        core = sim.core(node.number)
        assert core.blocks.report() == []
        assert core.blames.report()["bans"] == []
        assert not core.peers.health.is_clock_off()


@pytest.mark.parametrize("nodes", [ONE, SIGNERS, ALL], ids=["one", "t", "all"])
@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 1.0, -1.0, -5.0])
def test_custody_goes_on_when_clocks_are_right_again(nodes: tuple[int, ...], by_s: float) -> None:
    """Catches a wait, a ping's number or a round that lasts as long as a clock was wrong."""
    goes_on(moved(nodes, by_s))


@pytest.mark.parametrize("nodes", [ONE, SIGNERS], ids=["one", "t"])
def test_custody_goes_on_after_clocks_stood_still(nodes: tuple[int, ...]) -> None:
    """Catches what a clock that stood still for ten minutes leaves behind, and a line a second."""
    sim = moved(nodes, 0.0, 600.0)
    goes_on(sim)
    sim.run(QUICK.clock_quiet_s)
    for number in nodes:
        assert len(sim.noted("clock.stepped", number)) == 1
        (even,) = sim.noted("clock.even", number)
        assert abs(even["moved_s"]) <= 1.0


@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 1.0, -1.0])
def test_a_restart_after_the_correction_changes_nothing(by_s: float) -> None:
    """Catches pings that peers refuse, since those of before were numbered by a clock ahead."""
    goes_on(moved(SIGNERS, by_s, restarted=True))


@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 1.0, -1.0])
def test_a_step_is_said_once_and_shown(by_s: float) -> None:
    """Catches a step that nobody hears of, one that is told each second, and a wrong amount."""
    sim = moved(ONE, by_s)
    sim.run(2 * QUICK.clock_quiet_s)
    assert [note["by_s"] for note in sim.noted("clock.stepped", 0)] == [by_s, -by_s]
    assert [note["moved_s"] for note in sim.noted("clock.even", 0)] == [by_s, -by_s]
    shown = sim.core(0).report()["clock"]
    assert shown["moved_s"] == 0
    assert shown["moved_at"] is not None
    assert not shown["moving"]
    assert abs(shown["off_s"]) < 1
    assert len(sim.noted("clock.off", 0)) == (abs(by_s) > QUICK.clock_skew_s)
    for number in (1, 2, 3):
        assert sim.noted("clock.stepped", number) == sim.noted("clock.off", number) == []
        assert sim.core(number).report()["clock"]["moved_at"] is None


def test_a_wrong_clock_is_shown_against_the_others() -> None:
    """Catches a node that does not see that it is the one whose time differs."""
    sim = with_key(5)
    sim.nodes[2].offset = -600.0
    sim.run(6.0)
    assert sim.core(2).report()["health"] == "clock_off"
    assert sim.core(2).report()["clock"]["off_s"] == pytest.approx(-600, abs=1)
    assert sim.core(0).report()["health"] == "ok"


@pytest.mark.parametrize("nodes", [ONE, SIGNERS], ids=["one", "t"])
@pytest.mark.parametrize("rounds", [0.4, 1.2, 2.5, 30.0])
@pytest.mark.parametrize("moment", [m.Vote, m.Release])
def test_a_round_that_comes_again_is_not_used_twice(
    nodes: tuple[int, ...], rounds: float, moment: type
) -> None:
    """Catches a second vote in an attempt, or a second proposal in a round, after a step back.

    The step falls in the middle of a round; the signing log (its rules are the simulated disk's)
    refuses a contrary vote, and a peer that saw two proposals would block the node for 72 h.
    """
    sim = with_key(7)
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    seen: list[object] = []
    is_said = sends(moment)
    for number in nodes:
        sim.nodes[number].watcher = lambda effects: seen.extend([1] * is_said(effects))
    sim.run_until(lambda: bool(seen), 6.0, "the moment", exactly=True)
    for number in nodes:
        sim.nodes[number].offset = -rounds * ROUND_S
    sim.deposit()
    sim.run(3 * ROUND_S)
    for number in nodes:
        sim.nodes[number].offset = 0.0
    goes_on(sim)


def test_a_clock_that_is_set_again_and_again_costs_the_node_alone() -> None:
    """Catches a network that waits for a node whose clock jumps every second."""
    sim = with_key(8)
    sim.mine_every(0.7)

    def jump() -> None:
        sim.nodes[3].offset = 3600.0 - sim.nodes[3].offset
        sim.after(1.0, jump)

    jump()
    for _ in range(3):
        deposit = sim.deposit()
        sim.run_until(lambda d=deposit: sim.users.is_settled(d), 5 * ROUND_S, "it is paid")
    assert len(sim.noted("clock.stepped", 3)) == 1, "it never was even, so it was said once"
