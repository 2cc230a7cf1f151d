"""The clocks that the shell hands to the core, and a real node whose wall clock is set."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metanode.runtime.clock import Clock
from metanode.runtime.home.home import Home, create_home
from metanode.runtime.store.trace import read_trace
from tests.runtime.support import PASSPHRASE, ROOT, SECRET_TEXT, config

# The wall clock of this process is the machine's, moved by what stands in a file.
NODE = """
import sys, time
from pathlib import Path
real, moved = time.time, Path(sys.argv[1])
time.time = lambda: real() + float(moved.read_text())
from metanode.cli.main import invoke
sys.exit(invoke(["run", "--home", sys.argv[2], "--passphrase-file", sys.argv[3]]))
"""


def test_the_steady_clock_is_nobodys_to_set() -> None:
    """Catches waits that follow the wall clock, and ages that do not begin at its reading."""
    wall, even = [1_800_000_000.0], [50.0]
    clock = Clock(lambda: wall[0], lambda: even[0])
    assert clock() == clock.steady() == 1_800_000_000.0
    wall[0], even[0] = 1_800_000_000.0 - 3600, 51.5
    assert clock() == 1_800_000_000.0 - 3600
    assert clock.steady() == 1_800_000_001.5


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Home, Path]]:
    """A node that runs with a clock that the test sets; it has no daemon and no peers."""
    home, moved, secret = Home(tmp_path / "home"), tmp_path / "moved", tmp_path / "pass"
    create_home(home, config("node.listen", "127.0.0.1:0"), PASSPHRASE)
    moved.write_text("0")
    secret.write_bytes(SECRET_TEXT)
    secret.chmod(0o600)
    command = [sys.executable, "-c", NODE, moved, home.path, secret]
    with subprocess.Popen(command, cwd=ROOT) as process:
        yield process, home, moved
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def log_of(home: Home, event: str) -> list[dict[str, Any]]:
    """Return the log lines of one event."""
    if not home.log.exists():
        return []
    lines = [json.loads(line) for line in home.log.read_text().splitlines(keepends=False) if line]
    return [line for line in lines if line["event"] == event]


def wait_for(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def put(moved: Path, seconds: float) -> None:
    """Set the node's wall clock; the file is whole at any moment."""
    new = moved.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(moved)


def status(home: Home) -> dict[str, Any]:
    """Return what `status --json` says."""
    command = [sys.executable, "-m", "metanode", "status", "--home", str(home.path), "--json"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def test_a_node_whose_clock_is_set_says_so_and_goes_on(
    node: tuple[subprocess.Popen[bytes], Home, Path]
) -> None:
    """Catches a step that is not seen by the real shell, that ends it, or that stops its waits."""
    process, home, moved = node
    wait_for(lambda: log_of(home, "node.started"))
    put(moved, 3600)
    wait_for(lambda: log_of(home, "clock.stepped"))
    assert log_of(home, "clock.stepped")[0]["by_s"] == pytest.approx(3600, abs=1)
    assert len(log_of(home, "node.started")) == 1, "a step ahead costs nothing"
    put(moved, 0)
    wait_for(lambda: len(log_of(home, "node.started")) == 2)
    assert [round(line["by_s"], -1) for line in log_of(home, "clock.stepped")] == [3600]
    shown = status(home)
    assert shown["clock"]["moved_at"] is not None
    assert abs(shown["clock"]["moved_s"]) < 2
    assert 0 <= shown["uptime_s"] < 60
    wait_for(lambda: log_of(home, "clock.even"))
    put(moved, -1)
    wait_for(lambda: len(log_of(home, "clock.stepped")) == 2)
    assert len(log_of(home, "node.started")) == 2, "a small step back only waits"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    list(read_trace(home.trace))
