"""``status --watch`` on a running network, ``init`` by --members, and ``completion``."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metanode.devnet.local_network import LocalNetwork
from metanode.runtime.home.config import load_config
from spec.parameters import LARGEST_ROSTER, quorum_fault, threshold
from tests.cli.conftest import Run
from tests.cli.running import STOPPED, end, network_with_key, wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """Four nodes with a key, one of which is stopped."""
    made = network_with_key(tmp_path_factory.mktemp("watch") / "net")
    yield made
    made.stop()


def test_watch_tells_changes_in_lines_and_in_json(network: LocalNetwork, run: Run) -> None:
    """Catches a watch that fills a log with equal lines, or whose JSON is no line each."""
    home = network.homes[0].path
    code, said, _ = run("status", "--home", home, "--watch", "--count", 3, "--interval", 0.2)
    assert code == 0
    assert said.count("\n") == 1
    assert "no deposit waits" in said
    code, said, _ = run("status", "--home", home, "--watch", "--count", 2, "--interval", 0.2,
                        "--json")
    assert code == 0
    lines = [json.loads(line) for line in said.splitlines()]
    assert len(lines) == 2
    assert all(line["now"].startswith("no deposit waits") for line in lines)
    code, said, _ = run("status", "--home", home, "--json")
    assert json.loads(said)["now"].startswith("no deposit waits")


def on_a_terminal(*words: object) -> tuple[int, str]:
    """Run a command on a terminal of its own; return exit code and what it painted."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "150", "LINES": "40", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "metanode", *map(str, words)], cwd=ROOT, stdin=follower,
        stdout=follower, stderr=follower, env=environment,
    )
    os.close(follower)
    painted = b""
    while True:
        try:
            part = os.read(leader, 1 << 16)
        except OSError:
            break
        if not part:
            break
        painted += part
    os.close(leader)
    return process.wait(20), re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", painted.decode())


def test_watch_is_a_table_on_a_terminal(network: LocalNetwork) -> None:
    """Catches a live table that does not come, or lacks who is away."""
    home = network.homes[0].path
    code, painted = on_a_terminal("status", "--home", home, "--watch", "--count", 2)
    assert code == 0, painted
    for words in ("no deposit waits", "deposits that wait", "payouts", "listing", "last ping"):
        assert words in painted


def test_a_node_that_goes_away_is_told(network: LocalNetwork, run: Run) -> None:
    """Catches a watch that ends, or says nothing, when the node does."""
    home = network.homes[STOPPED]
    network.start(STOPPED)
    wait_for(home.admin.exists)
    process = subprocess.Popen(
        [sys.executable, "-m", "metanode", "status", "--home", str(home.path), "--watch",
         "--count", "12", "--interval", "0.5"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    end(network, STOPPED)
    said, _ = process.communicate(timeout=30)
    assert "away: no node runs" in said
    assert process.returncode == 1


def test_no_node_is_one_line(network: LocalNetwork, run: Run) -> None:
    """Catches a watch of a node that does not run, which would wait for ever."""
    code, _, complaint = run("status", "--home", network.homes[STOPPED].path, "--watch")
    assert code == 2
    assert "no node runs" in complaint


@pytest.mark.parametrize("members", [2, 3, 4, 5, 7, 10, 31, LARGEST_ROSTER])
def test_init_computes_the_quorum(tmp_path: Path, run: Run, members: int) -> None:
    """Catches a network whose t and f do not follow from n, or are unsafe."""
    code, said, complaint = run(
        "init", "--home", tmp_path / "home", "--preset", "devnet", "--chain", "litecoin-regtest",
        "--members", members, "--new-passphrase-file", tmp_path / "word", "--json",
    )
    assert code == 0, complaint
    made = json.loads(said)
    assert (made["members"], made["threshold"]) == (members, threshold(members))
    assert quorum_fault(members, made["threshold"], made["byzantine"]) is None
    assert quorum_fault(members, made["threshold"], made["byzantine"] + 1) is not None
    assert made["chain"] == "litecoin-regtest"
    assert made["stake_address"].startswith("rltc1")
    assert len(made["next"]) == 3
    config = load_config(tmp_path / "home" / "config.toml")
    assert config.network.threshold == made["threshold"]


def test_init_keeps_what_the_network_file_says(tmp_path: Path, run: Run) -> None:
    """Catches a joining member who computes another quorum than its network has."""
    first = tmp_path / "first"
    code, _, _ = run("init", "--home", first, "--preset", "devnet", "--members", 7, "--threshold",
                     6, "--new-passphrase-file", tmp_path / "word")
    assert code == 0
    shared = load_config(first / "config.toml").network
    assert (shared.threshold, shared.byzantine) == (6, 1)
    code, _, complaint = run("init", "--home", tmp_path / "second", "--network-file",
                             first / "config.toml", "--new-passphrase-file", tmp_path / "word2")
    assert code == 0, complaint
    second = load_config(tmp_path / "second" / "config.toml")
    assert second.network_id() == load_config(first / "config.toml").network_id()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(run: Run, shell: str) -> None:
    """Catches a shell that is promised and not served."""
    code, said, _ = run("completion", shell)
    assert code == 0
    assert f"_METANODE_COMPLETE={shell}_complete" in said


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """Catches a script that loads and completes nothing: the shell itself asks here."""
    program = tmp_path / "metanode"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m metanode "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(metanode completion bash)"; '
        'COMP_WORDS=(metanode "$1" "$2"); COMP_CWORD=$3; _metanode_completion metanode; '
        'echo "${COMPREPLY[@]}"'
    )

    def complete(first: str, second: str, place: int) -> set[str]:
        done = subprocess.run(
            ["bash", "-c", script, "-", first, second, str(place)], cwd=ROOT, text=True,
            capture_output=True, check=True,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        )
        return set(done.stdout.split())

    assert {"config", "completion"} <= complete("co", "", 1)
    assert {"create", "verify", "restore", "resume"} == complete("backup", "", 2)
    assert "--watch" in complete("status", "--", 2)
