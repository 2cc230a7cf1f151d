"""The inputs, typed: each class is one input of ``spec/inputs.py``, or all messages of it.

The things that come with an input, such as the sender of a message or the answer of the chain, are
its fields; the facts that speak of them read them there (``Context.input``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from attrs import define, frozen

from metanode.chains.base import ChainUpdate, StakeVerdict, TxState
from metanode.custody.types import Outpoint
from metanode.errors import Equivocation
from metanode.protocol.requests.request import Request
from metanode.protocol.wire.envelope import Envelope


@define
class Received:
    """A message that ``sender`` signed; ``evidence`` is what it contradicts, if it does.

    A message that ``waits`` cannot be judged yet: a step notes it in its cell when it can be, so
    that nobody fills the view with messages about nothing. ``via`` is the peer that passed the
    message on, None if the sender's own link brought it; ``checked``: the signature has been.
    """

    sender: bytes
    message: Any
    envelope: Envelope
    evidence: Equivocation | None = None
    waits: bool = False
    via: bytes | None = None
    checked: bool = True

    @property
    def kind(self) -> str:
        """The input's kind: that of the message."""
        return str(self.message.KIND)


@frozen
class Tick:
    """The clock moved."""

    kind: ClassVar[str] = "tick"


@frozen
class LinkUp:
    """A link to a peer was established."""

    kind: ClassVar[str] = "link_up"
    peer: bytes


@frozen
class LinkDown:
    """The link to a peer ended."""

    kind: ClassVar[str] = "link_down"
    peer: bytes


@frozen
class Endpoints:
    """Peering has endpoints to tell a peer, which is ``seen`` at an address."""

    kind: ClassVar[str] = "endpoints"
    peer: bytes
    addresses: tuple[str, ...]
    seen: str = ""


@frozen
class ChainNews:
    """Blocks that came and went, and unconfirmed deposits of the custody address."""

    kind: ClassVar[str] = "chain"
    update: ChainUpdate
    sightings: Sequence[Outpoint]


@frozen
class StakeAnswer:
    """What the chain says of a peer's stake."""

    kind: ClassVar[str] = "stake_answer"
    peer: bytes
    stake: Outpoint
    found: StakeVerdict


@frozen
class PayoutAnswer:
    """What the chain says of a payout: where its version ``txid`` is, the dearest of those that are
    anywhere; ``reason`` is why a daemon refused it, if it was sent.
    """

    kind: ClassVar[str] = "payout_answer"
    event: bytes
    txid: bytes
    state: TxState
    reason: str = ""


@frozen
class OperatorRequest:
    """The operator asks for a signature, a key, new shares or another quorum."""

    kind: ClassVar[str] = "request"
    request: Request


@frozen
class OperatorPardon:
    """The operator lifts the ban of a peer."""

    kind: ClassVar[str] = "pardon"
    peer: bytes


@frozen
class Start:
    """The node starts with what its store holds."""

    kind: ClassVar[str] = "start"


Input = (
    Received | Tick | LinkUp | LinkDown | Endpoints | ChainNews | StakeAnswer | PayoutAnswer
    | OperatorRequest | OperatorPardon | Start
)
