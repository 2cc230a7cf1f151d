"""The page of a real node in a real browser: a payout is followed, a dead chain is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from metanode.runtime.operator.admin import fetch_json
from metanode.runtime.operator.openapi import document
from tests.browser import webdriver
from tests.browser.browsers import NEEDED, WINDOWS, accessible
from tests.browser.webdriver import Browser
from tests.integration.support import Live, metanode, wait_until

LIT = "document.querySelector('.state.lit .name')?.textContent"
WAY = (
    "[...document.querySelectorAll('#deposits code')].filter(c => c.title === arguments[0])"
    ".map(c => c.closest('tr').querySelector('[aria-current]').textContent)[0]"
)
DAEMON = "document.getElementById('chain').innerText"


@pytest.fixture
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on a new profile."""
    with webdriver.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def begin(live: Live, window: Browser, number: int) -> str:
    """Open the page of a node at the address that the command prints; return its token."""
    home = live.network.homes[number].path
    done = metanode("page", "--home", home)
    assert (done.returncode, done.stderr) == (0, "")
    window.open(done.stdout.strip())
    window.wait("document.getElementById('ready').innerText.startsWith('Ready')")
    return done.stdout.strip().partition("#token=")[2]


@NEEDED
def test_a_payout_is_followed_and_a_dead_chain_is_seen(live: Live, window: Browser) -> None:
    """Catches a page that misses a payout, whose pictures are empty or not those of the node, and
    one that stays green without a chain; and a token in a log.
    """
    WINDOWS[0].apply(window)
    token = begin(live, window, 1)
    window.requests()
    window.errors()
    phases: set[str] = set()
    made = live.deposit(2_500_000)
    seen: list[str] = []

    def final() -> bool:
        phases.add(window.evaluate(LIT))
        place = window.evaluate(WAY, made.outpoint)
        if place is not None and place not in seen:
            seen.append(place)
        return place == "final"

    wait_until("a final payout on the page", final, step_s=0.05)
    assert seen[0] in ("seen", "mined", "in line"), seen
    payout = live.paid(made)
    assert payout["txid"][:16] in window.evaluate("document.getElementById('payouts').innerText")
    assert "2,500,000" in window.evaluate("document.getElementById('deposits').innerText")
    drawn = window.evaluate(
        "['#graph line', '#plots .dot', '#plots .run', '#clock path', '#stakes tbody tr']"
        ".map(s => document.querySelectorAll(s).length)"
    )
    links, dots, runs, _, stakes = drawn
    assert (links, stakes) == (3, 4)
    assert dots >= 1, "the round that signed"
    assert runs >= 4, "its phases, each with its time, though they last some milliseconds"
    for window_ in WINDOWS:
        window_.apply(window)
        accessible(window)
    assert not [url for url in window.requests() if "/feed" in url and token in url]
    assert window.errors() == []

    live.network.kill_chain()
    try:
        window.wait(f"{DAEMON}.includes('The chain daemon is away')")
        assert "cannot take part" in window.evaluate("document.getElementById('ready').innerText")
        accessible(window)
    finally:
        live.run(live.network.revive_chain)
    window.wait(f"!{DAEMON}.includes('is away')")
    wait_until("all nodes back at the chain", lambda: all(
        status["chain_fault"] is None for status in live.statuses()
    ))
    for home in live.network.homes:
        for log in home.path.glob("*.log"):
            assert token not in log.read_text(errors="replace")


def test_what_a_node_with_a_key_says_is_what_is_described(live: Live) -> None:
    """Catches a description that fits an idle node only: here are key, payouts, peers and moves."""
    described = document()
    home = live.network.homes[0]

    def fits(path: str, schema: dict[str, Any]) -> dict[str, Any]:
        told = fetch_json(home, path)
        whole = {**schema, "components": described["components"]}
        faults = [error.message for error in jsonschema_rs.validator_for(whole).iter_errors(told)]
        assert not faults, (path, faults[:5])
        return told

    for path, operations in described["paths"].items():
        answer = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" in answer and "{" not in path:
            fits(path, answer["application/json"]["schema"])
    told = fits("/view", {"$ref": "#/components/schemas/View"})
    assert {move["kind"] for move in told["nodes"][0]["moves"]} >= {"phase", "sample"}
    last = told["nodes"][0]["last"]
    later = fits(f"/view/{last}", {"$ref": "#/components/schemas/View"})
    assert all(move["number"] > last for move in later["nodes"][0]["moves"])
    for event in fetch_json(home, "/events")["events"]:
        fits(f"/events/{event['event']}", {"$ref": "#/components/schemas/Event"})
