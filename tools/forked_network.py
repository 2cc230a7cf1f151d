"""A local network whose nodes are forked from one process that has read the code already.

Sixty interpreters that import the same modules take a minute of two cores before the first link,
and hold the same octets sixty times. Each node is a process of its own all the same, runs the
command ``run`` and nothing else, and shares no object with another one.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from attrs import define

from metanode.cli.main import invoke
from metanode.devnet.local_network import LocalNetwork
from metanode.errors import Unavailable

PRELOADED = ("metanode.cli.init", "metanode.cli.run", "metanode.runtime.node")


def run_command(arguments: list[str], output: str) -> None:
    """Run one command of the program in this process, as a shell would: for a child."""
    for number, (name, flags) in enumerate(
        ((os.devnull, os.O_RDONLY), (output, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    ):
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(invoke(arguments))


class Child:
    """A forked process, as a ``Popen`` in what a local network asks of it."""

    def __init__(self, arguments: list[str], output: Path) -> None:
        """Start it."""
        context: Any = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        self._process = context.Process(target=run_command, args=(arguments, str(output)))
        self._process.start()
        self.pid = int(self._process.pid)

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        code: int | None = self._process.exitcode
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises TimeoutExpired as ``Popen`` does."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("metanode", timeout or 0.0)
        return code


@define
class ForkedNetwork(LocalNetwork):
    """A local network of forked nodes."""

    def start(self, number: int) -> None:
        """Start the node of a number, counted from 0."""
        home = self.homes[number]
        home.admin.unlink(missing_ok=True)
        child: Any = Child(["run", "--home", str(home.path)], home.path / "output.log")
        self._nodes[number] = child

    def memory_all(self) -> int:
        """Return the memory of all nodes in octets; what several share counts once."""
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    async def _command(self, arguments: list[str], failures: list[Unavailable]) -> None:
        with redirect_stdout(io.StringIO()):
            code = invoke(arguments)
        if code:
            failures.append(Unavailable(f"metanode {arguments[0]} ended with {code}"))
