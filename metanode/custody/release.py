"""Releases: the way out for coins that no payout takes, built at the word of the operators.

Which deposits these are follows from what their transaction and that which it spends commit to, and
from the network's settings: a deposit that is held or ignored stays so at every node, whatever
happens to the chain, and no payout ever spends it. So a release never pays twice what a round pays.
Even if new rules made a deposit payable later, release and payout spend the same coin, and the
chain takes one of them.

The transaction is a pure function of coins, payee and fee rate: operators who name the same get the
same bytes, and so the same digests. Two releases of one coin have other digests, and both may be
signed: they spend the same coin as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from metanode.custody.policy import CustodyPolicy
from metanode.custody.scripts import key_script, script_of_address
from metanode.custody.transaction import Input, Output, UnsignedTransaction, virtual_size
from metanode.custody.types import Deposit
from metanode.errors import UserError

MAX_RELEASED = 32
"""Coins of one release: each is a request of its own, and a node tries only so many at once."""


@frozen
class Release:
    """A transaction from deposits that nobody else spends to one payee, and what it costs."""

    transaction: UnsignedTransaction
    public_key: bytes
    fee_rate: int

    @property
    def txid(self) -> bytes:
        """Return the id of the transaction in display order."""
        return self.transaction.txid

    @property
    def paid(self) -> int:
        """Return what the payee receives."""
        return self.transaction.outputs[0].amount

    @property
    def digests(self) -> tuple[bytes, ...]:
        """Return what has to be signed, one digest (32 bytes) an input."""
        return self.transaction.sighashes(self.public_key)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what the operators read of each request, the same at every node."""
        count = len(self.transaction.inputs)
        about = f"{LABEL}{self.paid} in {self.txid.hex()[:16]}"
        return tuple(f"{about} input {number}/{count}" for number in range(1, count + 1))

    def sign(self, signatures: Sequence[bytes]) -> bytes:
        """Return the signed bytes; ``signatures`` are r and s, 64 bytes, one an input in order."""
        pairs = [(int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big"))
                 for rs in signatures]
        return self.transaction.sign(self.public_key, pairs)


LABEL = "release "
"""How the label of a release begins; a node gives it to no other request."""


def build_release(
    deposits: Sequence[Deposit], address: str, fee_rate: int, policy: CustodyPolicy, *,
    hrp: str, public_key: bytes,
) -> Release:
    """Build the transaction that pays ``deposits``, less the fee, to an address.

    The order of the deposits does not matter. Raises :class:`UserError` when the payee is none, the
    fee rate (sat/vB) is out of bounds, or too little is left.
    """
    script = script_of_address(address, hrp)
    if script == key_script(public_key):
        raise UserError(f"{address} is the custody's own address: name one that pays somebody")
    if not policy.fee_rate_floor <= fee_rate <= policy.fee_rate_cap:
        raise UserError(
            f"a fee rate of {fee_rate} is out of bounds: use one from {policy.fee_rate_floor} to "
            f"{policy.fee_rate_cap}"
        )
    inputs = sorted(
        (Input(deposit.outpoint, deposit.amount) for deposit in deposits),
        key=lambda spent: spent.outpoint,
    )
    fee = fee_rate * virtual_size(len(inputs), [script])
    amount, least = sum(spent.amount for spent in inputs), policy.dust_limit(script)
    if amount - fee < least:
        raise UserError(
            f"{amount} less a fee of {fee} is too little, since daemons relay no less than {least} "
            "to this address: release more coins in one transaction"
        )
    outputs = (Output(amount - fee, script),)
    return Release(UnsignedTransaction(tuple(inputs), outputs), public_key, fee_rate)
