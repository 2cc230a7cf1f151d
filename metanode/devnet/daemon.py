"""A real chain daemon (litecoind or Bitcoin Core) on regtest, for the demo, by hand and in tests.

It has a wallet, coins that can be spent and, on request, MWEB. ``METANODE_DAEMON`` names the
binary; without it litecoind is taken from the path, or else bitcoind. Its password stands in files
that nobody else can read, and in no command line.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import httpx
from attrs import frozen

from metanode.chains import json_decimal
from metanode.errors import Unavailable

WALLET = "wallet"
MATURE_BLOCKS = 101  # the first coinbase can be spent
MWEB_HEIGHT = 432  # regtest: three windows of 144 blocks until the deployment is active
MWEB_COINS = 10  # of the wallet, moved into MWEB
USER = "metanode"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 60.0

Family = Literal["bitcoin", "litecoin"]
_COMMON = {
    "server": "1", "listen": "0", "dnsseed": "0", "fallbackfee": "0.0001", "txindex": "1",
    "acceptnonstdtxn": "0", "printtoconsole": "0", "keypool": "5", "dbcache": "8",
}
_OF_FAMILY: dict[Family, dict[str, str]] = {"bitcoin": {}, "litecoin": {"mempoolreplacement": "1"}}


class DaemonError(Unavailable):
    """A daemon that does not start, or a call that it refuses: ``code`` is that of its reply."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@frozen
class Program:
    """A binary, whose chain it runs, and what it says of its version."""

    path: str
    family: Family
    version: str


def find_program() -> Program | None:
    """Return the daemon to use, None when there is none; raises ``DaemonError`` for a wrong one."""
    named = os.environ.get("METANODE_DAEMON")
    path = named or shutil.which("litecoind") or shutil.which("bitcoind")
    return None if path is None else program_at(path)


def program_at(path: str) -> Program:
    """Return the daemon with this name or path; raises :class:`DaemonError` when it is none."""
    try:
        said = subprocess.run([path, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else f"`-version` fails: {fault.stderr}"
        raise DaemonError(f"{path} does not run: {why}: name a litecoind or bitcoind") from fault
    version = said.stdout.split("\n", 1)[0]
    if "Litecoin" in version:
        return Program(path, "litecoin", version)
    if "Bitcoin" in version:
        return Program(path, "bitcoin", version)
    raise DaemonError(f"{path} is neither litecoind nor bitcoind: {version!r}")


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server(ABC):
    """A chain as a process with JSON-RPC on a loopback port; it ends with the process that made it.

    A subclass says how it is started and which user and password it accepts.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # No connection is kept: a daemon that is stopped waits half a minute for those that are.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(timeout=CALL_TIMEOUT_S, trust_env=False, limits=limits)

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs it in the foreground."""

    @abstractmethod
    def credentials(self) -> tuple[str, str]:
        """Return the user and password that it accepts now."""

    def start(self) -> None:
        """Start it and wait until it answers."""
        output = self.directory / "output"
        with output.open("ab") as sink:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                preexec_fn=_end_with_parent,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                said = output.read_text(encoding="utf-8", errors="replace")[-1000:]
                raise DaemonError(f"{self.command()[0]} did not start: {said}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it as an operator does, and wait."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._http.close()

    def call(self, method: str, *params: Any, wallet: str | None = None) -> Any:
        """Call a method and return its result; raises :class:`DaemonError` when it is refused."""
        request = {"id": 0, "method": method, "params": list(params)}
        url = self.url if wallet is None else f"{self.url}/wallet/{wallet}"
        content = json_decimal.dumps(request).encode()
        response = self._http.post(url, content=content, auth=self.credentials())
        try:
            reply: Any = json_decimal.loads(response.content)
        except ValueError as fault:
            message = f"{method}: HTTP status {response.status_code}"
            raise DaemonError(message, response.status_code) from fault
        if reply["error"] is not None:
            raise DaemonError(f"{method}: {reply['error']['message']}", reply["error"]["code"])
        return reply["result"]

    def _answers(self) -> bool:
        try:
            self.call("getblockcount")
        except (DaemonError, httpx.HTTPError, OSError):
            return False
        return True


class Daemon(Server):
    """A litecoind or bitcoind in ``directory``; without a ``password`` it writes a cookie file."""

    def __init__(
        self, program: Program, directory: Path, *, password: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        self.program = program
        self.password = password
        self.settings = dict(settings or {})  # instead of ours, from the next start on

    @property
    def cookie(self) -> Path:
        """Return its cookie file, which every start writes anew."""
        return self.directory / "regtest" / ".cookie"

    def command(self) -> list[str]:
        """Return the command line; the settings stand in a file that nobody else can read."""
        settings = {**_COMMON, **_OF_FAMILY[self.program.family], "rpcport": str(self.port)}
        if self.password is not None:
            settings |= {"rpcuser": USER, "rpcpassword": self.password}
        settings |= self.settings
        lines = ["regtest=1", "[regtest]", *(f"{name}={text}" for name, text in settings.items())]
        path = self.directory / "daemon.conf"
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [self.program.path, f"-datadir={self.directory}", f"-conf={path}"]

    def credentials(self) -> tuple[str, str]:
        """Return the user and password that it accepts now."""
        if self.password is not None:
            return USER, self.password
        user, _, password = self.cookie.read_text(encoding="utf-8").partition(":")
        return user, password

    def flush(self) -> None:
        """Make it write its state to disk: a killed daemon falls back to the last time it did."""
        self.call("gettxoutsetinfo")

    def prepare(self, *, mweb: bool) -> None:
        """Give it a wallet with coins that can be spent, and MWEB coins if wanted; once."""
        self.open_wallet()
        height = MWEB_HEIGHT if mweb else MATURE_BLOCKS
        missing = height - 1 - int(self.call("getblockcount"))
        if missing > 0:
            self.mine(missing)
        if mweb and self.call("getblockcount") < height:
            # The block that activates MWEB must bring coins into it.
            address = self.call("getnewaddress", "", "mweb", wallet=WALLET)
            self.call("sendtoaddress", address, MWEB_COINS, wallet=WALLET)
        self.mine(1)
        self.flush()

    def mine(self, count: int = 1) -> None:
        """Mine blocks to the wallet."""
        self.call("generatetoaddress", count, self.call("getnewaddress", wallet=WALLET))

    def open_wallet(self) -> None:
        """Open its wallet, which it has closed if it was started anew."""
        if WALLET in self.call("listwallets"):
            return
        known = [entry["name"] for entry in self.call("listwalletdir")["wallets"]]
        self.call("loadwallet" if WALLET in known else "createwallet", WALLET)


def _end_with_parent() -> None:
    """Have the kernel kill the child when its parent dies, however that happens (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
