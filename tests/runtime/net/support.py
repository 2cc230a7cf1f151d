"""Shared by the link tests: whole nodes on the loopback, on either backend."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from metanode.identity import Identity
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.net.certificates import Credentials, make_credentials
from metanode.runtime.net.links import LinkCallbacks, LinkManager
from spec.parameters import MAINNET, Preset
from tests.support import entropy

NETWORK = hashlib.sha256(b"a network").digest()
HOST = "127.0.0.1"


def identity(name: str) -> Identity:
    """Return the identity that belongs to a name."""
    return Identity.generate(entropy(name))


@define(eq=False)
class RunningNode:
    """A link manager with a record of what it was told."""

    name: str
    network: bytes = NETWORK
    preset: Preset = MAINNET
    credentials: Credentials = field(init=False)
    links: LinkManager = field(init=False)
    endpoint: Endpoint = field(init=False)
    frames: list[tuple[bytes, bytes]] = field(factory=list)
    ups: list[bytes] = field(factory=list)
    downs: list[tuple[bytes, str]] = field(factory=list)
    faults: list[tuple[bytes | None, str, str]] = field(factory=list)
    on_frame: Callable[[bytes, bytes], None] | None = None

    def __attrs_post_init__(self) -> None:
        self.credentials = make_credentials(identity(self.name), self.network)
        callbacks = LinkCallbacks(
            on_frame=self._frame,
            on_up=lambda node_id, host, dialled: self.ups.append(node_id),
            on_down=lambda node_id, reason: self.downs.append((node_id, reason)),
            on_fault=lambda *fault: self.faults.append(fault),
        )
        self.links = LinkManager(self.credentials, self.preset, callbacks, entropy(self.name))

    @property
    def node_id(self) -> bytes:
        """The node's id."""
        return self.credentials.identity.node_id

    async def start(self, task_group: TaskGroup) -> None:
        """Listen on a free port."""
        self.links.start(task_group)
        self.endpoint = Endpoint(HOST, await self.links.listen(HOST, 0))

    async def _frame(self, node_id: bytes, frame: bytes) -> None:
        self.frames.append((node_id, frame))
        if self.on_frame is not None:
            self.on_frame(node_id, frame)


@asynccontextmanager
async def running(
    *names: str, preset: Preset = MAINNET, by_id: bool = False
) -> AsyncIterator[list[RunningNode]]:
    """Run nodes until the block ends; ``by_id`` sorts them by node id."""
    nodes = [RunningNode(name, preset=preset) for name in names]
    if by_id:
        nodes.sort(key=lambda node: node.node_id)
    async with anyio.create_task_group() as tasks:
        for node in nodes:
            await node.start(tasks)
        yield nodes
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait until ``condition()`` is true; fails after ``timeout_s``."""
    with anyio.fail_after(timeout_s):
        while not condition():
            await anyio.sleep(0.005)


def quick(**changes: float) -> Preset:
    """Return the constants with some changed, for tests of timeouts."""
    return evolve(MAINNET, **changes)
