"""A devnet on a free loopback port inside the test's own event loop, and shorthands for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
from attrs import frozen
from btclib.block import Block
from btclib.block.build import build_block, build_coinbase
from btclib.block.mining import mine
from btclib.tx import TxOut
from coincurve import PrivateKey

from metanode.chains.base import DEVNET
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.rpc import Daemon, RpcClient
from metanode.custody.scripts import address_of, data_script, key_script
from metanode.custody.transaction import Input, Output, UnsignedTransaction
from metanode.custody.types import Outpoint
from metanode.devnet import wallet
from metanode.devnet.chain import BLOCK_VERSION, HALVING_INTERVAL, POW_LIMIT_BITS
from metanode.devnet.faucet import FAUCET_SCRIPT, found_blocks
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.server import DevnetSettings, serve_ledger
from metanode.devnet.validation import parse_transaction
from tests.devnet.founding import founded

NOW = 1_800_000_000  # every test's clock starts here
COIN = 100_000_000


def public(key: PrivateKey) -> bytes:
    """Return the compressed public key."""
    return key.public_key.format()


def script_of(key: PrivateKey) -> bytes:
    """Return the P2WPKH script of a key."""
    return key_script(public(key))


def address(key: PrivateKey) -> str:
    """Return the devnet address of a key."""
    return address_of(script_of(key), "bcrt")


def founded_ledger(
    stakes: tuple[tuple[bytes, int], ...] = (), directory: Path | None = None
) -> tuple[DevnetLedger, tuple[Outpoint, ...]]:
    """Return a chain of 125 blocks whose stakes are 73 h old, and the stakes."""
    if directory is None:
        return founded(lambda: NOW, stakes, NOW)
    ledger = DevnetLedger(lambda: NOW, directory)
    return ledger, found_blocks(ledger, stakes, NOW)


def spend(
    key: PrivateKey, coins: list[tuple[Outpoint, int]], payments: list[tuple[int, bytes]]
) -> tuple[bytes, bytes]:
    """Return (raw, txid) of a signed transaction from coins of one key."""
    unsigned = UnsignedTransaction(
        tuple(Input(outpoint, amount) for outpoint, amount in coins),
        tuple(Output(amount, script) for amount, script in payments),
    )
    return wallet.sign_with(key, unsigned), unsigned.txid


def one_by_one(rpc: RpcClient) -> None:
    """Have a client make each call of a batch by itself: through ``call``, which a test replaces.
    """
    rpc.batch = partial(Daemon.batch, rpc)  # type: ignore[method-assign]


@frozen
class Devnet:
    """A served chain: its ledger for set-up, the client and the adapter under test."""

    ledger: DevnetLedger
    stakes: tuple[Outpoint, ...]
    rpc: RpcClient
    adapter: BitcoinAdapter

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            self.ledger.mine(FAUCET_SCRIPT)

    def mine_by_hand(self, raw: bytes) -> None:
        """Mine a block with one transaction that no mempool need have taken."""
        tree = self.ledger.tree
        block = tree.build([parse_transaction(raw.hex())], 0, FAUCET_SCRIPT, self.ledger.now())
        tree.connect(tree.add(block), lambda _: False)

    def mine_with_memo(self, script: bytes, memo: bytes) -> None:
        """Mine a block that pays its reward to a script, with a memo as a miner can add it."""
        tree = self.ledger.tree
        coinbase = build_coinbase(tree.tip.height + 1, script, halving_interval=HALVING_INTERVAL)
        coinbase.vout.append(TxOut(0, data_script(memo)))
        time = datetime.fromtimestamp(tree.tip.time + 1, UTC)
        block = build_block(tree.tip.hash, [coinbase], time, POW_LIMIT_BITS, version=BLOCK_VERSION)
        header = mine(block.header)
        assert header is not None
        solved = Block(header, block.transactions, check_validity=False)
        tree.connect(tree.add(solved.serialize(check_validity=False)), lambda _: False)

    async def fund(self, key: PrivateKey, amount: int) -> Outpoint:
        """Give a key a confirmed coin."""
        outpoint = await wallet.faucet(self.rpc, address(key), amount)
        self.mine()
        return outpoint


@asynccontextmanager
async def devnet(
    stakes: tuple[tuple[bytes, int], ...] = (), blocks_per_poll: int = 50
) -> AsyncIterator[Devnet]:
    """Serve a founded chain that mines only on request."""
    ledger, outpoints = founded_ledger(stakes)
    settings = DevnetSettings(directory=None, block_interval_s=0, credentials=("user", "secret"))
    parameters = DEVNET.__class__(
        name="devnet",
        hrp="bcrt",
        final_confirmations=2,
        blocks_per_poll=blocks_per_poll,
        reorg_window_blocks=20,
    )
    async with anyio.create_task_group() as tasks:

        async def run(*, task_status: anyio.abc.TaskStatus[int]) -> None:
            await serve_ledger(ledger, settings, task_status=task_status)

        port = await tasks.start(run)
        async with RpcClient(f"http://127.0.0.1:{port}", ("user", "secret")) as rpc:
            yield Devnet(ledger, outpoints, rpc, BitcoinAdapter(rpc, parameters))
        tasks.cancel_scope.cancel()
