"""A member that cheats in signing, as a real process: named, proved, banned; the others go on.

After everything else on this network: what the cheat earns itself stays for days.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metanode.runtime.operator.admin import fetch
from tests.integration.attacker import MEMBER
from tests.integration.support import SIZE, Live, metanode, wait_until

pytestmark = pytest.mark.timeout(400)  # every wait has a patience of its own

AMOUNT = 3_000_000


def start_cheating(live: Live, *cheats: str) -> str:
    """Put a cheating node in the place of a member's; return its node id."""
    network, home = live.network, live.network.homes[MEMBER]
    running = network._nodes.get(MEMBER)
    if running is not None and running.poll() is None:
        network.interrupt(MEMBER)
    live.betrayed.add(MEMBER)
    options = [word for cheat in cheats for word in ("--cheat", cheat)]
    command = [sys.executable, "-m", "tests.integration.cheating_node", "run"]
    with open(home.path / "output.log", "ab") as stream:
        network._nodes[MEMBER] = subprocess.Popen(
            [*command, "--home", str(home.path), *options],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    wait_until("the cheat is back and linked", live.ready)
    status = live.status(MEMBER)
    assert status is not None
    return str(status["node_id"])


def blame(live: Live, number: int) -> dict[str, Any]:
    """Return what the command says of a node's records."""
    done = metanode("blame", "--home", live.network.homes[number].path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def records(live: Live) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return a record of each kind that some honest node has, with the node's number."""
    found = {}
    for number in (number for number in range(SIZE) if number != MEMBER):
        status = live.status(number)
        notes = [] if status is None else status["recent"]
        if any(note["event"] == "peer.blamed" for note in notes):
            report = json.loads(fetch(live.network.homes[number], "/blame"))
            for record in report["records"]:
                found[record["kind"]] = (number, record)
    return found


def provoke(live: Live, *kinds: str) -> dict[str, tuple[int, dict[str, Any]]]:
    """Make deposits until the cheat's turn to sign has come; return what was recorded then."""
    for _ in range(4):
        made = live.deposit(AMOUNT)
        wait_until("an outcome", lambda made=made: records(live) or live.payout_of(made))
        if records(live):
            wait_until("every record", lambda: set(kinds) <= set(records(live)), patience_s=5)
            return records(live)
    raise AssertionError("the cheat was never among the signers")


def test_a_cheat_is_named_proved_and_banned_and_payouts_go_on(live: Live, tmp_path: Path) -> None:
    """Catches a cheat that goes unnamed, a proof that convinces nobody, and payouts that stop.

    To one peer the cheat says two different things, which anybody can check; of another it guesses
    a choice bit, of which there is that node's word only.
    """
    culprit = start_cheating(live, "two-faced")
    found = provoke(live, "equivocation", "ot_consistency")

    witness, proved = found["equivocation"]
    assert (proved["culprit"], proved["transferable"], proved["ban"]) == (culprit, True, False)
    home, file = live.network.homes[witness].path, tmp_path / "proved.blame"
    exported = metanode("blame", "export", "--home", home, proved["id"], file)
    assert (exported.returncode, exported.stderr) == (0, "")
    verified = metanode("blame", "verify", file)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith("convicted\n")
    assert culprit in verified.stdout

    victim, word = found["ot_consistency"]
    assert (word["culprit"], word["transferable"], word["ban"]) == (culprit, False, True)
    home, file = live.network.homes[victim].path, tmp_path / "word.blame"
    exported = metanode("blame", "export", "--home", home, word["id"], file)
    assert exported.returncode == 0
    assert "this node's word only" in exported.stderr
    assert metanode("blame", "verify", file).returncode == 1

    payout = live.paid(live.deposits[-1])
    status = live.status(victim)
    assert status is not None
    assert not {culprit, status["node_id"]} <= set(payout["signers"]), "banned, and yet together"
    assert [len(spends) for spends, _ in live.accounts(*live.deposits)] == [1] * len(live.deposits)

    refused = metanode("blame", "pardon", "--home", home, culprit)
    assert refused.returncode == 2
    assert "run `keyrefresh`, then pardon" in refused.stderr
    live.network.kill(victim)
    kept = blame(live, victim)
    assert word in kept["records"], "it survives SIGKILL, and is there when no node runs"
    assert [ban["node_id"] for ban in kept["bans"]] == [culprit]
    refused = metanode("blame", "pardon", "--home", home, culprit)
    assert refused.returncode == 2
    assert "run `keyrefresh`, then pardon" in refused.stderr
    live.network.start(victim)
    wait_until("the node is back", lambda: live.status(victim))
    assert blame(live, victim) == kept
