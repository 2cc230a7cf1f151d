"""What the service manager is told, over a real socket, by a program and by a real node."""

from __future__ import annotations

import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from attrs import define

from metanode.devnet.local_network import free_ports
from metanode.errors import UserError
from metanode.runtime.secrets.keystore import read_passphrase_file
from metanode.runtime.service import BEATS, STATUS_S, ServiceManager
from tests.integration.support import metanode

ME = 4711
HANGING = """
import sys, time
from pathlib import Path
from metanode.cli.main import invoke
from metanode.runtime.store.disk import Disk
flush = Disk.flush
def stuck(self, writes):
    while Path(sys.argv[1]).exists():
        time.sleep(0.1)
    flush(self, writes)
Disk.flush = stuck
sys.exit(invoke(sys.argv[2:]))
"""
"""A node whose flush to disk, in a thread, does not come back while a file is there."""


@define
class Listener:
    """A service manager's end of the socket."""

    end: socket.socket

    def heard(self, wait_s: float = 0.0) -> str | None:
        """Return the next datagram, or None when none comes in time."""
        ready, _, _ = select.select([self.end], [], [], wait_s)
        return self.end.recv(4096).decode() if ready else None

    def hear(self, wanted: str, patience_s: float = 40.0) -> str:
        """Return the first datagram with a line; fails when none comes in time."""
        deadline = time.monotonic() + patience_s
        while (left := deadline - time.monotonic()) > 0:
            said = self.heard(left)
            if said is not None and wanted in said.splitlines():
                return said
        raise AssertionError(f"never heard: {wanted}")

    def drain(self) -> list[str]:
        """Return what has been said and not heard yet."""
        found = []
        while (said := self.heard()) is not None:
            found.append(said)
        return found


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """How a manager names its socket: a path, or a name of the kernel's."""
    return str(tmp_path / "notify") if request.param == "path" else f"@{secrets.token_hex(8)}"


@pytest.fixture
def listener(address: str) -> Iterator[Listener]:
    """A manager that listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + address[1:] if address.startswith("@") else address)
        yield Listener(end)


def asleep() -> str:
    """What a node does that does nothing."""
    return "sleeps"


def test_the_first_tick_says_ready_and_later_ones_beat(address: str, listener: Listener) -> None:
    """Catches a start that is never over, or a beat for each of 20 ticks a second."""
    manager = ServiceManager.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000"}, ME)
    manager.tick(100.0, asleep)
    assert listener.heard() == "STATUS=sleeps\nREADY=1\nWATCHDOG=1"
    manager.tick(100.0 + 7.9 / BEATS, asleep)
    assert listener.heard() is None
    manager.tick(100.0 + 8 / BEATS, asleep)
    assert listener.heard() == "STATUS=sleeps\nWATCHDOG=1"
    manager.stopping()
    assert (listener.heard() or "").startswith("STOPPING=1")


@pytest.mark.parametrize(
    "odd", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "-1"}, {"WATCHDOG_USEC": "9" * 99},
            {"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "4712"}],
)
def test_without_a_watchdog_only_the_status_is_told(
    address: str, listener: Listener, odd: Mapping[str, str]
) -> None:
    """Catches a node that ends, or beats for somebody else, for what stands in its environment."""
    manager = ServiceManager.of({"NOTIFY_SOCKET": address, **odd}, ME)
    manager.tick(0.0, asleep)
    manager.tick(STATUS_S / 2, asleep)
    manager.tick(STATUS_S, asleep)
    assert listener.drain() == ["STATUS=sleeps\nREADY=1", "STATUS=sleeps"]


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:9999", "@"])
def test_where_nobody_listens_nothing_happens(name: str) -> None:
    """Catches a node that ends because nobody manages it."""
    manager = ServiceManager.of({"NOTIFY_SOCKET": name}, ME)
    manager.tick(0.0, asleep)
    manager.stopping()


def test_ready_is_said_again_until_it_is_heard(tmp_path: Path) -> None:
    """Catches a start that counts as failed because the manager was busy for a moment."""
    name = str(tmp_path / "notify")
    manager = ServiceManager.of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "4000000"}, ME)
    manager.tick(0.0, asleep)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(name)
        manager.tick(1.0, asleep)
        assert "READY=1" in (Listener(end).heard() or "")
        manager.tick(2.0, asleep)
        assert "READY=1" not in (Listener(end).heard() or "READY=1")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node without a chain and without peers."""
    port, nobody = free_ports(2)
    made = metanode(
        "init", "--home", tmp_path / "node", "--listen", f"127.0.0.1:{port}", "--preset", "devnet",
        "--keygen-until", 1, "--stake-outpoint", "ab" * 32 + ":0",
        "--rpc-url", f"http://127.0.0.1:{nobody}", "--new-passphrase-file", tmp_path / "pass",
    )
    assert made.returncode == 0, made.stderr
    return tmp_path / "node"


@pytest.mark.parametrize("address", ["path"], indirect=True)
def test_a_real_node_is_ready_beats_hangs_and_stops(
    address: str, listener: Listener, home: Path, tmp_path: Path
) -> None:
    """Catches a beat that goes on while the node hangs: a flush to disk does not come back, sockets
    and threads live, and the manager must see nothing of that.
    """
    stuck = tmp_path / "stuck"
    environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"}
    node = subprocess.Popen(
        [sys.executable, "-c", HANGING, str(stuck), "run", "--home", str(home)],
        env=environment, stdin=subprocess.DEVNULL,
    )
    try:
        said = listener.hear("READY=1")
        assert "WATCHDOG=1" in said.splitlines()
        shown = r"STATUS=phase (Idle|Keygen), 0 links, no block yet, health \w+\n"
        assert re.match(shown, said), said
        listener.hear("WATCHDOG=1")
        stuck.touch()
        assert silent_at_last(listener), "it beats although it hangs"
        stuck.unlink()
        listener.hear("WATCHDOG=1")
        node.send_signal(signal.SIGTERM)
        listener.hear("STOPPING=1")
        assert node.wait(30) == 0
    finally:
        node.kill()
        node.wait()


def silent_at_last(listener: Listener) -> bool:
    """Return whether two seconds, four beats, pass without a word within half a minute."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if listener.heard(2.0) is None:
            return True
    return False


def test_a_credential_may_have_the_mask_of_its_access_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a passphrase that systemd hands over (mode 0440, an access list for one user) and the
    node refuses; and one that everybody may read, or a mere file, that it would take.
    """
    file = tmp_path / "credentials" / "passphrase"
    file.parent.mkdir()
    file.write_text("the words\n")
    file.chmod(0o440)
    with pytest.raises(UserError, match="open to other users"):
        read_passphrase_file(file)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(file.parent))
    assert read_passphrase_file(file).secret == b"the words"
    for mode in (0o444, 0o460, 0o404):
        file.chmod(mode)
        with pytest.raises(UserError, match="open to other users"):
            read_passphrase_file(file)
    file.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(UserError, match="open to other users"):
        read_passphrase_file(file)
