"""Payments from the coins of one key: what a node's operator withdraws, and what users pay.

A node's stake and rewards are P2WPKH coins of its identity's key, which no other member needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from metanode.custody.policy import CustodyPolicy
from metanode.custody.scripts import key_script, script_of_address
from metanode.custody.transaction import Input, Output, UnsignedTransaction, virtual_size
from metanode.custody.types import Outpoint
from metanode.errors import UserError


def cover(
    coins: Iterable[Input], outputs: Sequence[Output], change: bytes, fee_rate: int,
    smallest_change: int,
) -> UnsignedTransaction | None:
    """Return what pays ``outputs``, in order, from the first coins that suffice, or None.

    What is left comes back last, to the script ``change``, unless it is too small. The fee rate is
    in base units a vB.
    """
    wanted = sum(output.amount for output in outputs)
    scripts = [*(output.script for output in outputs), change]
    inputs: list[Input] = []
    for coin in coins:
        inputs.append(coin)
        fee = fee_rate * virtual_size(len(inputs), scripts)
        rest = sum(spent.amount for spent in inputs) - wanted - fee
        if rest >= 0:
            back = [Output(rest, change)] if rest >= smallest_change else []
            return UnsignedTransaction(tuple(inputs), (*outputs, *back))
    return None


@frozen
class Withdrawal:
    """A payment from a node's own coins to one address, and what it costs."""

    transaction: UnsignedTransaction
    public_key: bytes

    @property
    def txid(self) -> bytes:
        """Return the id of the transaction in display order."""
        return self.transaction.txid

    @property
    def paid(self) -> int:
        """Return what the payee receives."""
        return self.transaction.outputs[0].amount

    @property
    def change(self) -> int:
        """Return what comes back to the node's own address."""
        return sum(output.amount for output in self.transaction.outputs[1:])

    @property
    def coins(self) -> tuple[Outpoint, ...]:
        """Return what is spent."""
        return tuple(spent.outpoint for spent in self.transaction.inputs)

    @property
    def digests(self) -> tuple[bytes, ...]:
        """Return what has to be signed, one digest (32 bytes) an input."""
        return self.transaction.sighashes(self.public_key)

    def sign(self, signatures: Sequence[tuple[int, int]]) -> bytes:
        """Return the signed bytes; ``signatures`` are (r, s), one an input in order."""
        return self.transaction.sign(self.public_key, signatures)


def build_withdrawal(
    coins: Sequence[tuple[Outpoint, int]], address: str, amount: int | None, fee_rate: int,
    policy: CustodyPolicy, *, hrp: str, public_key: bytes,
) -> Withdrawal:
    """Build the payment of ``amount`` base units, or of all coins less the fee, to an address.

    Larger coins are spent first. Raises UserError when the payee is none, the fee rate is out of
    bounds, or the coins do not suffice.
    """
    script, home = script_of_address(address, hrp), key_script(public_key)
    if script == home:
        raise UserError(f"{address} is this node's own address: name one that pays somebody")
    if not policy.fee_rate_floor <= fee_rate <= policy.fee_rate_cap:
        raise UserError(
            f"a fee rate of {fee_rate} is out of bounds: use one from {policy.fee_rate_floor} to "
            f"{policy.fee_rate_cap}"
        )
    inputs = [
        Input(outpoint, value)
        for outpoint, value in sorted(coins, key=lambda coin: (-coin[1], coin[0]))
    ]
    if not inputs:
        raise UserError("there is no coin to withdraw: `wallet balance` shows what there is")
    total, least = sum(coin.amount for coin in inputs), policy.dust_limit(script)
    if amount is None:
        rest = total - fee_rate * virtual_size(len(inputs), [script])
        if rest < least:
            raise UserError(f"{total} less the fee is too little: wait for more coins")
        transaction = UnsignedTransaction(tuple(inputs), (Output(rest, script),))
        return Withdrawal(transaction, public_key)
    if amount < least:
        raise UserError(f"daemons relay no less than {least} to this address: withdraw more")
    found = cover(inputs, [Output(amount, script)], home, fee_rate, policy.dust_limit(home))
    if found is None:
        raise UserError(f"the coins hold {total}, less than {amount} and the fee: withdraw less")
    return Withdrawal(found, public_key)
