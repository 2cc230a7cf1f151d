"""A local network on a real daemon: litecoind with active MWEB, or bitcoind, on regtest.

The daemon stands in the directory of the network and writes a cookie file, which the nodes are told
of: no password is in any command line. A thread mines, as others do on a real chain.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import httpx
from attrs import define, field

from metanode.chains.json_decimal import base_units
from metanode.chains.rpc import RpcClient
from metanode.custody.scripts import address_of
from metanode.custody.types import Outpoint
from metanode.devnet.daemon import (
    MATURE_BLOCKS,
    MWEB_HEIGHT,
    WALLET,
    Daemon,
    DaemonError,
    Program,
)
from metanode.devnet.faucet import BLOCKS_OF_TODAY, FAUCET_SCRIPT, STAKE_AGE_S
from metanode.devnet.local_network import LocalNetwork
from metanode.errors import LocalFault
from spec.chains import CHAINS

Answer = TypeVar("Answer")


@define
class DaemonNetwork(LocalNetwork):
    """A network whose chain is a real daemon; ``program`` is which one."""

    program: Program = field(kw_only=True)
    _daemon: Daemon | None = None
    _still: threading.Event = field(factory=threading.Event)
    _turn: threading.Lock = field(factory=threading.Lock)
    _miner: threading.Thread | None = None

    @property
    def daemon(self) -> Daemon:
        """Return the daemon once it is prepared."""
        if self._daemon is None:
            raise LocalFault("the network is not prepared")
        return self._daemon

    def rpc(self) -> RpcClient:
        """Return a client that reads the daemon's cookie whenever it is refused."""
        return RpcClient(self.rpc_url, self.daemon.credentials)

    async def fund(self, rpc: RpcClient, address: str, amount: int) -> Outpoint:
        """Pay somebody out of the daemon's wallet; return the new, unconfirmed coin."""
        return await anyio.to_thread.run_sync(self._pay, address, amount)

    def at_rest(self, work: Callable[[], Answer]) -> Answer:
        """Do something to the daemon while nothing is mined."""
        with self._turn:
            return work()

    def stop(self) -> None:
        """End the nodes, the miner and the daemon."""
        super().stop()
        self._still.set()
        if self._miner is not None:
            self._miner.join()
        if self._daemon is not None:
            self._daemon.close()

    def _prepare_chain(self) -> None:
        directory = self.directory.resolve() / "chain"
        directory.mkdir()
        self._daemon = Daemon(self.program, directory)
        self.chain_name = f"{self.program.family}-regtest"
        self.rpc_url = self._daemon.url

    def _rpc_options(self) -> dict[str, object]:
        # Block 0 is spent by nobody, and litecoind has no statistics of it.
        return {"rpc_password_file": self.daemon.cookie, "birth_height": MATURE_BLOCKS}

    async def _begin_chain(self, owners: list[tuple[bytes, int]]) -> tuple[Outpoint, ...]:
        stakes = await anyio.to_thread.run_sync(self._found, owners)
        self._miner = threading.Thread(target=self._mine_at_intervals, daemon=True)
        self._miner.start()
        return stakes

    def _found(self, owners: list[tuple[bytes, int]]) -> tuple[Outpoint, ...]:
        """Mine the first blocks in the past, the stakes in the last of them, then some today."""
        daemon, now = self.daemon, int(time.time())
        daemon.start()
        # Before there is a wallet: one that is younger than its blocks does not look at them.
        daemon.call("setmocktime", now - STAKE_AGE_S - MWEB_HEIGHT)
        daemon.prepare(mweb=self.program.family == "litecoin")
        hrp = CHAINS[self.chain_name].hrp
        stakes = tuple(self._pay(address_of(script, hrp), amount) for script, amount in owners)
        daemon.mine()
        daemon.call("setmocktime", 0)
        daemon.mine(BLOCKS_OF_TODAY)
        daemon.flush()
        return stakes

    def _pay(self, address: str, amount: int) -> Outpoint:
        coins = Decimal(amount).scaleb(-8)
        txid = str(self.daemon.call("sendtoaddress", address, coins, wallet=WALLET))
        outputs: list[dict[str, Any]] = self.daemon.call("getrawtransaction", txid, True)["vout"]
        script = self.daemon.call("validateaddress", address)["scriptPubKey"]
        for output in outputs:
            if (output["scriptPubKey"]["hex"], base_units(output["value"])) == (script, amount):
                return Outpoint(bytes.fromhex(txid), output["n"])
        raise DaemonError(f"{txid} does not pay {amount} to {address}")

    def _mine_at_intervals(self) -> None:
        """Mine until the network stops; a daemon that is away is tried again."""
        miner = address_of(FAUCET_SCRIPT, self.hrp)
        while not self._still.wait(self.block_interval_s):
            with self._turn:
                try:
                    self.daemon.call("generatetoaddress", 1, miner)
                    self.daemon.flush()  # killed now, it comes back with this block
                except (DaemonError, httpx.HTTPError, OSError):
                    continue
