"""A node that cheats on purpose: the real one, with session classes that lie.

``python -m tests.integration.cheating_node run --home DIR --cheat KIND [--cheat KIND ...]`` runs
the node of a home. The cheats are committed one after the other, each in the next run that it fits;
when they are used up the node is honest again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from metanode.cli.main import invoke
from metanode.protocol import node
from metanode.protocol.events import purpose
from metanode.protocol.events.run import Run
from metanode.protocol.events.sessions import Sessions
from metanode.protocol.keys import keygen
from metanode.protocol.payouts import payouts
from metanode.protocol.reshare.complaints import Complaints
from metanode.tss import curve
from metanode.tss.keygen import KeygenSession
from metanode.tss.messages import Message
from metanode.tss.sign import LanesSession, SigningSession, SignSession

SIGNING = ("opening", "equivocation", "transfers", "multiplication", "two-faced")
DEALING = ("share",)
REGROUP = ("hide",)
"""``hide``: in every dealing of new shares, one member gets none of this node's messages, and its
complaints no answer."""


def flip(data: bytes) -> bytes:
    """Change one bit."""
    return bytes((data[0] ^ 1,)) + data[1:]


PLOT: list[str] = []
"""The cheats still to come."""


class Cheating(SigningSession[Any]):
    """Signs, and lies once.

    ``opening``: another salt than it committed with. ``equivocation``: two commitments to
    everybody. ``transfers``: spoils the check of the extended transfers, as a guess at a choice bit
    would. ``multiplication``: another input than it opened. ``two-faced``: spoils the transfers of
    the last of the others, and tells the first of them two things.
    """

    cheat = ""

    def start(self) -> list[Message]:
        """Begin; an equivocator says two things."""
        out = super().start()
        if self.cheat == "equivocation":
            honest = next(message for message in out if message.recipient is None)
            lie = self._broadcast(1, {"commitment": bytes(32)})
            self._broadcasts[1, self._party] = honest.payload
            return [out[0], lie, *out[1:]]
        if self.cheat == "two-faced":
            honest = next(message for message in out if message.recipient == self._others[0])
            shape = self._shape(1, self._party, honest.recipient)
            values = None if shape is None else shape.decode(honest.payload)
            lie = super()._direct(1, self._others[0], {**(values or {}), "salt": bytes(32)})
            return [*out, lie]
        return out

    def _broadcast(self, number: int, values: Mapping[str, bytes]) -> Message:
        if self.cheat == "opening" and number == 2:
            return super()._broadcast(number, {**values, "salt": flip(values["salt"])})
        return super()._broadcast(number, values)

    def _direct(self, number: int, recipient: int, values: Mapping[str, bytes]) -> Message:
        last = self.cheat == "two-faced" and recipient == self._others[-1]
        if number == 1 and (last or self.cheat == "transfers"):
            values = {**values, "x_check": flip(values["x_check"])}
        if self.cheat == "multiplication" and number == 2:
            values = {**values, "mu": flip(values["mu"])}
        return super()._direct(number, recipient, values)


class CheatingSign(Cheating, SignSession):
    """Signs one digest."""


class CheatingLanes(Cheating, LanesSession):
    """Signs several digests."""


class CheatingKeygen(KeygenSession):
    """Makes a key; ``share``: deals everybody a share that is off by one."""

    cheat = ""

    def _direct(self, number: int, recipient: int, values: Mapping[str, bytes]) -> Message:
        if self.cheat == "share" and number == 3:
            share = int.from_bytes(values["share"], "big")
            values = {**values, "share": curve.encode_scalar(share + 1)}
        return super()._direct(number, recipient, values)


class CheatingSessions(Sessions):
    """The runs of a node; each payout and each key generation may get a cheat."""

    def _release(self, run: Run) -> None:
        """Tell all lanes of a run which cheat is theirs."""
        kinds = {"payout": SIGNING, "keygen": DEALING}.get(run.purpose, ())
        cheat = PLOT.pop(0) if PLOT and PLOT[0] in kinds else ""
        for lane in run.lanes:
            if isinstance(lane, Cheating | CheatingKeygen):
                lane.cheat = cheat
        super()._release(run)

    def _wrap(self, run: Run, kind: Any, lane: int, out: Sequence[Message]) -> Any:
        """Leave out what one member waits for."""
        carried = super()._wrap(run, kind, lane, out)
        if run.purpose != "regroup" or "hide" not in PLOT:
            return carried
        victim = min(member for member in run.members if member != self.ctx.me)
        return [(to, message) for to, message in carried if to != victim]


class CheatingComplaints(Complaints):
    """Answers nobody, where it hides messages."""

    def _part(self, about: Any) -> Sequence[bytes]:
        return () if "hide" in PLOT else super()._part(about)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a node that cheats; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run"])
    parser.add_argument("--home", required=True)
    parser.add_argument(
        "--cheat", action="append", required=True, choices=[*SIGNING, *DEALING, *REGROUP]
    )
    told = parser.parse_args(arguments)
    PLOT.extend(told.cheat)
    vars(purpose).update(SignSession=CheatingSign)
    vars(payouts).update(LanesSession=CheatingLanes)
    vars(keygen).update(KeygenSession=CheatingKeygen)
    vars(node).update(Sessions=CheatingSessions, Complaints=CheatingComplaints)
    return invoke(["run", "--home", told.home])


if __name__ == "__main__":
    sys.exit(main())
