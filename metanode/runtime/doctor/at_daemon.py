"""What the chain daemon tells: whether it serves, its index, the clock, and this node's stake."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from metanode.chains.base import StakeVerdict
from metanode.chains.bitcoin import METHOD_NOT_FOUND, BitcoinAdapter
from metanode.chains.replies import Header, Id, Indexes, NetworkInfo
from metanode.chains.rpc import RpcClient, RpcError
from metanode.custody.payout import custody_address
from metanode.errors import Unavailable
from metanode.runtime.doctor.findings import Finding, fault, ok, told_by, warning
from metanode.runtime.doctor.patient import Patient
from metanode.runtime.home.config import Config
from metanode.runtime.home.wiring import chain_parameters, rpc_password

PATIENCE_S = 10.0
AHEAD_S = 7200
"""A daemon refuses blocks that are dated more than two hours after its own clock."""
TELLS_SPENT_OUTPUTS = 230_000
"""From this version on a daemon tells with a block what it spends, and needs no index."""


async def daemon(patient: Patient) -> AsyncIterator[Finding]:
    """Ask the chain daemon, if the configuration can be read."""
    config = patient.config
    if config is None:
        return
    mend = patient.edit("start the chain daemon, or correct chain.rpc_url")
    client = RpcClient(
        config.chain.rpc_url, lambda: rpc_password(patient.home, config), timeout_s=PATIENCE_S
    )
    async with client as rpc:
        try:
            await rpc.require(Id, "getblockhash", 0)
        except Unavailable as error:
            access = "RPC user" in str(error) or "rpc_password_file" in str(error)
            where = "chain.rpc_user and chain.rpc_password_file (or name the daemon's .cookie)"
            yield fault("daemon", str(error), patient.edit(f"correct {where}") if access else mend)
            return
        adapter = BitcoinAdapter(rpc, chain_parameters(config))
        try:
            async for finding in _serving(patient, rpc, adapter, config):
                yield finding
        except Unavailable as error:
            yield told_by("daemon", error)


async def _serving(
    patient: Patient, rpc: RpcClient, adapter: BitcoinAdapter, config: Config
) -> AsyncIterator[Finding]:
    try:
        await adapter.check_daemon()
    except Unavailable as error:
        finding = told_by("daemon", error)
        if "catching up" in str(error):
            finding = warning("daemon", finding.text, "nothing: wait until it has caught up")
        yield finding
        if "follows" in str(error):
            return  # its blocks and outputs are another chain's
    else:
        height, _ = await adapter.tip()
        yield ok("daemon", f"{config.chain.rpc_url} serves the chain, at block {height}")
    async for finding in _index(rpc):
        yield finding
    tip = await rpc.require(Header, "getblockheader", (await adapter.tip())[1].hex())
    at_will = all(chain.is_regtest for chain in chain_parameters(config).chains())
    late = max(tip.time - AHEAD_S, 0 if at_will else tip.mediantime) - time.time()
    yield _clock(late, has_peers=patient.status is not None)
    if patient.node_id is not None:
        yield await _stake(patient, adapter, config, patient.node_id)


async def _index(rpc: RpcClient) -> AsyncIterator[Finding]:
    """Look whether deposits' senders can be found: by an index, or by what blocks tell."""
    mend = "set txindex=1 in the chain daemon's configuration and start it again"
    try:
        version = (await rpc.ask(NetworkInfo, "getnetworkinfo")).version
        index = (await rpc.ask(Indexes, "getindexinfo")).txindex
    except RpcError as refusal:
        if refusal.code != METHOD_NOT_FOUND:
            yield warning("index", f"the daemon does not tell of its index: {refusal}", mend)
        return
    if version is None:
        return  # the embedded chain, which finds everything
    if version >= TELLS_SPENT_OUTPUTS:
        yield ok("index", f"version {version} needs none: it tells what blocks spend")
    elif index is None:
        yield fault("index", f"version {version} of the daemon has no index of transactions, "
                    "without which deposits' senders are not found", mend)
    elif not index.synced:
        yield warning("index", f"the daemon builds its index, at block {index.best_block_height}",
                      "nothing: wait until it is done")
    else:
        yield ok("index", f"version {version} of the daemon, with its index of transactions")


def _clock(late: float, *, has_peers: bool) -> Finding:
    """Judge this machine's clock by the newest block, which is ``late`` seconds too new for it.

    Blocks are at most two hours ahead of true time, and the median of eleven is behind it, but for
    those that are mined at will.
    """
    if late > 0:
        return fault("clock", f"this machine is at least {late:.0f} s behind the chain's time",
                     "set the clock, and keep it by NTP: timedatectl set-ntp true")
    peers = "" if has_peers else "; a running node compares it with its peers', too"
    return ok("clock", f"not behind the chain's time{peers}")


async def _stake(
    patient: Patient, adapter: BitcoinAdapter, config: Config, node_id: bytes
) -> Finding:
    address = custody_address(node_id, config.chain.hrp)
    anew = f"pay {config.stake.minimum} to {address}, and set stake.outpoint"
    outpoint = config.stake.outpoint
    if outpoint is None:
        return fault("stake", "stake.outpoint is missing", patient.edit(anew))
    age_s = config.parameters().stake_age_s
    found = await adapter.check_stake(outpoint, node_id, config.stake.minimum, age_s)
    return _verdict(patient, found, str(outpoint), anew, age_s, config.stake.minimum)


def _verdict(
    patient: Patient, found: StakeVerdict, outpoint: str, anew: str, age_s: int, minimum: int
) -> Finding:
    mend = patient.edit(anew)
    match found.reason:
        case "ok":
            return ok("stake", f"{found.amount} in {outpoint}, {found.age_s // 3600} hours old")
        case "young":
            left = (age_s - found.age_s) / 3600
            return warning("stake", f"{outpoint} counts in {left:.1f} hours", "nothing: wait")
        case "unconfirmed":
            return warning("stake", f"{outpoint} is in no block yet", "nothing: wait")
        case "short":
            return fault("stake", f"{outpoint} holds {found.amount}, less than {minimum}", mend)
        case "foreign":
            return fault("stake", f"{outpoint} is not made out to this node", mend)
    return fault("stake", f"{outpoint} does not exist, or is spent", mend)
