"""A node's own coins: its stake and its rewards, at the address of its identity's key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
from attrs import frozen

from metanode.chains.base import Broadcasted
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.own_coins import coins_of_key, scan_percent
from metanode.chains.replies import MempoolInfo
from metanode.chains.rpc import RpcClient
from metanode.custody.payout import custody_address
from metanode.custody.policy import CustodyPolicy
from metanode.custody.types import Outpoint
from metanode.custody.withdrawal import Withdrawal, build_withdrawal
from metanode.errors import UserError
from metanode.identity import Identity
from metanode.runtime.home.config import Config
from metanode.runtime.home.copies import trial_copy
from metanode.runtime.home.home import Home
from metanode.runtime.home.wiring import chain_parameters, rpc_password
from metanode.runtime.secrets.keyshares import list_shares

SCAN_LOOK_S = 1.0
SCAN_PATIENCE_S = 1800.0
"""A daemon looks through all unspent outputs of its chain for a balance."""


@frozen
class Balance:
    """What a node owns: the coin of its stake, if it is unspent, and the others. Base units."""

    chain: str
    address: str
    stake: tuple[Outpoint, int] | None
    rewards: tuple[tuple[Outpoint, int], ...]

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        stake = None if self.stake is None else _coin(self.stake)
        return {
            "chain": self.chain,
            "address": self.address,
            "stake": stake,
            "rewards": sum(amount for _, amount in self.rewards),
            "coins": [_coin(coin) for coin in self.rewards],
        }


def _coin(coin: tuple[Outpoint, int]) -> dict[str, Any]:
    return {"outpoint": str(coin[0]), "amount": coin[1]}


def address_of(config: Config, node_id: bytes) -> str:
    """Return the address of stake and rewards."""
    return custody_address(node_id, config.chain.hrp)


def client(home: Home, config: Config) -> RpcClient:
    """Return a client that waits as long as a scan takes."""
    return RpcClient(
        config.chain.rpc_url, lambda: rpc_password(home, config), timeout_s=SCAN_PATIENCE_S
    )


async def tell_scan(home: Home, config: Config, told: Callable[[int], None]) -> None:
    """Tell, until cancelled, how many percent more of its outputs the daemon has looked through."""
    at = 0
    async with client(home, config) as rpc:
        while True:
            await anyio.sleep(SCAN_LOOK_S)
            found = await scan_percent(rpc)
            if found is not None and found > at:
                told(int(found) - at)
                at = int(found)


async def balance(rpc: RpcClient, config: Config, node_id: bytes) -> Balance:
    """Ask the chain daemon what this node owns. Raises Unavailable."""
    await BitcoinAdapter(rpc, chain_parameters(config)).check_daemon()
    found = [
        (Outpoint(coin.txid, coin.vout), int(coin.amount))
        for coin in await coins_of_key(rpc, node_id)
    ]
    return Balance(
        config.chain.chain or config.chain.hrp,
        address_of(config, node_id),
        next((coin for coin in found if coin[0] == config.stake.outpoint), None),
        tuple(coin for coin in found if coin[0] != config.stake.outpoint),
    )


def holds_share(home: Home, node_id: bytes, *, runs: bool) -> bool:
    """Tell whether this node holds a share of the key in force, as far as its store knows."""
    with trial_copy(home, runs=runs) as copy:
        return any(entry.active for entry in list_shares(copy, node_id))


async def build(
    rpc: RpcClient, config: Config, node_id: bytes, address: str, *, amount: int | None,
    with_stake: bool, fee_rate: int | None,
) -> Withdrawal:
    """Return the payment to be signed. Raises UserError, or Unavailable.

    Without a fee rate it pays the network's lowest, or what the daemon demands now if that is more.
    """
    owned = await balance(rpc, config, node_id)
    coins = list(owned.rewards)
    if with_stake:
        if owned.stake is None:
            raise UserError("the stake is spent, or was never there: leave --stake out")
        coins.append(owned.stake)
    policy = CustodyPolicy.of(config.parameters(), config.chain.hrp)
    if fee_rate is None:
        floor = (await rpc.require(MempoolInfo, "getmempoolinfo")).fee_floor
        fee_rate = policy.bounded_fee_rate(floor)
    return build_withdrawal(
        coins, address, amount, fee_rate, policy, hrp=config.chain.hrp, public_key=node_id
    )


async def send(
    rpc: RpcClient, config: Config, identity: Identity, withdrawal: Withdrawal,
    say: Callable[[str], None] = lambda _text: None,
) -> Broadcasted:
    """Sign a payment and hand it to the chain daemon; ``say`` gets the signed bytes in hex."""
    raw = withdrawal.sign([identity.sign_digest(digest) for digest in withdrawal.digests])
    say(raw.hex())
    adapter = BitcoinAdapter(rpc, chain_parameters(config))
    return await adapter.broadcast(raw, withdrawal.txid)
