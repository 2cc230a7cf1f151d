"""How this node is, as it says in its pings: well, or the gravest reason why not."""

from __future__ import annotations

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
    _off: dict[bytes, bool] = field(factory=dict)

    def compare(self, peer: bytes, said: float) -> None:
        """Note whether a peer has another time, also if its ping is refused for that."""
        if peer in self.ctx.links:
            self._off[peer] = abs(said - self.ctx.now) > self.ctx.preset.clock_skew_s

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
        return 2 * sum(self._off.values()) > max(len(self._off), 2)
