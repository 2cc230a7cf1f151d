"""What a node needs from any chain: the adapter interface and its results.

An adapter does input and output only. What follows from what it reports is decided in
``metanode.custody``, which is pure. Transaction and block ids are 32 bytes in display order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from attrs import field, frozen
from attrs.validators import ge, instance_of

from metanode.custody.types import BlockSummary, Outpoint
from metanode.errors import Unavailable
from spec.chains import CHAINS, Chain, family

StakeReason = Literal["ok", "spent", "short", "young", "foreign", "unconfirmed"]
BroadcastResult = Literal["sent", "known", "conflict", "rejected"]
TxState = Literal["unknown", "pending", "included", "final", "replaced"]


class TooDeep(Unavailable):
    """More blocks left the chain than the adapter remembers: watch again, with an older cursor."""


@frozen(kw_only=True)
class ChainParameters:
    """What tells one chain of the Bitcoin family from another.

    ``chain`` is its name in :mod:`spec.chains`; "" stands for any chain with the prefix ``hrp``.
    ``final_confirmations`` is the depth at which a transaction counts as final, and
    ``stake_confirmations`` the depth from which a stake is looked at. ``blocks_per_poll`` bounds
    the work of one poll, ``reorg_window_blocks`` the memory for reorganisations.
    """

    name: str
    hrp: str
    chain: str = ""
    final_confirmations: int = field(default=6, validator=[instance_of(int), ge(1)])
    stake_confirmations: int = field(default=1, validator=[instance_of(int), ge(1)])
    blocks_per_poll: int = field(default=50, validator=[instance_of(int), ge(1)])
    reorg_window_blocks: int = field(default=1000, validator=[instance_of(int), ge(2)])

    def chains(self) -> tuple[Chain, ...]:
        """Return the chains that a daemon may follow; none when the prefix is not known."""
        return (CHAINS[self.chain],) if self.chain else family(self.hrp).chains


DEVNET = ChainParameters(name="devnet", hrp="bcrt", final_confirmations=2)


@frozen
class ChainUpdate:
    """What changed since the last poll: first undo ``disconnected``, then apply ``connected``.

    ``disconnected`` are block ids, the newest first; ``connected`` blocks in order. ``caught_up``
    is False while more blocks are waiting: poll again at once. ``fee_floor`` is the least fee rate
    that the daemon takes now, in base units a vB, rounded up.
    """

    disconnected: tuple[bytes, ...]
    connected: tuple[BlockSummary, ...]
    caught_up: bool
    fee_floor: int = 0


@frozen
class Cursor:
    """Where an adapter stands: the blocks behind it, the oldest first, and the custody coins made
    in them or before. Coins that were spent before the first of these blocks may be missing.
    ``stakes`` are those that are followed.
    """

    blocks: Sequence[BlockSummary] = ()
    coins: Iterable[Outpoint] = ()
    stakes: Iterable[Outpoint] = ()


@frozen
class StakeVerdict:
    """Whether an output is a valid stake, and if not, why.

    ``spent``: it does not exist, or is spent, if only in the mempool. ``unconfirmed``: too few
    confirmations. ``foreign``: not P2WPKH of the owner's key. ``short``: too little. ``young``:
    moved too recently. ``height`` and ``since`` (unix seconds) are those of its block, for a valid
    stake; the height is the owner's seniority.
    """

    ok: bool
    reason: StakeReason
    amount: int = 0
    age_s: int = 0
    height: int = 0
    since: int = 0


@frozen
class Broadcasted:
    """What became of a transaction that was sent; ``reason`` is why a daemon refused it."""

    result: BroadcastResult
    reason: str = ""


@frozen
class TxStatus:
    """Where a transaction stands. ``height`` is that of its block, None while it has none."""

    state: TxState
    confirmations: int = 0
    height: int | None = None


class ChainAdapter(Protocol):
    """One chain, as a node uses it. Every method raises ``Unavailable`` when the daemon is away."""

    @property
    def parameters(self) -> ChainParameters:
        """Return the chain's parameters."""

    def watch(
        self, public_key: bytes, birth_height: int, cursor: Cursor | None = None
    ) -> None:
        """Watch the custody address of a key (33 bytes) from ``birth_height`` on, and nothing else.

        For the fee rate at the key's birth, start at ``CustodyPolicy.index_start`` of that height.
        With a ``cursor``, the next poll tells what came and went since it stood there.
        """

    async def genesis(self) -> bytes:
        """Return the id of the chain's first block, which tells it from other chains."""

    async def height_before(self, time: int) -> int:
        """Return a height below all blocks that were mined at a time (unix seconds) or later."""

    async def check_daemon(self) -> None:
        """Raise ``Unavailable`` unless the daemon follows the right chain and has caught up."""

    async def tip(self) -> tuple[int, bytes]:
        """Return height and id of the newest block."""

    async def poll(self) -> ChainUpdate:
        """Return the blocks that came and went; a failed or cancelled poll loses nothing.

        Raises :class:`TooDeep` when more blocks went than the adapter remembers.
        """

    async def mempool_deposits(self) -> tuple[Outpoint, ...]:
        """Return the unconfirmed deposits that are in the mempool now."""

    async def check_stake(
        self, outpoint: Outpoint, owner_node_id: bytes, minimum: int, min_age_s: int
    ) -> StakeVerdict:
        """Judge a stake by chain data alone, so that nodes with the same tip agree.

        One that is good is followed: blocks tell from then on when it is spent.
        """

    async def broadcast(self, raw: bytes, txid: bytes) -> Broadcasted:
        """Send a transaction; the result is what the chain shows, not what the daemon replied."""

    async def lookup(self, txid: bytes, inputs: Sequence[Outpoint] = ()) -> TxStatus:
        """Find a transaction; given its ``inputs``, one that cannot be mined is ``replaced``."""
