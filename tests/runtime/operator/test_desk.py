"""The operator's desk: requests wait for the disk, and bad ones change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from metanode.errors import UserError
from metanode.protocol.blame.book import Ban
from metanode.runtime.operator.desk import Desk
from tests.protocol.blame.support import ban
from tests.simulation.asking import DIGEST, quiet
from tests.simulation.releasing import wanted, with_dust
from tests.simulation.simulator import Simulation

Input = Callable[[float], None]


def at(sim: Simulation, question: Callable[[Desk], Any], stalls: bool = False) -> Any:
    """Return what comes of a question to the desk of node 0, whose inputs are taken in order.

    A shell that ``stalls`` never carries out the effects of the first input.
    """

    async def run() -> Any:
        taken: list[Input] = []

        async def put(entry: Input) -> None:
            if stalls and taken:
                return
            taken.append(entry)
            sim._input(sim.nodes[0], lambda _core, now: entry(now))

        with anyio.fail_after(0.3):
            return await question(Desk(sim.core(0), put))

    return anyio.run(run, backend="trio")


def sign(sim: Simulation, **more: object) -> dict[str, object]:
    """Return a request to sign, as it is posted."""
    key_id = sim.core(0).ctx.epoch.key_id.hex()
    return {"kind": "sign", "key_id": key_id, "digest": DIGEST.hex(), **more}


def test_a_request_is_answered_with_its_event_and_found_again() -> None:
    """Catches an answer without the event, and an event that no page shows."""
    sim = quiet(1)
    entry = at(sim, lambda desk: desk.ask(sign(sim)))
    assert (entry["kind"], entry["status"]) == ("sign", "PENDING")
    desk = Desk(sim.core(0), None)  # type: ignore[arg-type]  # nothing is asked
    assert desk.events(entry["event"]) == entry
    listed = desk.events("")
    assert listed is not None
    assert entry in listed["events"]
    for name in ("ff" * 32, "zz" * 32, "ab", entry["event"] + "/more", entry["event"][:-1] + " "):
        assert desk.events(name) is None


def test_nothing_is_answered_before_the_effects_are_carried_out() -> None:
    """Catches an operator who is told that a request is taken while it is in memory only."""
    sim = quiet(2)
    with pytest.raises(TimeoutError):
        at(sim, lambda desk: desk.ask(sign(sim)), stalls=True)


def test_a_check_changes_nothing_and_names_the_same_event() -> None:
    """Catches a check that asks, or that speaks of another event than the request."""
    sim = quiet(3)
    before = dict(sim.nodes[0].disk.cells["status"])
    checked = at(sim, lambda desk: desk.ask(sign(sim, check=True)))
    assert sim.nodes[0].disk.cells["status"] == before
    assert not sim.core(0).requests.asked
    assert at(sim, lambda desk: desk.ask(sign(sim)))["event"] == checked["event"]


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({}, "a request is"),
        ({"kind": 1}, "a request is"),
        ({"kind": "keygen", "check": "yes"}, "a request is"),
        ({"kind": "mint"}, "no kind of request"),
        ({"kind": "sign"}, "key_id is missing"),
        ({"kind": "keygen", "digest": "00"}, "unknown field"),
        ({"kind": "sign", "key_id": "00" * 32, "digest": "00" * 32}, "knows another key"),
    ],
)
def test_bad_requests_are_refused_and_change_nothing(
    wanted: dict[str, object], complaint: str
) -> None:
    """Catches a request that is half taken, or ends the node that it was put to."""
    sim = quiet(4)
    before = dict(sim.nodes[0].disk.cells["status"])
    with pytest.raises(UserError, match=complaint):
        at(sim, lambda desk: desk.ask(wanted))
    assert sim.nodes[0].disk.cells["status"] == before


def test_a_pardon_is_put_to_the_core_and_stands_on_disk() -> None:
    """Catches a pardon of a running node that a restart undoes, or that comes too early."""
    sim = quiet(8)
    core, peer = sim.core(0), sim.nodes[1].node_id
    asked = {"node_id": peer.hex()}
    with pytest.raises(UserError, match="no ban"):
        at(sim, lambda desk: desk.pardon(asked))
    ban(core, peer, core.ctx.epoch.number)
    with pytest.raises(UserError, match="run `keyrefresh`, then pardon"):
        at(sim, lambda desk: desk.pardon(asked))
    desk = Desk(core, None)  # type: ignore[arg-type]  # nothing is asked
    assert [ban["node_id"] for ban in desk.blame("")["bans"]] == [peer.hex()]
    assert desk.blame("more") is None
    core.blames.bans.by_peer[peer] = Ban(core.ctx.epoch.number - 1, 5)
    assert at(sim, lambda desk: desk.pardon(asked)) == {**asked, "epoch": 0, "since": 5}
    assert desk.blame("")["bans"] == []
    assert not sim.nodes[0].disk.get("pair_banned", core.ctx.me, peer)


@pytest.mark.parametrize(
    "asked", [{}, {"node_id": 7}, {"node_id": "xyz"}, {"node_id": ""}, {"node_id": "02", "x": 1}]
)
def test_a_pardon_of_nobody_is_refused(asked: dict[str, object]) -> None:
    """Catches a traceback for an odd document."""
    sim = quiet(9)
    with pytest.raises(UserError, match="a pardon is"):
        at(sim, lambda desk: desk.pardon(asked))


@pytest.mark.parametrize("step", [None, "", "sign", 1])
def test_a_release_without_a_known_step_is_refused(step: object) -> None:
    """Catches a release that is asked for where it was to be looked at."""
    sim, outpoints = with_dust(10, 3_000)
    with pytest.raises(UserError, match="the step of a release is one of check, ask, send"):
        at(sim, lambda desk: desk.release({**wanted(outpoints), "step": step}))
    assert not sim.core(0).requests.asked


def test_a_release_is_sent_when_it_is_signed_and_not_before() -> None:
    """Catches a transaction without signatures on its way, and a check that asks."""
    sim, outpoints = with_dust(11, 3_000)
    given = wanted(outpoints)
    checked = at(sim, lambda desk: desk.release({**given, "step": "check"}))
    assert not sim.core(0).requests.asked
    asked = at(sim, lambda desk: desk.release({**given, "step": "ask"}))
    assert asked == checked
    assert [event.hex() for event in sim.core(0).requests.asked] == asked["events"]
    with pytest.raises(UserError, match="the release is not signed yet"):
        at(sim, lambda desk: desk.release({**given, "step": "send"}))
    desk = Desk(sim.core(0), None)  # type: ignore[arg-type]  # nothing is asked
    assert [coin["outpoint"] for coin in desk.held("")["coins"]] == outpoints  # type: ignore[index]
    assert desk.held("more") is None
