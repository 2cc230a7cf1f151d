"""The demo: its options, what it prints, its exit codes; one real run."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve
from rich.console import Console

from metanode.chains.rpc import RpcClient
from metanode.cli import demo
from metanode.cli.demo import Progress, parse_seeds, show
from metanode.cli.main import invoke
from metanode.devnet.demo_scenario import Outcome
from metanode.errors import Unavailable, UserError
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import address_of_page


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("1-3", [1, 2, 3]), ("1,4,9-11", [1, 4, 9, 10, 11]), ("5-5", [5])],
)
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    """Catches a campaign over other seeds than were asked for."""
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "1-", "-3", "3-1", "1-2-3", "1;2", "0-5000", "1,,2"])
def test_bad_seeds_are_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a campaign over nothing that reports success."""
    with pytest.raises(UserError):
        parse_seeds(text)
    assert invoke(["demo", "--kill-seeds", text]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: --kill-seeds")
    assert errors.count("\n") == 1


def outcome(*faults: str) -> Outcome:
    """Return the accounts of a run with one payout."""
    return Outcome(
        payouts=[
            {"txid": "ab" * 32, "inputs": 2, "outputs": 7, "signers": ["node 1", "node 3"],
             "seconds": 0.21},
        ],
        deposits=[
            {"name": "deposit 1", "kind": "release", "amount": 3_000_000, "paid": 2_985_000,
             "txid": "ab" * 32, "once": not faults},
        ],
        faults=list(faults),
        killed="node 2 at 0.61 s, back after 2.4 s",
    )


def stage(monkeypatch: pytest.MonkeyPatch, *results: Outcome | Exception) -> list[int]:
    """Put prepared outcomes in the place of real runs; return the seeds that were played."""
    waiting, played = list(results), []

    async def play(
        directory: Path, seed: int, report: Progress, program: object, watch: bool
    ) -> Outcome:
        assert not watch
        assert directory.is_dir() or not directory.exists()
        played.append(seed)
        result = waiting.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(demo, "play", play)
    return played


def test_a_good_run_ends_with_the_accounts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a demo that does not say which seed it ran, or what came of the deposits."""
    played = stage(monkeypatch, outcome())
    assert invoke(["demo", "--seed", "5"]) == 0
    assert played == [5]
    said = capsys.readouterr().out
    assert "seed 5; again with: python -m metanode demo --seed 5" in said
    assert "2985000" in said
    assert "node 1, node 3" in said
    assert said.rstrip().endswith("every deposit was settled exactly once")


def test_a_fault_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a double payout that ends in success."""
    stage(monkeypatch, outcome("not settled once: deposit 1: spent 1 times, paid 2 times"))
    assert invoke(["demo", "--seed", "5"]) == 1
    said = capsys.readouterr().out
    assert "not settled once: deposit 1: spent 1 times, paid 2 times" in said
    assert "exactly once\n" not in said.splitlines()[-1]


class Finished:
    """A scenario that has been played already."""

    def __init__(self, network: Any, *_: Any) -> None:
        self.network = network

    async def run(self) -> Outcome:
        return evolve(outcome(), trace_ends={0: "ab" * 32})


class Judged:
    """A network of no nodes whose traces get a prepared verdict."""

    chain_name = "devnet"
    verdict = (True, "1 node, 7 lines, every step legal")

    def __init__(self, directory: Path) -> None:
        self.stopped, self.directory = False, directory
        self.homes: list[Home] = []

    async def prepare(self) -> None:
        pass

    def rpc(self) -> RpcClient:
        return RpcClient("http://127.0.0.1:9")

    def stop(self) -> None:
        self.stopped = True

    def judge_traces(self, ends: dict[int, str]) -> tuple[bool, str]:
        assert self.stopped
        assert ends == {0: "ab" * 32}
        return self.verdict


@pytest.mark.parametrize(("path", "said"), [("nothing", "does not run"), ("true", "is neither")])
def test_a_daemon_that_is_none_is_one_line(
    path: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a demo that ends in a traceback, or passes to the embedded chain without a word."""
    assert invoke(["demo", "--daemon", path]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {path} {said}")
    assert errors.count("\n") == 1


def test_the_traces_are_judged_when_all_nodes_have_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Catches a run outside the tables that ends in success because the money came out right."""
    monkeypatch.setattr(demo, "LocalNetwork", Judged)
    monkeypatch.setattr(demo, "Scenario", Finished)
    assert invoke(["demo", "--seed", "5"]) == 0
    assert "traces: 1 node, 7 lines, every step legal\n" in capsys.readouterr().out
    monkeypatch.setattr(Judged, "verdict", (False, "node-1/trace-000001.jsonl:7: row 3 of peer"))
    assert invoke(["demo", "--seed", "5"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "a trace is not legal: node-1/trace-000001.jsonl:7: row 3 of peer"
    assert invoke(["demo", "--kill-seeds", "5", "--keep", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "a trace is not legal: node-1/trace-000001.jsonl:7: row 3 of peer (" in said
    assert "replay: python -m metanode demo --seed 5" in said


def test_a_run_that_does_not_end_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a traceback when something does not come in time."""
    stage(monkeypatch, Unavailable("did not come within 90 s: a key locked in by all"))
    assert invoke(["demo", "--seed", "5"]) == 2
    assert capsys.readouterr().err == "error: did not come within 90 s: a key locked in by all\n"


def test_a_campaign_names_what_to_replay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a campaign that stops at a failure, hides it, or cannot be replayed."""
    played = stage(
        monkeypatch, outcome(), outcome("deposit 1: spent 0 times, paid 0 times"),
        Unavailable("did not come"), outcome(),
    )
    assert invoke(["demo", "--kill-seeds", "3-6"]) == 1
    assert played == [3, 4, 5, 6]
    said = capsys.readouterr().out
    assert "seed 3: node 2 at 0.61 s, back after 2.4 s: every deposit settled once" in said
    assert "seed 4: node 2 at 0.61 s, back after 2.4 s: deposit 1: spent 0 times" in said
    assert "seed 5: did not end: did not come" in said
    assert "replay: python -m metanode demo --seed 4" in said
    assert "replay: python -m metanode demo --seed 5" in said
    assert "2 of 4 seeds" in said
    stage(monkeypatch, outcome())
    assert invoke(["demo", "--kill-seeds", "3"]) == 0


def test_a_watched_network_goes_on_until_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Catches a page that is gone with the last payout, and a Ctrl-C that loses the accounts."""
    monkeypatch.setattr(demo, "LocalNetwork", Judged)
    monkeypatch.setattr(demo, "Scenario", Finished)
    asked: list[int] = []

    def interrupt() -> None:
        while not (tmp_path / "watch" / "admin.json").exists():
            time.sleep(0.02)
        time.sleep(0.3)
        with httpx.Client(trust_env=False) as client:
            page = client.get(address_of_page(Home(tmp_path / "watch")).partition("#")[0])
        asked.append(page.status_code)
        os.kill(os.getpid(), signal.SIGINT)

    reader = threading.Thread(target=interrupt)
    reader.start()
    assert invoke(["demo", "--seed", "5", "--watch", "--keep", str(tmp_path)]) == 0
    reader.join()
    assert asked == [200]
    said = capsys.readouterr().out
    assert re.search(r"watch it: http://127\.0\.0\.1:\d+/#token=[\w-]+\n", said)
    assert "every step legal" in said
    assert said.rstrip().endswith("every deposit was settled exactly once")


def test_one_network_is_watched_and_not_many(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a campaign that waits for a Ctrl-C after its first network."""
    assert invoke(["demo", "--kill-seeds", "1-3", "--watch"]) == 2
    assert capsys.readouterr().err.startswith("error: --watch shows one network")


def test_a_folder_that_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a demo that writes into a folder with something in it."""
    (tmp_path / "mine").write_text("x")
    stage(monkeypatch, outcome())
    assert invoke(["demo", "--seed", "5", "--keep", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def node_status(**changes: Any) -> dict[str, Any]:
    """Return as much of a status as the live table shows."""
    return {
        "phase": "Signing",
        "links": ["a", "b", "c"],
        "peers": [{"listing": "listed"}, {"listing": "checking"}],
        "key": {"public_key": "02" + "cd" * 32},
        "payouts": [{"state": "COMPLETED"}, {"state": "SIGNED"}],
        "chain": {"height": 129},
        **changes,
    }


def test_a_terminal_gets_a_live_table_and_a_file_plain_lines() -> None:
    """Catches control characters in a log, and a live display that fails on a young node."""
    nodes = [node_status(), node_status(key=None, chain=None), None]
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Progress(screen) as report:
        report.look(nodes)
        report.step("a step")
        report.detail("a detail [with brackets]")
    drawn = screen.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    for wanted in ("Signing", "1 of 2 final", "129", "away", "a step", "a detail [with brackets]"):
        assert wanted in drawn
    plain = Console(file=io.StringIO(), soft_wrap=True)
    with Progress(plain) as report:
        report.look(nodes)
        report.step("a step")
    lines = plain.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "\x1b" not in lines
    assert lines.endswith("a step\n")
    assert lines.count("\n") == 1


def test_the_closing_tables_hold_whole_ids() -> None:
    """Catches a table that cuts the ids which somebody wants to look up."""
    console = Console(file=io.StringIO(), width=200)
    show(console, outcome())
    assert "ab" * 32 in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_the_demo_runs_to_its_end() -> None:
    """Catches whatever keeps four real processes from paying three deposits over a SIGKILL."""
    done = subprocess.run(
        [sys.executable, "-m", "metanode", "demo", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.rstrip().endswith("every deposit was settled exactly once")
    assert re.search(r"traces: 4 nodes, [\d,]+ lines, every step legal\n", done.stdout)
    assert "SIGKILL for node" in done.stdout
    assert "the killed node has recovered" in done.stdout
