"""Nights of real processes: a newcomer, a spent stake, a liar, and a holder that is gone.

``python -m tests.integration.nights`` plays them one after the other, with nights that come every
so many seconds. What happens is read off status, the chain and the traces: nothing here reaches
into a node. The address must never change, and all traces together must be a run of the protocol.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs
from attrs import define, field
from coincurve import PrivateKey

from metanode.chains.json_decimal import base_units
from metanode.custody.payout import custody_script
from metanode.custody.scripts import address_of, key_script
from metanode.custody.transaction import Input, Output, UnsignedTransaction
from metanode.devnet.faucet import FAUCET_SCRIPT
from metanode.devnet.local_network import STAKE, LocalNetwork
from metanode.devnet.types import DEVNET_HRP
from metanode.devnet.wallet import deposit, faucet, sign_with
from metanode.errors import MetanodeError
from metanode.runtime.home.config import load_config
from metanode.runtime.home.config_template import render
from metanode.runtime.operator.admin import fetch_status
from metanode.runtime.secrets.keystore import load_identity, read_passphrase_file
from metanode.runtime.store.files import atomic_write
from tests.integration.regroups import say
from tests.integration.support import wait_until

FOUNDERS, SEATS, SPARES = 4, 5, 3
NIGHT_S = 60
AMOUNT = 5_000_000


@define
class Nights:
    """A network of four founders with five seats; three more nodes have a stake."""

    network: LocalNetwork
    night_s: int = NIGHT_S
    key: dict[str, Any] = field(factory=dict)
    cheats: set[int] = field(factory=set)
    gone: set[int] = field(factory=set)

    @classmethod
    def begin(cls, directory: Path, night_s: int = NIGHT_S) -> Nights:
        """Start the founders and wait for their key."""
        made = cls(LocalNetwork(directory, size=FOUNDERS, spares=SPARES), night_s)
        anyio.run(made.network.prepare, backend="trio")
        for home in made.network.homes:
            config = load_config(home.config)
            section = attrs.evolve(config.network, seats=SEATS, night_s=night_s)
            atomic_write(
                home.config, render(attrs.evolve(config, network=section)).encode("utf-8")
            )
        for number in range(FOUNDERS):
            made.network.start(number)

        def locked() -> bool:
            keys = [made.status(number)["key"] for number in range(FOUNDERS)]
            made.key = keys[0] or {}
            return all(key is not None and key["holds_share"] for key in keys)

        made.until("a key is locked in", locked)
        return made

    def status(self, number: int) -> dict[str, Any]:
        """Return what a node says of itself."""
        return fetch_status(self.network.homes[number])

    def until(self, what: str, reached: Callable[[], bool], patience_s: float = 240) -> float:
        """Wait for something; return after how many seconds it came."""
        began = time.monotonic()

        def seen() -> bool:
            fallen = set(self.network.fallen()) - self.gone
            assert not fallen, f"a node ended by itself: {self.network.fallen()}"
            try:
                return reached()
            except MetanodeError:
                return False

        wait_until(what, seen, patience_s)
        return time.monotonic() - began

    def holders(self, seen_by: int) -> set[int]:
        """Return who holds shares, as one node sees it."""
        numbers = {self._id(number): number for number in range(len(self.network.homes))}
        return {numbers[node] for node in self.status(seen_by)["key"]["roster"]}

    def _id(self, number: int) -> str:
        return str(load_identity_of(self.network, number).public_key.format().hex())

    def are(self, numbers: Sequence[int]) -> Callable[[], bool]:
        """Return whether exactly these hold shares of one epoch, and all of them say so."""

        def reached() -> bool:
            keys = [self.status(number)["key"] for number in numbers]
            if not all(keys):
                return False
            same = len({key["epoch"] for key in keys}) == 1
            whole = all(key["holds_share"] for key in keys)
            return same and whole and self.holders(numbers[0]) == set(numbers)

        return reached

    def spend_stake(self, number: int) -> None:
        """Spend a node's stake, as its operator could."""
        key = load_identity_of(self.network, number)
        outpoint = load_config(self.network.homes[number].config).stake.outpoint
        assert outpoint is not None
        paid = (Output(STAKE - 2000, FAUCET_SCRIPT),)
        raw = sign_with(key, UnsignedTransaction((Input(outpoint, STAKE),), paid))

        async def send() -> None:
            async with self.network.rpc() as rpc:
                await rpc.call("sendrawtransaction", raw.hex())

        anyio.run(send, backend="trio")

    def rewards(self, number: int) -> int:
        """Return what a node's key has been paid, beside its stake."""
        script = key_script(load_identity_of(self.network, number).public_key.format())

        async def look() -> int:
            async with self.network.rpc() as rpc:
                found = await rpc.call("scantxoutset", "start", [f"raw({script.hex()})"])
                return sum(base_units(coin["amount"]) for coin in found["unspents"])

        return anyio.run(look, backend="trio")

    def pays(self, seen_by: int) -> None:
        """Make a deposit and wait until it is paid, at the address of old."""
        user = PrivateKey(os.urandom(32))
        home, payee = key_script(user.public_key.format()), PrivateKey(os.urandom(32))
        to = key_script(payee.public_key.format())
        custody = custody_script(bytes.fromhex(self.key["public_key"]))
        memo = b"pay:" + address_of(to, DEVNET_HRP).encode()

        async def settled() -> bool:
            async with self.network.rpc() as rpc:
                found = await rpc.call("scantxoutset", "start", [f"raw({to.hex()})"])
                return bool(found["unspents"])

        async def fund() -> None:
            async with self.network.rpc() as rpc:
                await faucet(rpc, address_of(home, DEVNET_HRP), AMOUNT + 10_000)

        async def pay_in() -> bool:
            async with self.network.rpc() as rpc:
                try:
                    await deposit(rpc, user, custody, AMOUNT, memo)
                except MetanodeError:
                    return False
                return True

        anyio.run(fund, backend="trio")
        wait_until("the user is funded", lambda: anyio.run(pay_in, backend="trio"), 30)
        self.until("the deposit is paid", lambda: anyio.run(settled, backend="trio"), 120)
        assert self.status(seen_by)["key"]["public_key"] == self.key["public_key"]

    def cheat(self, number: int) -> None:
        """Put a liar in the place of a node: it hides its messages of dealings from one member."""
        process = self.network._nodes[number]
        process.terminate()
        process.wait()
        self.cheats.add(number)
        home = self.network.homes[number]
        with open(home.path / "output.log", "ab") as stream:
            self.network._nodes[number] = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.cheating_node", "run",
                 "--home", str(home.path), "--cheat", "hide"],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def judge(self) -> None:
        """Stop all, and let the traces be judged."""
        self.network.stop()
        legal, said = self.network.judge_traces({}, self.cheats)
        say(said)
        assert legal


def load_identity_of(network: LocalNetwork, number: int) -> PrivateKey:
    """Return a node's key, as its operator could."""
    home = network.homes[number]
    passphrase = read_passphrase_file(network.directory / f"passphrase-{number + 1}")
    return PrivateKey(load_identity(home.identity, passphrase).secret_bytes())


def campaign(directory: Path, night_s: int) -> None:
    """Play the nights; say what was seen, and when."""
    made = Nights.begin(directory, night_s)
    try:
        newcomer(made)
        spent_stake(made)
        liar(made)
        gone(made)
        made.judge()
    finally:
        made.network.stop()


def newcomer(made: Nights) -> None:
    """A staked fifth node comes in by itself."""
    made.network.join(4, made.key["public_key"])
    took = made.until("the fifth is in", made.are([0, 1, 2, 3, 4]), 3 * made.night_s + 60)
    say(f"a staked fifth node has come in by itself after {took:.0f} s: n = 5, t = 4, f = 1")
    made.pays(0)


def spent_stake(made: Nights) -> None:
    """A holder whose stake is spent gets nothing from the next payout on, and is out."""
    made.spend_stake(1)
    made.until(
        "its operator is told", lambda: made.status(1)["stake"]["state"] == "spent", 60
    )
    time.sleep(3)
    before = [made.rewards(number) for number in (0, 1)]
    made.pays(0)
    after = [made.rewards(number) for number in (0, 1)]
    assert after[0] > before[0], "the others are rewarded"
    assert after[1] == before[1], "it is not"
    say(f"the payout after it spent its stake: +{after[0] - before[0]} for another, +0 for it")
    took = made.until("it is out", made.are([0, 2, 3, 4]), 3 * made.night_s + 60)
    say(f"it is out after {took:.0f} s more: n = 4, t = 3, f = 1")
    made.pays(0)


def liar(made: Nights) -> None:
    """A liar that hides its messages from one member is out, named, and the night goes on."""
    made.network.join(5, made.key["public_key"])
    took = made.until("a fifth is in again", made.are([0, 2, 3, 4, 5]), 3 * made.night_s + 60)
    say(f"another fifth node has come in after {took:.0f} s")
    made.cheat(3)
    took = made.until("the liar is out", made.are([0, 2, 4, 5]), 4 * made.night_s + 120)
    told = {note["of"] for n in (0, 2, 4, 5) for note in made.status(n)["recent"]
            if note["event"] == "regroup.withheld"}
    say(f"a liar that hides dealing messages from one member is out after {took:.0f} s: {told}")
    liar_id = load_identity_of(made.network, 3).public_key.format().hex()[:16]
    assert told <= {liar_id}
    made.pays(0)


def gone(made: Nights) -> None:
    """A holder that is gone is replaced after the set number of nights."""
    made.gone.add(4)
    made.network.kill(4)
    made.network.join(6, made.key["public_key"])
    began = time.monotonic()
    made.pays(0)
    took = made.until("it is replaced", made.are([0, 2, 5, 6]), 7 * made.night_s + 120)
    assert time.monotonic() - began > 2 * made.night_s
    say(f"a holder that is gone is replaced after {took:.0f} s, with nights of {made.night_s} s")
    made.pays(0)



if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--night", type=int, default=NIGHT_S, help="seconds between nights")
    told = parser.parse_args()
    campaign(Path(tempfile.mkdtemp(prefix="metanode-nights-")), told.night)
