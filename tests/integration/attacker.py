"""Somebody hostile at the target's port: with an identity of its own, or with a member's."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable

import anyio
from attrs import define, field

from metanode.identity import Identity
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.wire.codec import Codec
from metanode.runtime.home.config import load_config
from metanode.runtime.net.certificates import make_credentials
from metanode.runtime.net.links import LinkCallbacks, LinkManager
from metanode.runtime.net.transport import STREAM_ERRORS, Channel, TcpNetwork, open_channel
from metanode.runtime.secrets.keystore import load_identity, read_passphrase_file
from spec.messages import MESSAGES
from spec.parameters import DEVNET
from tests.integration.support import Live

TARGET, MEMBER = 0, 3
CODEC = Codec(MESSAGES)
MOMENT_S = 0.1


@define
class Attacker:
    """Knows the network and one identity, its own or a member's; attacks node ``TARGET``."""

    live: Live
    identity: Identity = field(factory=lambda: Identity.generate(os.urandom))

    @property
    def network_id(self) -> bytes:
        """The id of the network."""
        return load_config(self.live.network.homes[TARGET].config).network_id()

    @property
    def port(self) -> int:
        """The target's port."""
        status = self.live.status(TARGET)
        assert status is not None
        return int(status["port"])

    def refusals(self) -> dict[str, int]:
        """Return what the target says that it refused."""
        status = self.live.status(TARGET)
        assert status is not None
        return dict(status["refused"])

    def counted(self, before: dict[str, int], reason: str = "") -> bool:
        """Tell whether the target counts one more refusal with ``reason`` in it."""
        now = self.refusals()
        return any(reason in name and count > before.get(name, 0) for name, count in now.items())

    def tcp(self) -> socket.socket:
        """Return a plain connection to the target."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def before_the_handshake(self, attack: Callable[[Channel], Awaitable[None]]) -> None:
        """Run an attack on a TLS channel on which nobody has said hello."""

        async def run() -> None:
            credentials = make_credentials(self.identity, self.network_id)
            endpoint = Endpoint("127.0.0.1", self.port)
            channel = await open_channel(TcpNetwork(), credentials, endpoint, 10)
            try:
                await attack(channel)
                with anyio.fail_after(10):
                    await closed(channel)
            finally:
                await channel.close()

        self.live.run(run)

    def on_a_link(
        self,
        *frames: bytes,
        raw: bytes = b"",
        ends: bool = True,
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Make a link as ``identity`` and send frames, or bytes that are none.

        Waits for the link's end if that must come, else ``until`` something is so, or a moment.
        """

        async def run() -> None:
            async def ignore(_node_id: bytes, _frame: bytes) -> None:
                return

            ended = anyio.Event()
            callbacks = LinkCallbacks(
                on_frame=ignore, on_up=lambda *_: None, on_down=lambda *_: ended.set()
            )
            credentials = make_credentials(self.identity, self.network_id)
            manager = LinkManager(credentials, DEVNET, callbacks, os.urandom)
            async with anyio.create_task_group() as tasks:
                manager.start(tasks)
                outcome = await manager.dial(Endpoint("127.0.0.1", self.port))
                assert outcome.node_id is not None, outcome.reason
                for frame in frames:
                    assert manager.send(outcome.node_id, frame)
                if raw:
                    [connection] = manager._peers[outcome.node_id]
                    await connection.channel.send(raw)
                with anyio.move_on_after(10 if ends or until is not None else MOMENT_S):
                    while until is not None and not await anyio.to_thread.run_sync(until):
                        await anyio.sleep(MOMENT_S)
                    if until is None:
                        await ended.wait()
                assert ended.is_set() or not ends
                tasks.cancel_scope.cancel()

        self.live.run(run)


async def closed(channel: Channel) -> None:
    """Wait until the other end hangs up."""
    try:
        while True:
            await channel.receive()
    except STREAM_ERRORS:
        return


def member_gone_bad(live: Live) -> Attacker:
    """Stop the node of a member and return an attacker with its identity."""
    home = live.network.homes[MEMBER]
    assert live.network.interrupt(MEMBER) == 0
    live.betrayed.add(MEMBER)
    passphrase = read_passphrase_file(live.network.directory / "passphrase")
    return Attacker(live, load_identity(home.identity, passphrase))
