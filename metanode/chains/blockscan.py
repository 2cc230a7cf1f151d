"""Find deposits, change and spends of one script in a block as the daemon tells it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from attrs import evolve, frozen

from metanode.chains.replies import Block, Transaction
from metanode.custody.scripts import key_script, memo_of
from metanode.custody.types import BlockSummary, Coin, Deposit, Outpoint, Spend
from spec.parameters import COINBASE_MATURITY_BLOCKS, PEGOUT_MATURITY_BLOCKS

_NO_PARENT = bytes(32)
_HEADER_BYTES = 80
_VERSION_BYTES = 4
_TIME_AT = 4 + 32 + 32  # in a header, after version, parent and root
_WITNESS_COMMITMENT = bytes.fromhex("aa21a9ed")
_MWEB_HEADER = bytes([0x58, 32])  # OP_8 and 32 bytes: the first output of Litecoin's HogEx


@frozen
class Source:
    """Where a deposit came from: what its first input spent, and that one's script if it is told.
    """

    outpoint: Outpoint
    script: bytes | None


def is_header_of(raw: bytes, block_hash: bytes) -> bool:
    """Return whether a serialised block has the header that an id stands for."""
    header = raw[:_HEADER_BYTES]
    return hashlib.sha256(hashlib.sha256(header).digest()).digest() == block_hash[::-1]


def may_concern(raw: bytes, public_key: bytes, stakes: Collection[Outpoint] = ()) -> bool:
    """Return False only when a serialised block has nothing to do with a key, nor with stakes.

    What pays the key holds its script, and what spends its coins shows the public key in a witness.
    A block that commits to witnesses, and whose first transaction comes without, was robbed of all.
    An input holds the id of the transaction that it spends.
    """
    # The number of transactions is written in 1, 3, 5 or 9 bytes, as its first byte says.
    counted = {0xFD: 3, 0xFE: 5, 0xFF: 9}.get(raw[_HEADER_BYTES], 1)
    marker = _HEADER_BYTES + counted + _VERSION_BYTES
    has_witness = raw[marker:marker + 1] == bytes(1)  # where else its number of inputs stands
    is_robbed = not has_witness and _WITNESS_COMMITMENT in raw
    if is_robbed or key_script(public_key) in raw or public_key in raw:
        return True
    return any(stake.txid[::-1] in raw for stake in stakes)


def time_of(raw: bytes) -> int:
    """Return the time (unix seconds) in a serialised block's header."""
    return int.from_bytes(raw[_TIME_AT:_TIME_AT + 4], "little")


def empty_summary(height: int, block_hash: bytes, raw: bytes, fee_rate: int) -> BlockSummary:
    """Return the summary of a serialised block that has nothing to do with us."""
    return BlockSummary(
        height=height, hash=block_hash, parent=raw[4:36][::-1], fee_rate=fee_rate,
        deposits=(), change=(), spends=(), time=time_of(raw),
    )


def scan_block(
    block: Block, fee_rate: int, script: bytes, coins: set[Outpoint],
    stakes: Collection[Outpoint] = (),
) -> tuple[BlockSummary, dict[Outpoint, Source]]:
    """Return the summary of a block, and for each deposit where it came from.

    ``coins`` are the custody coins made before this block, ``stakes`` those that are followed. An
    output to ``script`` is change when its transaction spends a custody coin, else a deposit. The
    deposits' refund scripts are still None: they are those of the returned sources, which the
    caller looks up where they are not told (:func:`with_refunds`).
    """
    known = set(coins)
    deposits: list[Deposit] = []
    change: list[Coin] = []
    spends: list[Spend] = []
    moved: list[Outpoint] = []
    sources: dict[Outpoint, Source] = {}
    for position, transaction in enumerate(block.tx):
        txid, spent = transaction.txid, transaction.spent
        own = [outpoint for outpoint in spent if outpoint in known]
        spends.extend(Spend(outpoint, txid) for outpoint in own)
        moved.extend(outpoint for outpoint in spent if outpoint in stakes)
        for output in transaction.vout:
            if output.script != script:
                continue
            outpoint = Outpoint(txid, output.n)
            known.add(outpoint)
            if own:
                change.append(Coin(outpoint, output.value, block.height))
                continue
            deposits.append(Deposit(
                outpoint, output.value, block.height, block.hash, position,
                memo_in(transaction), None, block.height + maturity(transaction),
            ))
            if spent and not pegs_out(transaction):
                first = next(entry for entry in transaction.vin if entry.outpoint == spent[0])
                told = first.prevout
                sources[outpoint] = Source(spent[0], None if told is None else told.locking.hex)
    summary = BlockSummary(
        height=block.height, hash=block.hash, parent=block.previousblockhash or _NO_PARENT,
        fee_rate=fee_rate, deposits=tuple(deposits), change=tuple(change), spends=tuple(spends),
        time=block.time, stakes=tuple(moved),
    )
    return summary, sources


def with_refunds(summary: BlockSummary, scripts: dict[Outpoint, bytes | None]) -> BlockSummary:
    """Return the summary with the refund script of each deposit filled in."""
    deposits = tuple(
        evolve(deposit, refund_script=scripts.get(deposit.outpoint)) for deposit in summary.deposits
    )
    return evolve(summary, deposits=deposits)


def maturity(transaction: Transaction) -> int:
    """Return after how many blocks an output may be spent: new coins and MWEB peg-outs must age."""
    if transaction.is_coinbase:
        return COINBASE_MATURITY_BLOCKS
    return PEGOUT_MATURITY_BLOCKS if pegs_out(transaction) else 0


def pegs_out(transaction: Transaction) -> bool:
    """Return whether this is Litecoin's integrating transaction: what it pays has no sender."""
    first = transaction.vout[0].script if transaction.vout else None
    return first is not None and first[:2] == _MWEB_HEADER


def memo_in(transaction: Transaction) -> bytes | None:
    """Return the data of the first OP_RETURN output, None when there is none.

    The witness commitment of a coinbase (BIP141) is no memo.
    """
    for output in transaction.vout:
        memo = None if output.script is None else memo_of(output.script)
        commits = transaction.is_coinbase and (memo or b"").startswith(_WITNESS_COMMITMENT)
        if memo is not None and not commits:
            return memo
    return None
