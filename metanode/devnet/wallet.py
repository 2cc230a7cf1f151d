"""A wallet of one P2WPKH key, for users of the demo and for tests. Members never use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from coincurve import PrivateKey

from metanode.chains.own_coins import coins_of_script
from metanode.chains.rpc import RpcClient
from metanode.custody.scripts import data_script, key_script
from metanode.custody.transaction import Input, Output, UnsignedTransaction
from metanode.custody.types import Outpoint
from metanode.custody.withdrawal import cover
from metanode.errors import UserError

FEE_RATE = 2  # sat/vB, above the minimum relay rate
SMALLEST_CHANGE = 3000  # base units, dust on none of the chains; less goes to the miner


def sign_with(key: PrivateKey, unsigned: UnsignedTransaction) -> bytes:
    """Sign every input with one key and return the bytes; every coin must be of that key."""
    public_key = key.public_key.format()
    signatures = []
    for digest in unsigned.sighashes(public_key):
        compact = key.sign_recoverable(digest, hasher=None)  # r (32), s (32), recovery id
        signatures.append((int.from_bytes(compact[:32]), int.from_bytes(compact[32:64])))
    return unsigned.sign(public_key, signatures)


def spend(
    key: PrivateKey, coins: Iterable[Input], outputs: Sequence[Output]
) -> UnsignedTransaction | None:
    """Return what pays ``outputs``, in order, from the first coins that suffice, or None.

    What is left comes back last, as change, unless it is too small.
    """
    home = key_script(key.public_key.format())
    return cover(coins, outputs, home, FEE_RATE, SMALLEST_CHANGE)


async def coins_of(rpc: RpcClient, script: bytes) -> list[Input]:
    """Return the confirmed coins of a script that nothing in the mempool spends, largest first."""
    return [
        Input(Outpoint(coin.txid, coin.vout), coin.amount)
        for coin in await coins_of_script(rpc, script)
    ]


async def pay(
    rpc: RpcClient, key: PrivateKey, payments: Sequence[tuple[bytes, int]],
    memo: bytes | None = None,
) -> bytes:
    """Send (script, amount) payments, in order, and an optional OP_RETURN; return the id.

    Raises :class:`UserError` when the confirmed coins of the key do not suffice, ``RpcError`` when
    the chain refuses the transaction.
    """
    home = key_script(key.public_key.format())
    outputs = [Output(amount, script) for script, amount in payments]
    if memo is not None:
        outputs.append(Output(0, data_script(memo)))
    unsigned = spend(key, await coins_of(rpc, home), outputs)
    if unsigned is None:
        wanted = sum(output.amount for output in outputs)
        raise UserError(
            f"the wallet's confirmed coins do not cover {wanted} and the fee: fund it first"
        )
    await rpc.call("sendrawtransaction", sign_with(key, unsigned).hex())
    return unsigned.txid


async def deposit(
    rpc: RpcClient, key: PrivateKey, to_script: bytes, amount: int, memo: bytes | None
) -> bytes:
    """Pay ``amount`` base units to ``to_script`` with a memo; return the id (display order)."""
    return await pay(rpc, key, [(to_script, amount)], memo)


async def faucet(rpc: RpcClient, address: str, amount: int) -> Outpoint:
    """Ask the embedded chain for ``amount`` base units; return the new, unconfirmed coin."""
    paid = await rpc.call("devnet_faucet", address, Decimal(amount).scaleb(-8))
    return Outpoint(bytes.fromhex(paid["txid"]), paid["vout"])
