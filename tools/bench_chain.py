#!/usr/bin/env python3
"""Measure the scan of a chain on a real daemon (litecoind, or METANODE_DAEMON): blocks/s, restarts.

    python tools/bench_chain.py [--json FILE] [--blocks 4032] [--full 20]

A node's adapter, index and file read a regtest chain of empty blocks, and one of full blocks,
beside what the daemon needs to hand out the same blocks to somebody who does nothing with them.
4,032 blocks are a week of Litecoin. Times are wall-clock time: node and daemon share the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

# A checkout must be measurable before the package is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import anyio
from attrs import asdict, evolve, frozen
from coincurve import PrivateKey
from rich.console import Console
from rich.table import Table

from metanode.chains.base import DEVNET, Cursor
from metanode.chains.bitcoin import BLOCKS_AT_ONCE, BitcoinAdapter
from metanode.chains.rpc import RpcClient
from metanode.custody.ledger import DEFAULT_WINDOW_BLOCKS, Ledger
from metanode.custody.policy import CustodyPolicy
from metanode.custody.scripts import address_of, key_script
from metanode.custody.transaction import Input, Output, UnsignedTransaction
from metanode.custody.types import Outpoint
from metanode.devnet.daemon import WALLET, Daemon, find_program
from metanode.devnet.wallet import sign_with
from metanode.runtime.home.owner import Owner
from metanode.runtime.store.chain_index import ChainIndex
from spec.parameters import MAINNET

WEEK_OF_LITECOIN = 4032
FULL_BLOCKS = 20
PAYMENTS, OUTPUTS = 8, 3000  # of a full block, and of each payment in it
AMOUNT, FEE = 10_000, 400  # of each output, and for it
USER = PrivateKey(b"u" * 32)
KEY = PrivateKey(b"k" * 32).public_key.format()
GENESIS = bytes(32)


@frozen
class Scan:
    """How many blocks a second one way of reading them takes, and how large they were."""

    blocks: int
    kilobytes: float
    node_per_s: float
    daemon_raw_per_s: float
    daemon_verbose_per_s: float


@frozen
class Report:
    """What was measured."""

    daemon: str
    empty: Scan
    full: Scan
    restart_after_s: float
    restart_at_once_s: float


async def follow(rpc: RpcClient, path: Path, start: int) -> tuple[int, float]:
    """Take up the index in a file and bring it to the tip; return blocks read and seconds."""
    begun, count = time.perf_counter(), 0
    index = ChainIndex(path, Owner(bytes(32), KEY))
    found = index.open(KEY, GENESIS, DEFAULT_WINDOW_BLOCKS)
    ledger = Ledger(CustodyPolicy.of(MAINNET), past=index.spent)
    ledger.restore(found.blocks, found.unspent, found.spent)
    adapter = BitcoinAdapter(rpc, evolve(DEVNET, name="regtest", hrp="rltc"))
    adapter.watch(KEY, start, Cursor(ledger.blocks, [coin.outpoint for coin in ledger.coins]))
    caught_up = False
    while not caught_up:
        update = await adapter.poll()
        caught_up = update.caught_up
        for block in update.connected:
            ledger.connect(block)
        index.tell(update)
        index.flush(())
        count += len(update.connected)
    index.close()
    return count, time.perf_counter() - begun


async def hand_out(rpc: RpcClient, first: int, last: int, verbosity: int) -> tuple[float, int]:
    """Return the seconds in which the daemon hands out blocks, and their bytes as it says them."""
    begun, size = time.perf_counter(), 0
    for start in range(first, last + 1, BLOCKS_AT_ONCE):
        heights = range(start, min(start + BLOCKS_AT_ONCE, last + 1))
        hashes = await rpc.batch("getblockhash", [(height,) for height in heights])
        blocks = await rpc.batch("getblock", [(each, verbosity) for each in hashes])
        size += sum(len(block) // 2 for block in blocks if isinstance(block, str))
    return time.perf_counter() - begun, size


async def scan(rpc: RpcClient, path: Path, first: int) -> Scan:
    """Read the blocks from a height on in all ways."""
    last = await rpc.call("getblockcount")
    count, seconds = await follow(rpc, path, first)
    raw_s, size = await hand_out(rpc, first, last, 0)
    verbose_s, _ = await hand_out(rpc, first, last, 2)
    rates = [round(count / spent) for spent in (seconds, raw_s, verbose_s)]
    return Scan(count, round(size / count / 1000, 1), *rates)


def fill(daemon: Daemon, blocks: int) -> None:
    """Mine full blocks: payments with many outputs."""
    script, count = key_script(USER.public_key.format()), blocks * PAYMENTS
    each = OUTPUTS * (AMOUNT + FEE)
    total = count * each + OUTPUTS * FEE
    hrp = "rltc" if daemon.program.family == "litecoin" else "bcrt"
    coins = daemon.call("sendtoaddress", address_of(script, hrp), total / 1e8, wallet=WALLET)
    made = daemon.call("getrawtransaction", coins, True)["vout"]
    index = next(out["n"] for out in made if out["scriptPubKey"]["hex"] == script.hex())
    coin = Input(Outpoint(bytes.fromhex(coins), index), total)
    split = UnsignedTransaction((coin,), (Output(each, script),) * count)
    daemon.call("sendrawtransaction", sign_with(USER, split).hex())
    daemon.mine()
    for number in range(count):
        spent = Input(Outpoint(split.txid, number), each)
        payment = UnsignedTransaction((spent,), (Output(AMOUNT, script),) * OUTPUTS)
        daemon.call("sendrawtransaction", sign_with(USER, payment).hex())
        if (number + 1) % PAYMENTS == 0:
            daemon.mine()


async def measure(daemon: Daemon, folder: Path, blocks: int, full: int) -> Report:
    """Make the chains and measure."""
    daemon.prepare(mweb=daemon.program.family == "litecoin")
    async with RpcClient(daemon.url, daemon.credentials) as rpc:
        begin = int(daemon.call("getblockcount")) + 1
        daemon.mine(1)
        week = folder / "week.sqlite"
        await follow(rpc, week, begin)
        for done in range(0, blocks, 500):
            daemon.mine(min(500, blocks - done))
        _, restart_s = await follow(rpc, week, begin)
        _, at_once_s = await follow(rpc, week, begin)
        empty = await scan(rpc, folder / "empty.sqlite", begin)
        fill(daemon, full)
        begin = int(daemon.call("getblockcount")) - full + 1
        filled = await scan(rpc, folder / "full.sqlite", begin)
    return Report(
        daemon.program.version, empty, filled, round(restart_s, 2), round(at_once_s, 2)
    )


def show(report: Report, console: Console) -> None:
    """Print the table."""
    table = Table(title=report.daemon)
    table.add_column("measure")
    for name in ("empty blocks", "full blocks"):
        table.add_column(name, justify="right")
    pair = (report.empty, report.full)
    table.add_row("blocks read", *(f"{each.blocks:,}" for each in pair))
    table.add_row("size, kB", *(f"{each.kilobytes:g}" for each in pair))
    table.add_row("first scan, blocks/s", *(f"{each.node_per_s:,}" for each in pair))
    table.add_row("the daemon alone, getblock 0", *(f"{each.daemon_raw_per_s:,}" for each in pair))
    table.add_row("... getblock 2", *(f"{each.daemon_verbose_per_s:,}" for each in pair))
    table.add_row("restart after these blocks, s", f"{report.restart_after_s:g}", "")
    table.add_row("restart at once, s", f"{report.restart_at_once_s:g}", "")
    console.print(table)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to FILE")
    parser.add_argument("--blocks", type=int, default=WEEK_OF_LITECOIN, help="empty blocks")
    parser.add_argument("--full", type=int, default=FULL_BLOCKS, help="full blocks")
    arguments = parser.parse_args()
    program = find_program()
    if program is None:
        parser.error("no daemon: apt-get install litecoind, or set METANODE_DAEMON")
    with tempfile.TemporaryDirectory(prefix="metanode-bench-") as folder:
        directory = Path(folder) / "daemon"
        directory.mkdir()
        daemon = Daemon(program, directory)
        daemon.start()
        try:
            report = anyio.run(
                measure, daemon, Path(folder), arguments.blocks, arguments.full, backend="trio"
            )
        finally:
            daemon.close()
    show(report, Console(soft_wrap=not sys.stdout.isatty()))
    if arguments.json is not None:
        machine = {"python": platform.python_version(), "cores": os.cpu_count()}
        document = json.dumps({**machine, **asdict(report)}, indent=2)
        Path(arguments.json).write_text(document + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
