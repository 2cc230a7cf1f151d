"""A node killed in a round, a second one on its home, a chain that goes away: nothing is lost."""

from __future__ import annotations

import http.client
import json
import time

import pytest

from tests.integration.support import SIZE, Live, metanode, wait_until
from tests.support import refused

VICTIM, WITNESS = 0, 1
IN_A_ROUND = ("Proposing", "SetBuilding", "ThresholdSet", "Signing")
DOWN_S = 1.0


def phase_watcher(live: Live, number: int) -> tuple[str, int, dict[str, str]]:
    """Return where the status of a node is, for asking much faster than the command line can."""
    document = json.loads(live.network.homes[number].admin.read_text())
    return document["host"], document["port"], {"Authorization": f"Bearer {document['token']}"}


def phase_of(where: tuple[str, int, dict[str, str]]) -> str:
    """Return the phase that a node's status shows."""
    host, port, headers = where
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/status", headers=headers)
        return str(json.loads(connection.getresponse().read())["phase"])
    finally:
        connection.close()


def test_a_node_killed_in_the_middle_of_a_round_comes_back(live: Live) -> None:
    """Catches a crash that loses a share, a lock or a deposit, or makes the network pay twice."""
    made = live.deposit(4_000_000)
    where = phase_watcher(live, WITNESS)
    seen = wait_until(
        "a signing round",
        lambda: (phase := phase_of(where)) in IN_A_ROUND and phase,
        step_s=0.01,
    )
    live.network.kill(VICTIM)
    assert seen in IN_A_ROUND
    assert live.status(VICTIM) is None
    time.sleep(DOWN_S)
    live.network.start(VICTIM)
    payout = live.paid(made)
    wait_until("the killed node among the others", live.ready)
    after = live.deposit(5_000_000)
    later = live.paid(after)
    assert later["txid"] != payout["txid"]
    accounts = live.accounts(made, after)
    assert [spenders for spenders, _ in accounts] == [[payout["txid"]], [later["txid"]]]
    assert [len(received) for _, received in accounts] == [1, 1]

    def learnt() -> bool:
        status = live.status(VICTIM)
        known = {p["txid"] for p in status["payouts"]} if status else set()
        return {payout["txid"], later["txid"]} <= known

    wait_until("the killed node to know both payouts", learnt)


def test_a_network_whose_chain_dies_says_so_and_goes_on_when_it_is_back(live: Live) -> None:
    """Catches a node that ends or hangs with its daemon, or keeps quiet about it."""
    live.network.kill_chain()
    wait_until(
        "every node's word that its chain is gone",
        lambda: all(s["chain_fault"] for s in live.statuses()),
        step_s=0.5,
    )
    found = live.statuses()
    assert len(found) == SIZE
    for status in found:
        assert live.network.rpc_url in status["chain_fault"]
        assert len(status["links"]) == SIZE - 1
    shown = metanode("status", "--home", live.network.homes[0].path)
    assert shown.returncode == 0
    assert f"chain_fault: no answer from {live.network.rpc_url}" in shown.stdout
    live.run(live.network.revive_chain)
    wait_until(
        "every node's word that its chain is back",
        lambda: all(s["chain_fault"] is None for s in live.statuses()),
        step_s=0.5,
    )
    made = live.deposit(3_500_000)
    payout = live.paid(made)
    [(spenders, received)] = live.accounts(made)
    assert spenders == [payout["txid"]]
    assert len(received) == 1


@pytest.mark.parametrize("form", [["run", "--home"], ["--home"]])
def test_a_second_node_on_a_home_is_refused(live: Live, form: list[str]) -> None:
    """Catches two processes that sign from one signing log."""
    home = live.network.homes[1]
    done = metanode(*form, home.path)
    refused((done.returncode, done.stdout, done.stderr), str(home.path))
    assert live.ready()
