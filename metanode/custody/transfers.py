"""What a deposit asks for: a release, a refund, or nothing that can be done."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from metanode.custody.policy import CustodyPolicy
from metanode.custody.scripts import MAX_MEMO_BYTES, is_payable, key_script, script_of_address
from metanode.custody.types import Deposit, Outpoint, Snapshot
from metanode.errors import UserError
from metanode.hashing import tagged_hash

MEMO_PREFIX = b"pay:"


@frozen
class Transfer:
    """A deposit and where its money goes; ``reason`` says why it is a refund, else it is ""."""

    kind: Literal["release", "refund"]
    deposit: Deposit
    script: bytes
    reason: str = ""

    @property
    def id(self) -> bytes:
        """Return the 32-byte id of the transfer, a function of the deposit's outpoint alone."""
        return transfer_id(self.deposit.outpoint)


@frozen
class Declined:
    """A deposit that moves nothing: ``ignored`` is dust, ``held`` waits for the operators."""

    kind: Literal["ignored", "held"]
    deposit: Deposit
    reason: str


def transfer_id(outpoint: Outpoint) -> bytes:
    """Return the id of the transfer that a deposit starts: 32 bytes."""
    return tagged_hash("transfer", outpoint.encode())


def classify(
    deposit: Deposit, policy: CustodyPolicy, hrp: str, public_key: bytes
) -> Transfer | Declined:
    """Decide what a deposit asks for; a pure function, so that all members decide the same.

    The memo ``pay:<address>`` of this chain releases to that address. Any other memo, or
    none, refunds to the script that the deposit came from. Too little to pay for its own
    transaction is ignored; a refund that no standard output can carry is held. ``public_key`` is
    the custody's (33 bytes).
    """
    home = key_script(public_key)
    if deposit.amount < policy.minimum_deposit:
        reason = f"{deposit.amount} is below the minimum deposit of {policy.minimum_deposit}"
        return Declined("ignored", deposit, reason)
    try:
        script = _script_of_memo(deposit.memo, hrp)
        if script == home:
            raise UserError("the memo names the custody address itself")
        return Transfer("release", deposit, script)
    except UserError as fault:
        bad_memo = str(fault)
    refund_script = deposit.refund_script
    if refund_script is None or not is_payable(refund_script) or refund_script == home:
        return Declined("held", deposit, f"{bad_memo}; and there is no script to refund to")
    return Transfer("refund", deposit, refund_script, bad_memo)


def classify_all(
    snapshot: Snapshot, policy: CustodyPolicy, hrp: str, public_key: bytes
) -> tuple[tuple[Transfer, ...], tuple[Declined, ...]]:
    """Classify every deposit of a snapshot: (payable transfers in order, the declined ones)."""
    verdicts = [classify(d, policy, hrp, public_key) for d in snapshot.deposits]
    transfers = tuple(v for v in verdicts if isinstance(v, Transfer))
    return transfers, tuple(v for v in verdicts if isinstance(v, Declined))


def _script_of_memo(memo: bytes | None, hrp: str) -> bytes:
    """Return the script that a memo names; :class:`UserError` says what is wrong with it."""
    if memo is None:
        raise UserError("the deposit has no memo")
    if len(memo) > MAX_MEMO_BYTES:
        raise UserError(f"the memo is longer than {MAX_MEMO_BYTES} bytes")
    if not memo.startswith(MEMO_PREFIX) or not memo.isascii():
        raise UserError("the memo is not pay:<address>")
    return script_of_address(memo[len(MEMO_PREFIX) :].decode("ascii"), hrp)
