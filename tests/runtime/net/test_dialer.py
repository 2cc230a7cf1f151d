"""The dialer carries out what peering decides: names, links that end, what the operator is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from attrs import define, evolve, field

from metanode.errors import Unavailable
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.mesh import Circle
from metanode.protocol.peers.peering import Peering
from metanode.protocol.peers.standing import BLOCKED, EXCLUDED
from metanode.runtime.net import dialer as dialer_module
from metanode.runtime.net.dialer import Dialer
from metanode.runtime.net.links import REACHED_SELF, DialOutcome, LinkManager
from metanode.runtime.net.peer_store import PeerStore
from spec.parameters import MAINNET
from tests.runtime.net.support import until
from tests.support import entropy, node

pytestmark = pytest.mark.anyio
NAME = Endpoint("peer.example.org", 7000)
FIRST, SECOND = Endpoint("20.1.1.1", 7000), Endpoint("2600::1", 7000)
HOLDER, STRANGER = node(1), node(2)


@define
class Links:
    """Stands for the links: notes what is dialled and closed."""

    outcome: Callable[[Endpoint], DialOutcome] = lambda _endpoint: DialOutcome(None, "no answer")
    dialled: list[Endpoint] = field(factory=list)
    closed: list[tuple[bytes, str]] = field(factory=list)

    async def dial(self, endpoint: Endpoint) -> DialOutcome:
        """Note a dial."""
        self.dialled.append(endpoint)
        return self.outcome(endpoint)

    def close(self, node_id: bytes, reason: str) -> None:
        """Note an end."""
        self.closed.append((node_id, reason))


@define
class Stage:
    """A dialer, its links, and what it has said; ``now`` is its clock."""

    peers: tuple[Endpoint, ...] = ()
    store: PeerStore | None = None
    answers: dict[Endpoint, tuple[Endpoint, ...]] = field(factory=dict)
    now: float = 0.0
    links: Links = field(factory=Links)
    said: list[tuple[str, dict[str, Any]]] = field(factory=list)
    dialer: Dialer = field(init=False)

    def __attrs_post_init__(self) -> None:
        peering = Peering(
            preset=evolve(MAINNET, reachable_after_s=0.0), listening=Endpoint("0.0.0.0", 7000),
            preconfigured=self.peers, entropy=entropy(), now=0.0,
            advertised=Endpoint("20.7.7.7", 7000),
        )
        peering.circle = Circle(frozenset({HOLDER}), True, True)
        self.dialer = Dialer(
            peering, cast(LinkManager, self.links), lambda *_: None, lambda: self.now, self.store,
            self.resolve, lambda event, fields: self.said.append((event, fields)),
        )

    async def resolve(self, name: Endpoint) -> tuple[Endpoint, ...]:
        """Answer as the test says, or not at all."""
        if name not in self.answers:
            raise Unavailable(f"{name.host} does not resolve")
        return self.answers[name]


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still; only the number of ticks counts."""
    monkeypatch.setattr(dialer_module, "TICK_S", 0.001)


async def test_a_name_is_resolved_and_all_its_addresses_are_dialled() -> None:
    """Catches a name that is handed to the sockets, which dial the first address that answers."""
    stage = Stage((NAME,), answers={NAME: (FIRST, SECOND)})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.dialer.run)
        await until(lambda: {FIRST, SECOND} <= set(stage.links.dialled))
        tasks.cancel_scope.cancel()
    assert NAME not in stage.links.dialled


async def test_a_name_that_does_not_resolve_is_said_once_and_stops_nothing() -> None:
    """Catches a log that fills with one name, and a node that ends because of it."""
    stage = Stage((NAME, FIRST))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.dialer.run)
        await until(lambda: stage.said)
        await until(lambda: FIRST in stage.links.dialled)
        for _ in range(5):
            stage.now += 400.0
            asked = stage.dialer.peering.names.entries[NAME].asked
            await until(lambda before=asked: (
                stage.dialer.peering.names.entries[NAME].asked > before
            ))
        tasks.cancel_scope.cancel()
    [(event, fields)] = [each for each in stage.said if each[0].startswith("name.")]
    assert event == "name.unresolved"
    assert fields == {"name": str(NAME), "reason": "peer.example.org does not resolve"}


async def test_misbehaviour_ends_a_strangers_link_and_not_a_holders() -> None:
    """Catches a score that ends nothing, or that ends a holder's link (F-08)."""
    stage = Stage()
    for node_id in (HOLDER, STRANGER):
        stage.dialer.link_up(node_id, f"20.{node_id[-1]}.1.1", None)
        for _ in range(50):
            stage.dialer.misbehaved(node_id, None, "a bad frame")
    assert stage.links.closed == [(STRANGER, EXCLUDED)]
    told = [(event, fields["peer"]) for event, fields in stage.said if event.startswith("peer.")]
    assert told == [
        ("peer.misbehaves", HOLDER.hex()[:16]), ("peer.excluded", STRANGER.hex()[:16])
    ]
    assert stage.dialer.admit("20.2.1.1", False, STRANGER) == EXCLUDED
    assert stage.dialer.admit("20.1.1.1", False, HOLDER) is None


async def test_an_address_that_sends_garbage_is_refused_before_the_handshake() -> None:
    """Catches work that is spent on whoever comes without a name again and again."""
    stage = Stage()
    for _ in range(2):
        assert stage.dialer.admit_connection("20.9.1.1") is None
        stage.dialer.misbehaved(None, "20.9.1.1", "TLS: WRONG_VERSION_NUMBER")
    assert stage.dialer.admit_connection("20.9.1.1") == EXCLUDED
    assert stage.said == [
        ("peer.excluded", {"peer": "20.9.1.1", "reason": "TLS: WRONG_VERSION_NUMBER"})
    ]


async def test_blocked_strangers_lose_their_links() -> None:
    """Catches a block list that only the pings know."""
    stage = Stage()
    stage.dialer.link_up(STRANGER, "20.2.1.1", None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.dialer.run)
        stage.dialer.know(Circle(frozenset({HOLDER}), True, True), frozenset({STRANGER, HOLDER}))
        await until(lambda: (STRANGER, BLOCKED) in stage.links.closed)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("reached", [False, True])
async def test_an_own_address_that_leads_nowhere_is_said_once(reached: bool) -> None:
    """Catches silence about a closed port, or a line for each tick."""
    stage = Stage((FIRST,))
    outcome = DialOutcome(None, REACHED_SELF if reached else "no answer")
    stage.links.outcome = lambda _endpoint: outcome
    stage.dialer.link_up(STRANGER, "20.2.1.1", SECOND)
    own = Endpoint("20.7.7.7", 7000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.dialer.run)
        await until(lambda: own in stage.links.dialled)
        for _ in range(5):
            stage.now += 10.0
            await anyio.sleep(0.003)
        tasks.cancel_scope.cancel()
    said = [fields["reason"] for event, fields in stage.said if event == "address.unreachable"]
    assert len(said) == (0 if reached else 1)
    assert stage.links.dialled.count(own) == 1


async def test_an_added_peer_is_dialled_again_after_a_restart(tmp_path: Path) -> None:
    """Catches an addition that lives in memory only, also of a name that does not resolve yet."""
    store = PeerStore(tmp_path / "peers", lambda _text: None)
    first = Stage(store=store)
    assert first.dialer.peering.word.add(FIRST, 0.0)
    assert first.dialer.peering.word.add(NAME, 0.0)
    await first.dialer.save()
    stage = Stage(store=store, answers={NAME: (SECOND,)})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.dialer.run)
        await until(lambda: {FIRST, SECOND} <= set(stage.links.dialled))
        tasks.cancel_scope.cancel()
    stage.dialer.peering.word.forget(NAME)
    await stage.dialer.save()
    assert [record.endpoint for record in store.load() if record.added] == [FIRST]
