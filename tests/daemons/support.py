"""A chain under test: a process, coins to spend, and the adapter as a node would use it.

Everything here works alike on the embedded chain and on a real daemon: transactions are signed
here, and the process mines, reorganises and answers.
"""

from __future__ import annotations

import hmac
import itertools
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from coincurve import PrivateKey

from metanode.chains.base import DEVNET, ChainUpdate
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.rpc import RpcClient
from metanode.custody.scripts import address_of, data_script, witness_script
from metanode.custody.types import BlockSummary, Deposit, Outpoint
from metanode.devnet.daemon import MATURE_BLOCKS, WALLET, Daemon, Server
from metanode.devnet.faucet import FAUCET_SCRIPT
from tests.daemons.coins import FEE, Coin, Kind, script_of, signed
from tests.support import key_of

COIN = 100_000_000
PURSE = key_of("purse")
AMOUNT = 2_000_000  # of a deposit or stake
PURSE_AMOUNT = 10_000_000  # of each coin in the purse
PURSE_COINS = 120  # made at once
LITECOIN_REGTEST = "530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9"
STEADY = ("steady", "the same after each start")  # accepted beside the cookie
RPCAUTH = f"{STEADY[0]}:salt${hmac.digest(b'salt', STEADY[1].encode(), 'sha256').hex()}"
MEMO = b"what the depositor says"
BULK_OUTPUTS, BULK_FEE = 1_400, 70_000  # of the transactions that fill a mempool
_ROUND = itertools.count()


class Embedded(Server):
    """The embedded chain as a process; its credentials stand in a file like a daemon's cookie."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.cookie = directory / "cookie"
        self.change_password()

    def change_password(self) -> None:
        """Write another password; it counts from the next start on."""
        self.cookie.touch(mode=0o600)
        self.cookie.write_text(f"__cookie__:{next(_ROUND):064x}", encoding="utf-8")

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "metanode", "chain", "--data", str(self.directory / "blocks"),
            "--listen", f"127.0.0.1:{self.port}", "--interval", "0",
            "--auth-file", str(self.cookie),
        ]

    def credentials(self) -> tuple[str, str]:
        user, _, password = self.cookie.read_text(encoding="utf-8").partition(":")
        return user, password


@define
class Chain:
    """A server with coins in a purse."""

    server: Embedded | Daemon
    hrp: str
    purse: list[Coin] = field(factory=list)

    @classmethod
    def begin(cls, server: Embedded | Daemon) -> Chain:
        """Start a server, found its chain and fill the purse."""
        server.start()
        is_litecoin = server.call("getblockhash", 0) == LITECOIN_REGTEST
        chain = cls(server, "rltc" if is_litecoin else "bcrt")
        if isinstance(server, Daemon):
            server.prepare(mweb=server.program.family == "litecoin")
        else:  # the first blocks pay best
            faucet = address_of(FAUCET_SCRIPT, chain.hrp)
            server.call("generatetoaddress", MATURE_BLOCKS + 9, faucet)
        chain.fill_purse()
        return chain

    @property
    def is_real(self) -> bool:
        """Return whether this is a real daemon and not the embedded chain."""
        return isinstance(self.server, Daemon)

    @property
    def has_mweb(self) -> bool:
        """Return whether MWEB is active."""
        return isinstance(self.server, Daemon) and self.server.program.family == "litecoin"

    def call(self, method: str, *params: Any) -> Any:
        """Call the server, past the adapter."""
        return self.server.call(method, *params)

    def restart(self, *, kill: bool = True, flushed: bool = True) -> None:
        """End the server and start it anew; unflushed, a real daemon forgets its last blocks."""
        if flushed:
            self.flush()
        if kill:
            self.server.kill()
        else:
            self.server.stop()
        self.server.start()

    def flush(self) -> None:
        """Make the server keep what it has."""
        if isinstance(self.server, Daemon):
            self.server.flush()

    # --- blocks -----------------------------------------------------------------------------------

    def address(self, key: PrivateKey) -> str:
        """Return a key's segwit address on this chain."""
        return address_of(script_of(key), self.hrp)

    def mine(self, count: int = 1, key: PrivateKey | None = None) -> list[bytes]:
        """Mine blocks with what the mempool holds; return their hashes.

        Each time to another key: a block like one that was set aside would be refused.
        """
        address = self.address(key or key_of(f"miner {next(_ROUND)}"))
        hashes = self.call("generatetoaddress", count, address)
        self.wait_for_index()
        return [bytes.fromhex(block_hash) for block_hash in hashes]

    def wait_for_index(self) -> None:
        """Wait until a real daemon, which indexes transactions beside its blocks, has caught up."""
        while self.is_real and self.call("getindexinfo", "txindex").get("txindex", {}).get(
            "best_block_height", self.height()
        ) < self.height():
            time.sleep(0.005)

    def height(self) -> int:
        """Return the height of the tip."""
        return int(self.call("getblockcount"))

    def set_aside(self, block_hash: bytes) -> None:
        """Take a block and those after it off the active chain."""
        self.call("invalidateblock", block_hash.hex())

    def take_back(self, block_hash: bytes) -> None:
        """Undo :meth:`set_aside`."""
        self.call("reconsiderblock", block_hash.hex())

    def send_bulk(self, fee: int) -> None:
        """Put a large transaction into the mempool: a sixteenth of a block."""
        coin = self.coin()
        each = (coin.amount - fee) // BULK_OUTPUTS
        self.send(signed([coin], [(each, witness_script(0, bytes(32)))] * BULK_OUTPUTS)[0])

    @contextmanager
    def full_mempool(self) -> Iterator[None]:
        """Have a mempool that takes cheap transactions no more; afterwards it is empty."""
        if self.is_real:
            fee = BULK_FEE
            while not self.call("getmempoolinfo")["mempoolminfee"] * COIN > 1000:
                self.send_bulk(fee)
                fee += BULK_FEE // 10  # the cheapest is evicted, never the one that comes
        else:
            self.call("devnet_mempoolminfee", Decimal("0.00005"))
        try:
            yield
        finally:
            self.restart()  # killed: a daemon that is stopped keeps its mempool

    # --- money ------------------------------------------------------------------------------------

    def fill_purse(self) -> None:
        """Take money of the wallet or the faucet, and split it into coins of ``PURSE_AMOUNT``."""
        total = PURSE_COINS * PURSE_AMOUNT + BULK_FEE
        coins = Decimal(total).scaleb(-8)
        if isinstance(self.server, Daemon):
            self.server.open_wallet()
            txid = self.server.call("sendtoaddress", self.address(PURSE), coins, wallet=WALLET)
        else:
            txid = self.call("devnet_faucet", self.address(PURSE), coins)["txid"]
        made = self.call("getrawtransaction", txid, True)["vout"]
        place = next(o["n"] for o in made if o["scriptPubKey"]["hex"] == script_of(PURSE).hex())
        coin = Coin(Outpoint(bytes.fromhex(txid), place), total, PURSE)
        raw, split = signed([coin], [(PURSE_AMOUNT, script_of(PURSE))] * PURSE_COINS)
        self.send(raw)
        self.mine()
        self.flush()
        self.purse += [Coin(Outpoint(split, n), PURSE_AMOUNT, PURSE) for n in range(PURSE_COINS)]

    def stock(self, coins: int) -> None:
        """Fill the purse until it has so many coins: no block is mined for one while they last."""
        while len(self.purse) < coins:
            self.fill_purse()

    def coin(self, key: PrivateKey = PURSE, kind: Kind = "p2wpkh") -> Coin:
        """Return a fresh confirmed coin; for another key or kind than the purse's, mine a block."""
        if not self.purse:
            self.fill_purse()
        coin = self.purse.pop()
        if key is PURSE and kind == "p2wpkh":
            return coin
        raw, txid = signed([coin], [(coin.amount - FEE, script_of(key, kind))])
        self.send(raw)
        self.mine()
        return Coin(Outpoint(txid, 0), coin.amount - FEE, key, kind)

    def send(self, raw: bytes) -> None:
        """Put a transaction into the mempool; the test is wrong when that fails."""
        self.call("sendrawtransaction", raw.hex())

    def pay(self, script: bytes, amount: int = AMOUNT, *extra: tuple[int, bytes]) -> Outpoint:
        """Pay a script out of the purse, unconfirmed."""
        coin = self.coin()
        change = coin.amount - amount - FEE
        raw, txid = signed([coin], [(amount, script), *extra, (change, script_of(PURSE))])
        self.send(raw)
        return Outpoint(txid, 0)

    def deposit(self, custody: PrivateKey, memo: bytes = MEMO, amount: int = AMOUNT) -> Outpoint:
        """Send a deposit with a memo out of the purse, unconfirmed."""
        return self.pay(script_of(custody), amount, (0, data_script(memo)))


# --- the adapter ----------------------------------------------------------------------------------
# The only lines here that name the client's and the adapter's constructors, and the shapes of what
# the adapter tells: a change of those is made here once.


@asynccontextmanager
async def connected(
    chain: Chain, url: str | None = None, *, timeout_s: float = 20.0
) -> AsyncIterator[RpcClient]:
    """Open a client as a node does, at another address when a proxy stands between."""
    credentials = STEADY if chain.is_real else chain.server.credentials()
    async with RpcClient(url or chain.server.url, credentials, timeout_s=timeout_s) as rpc:
        yield rpc


def adapter_of(chain: Chain, rpc: RpcClient, /, **changes: Any) -> BitcoinAdapter:
    """Return an adapter for a chain, with parameters that suit short tests."""
    parameters = evolve(
        DEVNET, name="regtest", hrp=chain.hrp, final_confirmations=3, reorg_window_blocks=100
    )
    return BitcoinAdapter(rpc, evolve(parameters, **changes))


@asynccontextmanager
async def adapter(chain: Chain, /, **changes: Any) -> AsyncIterator[BitcoinAdapter]:
    """Open a client and an adapter on it."""
    async with connected(chain) as rpc:
        yield adapter_of(chain, rpc, **changes)


@asynccontextmanager
async def watching(
    chain: Chain, custody: PrivateKey, **changes: Any
) -> AsyncIterator[BitcoinAdapter]:
    """Open an adapter that watches a custody key from the next block on."""
    async with adapter(chain, **changes) as watcher:
        watcher.watch(custody.public_key.format(), chain.height() + 1)
        yield watcher


async def sent(watcher: BitcoinAdapter, raw: bytes, txid: bytes) -> str:
    """Broadcast a transaction; return what became of it."""
    return (await watcher.broadcast(raw, txid)).result


async def refusal(watcher: BitcoinAdapter, raw: bytes, txid: bytes) -> str:
    """Broadcast a transaction that is refused; return the daemon's reason."""
    return (await watcher.broadcast(raw, txid)).reason


def spendable_from(deposit: Deposit) -> int:
    """Return the height of the first block that may spend a deposit."""
    return max(deposit.matures, deposit.height + 1)


async def caught_up(watcher: BitcoinAdapter) -> ChainUpdate:
    """Poll until nothing is waiting; return all that came and went as one update."""
    gone: list[bytes] = []
    came: list[BlockSummary] = []
    while True:
        update = await watcher.poll()
        gone += update.disconnected
        came += update.connected
        if update.caught_up:
            return ChainUpdate(tuple(gone), tuple(came), True)


def deposits_in(blocks: Sequence[BlockSummary]) -> list[Outpoint]:
    """Return the deposits of blocks, in order."""
    return [deposit.outpoint for block in blocks for deposit in block.deposits]
