"""``tools/daemon``: a real daemon ready to use, and gone when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from metanode.devnet.daemon import MATURE_BLOCKS, DaemonError, find_program
from tests.daemons.support import Chain
from tests.runtime.support import ROOT
from tools.daemon import main

COMMAND = [sys.executable, "-m", "tools.daemon"]


def test_it_prints_what_opens_the_daemon_and_stops_it(daemon: Chain, tmp_path: Path) -> None:
    """Catches a daemon that is not ready when it says so, or that outlives the command."""
    with subprocess.Popen(
        [*COMMAND, "--directory", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = dict(process.stdout.readline().strip().partition(" ")[::2] for _ in range(5))
        told = {name: text.strip() for name, text in said.items()}
        assert told["height"] == str(MATURE_BLOCKS)
        secret = Path(told["password"])
        assert secret.stat().st_mode & 0o077 == 0
        auth = told["user"], secret.read_text(encoding="utf-8")
        call = {"method": "getbalance", "params": []}
        reply = httpx.post(told["url"], json=call, auth=auth, trust_env=False)
        assert reply.json()["result"] > 0
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.post(told["url"], json=call, auth=auth, trust_env=False)


def test_what_is_no_daemon_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches a wrong ``METANODE_DAEMON`` that is passed over, or ends in a traceback."""
    for wrong in (str(tmp_path / "nothing"), "/bin/true"):
        monkeypatch.setenv("METANODE_DAEMON", wrong)
        with pytest.raises(DaemonError, match=os.path.basename(wrong)):
            find_program()
        assert main([]) == 2
