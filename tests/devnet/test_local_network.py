"""The local network of the demo, the benchmarks and the integration tests."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from metanode.chains.rpc import RpcClient
from metanode.custody.types import Outpoint
from metanode.devnet.local_network import PORTS, LocalNetwork, free_ports, write_stake
from metanode.errors import Unavailable
from metanode.runtime.home.config import load_config
from metanode.runtime.home.home import Home
from spec.parameters import DEVNET
from tests.model_checks.made_runs import keygen_alone
from tests.model_checks.trace_files import chained, save

SIZE = 3


def test_ports_are_free_distinct_and_not_those_of_outgoing_connections() -> None:
    """Catches a network that cannot start because a connection has taken a node's port."""
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert set(ports) <= set(PORTS)
    assert max(PORTS) < 32_768
    for port in ports[:5]:
        socket.create_server(("127.0.0.1", port)).close()


def test_a_port_in_use_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a choice that does not look whether somebody listens there."""
    from metanode.devnet import local_network

    [taken, free] = free_ports(2)
    monkeypatch.setattr(local_network, "PORTS", range(min(taken, free), max(taken, free) + 1))
    draws = iter([taken - min(taken, free), free - min(taken, free)])
    monkeypatch.setattr(local_network.secrets, "randbelow", lambda _bound: next(draws))
    with socket.create_server(("127.0.0.1", taken)):
        assert free_ports(1) == [free]


def test_a_network_is_prepared_started_killed_and_stopped(tmp_path: Path) -> None:
    """Catches homes that do not belong together, and processes that outlive their network."""
    network = LocalNetwork(tmp_path / "network", size=SIZE)
    try:
        anyio.run(network.prepare, backend="trio")
        configs = [load_config(home.config) for home in network.homes]
        assert len({config.network_id() for config in configs}) == 1
        assert {config.network.members for config in configs} == {SIZE}
        assert [bool(config.node.peers) for config in configs] == [False, True, True]
        assert configs[0].network.keygen_until > network.started
        stakes = {config.stake.outpoint for config in configs}
        assert len(stakes) == SIZE
        for stake in stakes:
            assert stake is not None
            asked = network.rpc_url, stake.txid.hex(), stake.index
            coin = anyio.run(coin_of, *asked, backend="trio")
            assert coin["confirmations"] > 10
        assert network.fallen() == {}

        network.start(0)
        status = anyio.run(answer, network, backend="trio")
        assert status["phase"] in ("Idle", "Keygen")
        assert network.memory(0) > 10_000_000
        network.kill(0)
        assert anyio.run(network.status, 0, backend="trio") is None
        assert network.fallen() == {}  # it did not end by itself

        config = network.homes[1].config
        config.write_text(config.read_text().replace("members = 3", "members = 300"))
        network.start(1)
        said = anyio.run(end_of, network, backend="trio")
        assert said[1].startswith("error: ")
    finally:
        network.stop()
    processes = [*network._nodes.values(), network._chain]
    assert all(process is not None and process.poll() is not None for process in processes)
    assert network._nodes[0].returncode == -signal.SIGKILL


def test_a_node_waits_for_a_daemon_of_its_own_chain(tmp_path: Path) -> None:
    """Catches a node that takes another chain for its own, ends, or says nothing of it."""
    network = LocalNetwork(tmp_path / "network", size=2, chain_name="litecoin-regtest")
    try:
        anyio.run(network.prepare, backend="trio")
        network.start(0)
        said = anyio.run(fault_of, network, backend="trio")
        assert "follows the embedded chain (regtest), and this network is of Litecoin reg" in said
        assert network.running() == {0}
    finally:
        network.stop()
    logged = (network.homes[0].path / "node.log").read_text().splitlines()
    assert sum("chain.unavailable" in line for line in logged) == 1


def test_the_traces_of_all_nodes_are_judged_together(tmp_path: Path) -> None:
    """Catches a judge that is not asked, hears of one node only, or is not believed."""
    network = LocalNetwork(tmp_path, homes=[Home(tmp_path / name) for name in ("a", "b")])
    traces = [chained(keygen_alone("ab"[slot - 1], slot)) for slot in (1, 2)]
    for home, records in zip(network.homes, traces, strict=True):
        save(home.trace, records)
    legal, said = network.judge_traces({})
    assert not legal
    assert "b/trace/trace-000001.jsonl:6: row " in said
    assert said.endswith("LockInAgreement does not hold in the network")
    shown = {0: traces[0][-1]["hash"]}
    alone = network.judge_traces(shown, without=[1])
    assert alone == (True, "1 node, 6 lines, every step legal")
    legal, said = network.judge_traces({0: "cd" * 32}, without=[1])
    assert (legal, "lines were cut off its end" in said) == (False, True)
    network.homes[0] = Home(tmp_path / "nowhere")
    legal, said = network.judge_traces({})
    assert (legal, "No such file" in said) == (False, True)


def test_the_judge_needs_nothing_that_a_node_does_not_have() -> None:
    """Catches a demo of an installed node that ends because the provers are not there."""
    absent = "import sys; sys.modules.update(dict.fromkeys(('z3', 'cvc5', 'hypothesis', 'pytest')))"
    command = [sys.executable, "-c", f"{absent}; import model_checks.conformance"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


async def coin_of(url: str, txid: str, index: int) -> dict[str, object]:
    """Return an unspent output."""
    async with RpcClient(url) as rpc:
        return await rpc.call("gettxout", txid, index)


async def answer(network: LocalNetwork) -> dict[str, object]:
    """Wait until node 0 answers."""
    with anyio.fail_after(30):
        while (status := await network.status(0)) is None:
            await anyio.sleep(0.1)
    return status


async def fault_of(network: LocalNetwork) -> str:
    """Wait until node 0 says what is wrong with its daemon."""
    with anyio.fail_after(30):
        while not (said := (await answer(network)).get("chain_fault")):
            await anyio.sleep(0.1)
    return str(said)


async def end_of(network: LocalNetwork) -> dict[int, str]:
    """Wait until some node ends by itself."""
    with anyio.fail_after(30):
        while not (said := network.fallen()):
            await anyio.sleep(0.1)
    return said


def test_a_chain_that_does_not_start_is_told(tmp_path: Path) -> None:
    """Catches a network that waits for a chain which has ended."""
    network = LocalNetwork(tmp_path / "network")
    (tmp_path / "network").mkdir()
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as taken,
            pytest.raises(Unavailable, match="the chain did not start: error: "),
        ):
            anyio.run(network._start_chain, taken.getsockname()[1], backend="trio")
    finally:
        network.stop()


def test_a_stake_is_written_and_the_rest_kept(tmp_path: Path) -> None:
    """Catches a rewritten configuration that loses what its operator set."""
    from tests.integration.support import metanode

    home = Home(tmp_path / "home")
    done = metanode(
        "init", "--home", home.path, "--preset", "devnet", "--listen", "127.0.0.1:7123",
        "--new-passphrase-file", tmp_path / "passphrase",
    )
    assert done.returncode == 0, done.stderr
    before = load_config(home.config)
    assert before.stake.outpoint is None
    write_stake(home, Outpoint(b"\xab" * 32, 3))
    after = load_config(home.config)
    assert str(after.stake.outpoint) == "ab" * 32 + ":3"
    assert (after.network, after.node, after.chain) == (before.network, before.node, before.chain)
    assert after.parameters() == before.parameters()
    assert after.parameters().round_period_s == DEVNET.round_period_s
