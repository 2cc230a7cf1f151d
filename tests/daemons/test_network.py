"""A local network on a real daemon, as the demo and the campaign use it."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from metanode.chains.rpc import RpcClient
from metanode.custody.scripts import address_of, key_script
from metanode.devnet.daemon_network import DaemonNetwork
from metanode.devnet.faucet import STAKE_AGE_S
from metanode.runtime.home.config import load_config
from metanode.runtime.secrets.keystore import read_node_id
from tests.daemons.support import Chain
from tests.support import key_of

PATIENCE_S = 60.0


def test_a_network_on_a_daemon_has_old_stakes_and_new_blocks(
    daemon: Chain, tmp_path: Path
) -> None:
    """Catches stakes that are too young, a chain that stands still, and a password on show."""
    program = daemon.server.program  # type: ignore[union-attr]  # the fixture's is a real one
    network = DaemonNetwork(tmp_path / "network", size=2, block_interval_s=0.1, program=program)
    try:
        anyio.run(look_at, network, backend="trio")
    finally:
        network.stop()
    assert network.daemon._process is None


async def look_at(network: DaemonNetwork) -> None:
    """Prepare a network, and check what its nodes and users find."""
    await network.prepare()
    home = network.homes[0]
    config = load_config(home.config)
    assert config.chain.chain == f"{network.program.family}-regtest"
    assert config.stake.outpoint is not None
    async with network.rpc() as rpc:
        tip = await rpc.call("getblockheader", await rpc.call("getbestblockhash"))
        stake = config.stake.outpoint
        coin = await rpc.call("gettxout", stake.txid.hex(), stake.index)
        assert coin["scriptPubKey"]["hex"] == key_script(read_node_id(home.identity)).hex()
        made = await rpc.call("getblockhash", tip["height"] - coin["confirmations"] + 1)
        age = tip["mediantime"] - (await rpc.call("getblockheader", made))["time"]
        assert STAKE_AGE_S - 3600 < age < STAKE_AGE_S + 3600
        await mined_beyond(rpc, tip["height"])
        address = address_of(key_script(key_of("funded").public_key.format()), network.hrp)
        paid = await network.fund(rpc, address, 1_234_567)
        await mined_beyond(rpc, await rpc.call("getblockcount"))
        found = await rpc.call("gettxout", paid.txid.hex(), paid.index)
        assert int(found["value"] * 100_000_000) == 1_234_567
    _, password = network.daemon.credentials()
    assert password not in " ".join(network.daemon.command())
    for path in network.directory.rglob("*"):
        if path.is_file() and path != network.daemon.cookie:
            assert password.encode() not in path.read_bytes(), path
    assert os.stat(network.daemon.cookie).st_mode & 0o077 == 0


async def mined_beyond(rpc: RpcClient, height: int) -> None:
    """Wait for a block above a height."""
    with anyio.fail_after(PATIENCE_S):
        while await rpc.call("getblockcount") <= height:
            await anyio.sleep(0.02)
