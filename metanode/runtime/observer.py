"""A node that came out of a backup: it hears everything, and nothing that it signs leaves it.

What it may have forgotten are votes that it gave after the backup. Others show them: a certificate
that somebody sends holds the votes of its voters, with their signatures. One of this node's that
its log does not know proves that it must not sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
from attrs import define

from metanode.errors import MetanodeError, UserError
from metanode.protocol.events.votes import certificate_fault
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.envelope import parse_envelope
from metanode.runtime.home.home import Home
from metanode.runtime.home.restored import (
    Observation,
    read_observation,
    vote_name,
    write_observation,
)
from spec import messages as m


@define
class Observer:
    """The observation of one running node."""

    home: Home
    core: NodeCore
    seen: Observation
    note: Callable[[str, dict[str, Any]], None]
    _round: int = 0

    @classmethod
    def of(
        cls, home: Home, core: NodeCore, note: Callable[[str, dict[str, Any]], None]
    ) -> Observer | None:
        """Return the observer of a restored home, None for any other. Raises UserError."""
        seen = read_observation(home)
        return None if seen is None else cls(home, core, seen, note)

    def hear(self, frame: bytes, peer: bytes) -> None:
        """Compare the own votes in a frame with the log; a frame that is no good shows nothing."""
        try:
            message = self.core.codec.decode(parse_envelope(frame, peer).body, peer)
        except MetanodeError:
            return  # the core judges it
        for certificate in certificates_in(message):
            self._compare(certificate)

    def _compare(self, certificate: m.Certificate) -> None:
        ctx = self.core.ctx
        me, event, attempt = ctx.me, certificate.event, certificate.attempt
        if all(vote.voter != me for vote in certificate.votes):
            return
        majority = Quorum(certificate.members, len(certificate.members) // 2 + 1, 0)
        network_id = self.core.settings.network_id
        if certificate_fault(certificate, self.core.codec, network_id, majority) is not None:
            return  # nobody's word for it
        if ctx.tables.view.get("voted", me, event, attempt) == certificate.digest:
            self.seen.shown += 1
        elif self.seen.forget(vote_name(event, attempt)):
            write_observation(self.home, self.seen)
            self.note("history.forgotten", {"vote_of": event.hex(), "attempt": attempt})

    def tick(self) -> None:
        """Count a round that is over, if enough holders were heard in it."""
        ctx = self.core.ctx
        now, key = ctx.round_number(), ctx.key
        if now == self._round:
            return
        if self._round and key is not None:
            near = len((set(key.roster) - {ctx.me}) & ctx.links)
            if near >= key.threshold - 1:
                self.seen.rounds += 1
                write_observation(self.home, self.seen)
        self._round = now

    async def refuse(self, _wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raise UserError for what an operator asks of a node that must not sign."""
        raise UserError(
            "this node was restored and observes: `backup resume` ends that, when it is stopped"
        )

    def report(self) -> dict[str, Any]:
        """Return how far it has come, for `status`."""
        return attrs.asdict(self.seen)


def certificates_in(value: Any) -> Iterator[m.Certificate]:
    """Yield the certificates that a message holds."""
    if isinstance(value, m.Certificate):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from certificates_in(item)
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from certificates_in(getattr(value, field.name))
