"""A local network of real processes: one devnet chain and n nodes, for the demo, benchmarks and
tests.

Homes are made by the ``init`` command and nodes run by the ``run`` command, exactly as an operator
would do it by hand; only the stakes are put into the chain's first blocks, dated 73 hours back.
"""

from __future__ import annotations

import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
from attrs import define, field

from metanode.chains.rpc import RpcClient
from metanode.custody.scripts import key_script
from metanode.custody.types import Outpoint
from metanode.devnet.faucet import found_chain
from metanode.devnet.wallet import faucet
from metanode.errors import MetanodeError, Unavailable
from metanode.runtime.home.config import load_config
from metanode.runtime.home.config_template import render
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import fetch_status
from metanode.runtime.secrets.keystore import read_node_id
from metanode.runtime.store.files import atomic_write
from spec.chains import CHAINS
from spec.parameters import DEVNET, faults_tolerated, sized, threshold

STAKE = 2_000_000
START_PATIENCE_S = 30.0
PORTS = range(20_000, 32_000)
STOP_PATIENCE_S = 5.0


@define
class LocalNetwork:
    """A devnet chain and ``size`` founders below ``directory``; ``keygen_after_s`` from the
    preparation. ``spares`` more homes have a stake and can join later; ``shares`` and ``faulty``
    are t and f where they are not those of the formulas.
    """

    directory: Path
    size: int = 4
    block_interval_s: float = 1.0
    keygen_after_s: float = 5.0
    keygen: str = "clock"
    chain_name: str = "devnet"
    spares: int = 0
    shares: int | None = None
    faulty: int | None = None
    homes: list[Home] = field(factory=list)
    rpc_url: str = ""
    started: float = 0.0
    _chain: subprocess.Popen[bytes] | None = None
    _nodes: dict[int, subprocess.Popen[bytes]] = field(factory=dict)

    async def prepare(self) -> None:
        """Make the homes, found the chain with their stakes, and start the chain."""
        self.directory.mkdir(parents=True, exist_ok=True)
        ports = free_ports(self.size + self.spares)
        self._prepare_chain()
        self.started = time.time()
        slot_s = sized(DEVNET, self.size).keygen_period_s
        until = math.ceil((self.started + self.keygen_after_s) / slot_s)
        shared = _options(
            preset="devnet", name="local", members=self.size,
            threshold=self.shares or threshold(self.size),
            byzantine=faults_tolerated(self.size) if self.faulty is None else self.faulty,
            chain=self.chain_name, keygen=self.keygen,
            keygen_until=until * slot_s + 1, stake_minimum=STAKE // 2,
            rpc_url=self.rpc_url, confirmations=1, **self._rpc_options(),
        )
        failures: list[Unavailable] = []
        async with anyio.create_task_group() as tasks:
            for number, listen in enumerate(ports):
                home = Home(self.directory / f"node-{number + 1}")
                self.homes.append(home)
                options = _options(
                    home=home.path, listen=f"127.0.0.1:{listen}",
                    new_passphrase_file=self.directory / f"passphrase-{number + 1}",
                )
                if number:
                    options += ["--peer", f"127.0.0.1:{ports[0]}"]
                tasks.start_soon(self._command, ["init", *options, *shared], failures)
        if failures:
            raise failures[0]
        owners = [(key_script(read_node_id(home.identity)), STAKE) for home in self.homes]
        stakes = await self._begin_chain(owners)
        for home, stake in zip(self.homes, stakes, strict=True):
            write_stake(home, stake)

    @property
    def hrp(self) -> str:
        """Return the first part of the chain's addresses."""
        return CHAINS[self.chain_name].hrp

    def rpc(self) -> RpcClient:
        """Return a client of the chain, to be opened by the caller."""
        return RpcClient(self.rpc_url)

    async def fund(self, rpc: RpcClient, address: str, amount: int) -> Outpoint:
        """Give somebody ``amount`` base units; return the new, unconfirmed coin."""
        return await faucet(rpc, address, amount)

    def start(self, number: int) -> None:
        """Start the node of a number, counted from 0."""
        home = self.homes[number]
        home.admin.unlink(missing_ok=True)
        self._nodes[number] = self._spawn(
            ["run", "--home", str(home.path)], home.path / "output.log"
        )

    def join(self, number: int, public_key: str) -> None:
        """Start a spare node that wants a share of the key with this public key (hex)."""
        home = self.homes[number]
        config = load_config(home.config)
        node = attrs.evolve(config.node, joins=public_key)
        atomic_write(home.config, render(attrs.evolve(config, node=node)).encode("utf-8"))
        self.start(number)

    def kill(self, number: int) -> None:
        """SIGKILL a node: nothing of it gets a chance to tidy up."""
        process = self._nodes[number]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def running(self) -> set[int]:
        """Return the numbers of the nodes whose process runs."""
        return {number for number, process in self._nodes.items() if process.poll() is None}

    def fallen(self) -> dict[int, str]:
        """Return what the nodes said that ended by themselves."""
        said = {}
        for number, process in self._nodes.items():
            code = process.poll()
            if code is not None and code != -signal.SIGKILL:
                said[number] = (self.homes[number].path / "output.log").read_text().strip()
        return said

    def pids(self) -> list[int]:
        """Return the processes of the nodes that run."""
        return [process.pid for process in self._nodes.values() if process.poll() is None]

    def memory(self, number: int) -> int:
        """Return the peak resident memory of a node in octets (Linux), or 0."""
        path = Path(f"/proc/{self._nodes[number].pid}/status")
        if not path.exists():
            return 0
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        return int(lines.get("VmHWM", "0 kB").split()[0]) * 1024

    async def status(self, number: int) -> dict[str, Any] | None:
        """Return what a node says of itself, or None while it does not answer."""
        try:
            return await anyio.to_thread.run_sync(fetch_status, self.homes[number])
        except MetanodeError:
            return None

    async def statuses(self) -> list[dict[str, Any] | None]:
        """Return what all nodes say."""
        return [await self.status(number) for number in range(self.size)]

    def judge_traces(
        self, ends: Mapping[int, str], without: Collection[int] = ()
    ) -> tuple[bool, str]:
        """Return whether the nodes' traces together are a run of the protocol, and what was said.

        ``ends`` are the hashes of last lines that statuses have shown, ``without`` the nodes whose
        trace does not tell all that was sent in their name. The judge is a process of its own: the
        node knows nothing of those who check it.
        """
        traces = {n: str(h.trace) for n, h in enumerate(self.homes) if n not in without}
        options = [word for n, hash_ in ends.items() for word in ("--end", traces[n], hash_)]
        done = subprocess.run(
            [sys.executable, "-m", "model_checks.conformance", *traces.values(), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = (done.stdout if done.returncode == 0 else done.stderr).strip()
        return done.returncode == 0, said.rpartition("\n")[2]

    def stop(self) -> None:
        """End all processes: nodes by SIGTERM, then whatever is left by SIGKILL."""
        processes = [*self._nodes.values(), *([self._chain] if self._chain else [])]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_PATIENCE_S
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _prepare_chain(self) -> None:
        """Choose where the chain will answer."""
        self.rpc_url = f"http://127.0.0.1:{free_ports(1)[0]}"

    def _rpc_options(self) -> dict[str, object]:
        """Return what ``init`` must know to open the chain beside its address."""
        return {}

    async def _begin_chain(self, owners: list[tuple[bytes, int]]) -> tuple[Outpoint, ...]:
        """Found the chain with old stakes of (script, amount), start it, and return the stakes."""
        directory, now = self.directory / "chain", int(time.time())
        stakes = await anyio.to_thread.run_sync(found_chain, directory, owners, now)
        await self._start_chain(int(self.rpc_url.rpartition(":")[2]))
        return stakes

    async def _start_chain(self, port: int) -> None:
        data, listen = self.directory / "chain", f"127.0.0.1:{port}"
        arguments = _options(data=data, listen=listen, interval=self.block_interval_s)
        output = self.directory / "chain.log"
        self._chain = self._spawn(["chain", *arguments], output)
        with anyio.move_on_after(START_PATIENCE_S):
            while "devnet chain on" not in output.read_text():
                if self._chain.poll() is not None:
                    break
                await anyio.sleep(0.05)
            else:
                return
        raise Unavailable(f"the chain did not start: {output.read_text().strip()}")

    async def _command(self, arguments: list[str], failures: list[Unavailable]) -> None:
        result = await anyio.run_process(
            [sys.executable, "-m", "metanode", *arguments], check=False
        )
        if result.returncode:
            said = result.stderr.decode().strip()
            failures.append(Unavailable(f"metanode {arguments[0]}: {said}"))

    def _spawn(self, arguments: list[str], output: Path) -> subprocess.Popen[bytes]:
        with open(output, "ab") as stream:
            return subprocess.Popen(
                [sys.executable, "-m", "metanode", *arguments], stdin=subprocess.DEVNULL,
                stdout=stream, stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )


def _options(**given: object) -> list[str]:
    """Return a command's options: ``rpc_url=x`` is ``--rpc-url x``."""
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in given.items())
    return [word for pair in pairs for word in pair]


def write_stake(home: Home, stake: Outpoint) -> None:
    """Write the stake's outpoint into the configuration of a home, as an operator does by hand."""
    config = load_config(home.config)
    section = attrs.evolve(config.stake, outpoint=stake)
    atomic_write(home.config, render(attrs.evolve(config, stake=section)).encode("utf-8"))


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on, below the range of outgoing connections."""
    ports: list[int] = []
    while len(ports) < count:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        if port in ports:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
    return ports
