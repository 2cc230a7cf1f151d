"""Links between whole nodes over the loopback, on both backends."""

from __future__ import annotations

import itertools

import anyio
import pytest

from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.peering import Peering
from metanode.protocol.wire.framing import AUTHENTICATED_LIMIT_BYTES
from metanode.runtime.net import links as links_module
from metanode.runtime.net.certificates import make_credentials
from metanode.runtime.net.dialer import Dialer
from metanode.runtime.net.links import LinkCallbacks, LinkManager
from tests.runtime.net.support import HOST, NETWORK, identity, quick, running, until
from tests.support import entropy

pytestmark = pytest.mark.anyio


async def test_frames_travel_both_ways_in_order() -> None:
    """Catches lost, doubled or reordered frames, small and of the full size."""
    async with running("alice", "bob") as (alice, bob):
        outcome = await alice.links.dial(bob.endpoint)
        assert outcome.node_id == bob.node_id
        frames = [bytes([number]) * (1 + number * 100) for number in range(60)]
        frames.append(b"x" * AUTHENTICATED_LIMIT_BYTES)
        for frame in frames:
            assert alice.links.send(bob.node_id, frame)
        await until(lambda: bob.links.established())
        assert bob.links.send(alice.node_id, b"back")
        await until(lambda: len(bob.frames) == len(frames) and alice.frames)
        assert bob.frames == [(alice.node_id, frame) for frame in frames]
        assert alice.frames == [(bob.node_id, b"back")]
        assert alice.links.statistics.frames_sent == len(frames)
        assert bob.links.statistics.frames_received == len(frames)


async def test_both_ends_hear_of_the_link_and_of_its_end() -> None:
    """Catches a node that does not know whom it is linked with."""
    async with running("alice", "bob") as (alice, bob):
        await alice.links.dial(bob.endpoint)
        await until(lambda: bob.ups)
        assert alice.ups == [bob.node_id]
        assert alice.links.established() == (bob.node_id,)
        assert bob.links.established() == (alice.node_id,)
        alice.links.close(bob.node_id, "no more")
        await until(lambda: alice.downs and bob.downs)
        assert alice.downs == [(bob.node_id, "no more")]
        assert bob.downs == [(alice.node_id, "ended")]
        assert alice.links.established() == ()
        assert not alice.links.send(bob.node_id, b"x")


async def test_simultaneous_dials_leave_exactly_one_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches F-29: none or two links, or a moment without one."""
    monkeypatch.setattr(links_module, "RETIRE_DELAY_S", 0.3)
    async with running("alice", "bob", by_id=True) as (small, large):
        for _ in range(2):
            async with anyio.create_task_group() as dials:
                dials.start_soon(small.links.dial, large.endpoint)
                dials.start_soon(large.links.dial, small.endpoint)
            await until(
                lambda: (
                    small.links.connections(large.node_id) == 1
                    and large.links.connections(small.node_id) == 1
                )
            )
            await anyio.sleep(0.6)
            assert small.links.connections(large.node_id) == 1
            assert large.links.connections(small.node_id) == 1
            assert (small.downs, large.downs) == ([], [])
            [kept] = small.links._peers[large.node_id]
            assert kept.link.outbound
        assert small.links.send(large.node_id, b"a")
        assert large.links.send(small.node_id, b"b")
        await until(lambda: small.frames and large.frames)


async def test_a_redial_by_the_same_side_leaves_one_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches two ends that keep different ones of two equal links."""
    monkeypatch.setattr(links_module, "RETIRE_DELAY_S", 0.3)
    async with running("alice", "bob") as (alice, bob):
        await alice.links.dial(bob.endpoint)
        await alice.links.dial(bob.endpoint)
        await until(lambda: len(bob.links._peers.get(alice.node_id, ())) == 2)
        await until(
            lambda: (
                alice.links.connections(bob.node_id) == 1
                and bob.links.connections(alice.node_id) == 1
            )
        )
        assert (alice.downs, bob.downs) == ([], [])
        assert bob.links.send(alice.node_id, b"still here")
        await until(lambda: alice.frames)


async def test_dialling_oneself_is_recognised() -> None:
    """Catches a node that links with itself."""
    async with running("alice") as (alice,):
        outcome = await alice.links.dial(alice.endpoint)
        assert (outcome.node_id, outcome.reason) == (None, "own_id")
        assert alice.links.established() == ()
        assert alice.ups == []


async def test_an_idle_link_is_closed() -> None:
    """Catches a dead connection that is kept for ever."""
    async with running("alice", "bob", preset=quick(idle_timeout_s=0.2)) as (alice, bob):
        await alice.links.dial(bob.endpoint)
        await until(lambda: alice.downs and bob.downs)
        assert {reason for _, reason in alice.downs + bob.downs} <= {"idle", "ended"}
        assert "idle" in alice.links.statistics.refusals + bob.links.statistics.refusals


async def test_a_node_that_stops_leaves_its_peers_running() -> None:
    """Catches an EndOfStream that ends a node."""
    async with running("alice", "carol") as (alice, carol):
        async with running("bob") as (bob,):
            await bob.links.dial(alice.endpoint)
            await until(lambda: alice.ups)
        await until(lambda: alice.downs)
        assert (await carol.links.dial(alice.endpoint)).node_id == alice.node_id
        assert carol.links.send(alice.node_id, b"alive")
        await until(lambda: alice.frames)


async def test_admission_is_asked_before_work_and_before_a_link() -> None:
    """Catches limits that are not enforced, in either direction."""
    async with anyio.create_task_group() as tasks, running("bob") as (bob,):
        verdict: dict[str, str | None] = {"link": None, "connection": None}

        async def ignore(node_id: bytes, frame: bytes) -> None:
            raise AssertionError

        callbacks = LinkCallbacks(
            on_frame=ignore,
            on_up=lambda *_: None,
            on_down=lambda *_: None,
            admit=lambda host, outbound, node_id: verdict["link"],
            admit_connection=lambda host: verdict["connection"],
        )
        credentials = make_credentials(identity("alice"), NETWORK)
        alice = LinkManager(credentials, quick(), callbacks, entropy("alice"))
        alice.start(tasks)
        endpoint = Endpoint(HOST, await alice.listen(HOST, 0))
        verdict["link"] = "too many links"
        assert (await alice.dial(bob.endpoint)).reason == "too many links"
        await bob.links.dial(endpoint)
        await until(lambda: alice.statistics.refusals["too many links"] == 2)
        verdict["connection"] = "excluded"
        assert (await bob.links.dial(endpoint)).node_id is None
        assert alice.statistics.refusals["excluded"] == 1
        assert alice.established() == ()
        verdict["connection"] = verdict["link"] = None
        assert (await bob.links.dial(endpoint)).node_id is not None
        tasks.cancel_scope.cancel()


async def test_five_nodes_find_each_other_from_one_preconfigured_peer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a network that does not end with one link between each two nodes."""
    monkeypatch.setattr(links_module, "RETIRE_DELAY_S", 0.3)
    names = [f"node {number}" for number in range(5)]
    preset = quick(crawl_fast_s=0.2, keepalive_period_s=0.5)
    dialers: dict[bytes, Dialer] = {}
    managers: list[LinkManager] = []
    async with anyio.create_task_group() as tasks:
        first: Endpoint | None = None
        for name in names:
            credentials = make_credentials(identity(name), NETWORK)
            own_id = credentials.identity.node_id

            async def on_frame(node_id: bytes, frame: bytes, own_id: bytes = own_id) -> None:
                dialers[own_id].keepalive_received(node_id, frame.decode().split())

            callbacks = LinkCallbacks(
                on_frame=on_frame,
                on_up=lambda *args, own_id=own_id: dialers[own_id].link_up(*args),
                on_down=lambda *args, own_id=own_id: dialers[own_id].link_down(*args),
                admit=lambda *args, own_id=own_id: dialers[own_id].admit(*args),
                admit_connection=lambda host, own_id=own_id: dialers[own_id].admit_connection(host),
            )
            manager = LinkManager(credentials, preset, callbacks, entropy(name))
            managers.append(manager)
            manager.start(tasks)
            listening = Endpoint(HOST, await manager.listen(HOST, 0))
            peering = Peering(
                preset=preset,
                listening=listening,
                preconfigured=() if first is None else (first,),
                entropy=entropy(f"{name} peering"),
                now=anyio.current_time(),
            )
            first = first or Endpoint(HOST, listening.port)

            def send(
                node_id: bytes, endpoints: tuple[str, ...], seen: str,
                manager: LinkManager = manager,
            ) -> None:
                manager.send(node_id, " ".join(endpoints).encode())

            dialers[own_id] = Dialer(peering, manager, send, anyio.current_time)
            tasks.start_soon(dialers[own_id].run)

        def complete() -> bool:
            ids = set(dialers)
            return all(
                set(manager.established()) == ids - {own_id}
                and all(manager.connections(peer) == 1 for peer in manager.established())
                for own_id, manager in zip(dialers, managers, strict=True)
            )

        await until(complete, timeout_s=30)
        await anyio.sleep(0.5)
        assert complete()
        for one, other in itertools.permutations(managers, 2):
            assert set(one.established()) != set(other.established())
        tasks.cancel_scope.cancel()
