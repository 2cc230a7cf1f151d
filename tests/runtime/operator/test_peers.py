"""The operator's word on peers: what the list shows; what add, drop and pardon do and refuse."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from metanode.errors import UserError
from metanode.protocol.links.handshake import VERSION
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.standing import EXCLUDED
from metanode.runtime.operator.peers import DROPPED, PeersDesk
from tests.runtime.net.test_dialer import FIRST, HOLDER, NAME, SECOND, STRANGER, Stage

pytestmark = pytest.mark.anyio
ME = bytes([2]) * 33
FAR = bytes([3]) * 33
CONFIGURED = Endpoint("20.50.1.1", 7000)


def desk(stage: Stage, *blocked: dict[str, Any]) -> PeersDesk:
    """Return the desk of a node that pings itself and has heard one holder."""
    heard = [
        {"node_id": HOLDER.hex(), "listing": "listed", "weight": 7},
        {"node_id": ME.hex(), "listing": "listed"},
    ]
    core: Any = SimpleNamespace(
        report=lambda: {"peers": heard},
        ctx=SimpleNamespace(me=ME),
        blocks=SimpleNamespace(report=lambda: list(blocked)),
    )
    links: Any = stage.links
    clock: Callable[[], float] = lambda: stage.now  # noqa: E731 - it has a type this way
    return PeersDesk(core, stage.dialer, links, clock)


def stage() -> Stage:
    """Return a stage with a link that a holder made and one that this node made to a stranger."""
    made = Stage((CONFIGURED,), now=100.0)
    made.dialer.link_up(HOLDER, "20.1.1.1", None)
    made.dialer.link_up(STRANGER, "20.2.1.1", SECOND)
    made.dialer.peering.book.holders = made.dialer.peering.circle.members
    made.dialer.peering.standing.holders = made.dialer.peering.circle.members
    return made


async def test_the_list_has_every_peer_once_and_not_this_node() -> None:
    """Catches a list without an address, the way of the link, its age, or who holds a share."""
    shown = desk(stage()).page("")
    assert shown is not None
    by_id = {peer["node_id"]: peer for peer in shown["peers"]}
    assert len(shown["peers"]) == len(by_id) == 2
    assert by_id[HOLDER.hex()] == {
        "node_id": HOLDER.hex(), "address": "20.1.1.1", "version": VERSION, "weight": 7,
        "since": 100, "dialled": False, "listing": "listed", "holder": True, "refused": None,
        "blocked": None,
    }
    stranger = by_id[STRANGER.hex()]
    assert (stranger["address"], stranger["dialled"]) == (str(SECOND), True)
    assert (stranger["listing"], stranger["holder"]) == (None, False)
    assert shown["waiting"] == [str(CONFIGURED)]
    assert desk(stage()).page("more") is None


async def test_who_is_blocked_is_in_the_list_though_it_was_never_heard() -> None:
    """Catches a block that nobody sees after a restart: a blocked peer's pings are nothing."""
    block = {"node_id": FAR.hex(), "reason": "two votes", "until": 1_800_100_000}
    shown = desk(stage(), block).page("")
    assert shown is not None
    (found,) = (peer for peer in shown["peers"] if peer["node_id"] == FAR.hex())
    assert (found["blocked"], found["since"], found["listing"]) == (block, None, None)


async def test_an_endpoint_is_added_and_a_name_that_does_not_resolve_is_told() -> None:
    """Catches an addition that is not dialled, or a name that is refused for a moment's trouble."""
    made = stage()
    assert await desk(made).act({"do": "add", "peer": str(FIRST)}) == {
        "added": str(FIRST), "fault": None,
    }
    assert FIRST in made.dialer.peering.known
    answer = await desk(made).act({"do": "add", "peer": str(NAME)})
    assert answer == {"added": str(NAME), "fault": "peer.example.org does not resolve"}
    assert str(NAME) in desk(made).report()["waiting"]
    made.answers[NAME] = (Endpoint("20.60.1.1", 7000),)
    assert (await desk(made).act({"do": "add", "peer": str(NAME)}))["fault"] is None
    there = Endpoint("20.60.1.1", 7000)
    assert there in made.dialer.peering.known
    assert str(NAME) in desk(made).report()["waiting"]
    made.dialer.peering.dial_answered(there, HOLDER, 101.0)
    assert str(NAME) not in desk(made).report()["waiting"]


@pytest.mark.parametrize("by", ["node id", "endpoint"])
async def test_a_stranger_is_dropped_and_refused_until_it_is_pardoned(by: str) -> None:
    """Catches a drop that the next dial undoes, and one that nothing undoes."""
    made = stage()
    peer = STRANGER.hex() if by == "node id" else str(SECOND)
    assert await desk(made).act({"do": "drop", "peer": peer}) == {"dropped": peer}
    assert made.links.closed == [(STRANGER, DROPPED)]
    assert SECOND not in made.dialer.peering.known
    assert made.dialer.admit("20.2.1.1", False, STRANGER) == EXCLUDED
    [entry] = desk(made).report()["exclusions"]
    assert (entry["who"], entry["why"]) == (STRANGER.hex(), DROPPED)
    pardon = {"do": "pardon", "peer": STRANGER.hex()}
    assert await desk(made).act(pardon) == {"pardoned": STRANGER.hex()}
    assert made.dialer.admit("20.2.1.1", False, STRANGER) is None
    assert await desk(made).act(pardon) == {"pardoned": None}


async def test_an_added_peer_that_is_dropped_is_not_added_any_more() -> None:
    """Catches a drop that the next start forgets."""
    made = stage()
    await desk(made).act({"do": "add", "peer": str(NAME)})
    assert await desk(made).act({"do": "drop", "peer": str(NAME)}) == {"dropped": str(NAME)}
    assert await desk(made).act({"do": "drop", "peer": str(NAME)}) == {"dropped": None}
    assert made.dialer.peering.snapshot(1.0)[0].endpoint == SECOND


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "peers take"),
        ({"do": "add"}, "peers take"),
        ({"do": "add", "peer": 7}, "peers take"),
        ({"do": "add", "peer": str(FIRST), "more": 1}, "peers take"),
        ({"do": "befriend", "peer": str(FIRST)}, "added, dropped or pardoned"),
        ({"do": "add", "peer": "nowhere"}, "is not host:port"),
        ({"do": "add", "peer": "20.1.1.1:0"}, "is not host:port"),
        ({"do": "add", "peer": "x" * 5000}, "is not so long"),
        ({"do": "drop", "peer": "02" * 32}, "a node id of 66 hex digits"),
        ({"do": "drop", "peer": str(CONFIGURED)}, "stands in the configuration"),
        ({"do": "drop", "peer": HOLDER.hex()}, "holds a share"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    wanted: dict[str, object], said: str
) -> None:
    """Catches a traceback for an odd document, a holder without its link, a half-done drop."""
    made = stage()
    before = made.dialer.peering.snapshot(200.0), made.dialer.peering.known
    with pytest.raises(UserError, match=said):
        await desk(made).act(wanted)
    assert (made.dialer.peering.snapshot(200.0), made.dialer.peering.known) == before
    assert made.links.closed == []


async def test_a_block_is_no_exclusion_to_be_pardoned() -> None:
    """Catches an operator who believes that a peer convicted on evidence is welcome again."""
    made = stage()
    made.dialer.know(made.dialer.peering.circle, frozenset({STRANGER}))
    with pytest.raises(UserError, match="blocked on evidence"):
        await desk(made).act({"do": "pardon", "peer": STRANGER.hex()})
