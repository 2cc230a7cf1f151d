"""Whom this node heard before a night, and what other holders state: presence by pings alone.

A holder states once a night which candidates it heard, and which holders it did not. A liar cannot
hide somebody's pings from others, as it can hide its own messages in a dealing; and a block list
has no say in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import define, field

from metanode.errors import Equivocation
from metanode.protocol.context import Context, outpoint_ref
from metanode.protocol.inputs import LinkUp
from metanode.protocol.keys.epoch import Member
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.peers.stakes import Stakes
from metanode.protocol.reshare.wishes import Wishes
from metanode.protocol.tables.registry import admits, attachment, fact, handles, message
from metanode.protocol.wire.envelope import seal
from spec.night_messages import ATTENDANCE_LIMIT, NIGHTS_LIMIT, Attendance, Candidacy, Silence

NIGHTS_KEPT = 2


@define
class Attendances:
    """The statements of one night, this node's own among them."""

    ctx: Context
    peers: PeerList
    stakes: Stakes
    wishes: Wishes
    _own: dict[int, Attendance] = field(factory=dict)
    _said: dict[int, dict[bytes, tuple[Attendance, bytes]]] = field(factory=dict)
    _started: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what the tables are told, and say ---

    @fact
    def night_begun(self, n: int) -> bool:
        return self.wishes.night() == n

    @attachment("attested")
    def attested(self, p: bytes, n: int) -> Attendance:
        self._own[n] = Attendance(n, self._heard(), self._silent(n))
        return self._own[n]

    @message("attended")
    def attended(self, p: bytes, n: int) -> Attendance:
        return self._own[n]

    def _heard(self) -> tuple[Candidacy, ...]:
        """Return the candidates whose pings come, the oldest stakes first."""
        found = sorted(self.candidates(), key=lambda member: (member.height, member.node_id))
        return tuple(
            Candidacy(member.node_id, outpoint_ref(member.stake))
            for member in found[:ATTENDANCE_LIMIT]
        )

    def candidates(self) -> Iterator[Member]:
        """Yield the peers without a share whose stake is good, and who pinged a moment ago."""
        ctx, settled = self.ctx, self.stakes.settled()
        for peer, (at, stake) in self.peers.presence.items():
            silent = ctx.steady - at > self.peers.patience(peer)
            if silent or ctx.key is None or peer in ctx.key.roster:
                continue
            member = self.stakes.member_at(peer, stake, settled)
            if member is not None:
                yield member

    def _silent(self, night: int) -> tuple[Silence, ...]:
        """Return the holders whom this node did not hear for a night or more.

        One that was silent when this node last stated it, and that it has not heard since, is so
        still. Of what went on before it was started it knows nothing else.
        """
        ctx = self.ctx
        found: list[Silence] = []
        for peer in ctx.epoch.roster if ctx.key is not None else ():
            if peer != ctx.me and (nights := self._nights(peer, night)) > 0:
                found.append(Silence(peer, min(nights, NIGHTS_LIMIT - 1)))
        found.sort(key=lambda silence: (-silence.nights, silence.node))
        return tuple(found[:ATTENDANCE_LIMIT])

    def _nights(self, peer: bytes, night: int) -> int:
        period, now = self.ctx.preset.regroup_period_s, self.ctx.steady
        if peer in self.peers.presence:
            return int((now - self.peers.presence[peer][0]) // period)
        before = max((n for n in self._own if n < night), default=None)
        said = () if before is None else self._own[before].silent
        nights = next((silence.nights for silence in said if silence.node == peer), None)
        if before is not None and nights is not None:
            return nights + night - before
        return int((now - self._started) // period)

    # --- what happens ---

    @handles("attested")
    def tell(self) -> None:
        ctx, entry = self.ctx, self.ctx.input
        night, to = self.wishes.night(), entry.peer if isinstance(entry, LinkUp) else None
        due = ctx.boundary or to is not None or night not in self._own
        if night is None or not ctx.holds_share or not due:
            return
        for _ in ctx.each((night,)):
            if to is None and ctx.tries("regroup.Attest", h=ctx.epoch.number, n=night):
                self._keep(ctx.me, self._own[night])
                ctx.note(
                    "night.attested", night=night, heard=len(self._own[night].heard),
                    silent=[silence.node.hex()[:16] for silence in self._own[night].silent],
                )
            elif night in self._own:
                ctx.tries("regroup.AttestAgain", to=to, h=ctx.epoch.number, n=night)

    @admits("attendance")
    def hear(self, sender: bytes, word: Attendance) -> bool:
        """Keep a holder's statement for the night; two different ones are evidence."""
        if word.night != self.wishes.night():
            return False
        return self._keep(sender, word)

    def _keep(self, holder: bytes, word: Attendance) -> bool:
        ctx, said = self.ctx, self._said.setdefault(word.night, {})
        if holder == ctx.me:
            frame = seal(ctx.identity, ctx.settings.network_id, ctx.codec, word)
        else:
            frame = ctx.received.envelope.raw
        known = said.get(holder)
        if known is not None:
            if known[0] != word:
                raise Equivocation("two statements for one night", holder, (known[1], frame))
            return False
        said[holder] = (word, frame)
        for night in sorted(self._said)[:-NIGHTS_KEPT]:
            del self._said[night]
        return True

    def frames(self, night: int) -> Mapping[bytes, bytes]:
        """Return the statements for a night as they were signed, by holder."""
        return {holder: frame for holder, (_, frame) in self._said.get(night, {}).items()}

    def restore(self, now: float, own: Mapping[int, Attendance]) -> None:
        """Take this node's own statements from the store after a start."""
        self._started = now
        self._own = {night: own[night] for night in sorted(own)[-NIGHTS_KEPT:]}
        ctx = self.ctx
        for night, word in self._own.items():
            frame = seal(ctx.identity, ctx.settings.network_id, ctx.codec, word)
            self._said.setdefault(night, {})[ctx.me] = (word, frame)
