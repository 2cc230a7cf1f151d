"""What a node brings with it from its store when it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from metanode.protocol.blame.book import Ban, BlameList
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.peers.block_list import Block
from metanode.protocol.requests.request import Request
from spec import messages as m
from spec.language.interpreter import Index, Value
from spec.night_messages import Attendance


@frozen(kw_only=True)
class Restored:
    """Cells by name, and what was stored beside them.

    ``keys`` are what key generations made, ``epochs`` what regroups made, with the shares that are
    not erased.
    """

    cells: Mapping[str, Mapping[Index, Value]] = field(factory=dict)
    keys: Sequence[KeyEpoch] = ()
    epochs: Sequence[KeyEpoch] = ()
    announcement: m.KeyLocked | None = None
    locks: Sequence[m.LockedCandidate] = ()
    signatures: Sequence[m.SignatureFound] = ()
    blocks: Mapping[bytes, Block] = field(factory=dict)
    requests: Sequence[Request] = ()
    blames: Mapping[bytes, BlameList] = field(factory=dict)
    bans: Mapping[bytes, Ban] = field(factory=dict)
    attested: Mapping[int, Attendance] = field(factory=dict)
