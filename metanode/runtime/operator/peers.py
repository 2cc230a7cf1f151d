"""The operator's word on peers: what `metanode peers` shows and asks for while the node runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
from attrs import frozen

from metanode.errors import UserError
from metanode.identity import NODE_ID_BYTES
from metanode.protocol.links.handshake import VERSION
from metanode.protocol.node import NodeCore
from metanode.protocol.peers.endpoints import Endpoint, parse_endpoint
from metanode.runtime.net.dialer import Dialer
from metanode.runtime.net.links import LinkManager

NAME_PATIENCE_S: Final = 3.0
"""How long an answer waits for a name; the node goes on asking about it."""
DROPPED: Final = "dropped by the operator"


@frozen
class PeersDesk:
    """Lists, adds, drops and pardons peers of a running node."""

    core: NodeCore
    dialer: Dialer
    links: LinkManager
    clock: Callable[[], float]

    def page(self, rest: str) -> dict[str, Any] | None:
        """Return the peers: those with a link, then those that have none."""
        return None if rest else self.report()

    def report(self) -> dict[str, Any]:
        """Return the peers, and what `status` says of own address, names and exclusions."""
        peering, core, now = self.dialer.peering, self.core, self.clock()
        linked = peering.linked()
        known = {peer["node_id"]: peer for peer in core.report()["peers"]}
        answered = (entry.node_id for entry in peering.book.entries.values())
        reached = {node_id for node_id in answered if node_id is not None}
        blocked = {entry["node_id"]: entry for entry in core.blocks.report()}
        named = (bytes.fromhex(each) for each in (*known, *blocked))
        ids = {*linked, *named, *reached} - {core.ctx.me}
        return {
            "peers": [
                {
                    **self._peer(node_id, linked.get(node_id), known.get(node_id.hex()), now),
                    "blocked": blocked.get(node_id.hex()),
                }
                for node_id in sorted(ids, key=lambda each: (each not in linked, each))
            ],
            "waiting": [str(endpoint) for endpoint in self._waiting()],
            **peering.report(now),
        }

    def _peer(
        self, node_id: bytes, link: tuple[str, bool, float] | None, heard: Any, now: float
    ) -> dict[str, Any]:
        peering = self.dialer.peering
        endpoints = peering.book.endpoints_of(node_id)
        return {
            "node_id": node_id.hex(),
            "address": str(endpoints[0]) if endpoints else None if link is None else link[0],
            # Nodes of another version are refused in the handshake.
            "version": None if link is None else VERSION,
            "weight": None if heard is None else heard.get("weight"),
            "since": None if link is None else round(link[2]),
            "dialled": None if link is None else link[1],
            "listing": None if heard is None else heard["listing"],
            "holder": node_id in peering.circle.members,
            "refused": peering.standing.refuses(None, now, node_id),
        }

    def _waiting(self) -> list[Endpoint]:
        """Return what the operator named and nobody has answered at: names by themselves."""
        word, entries = self.dialer.peering.word, self.dialer.peering.book.entries
        waiting = []
        for said in dict.fromkeys((*word.configured, *word.added, *word.seeds)):
            found = (said,) if said.address is not None else word.addresses(said)
            if all(each not in entries or entries[each].node_id is None for each in found):
                waiting.append(said)
        return sorted(waiting)

    async def act(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked: ``do`` is "add", "drop" or "pardon", ``peer`` whom it is about."""
        do, peer = wanted.get("do"), wanted.get("peer")
        if type(peer) is not str or len(wanted) != 2:
            raise UserError('peers take {"do": TEXT, "peer": TEXT}')
        if do == "add":
            return await self._add(peer)
        if do == "drop":
            return await self._drop(peer)
        if do == "pardon":
            return self._pardon(peer)
        raise UserError("peers are added, dropped or pardoned: add, drop, pardon")

    async def _add(self, text: str) -> dict[str, Any]:
        endpoint = _endpoint(text)
        if not self.dialer.peering.word.add(endpoint, self.clock()):
            raise UserError("too many peers were added: drop some, or write them into node.peers")
        fault: str | None = None
        if endpoint.address is None:
            fault = f"{endpoint.host} has not resolved yet"
            with anyio.move_on_after(NAME_PATIENCE_S):
                fault = await self.dialer.ask_name(endpoint)
        await self.dialer.save()
        self.dialer.dial_more()
        return {"added": str(endpoint), "fault": fault}

    async def _drop(self, text: str) -> dict[str, Any]:
        peering, now = self.dialer.peering, self.clock()
        node_id = _node_id(text)
        if node_id is None:
            endpoint = _endpoint(text)
            if peering.word.is_configured(endpoint) or endpoint in peering.word.seeds:
                raise UserError(
                    f"{endpoint} stands in the configuration, in node.peers or network.seeds: "
                    "remove it there and start the node again"
                )
            known = peering.book.entries.get(endpoint)
            node_id = None if known is None else known.node_id
            found = peering.word.forget(endpoint)
        else:
            found = node_id in peering.linked() or bool(peering.book.endpoints_of(node_id))
        if node_id is not None:
            self._let_go(node_id, now)
        await self.dialer.save()
        return {"dropped": text if found else None}

    def _let_go(self, node_id: bytes, now: float) -> None:
        """End the link with a stranger, forget where it listens, and refuse it for a time."""
        peering = self.dialer.peering
        if node_id in peering.circle.members:
            raise UserError(
                f"{node_id.hex()[:16]} holds a share, and holders keep their links: "
                "`quorumchange` changes who holds the key"
            )
        for endpoint in peering.book.endpoints_of(node_id):
            if not peering.word.is_configured(endpoint):
                peering.word.forget(endpoint)
        points = peering.preset.exclusion_score
        peering.standing.offend(now, DROPPED, node_id, None, points)
        self.links.close(node_id, DROPPED)

    def _pardon(self, text: str) -> dict[str, Any]:
        peering = self.dialer.peering
        node_id = _node_id(text)
        if node_id is not None and node_id in peering.standing.blocked:
            raise UserError(
                f"{text[:16]} is blocked on evidence, which time alone ends: see `blame`, `status`"
            )
        key = text if node_id is None else node_id.hex()
        done = peering.standing.pardon(key)
        self.dialer.dial_more()
        return {"pardoned": key if done else None}


def _node_id(text: str) -> bytes | None:
    """Return the node id that a text writes in hex, or None if it writes none."""
    try:
        node_id = bytes.fromhex(text)
    except ValueError:
        return None
    return node_id if len(node_id) == NODE_ID_BYTES else None


def _endpoint(text: str) -> Endpoint:
    try:
        return parse_endpoint(text, allow_names=True)
    except ValueError as error:
        raise UserError(f"{error}: give HOST:PORT, or a node id of 66 hex digits") from error
