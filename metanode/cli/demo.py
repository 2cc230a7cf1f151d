"""``demo``: four nodes on this machine make a key, pay deposits, and survive a SIGKILL."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import click
from attrs import define, field
from rich.console import Console
from rich.live import Live
from rich.table import Table

from metanode.devnet.daemon import Program, program_at
from metanode.devnet.daemon_network import DaemonNetwork
from metanode.devnet.demo_scenario import Outcome, Scenario
from metanode.devnet.local_network import LocalNetwork
from metanode.devnet.watch import NetworkView, Watch
from metanode.errors import MetanodeError, UserError
from spec.chains import CHAINS

SEEDS_LIMIT = 1000


@define
class Progress:
    """Lines with the time since the start; on a terminal, a live table of the nodes below them."""

    console: Console
    began: float = field(factory=time.monotonic)
    live: Live | None = None

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live = Live(console=self.console, auto_refresh=False, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def look(self, nodes: list[dict[str, Any] | None]) -> None:
        """Show what the nodes are doing now; without a terminal, nothing."""
        if self.live is None:
            return
        table = Table("node", "phase", "links", "listed", "key", "payouts", "block")
        for number, node in enumerate(nodes, start=1):
            name = f"node {number}"
            if node is None:
                table.add_row(name, "[red]away[/red]", "", "", "", "", "")
                continue
            listed = sum(peer["listing"] == "listed" for peer in node["peers"])
            key = node["key"]["public_key"][:10] if node["key"] else "-"
            final = sum(payout["state"] == "COMPLETED" for payout in node["payouts"])
            height = str(node["chain"]["height"]) if node["chain"] else "-"
            table.add_row(
                name, node["phase"], str(len(node["links"])), str(listed), key,
                f"{final} of {len(node['payouts'])} final", height,
            )
        self.live.update(table, refresh=True)

    def step(self, text: str) -> None:
        """Print a step."""
        self.console.print(
            f"[bold]{time.monotonic() - self.began:6.1f} s  {text}[/bold]",
            highlight=False,
            soft_wrap=True,
        )

    def detail(self, text: str) -> None:
        """Print a detail of the step."""
        self.console.print(
            f"{time.monotonic() - self.began:6.1f} s    {text}", highlight=False, soft_wrap=True,
            markup=False,
        )


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of ``7``, ``1-20`` or ``1,4,9-12``; UserError for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f"--kill-seeds {text!r}: write 7, 1-20 or 1,4,9-12")
        seeds += range(int(first), int(last if dash else first) + 1)
    if not 0 < len(seeds) <= SEEDS_LIMIT:
        raise UserError(f"--kill-seeds {text!r}: 1 to {SEEDS_LIMIT} seeds are allowed")
    return seeds


async def play(
    directory: Path, seed: int, report: Progress, program: Program | None, watch: bool = False
) -> Outcome:
    """Run one network below ``directory`` to its end, on a real daemon if one is given; one that is
    watched goes on after the end until it is interrupted.
    """
    network: LocalNetwork
    if program is None:
        network = LocalNetwork(directory)
    else:
        network = DaemonNetwork(directory, program=program)
        report.detail(f"the chain daemon: {program.version}")
    try:
        await network.prepare()
        chain = CHAINS[network.chain_name].title
        report.step(f"homes, stakes and {chain} are ready in {directory}")
        async with network.rpc() as rpc:
            scenario = Scenario(network, rpc, report, seed)
            outcome = await (_watched(scenario, report) if watch else scenario.run())
    finally:
        network.stop()
    legal, said = await anyio.to_thread.run_sync(network.judge_traces, outcome.trace_ends)
    if legal:
        report.step(f"traces: {said}")
    else:
        outcome.faults.append(f"a trace is not legal: {said}")
    return outcome


async def _watched(scenario: Scenario, report: Progress) -> Outcome:
    """Play the scenario while the page of all nodes is served; then until SIGINT or SIGTERM."""
    network = scenario.network
    watch = Watch(network.directory, NetworkView(network.homes, time.time))
    async with watch.serving() as url:
        report.step(f"watch it: {url}")
        outcome = await scenario.run()
        report.step("the network goes on; Ctrl-C ends it")
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                break
    return outcome


def show(console: Console, outcome: Outcome) -> None:
    """Print the closing tables."""
    payouts = Table(title="payouts", title_justify="left")
    for column in ("txid", "inputs", "outputs", "signers", "round, s"):
        payouts.add_column(column, overflow="fold")
    for payout in outcome.payouts:
        payouts.add_row(
            payout["txid"], str(payout["inputs"]), str(payout["outputs"]),
            ", ".join(payout["signers"]), str(payout["seconds"] or "-"),
        )
    deposits = Table(title="deposits", title_justify="left")
    for column in ("deposit", "kind", "amount", "came back", "settled by", "exactly once"):
        deposits.add_column(column, overflow="fold")
    for made in outcome.deposits:
        deposits.add_row(
            made["name"], made["kind"], str(made["amount"]), str(made["paid"]), made["txid"][:16],
            "yes" if made["once"] else "NO",
        )
    console.print(payouts)
    console.print(deposits)


def run_once(
    seed: int, keep: Path | None, console: Console, program: Program | None = None,
    watch: bool = False,
) -> Outcome:
    """Run the demo once; its files go to ``keep``, or to a temporary folder that is removed."""
    directory = Path(tempfile.mkdtemp(prefix="metanode-demo-")) if keep is None else keep
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise UserError(f"{keep} is not empty: give a new folder to --keep")
    done = False
    try:
        with Progress(console) as report:
            report.step(f"seed {seed}; again with: {replay(seed, program)}")
            outcome = anyio.run(play, directory, seed, report, program, watch, backend="trio")
        done = not outcome.faults
        return outcome
    finally:
        if keep is None and done:
            shutil.rmtree(directory, ignore_errors=True)


def replay(seed: int, program: Program | None) -> str:
    """Return the command line that plays a seed again."""
    daemon = "" if program is None else f" --daemon {program.path}"
    return f"python -m metanode demo --seed {seed}{daemon}"


@click.command()
@click.option("--seed", type=int, help="Decides which node is killed, and when.")
@click.option("--kill-seeds", metavar="RANGE", help="One network a seed, e.g. 1-20.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep homes, logs and chain here.")
@click.option("--daemon", metavar="PATH", help="A litecoind or bitcoind to run it on (regtest).")
@click.option("--watch", is_flag=True, help="Serve a page of all nodes, and go on until Ctrl-C.")
def command(
    seed: int | None, kill_seeds: str | None, keep: Path | None, daemon: str | None, watch: bool
) -> int:
    """Run a local network of four nodes to the last payout; exit 0 if all went well."""
    console = Console(file=sys.stdout, soft_wrap=not sys.stdout.isatty())
    seeds = None if kill_seeds is None else parse_seeds(kill_seeds)
    if watch and seeds is not None:
        raise UserError("--watch shows one network, --kill-seeds runs many: give one of them")
    program = None if daemon is None else program_at(daemon)
    if seeds is not None:
        return _campaign(seeds, keep, console, program)
    chosen = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    outcome = run_once(chosen, keep, console, program, watch)
    show(console, outcome)
    for fault in outcome.faults:
        console.print(fault, style="bold red", markup=False, highlight=False)
    if not outcome.faults:
        console.print("every deposit was settled exactly once", style="bold green")
    return 1 if outcome.faults else 0


def _campaign(
    seeds: list[int], keep: Path | None, console: Console, program: Program | None
) -> int:
    """Run one network a seed; print a line for each, and how to replay those that failed."""
    failed = []
    for seed in seeds:
        began = time.monotonic()
        try:
            outcome = run_once(seed, keep / f"seed-{seed}" if keep else None, console, program)
            faults = outcome.faults
            said = outcome.killed
        except MetanodeError as error:
            faults, said = [str(error)], "did not end"
        verdict = "; ".join(faults) or "every deposit settled once"
        console.print(
            f"seed {seed}: {said}: {verdict} ({time.monotonic() - began:.0f} s)",
            style="red" if faults else "green",
            highlight=False,
        )
        if faults:
            failed.append(seed)
    for seed in failed:
        console.print(f"replay: {replay(seed, program)}", style="bold red")
    console.print(
        f"{len(seeds) - len(failed)} of {len(seeds)} seeds: no double payout, "
        "every deposit settled, every trace legal",
        style="bold",
    )
    return 1 if failed else 0
