"""Refresh and quorum change on a network of real processes, with SIGKILL in each of their phases.

``python -m tests.integration.regroups`` runs the whole campaign: for a refresh and for a quorum
change, one node is killed at the moment at which its trace shows a phase; it is started again, the
new shares must come into force, and the key must sign at its address. At the end all traces
together must be a run of the protocol.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from attrs import define, field

from metanode.devnet.local_network import LocalNetwork
from metanode.errors import MetanodeError
from metanode.runtime.operator.admin import fetch_status
from tests.integration.support import metanode, wait_until

FOUNDERS = 4
PHASES: dict[str, tuple[str, str]] = {
    "the session begins": ("session", "Release"),
    "the share is prepared": ("regroup", "Prepare"),
    "the old share is fenced": ("regroup", "Fence"),
    "the locks are handed over": ("regroup", "HandOver"),
    "the new share works": ("regroup", "Activate"),
    "the old share is erased": ("regroup", "Erase"),
}
"""The row of the trace at which a node is killed; what it wrote is on disk, all else is lost."""

COMMAND_S = 240


@define
class Regroups:
    """A network whose key is made, refreshed and handed on by commands."""

    network: LocalNetwork
    holders: list[int] = field(factory=lambda: list(range(FOUNDERS)))
    spare: int = FOUNDERS
    key: dict[str, Any] = field(factory=dict)
    digests: int = 0

    @classmethod
    def begin(cls, directory: Path) -> Regroups:
        """Start four founders that make no key before they are told to; one spare node waits."""
        made = cls(LocalNetwork(directory, size=FOUNDERS, keygen="command", spares=1))
        anyio.run(made.network.prepare, backend="trio")
        for number in made.holders:
            made.network.start(number)
        wait_until("all founders are listed", lambda: made.everywhere(made.holders, made._listed))
        return made

    def make_key(self) -> None:
        """Make the key, as its founders' operators do."""
        self.key = self.answer("keygen", self.holders)

    def status(self, number: int) -> dict[str, Any]:
        """Return what a node says of itself."""
        return fetch_status(self.network.homes[number])

    def answer(self, command: str, numbers: Sequence[int], *options: object) -> dict[str, Any]:
        """Run a command for the homes of these nodes; return what it printed."""
        done = self.run(command, numbers, *options)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def run(
        self, command: str, numbers: Sequence[int], *options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a command for the homes of these nodes, whatever comes of it."""
        homes = [word for n in numbers for word in ("--home", self.network.homes[n].path)]
        return metanode(command, *homes, *options, "--json", timeout_s=COMMAND_S)

    def signs(self) -> None:
        """Let the holders sign a new digest; the signature must be of the key of old."""
        self.digests += 1
        digest = hashlib.sha256(f"digest {self.digests}".encode()).hexdigest()
        found = self.answer("sign", self.holders, "--digest", digest)
        assert found["address"] == self.key["address"], "the address has changed"
        assert found["digest"] == digest

    def refresh(self, victim: int | None = None, phase: str = "") -> None:
        """Renew all shares; ``victim`` is killed when its trace shows a phase, and restarted."""
        self._regroup("keyrefresh", self.holders, (), self.holders, victim, phase)

    def replace(
        self, threshold: int, faulty: int, victim: int | None = None, phase: str = ""
    ) -> None:
        """Put the spare node in the place of the last holder, with another threshold."""
        leaver, joiner = self.holders[-1], self.spare
        ids = [self.status(leaver)["node_id"], self.join(joiner)]
        options = ("--replace", "=".join(ids), "--threshold", threshold, "--byzantine", faulty)
        after = [*self.holders[:-1], joiner]
        asked = [*self.holders, joiner]
        self._regroup("quorumchange", asked, options, after, victim, phase)
        self.holders, self.spare = after, leaver

    def join(self, number: int) -> str:
        """Start the spare node, if it is not up, and wait until it knows the key."""
        if number not in self.network.running():
            self.network.join(number, self.key["public_key"])
        everybody = len(self.holders)

        def knows(status: dict[str, Any]) -> bool:
            return status["key"] is not None and len(status["links"]) >= everybody

        wait_until("the spare node knows the key", lambda: self.everywhere([number], knows))
        return str(self.status(number)["node_id"])

    def _regroup(
        self,
        command: str,
        asked: Sequence[int],
        options: Sequence[object],
        after: Sequence[int],
        victim: int | None,
        phase: str,
    ) -> None:
        before = self.status(self.holders[0])["key"]["epoch"]
        if victim is None:
            self.answer(command, asked, *options)
        else:
            trace = Follow(self.network.homes[victim].trace)
            done = self.run(command, asked, *options, "--no-wait")
            assert done.returncode == 0, done.stderr
            trace.wait_for(*PHASES[phase])
            self.network.kill(victim)
            self.network.start(victim)

        def in_force(status: dict[str, Any]) -> bool:
            key = status["key"]
            return bool(key and key["epoch"] > before and key["holds_share"])

        wait_until("the new shares work", lambda: self.everywhere(after, in_force), COMMAND_S)
        wait_until("all are linked", lambda: self.everywhere(after, self.linked))

    def everywhere(self, numbers: Sequence[int], condition: Any) -> bool:
        """Return whether a condition holds of what each of these nodes says of itself."""
        fallen = self.network.fallen()
        assert not fallen, f"a node ended by itself: {fallen}"
        try:
            return all(condition(self.status(number)) for number in numbers)
        except MetanodeError:
            return False

    def linked(self, status: dict[str, Any]) -> bool:
        """Return whether a node is linked with all founders, or with as many."""
        return len(status["links"]) >= FOUNDERS - 1

    def _listed(self, status: dict[str, Any]) -> bool:
        return self.linked(status) and (
            sum(peer["listing"] == "listed" for peer in status["peers"]) == FOUNDERS
        )


class Follow:
    """Reads on in a node's trace from where it ends now."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read = {path: path.stat().st_size for path in directory.iterdir()}

    def wait_for(self, table: str, event: str, patience_s: float = 60.0) -> None:
        """Return as soon as the trace has a row of this event."""
        marks = (f'"table":"{table}"'.encode(), f'"event":"{event}"'.encode())
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            for path in sorted(self._directory.iterdir()):
                with open(path, "rb") as stream:
                    stream.seek(self._read.get(path, 0))
                    data = stream.read()
                whole = data[: data.rfind(b"\n") + 1]
                self._read[path] = self._read.get(path, 0) + len(whole)
                if any(all(mark in line for mark in marks) for line in whole.splitlines()):
                    return
            time.sleep(0.002)
        raise AssertionError(f"no {table}.{event} in {self._directory} within {patience_s:.0f} s")


def campaign(directory: Path) -> None:
    """Kill a node in each phase of a refresh and of a quorum change; say what was seen."""
    made = Regroups.begin(directory)
    try:
        made.make_key()
        for place, phase in enumerate(PHASES):
            began = time.monotonic()
            made.refresh(made.holders[place % FOUNDERS], phase)
            made.signs()
            say(f"refresh, killed as {phase}: the key signs, {time.monotonic() - began:.0f} s")
        for place, phase in enumerate(PHASES):
            began = time.monotonic()
            leaver_too = phase in ("the old share is fenced", "the locks are handed over")
            victim = made.holders[-1] if leaver_too else made.spare
            if phase == "the old share is erased":
                victim = made.holders[0]
            made.replace(*((4, 0) if place % 2 else (3, 1)), victim, phase)
            made.signs()
            took = time.monotonic() - began
            say(f"quorum change, killed as {phase}: the key signs, {took:.0f} s")
    finally:
        made.network.stop()
    legal, said = made.network.judge_traces({})
    say(said)
    assert legal


def say(text: str) -> None:
    """Print a line of progress at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    campaign(Path(tempfile.mkdtemp(prefix="metanode-regroups-")))
