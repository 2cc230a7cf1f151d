"""How this node is, as it says in its pings: well, or the gravest reason why not."""

from __future__ import annotations

from statistics import median

from attrs import define, field

from metanode.protocol.context import Context


@define
class Health:
    """What the shell and the pings of others tell of this node.

    ``chain_away`` and ``disk_free`` are facts of the shell, set before each tick.
    """

    ctx: Context
    chain_away: bool = False
    disk_free: int | None = None
    _off: dict[bytes, float] = field(factory=dict)
    _said_off: bool = False

    def compare(self, peer: bytes, said: float) -> None:
        """Note whether a peer has another time, also if its ping is refused for that."""
        if peer not in self.ctx.links:
            return
        self._off[peer] = self.ctx.now - said
        if self.is_clock_off() != self._said_off:
            self._said_off = not self._said_off
            self.ctx.note("clock.off" if self._said_off else "clock.agrees", off_s=self.off_s())

    def word(self) -> str:
        """Return one of ``spec.messages.HEALTH``."""
        key, free = self.ctx.key, self.disk_free
        if self.chain_away:
            return "chain_away"
        if free is not None and free < self.ctx.preset.disk_least_octets:
            return "disk_full"
        if self.is_clock_off():
            return "clock_off"
        holds = key is None or self.ctx.me not in key.roster or key.keyshare is not None
        return "ok" if holds else "no_share"

    def is_clock_off(self) -> bool:
        """Return whether more than half of the linked peers have another time: one liar or a few
        cannot make a node believe it.
        """
        self._off = {peer: off for peer, off in self._off.items() if peer in self.ctx.links}
        far = sum(abs(off) > self.ctx.preset.clock_skew_s for off in self._off.values())
        return 2 * far > max(len(self._off), 2)

    def off_s(self) -> float | None:
        """Return how far this node's clock is ahead of the middle one of its linked peers'."""
        return round(median(self._off.values()), 1) if self._off else None
