"""What a core leaves behind for the shell: writes, trace, sends and requests, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from metanode.custody.types import Outpoint
from spec.language.interpreter import Index, Value


@frozen
class Write:
    """A disk cell to flush, compare-and-set on ``before``; ``attachment`` is stored with it."""

    cell: str
    index: Index
    before: Value
    after: Value
    attachment: object = field(default=None, repr=False)


@frozen
class Send:
    """A message to one peer, or to all (``to`` is None)."""

    cell: str
    message: object
    to: bytes | None = None


@frozen
class Note:
    """Leave a line for the log and the operator's display; never a secret."""

    event: str
    fields: Mapping[str, Any] = field(factory=dict)


@frozen
class CheckStake:
    """Ask the chain about a peer's stake; the answer is an input."""

    peer: bytes
    stake: Outpoint


@frozen
class Broadcast:
    """Send a version of a payout to the chain, then ask which of all versions it has."""

    event: bytes
    txid: bytes
    raw: bytes = field(repr=False)
    txids: tuple[bytes, ...]


@frozen
class LookUp:
    """Ask the chain where a payout stands: which of its versions it has. The answer is an input."""

    event: bytes
    txids: tuple[bytes, ...]


@frozen
class Watch:
    """Follow the custody address of a key."""

    public_key: bytes


@frozen
class Reindex:
    """The chain's index does not fit the news: forget it and scan the chain again."""


@frozen
class EraseShare:
    """Erase the file of a share that signs nothing any more."""

    key_id: bytes
    epoch: int
    public_key: bytes


@frozen
class LearnEndpoints:
    """A peer has told where others listen, and at which address it sees this node."""

    peer: bytes
    endpoints: tuple[str, ...]
    seen: str = ""


@frozen
class PassOn:
    """Pass a frame that another node signed on to these peers, as it is."""

    frame: bytes = field(repr=False)
    to: tuple[bytes, ...]


Request = (
    Note | CheckStake | Broadcast | LookUp | Watch | Reindex | EraseShare | LearnEndpoints | PassOn
)
"""What a core asks of its shell that is neither a write nor a send."""


@define
class Effects:
    """What the shell must do, in this order: writes, trace, sends, requests."""

    writes: list[Write] = field(factory=list)
    sends: list[Send] = field(factory=list)
    requests: list[Request] = field(factory=list)
    trace: list[dict[str, Any]] = field(factory=list, repr=False)
