"""The page in a browser, in every window: what it shows, and of whom it is not afraid."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from attrs import define, field

from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import AdminServer, address_of_page
from metanode.runtime.operator.movements import Movements
from metanode.runtime.operator.public import page_headers, public_pages
from metanode.runtime.operator.readiness import readiness
from metanode.runtime.operator.view import Look, NodeView, away, document
from tests.browser import webdriver
from tests.browser.browsers import NEEDED, WINDOWS, accessible
from tests.browser.webdriver import Browser
from tests.runtime.operator.made_status import DEPOSIT, IDS, ME, PAID, peer, status

pytestmark = NEEDED
LIT = "document.querySelector('.state.lit .name')?.textContent"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"


@define
class Played:
    """A node that says what a test wants, on a real admin port."""

    home: Home
    shown: dict[str, Any] = field(factory=status)
    others: list[dict[str, Any]] = field(factory=list)
    moves: Movements = field(factory=lambda: Movements(round_s=6))
    stalls: bool = False
    _stop: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread | None = None

    def say(self, **changes: Any) -> None:
        """Say something else from now on."""
        self.shown = status(**changes)

    def begin(self) -> Look:
        """Begin to look at this node, and at the others where there are some."""
        view = NodeView("node 1" if self.others else "this node", 1, lambda: self.shown, self.moves,
                        time.time)
        mine = view.begin()

        async def look() -> Any:
            while self.stalls:
                await anyio.sleep(0.05)
            told = await mine()
            return document(told["at"], [*told["nodes"], *self.others])

        return look

    def start(self) -> None:
        """Serve until :meth:`stop`."""
        self._stop.clear()
        self._thread = threading.Thread(target=anyio.run, args=(self._serve,))
        self._thread.start()
        until = time.monotonic() + 10
        while not self.home.admin.exists() and time.monotonic() < until:
            time.sleep(0.02)

    def stop(self) -> None:
        """End as a node that is killed does: its connections are gone."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    async def _serve(self) -> None:
        server = AdminServer(
            self.home, Endpoint("127.0.0.1", 0), lambda: self.shown, lambda: b"",
            public=public_pages(lambda: readiness(self.shown), lambda: 0.0), begin=self.begin,
            headers=page_headers(),
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(server.serve)
            while not self._stop.is_set():
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on a new profile."""
    with webdriver.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    """A node that is well."""
    node = Played(Home(tmp_path))
    node.start()
    yield node
    node.stop()


@pytest.fixture(params=WINDOWS, ids=str)
def opened(
    window: Browser, played: Played, request: pytest.FixtureRequest
) -> Iterator[Browser]:
    """A window of each size in each theme; afterwards: no errors, and nothing else was loaded. The
    node is there longer than the window looks at it.
    """
    request.param.apply(window)
    window.open("about:blank")
    window.requests()
    window.errors()
    yield window
    assert window.errors() == []
    loaded = [url for url in window.requests() if not url.startswith(("about:", "data:"))]
    assert [url for url in loaded if not url.startswith("http://127.0.0.1:")] == []


def begin(browser: Browser, played: Played) -> None:
    """Open the page and wait for its first document."""
    browser.open(address_of_page(played.home))
    browser.wait("document.getElementById('connected').textContent.startsWith('Connected')")
    browser.wait(f"{LIT} !== undefined")


def text(browser: Browser, name: str) -> str:
    """Return what is to be read in an element."""
    return str(browser.evaluate("document.getElementById(arguments[0]).innerText", name))


def test_every_state_of_the_page_fits_and_is_accessible(opened: Browser, played: Played) -> None:
    """Catches what scrolls sideways, has too little contrast, or has no name for a reader."""
    for number in range(30):
        played.moves.sample(time.time() - 30 + number, 3, number % 4, 4)
    played.moves.rows(time.time(), [{"table": "peer", "from": "Idle", "to": "Signing"}])
    played.moves.note(time.time(), "payout.signed")
    begin(opened, played)
    accessible(opened)
    played.say(
        chain_fault="no answer from http://127.0.0.1:9: " + "all attempts failed " * 8,
        health="chain_away", phase="Signing", links=[], blocked=[
            {"node_id": IDS[2], "reason": "two votes", "until": 1_800_000_000}],
        exclusions=[{"who": IDS[3], "points": 12.0, "why": "malformed", "at": 1, "until": None,
                     "link": "allowed"}],
        sightings=[{"outpoint": "77" * 32 + ":3", "witnesses": 2}],
    )
    opened.wait(f"{LIT} === 'Signing'")
    accessible(opened)


def test_a_hostile_peers_text_is_text(opened: Browser, played: Played) -> None:
    """Catches markup of a peer that becomes an element, or a script that runs."""
    hostile = peer(IDS[1], phase=HOSTILE, health=HOSTILE, listing=HOSTILE, standing=HOSTILE)
    played.say(
        peers=[peer(ME), hostile], refused={HOSTILE: 3}, chain_fault=HOSTILE,
        exclusions=[{"who": HOSTILE, "points": 1.0, "why": HOSTILE, "at": 1, "until": 2,
                     "link": HOSTILE}],
        blocked=[{"node_id": IDS[2], "reason": HOSTILE, "until": 1_800_000_000}],
        recent=[{"at": 1.0, "event": HOSTILE, HOSTILE: HOSTILE}],
        deposits=[{"outpoint": DEPOSIT, "amount": 1, "height": 1, "waits_for": HOSTILE,
                   "reason": HOSTILE}],
        regroup={**status()["regroup"], "barred": [HOSTILE], "missed": {HOSTILE: 1}},
    )
    begin(opened, played)
    for part in ("phases", "stakes", "refused", "chain", "recent", "deposits"):
        assert "<b>bold</b>" in text(opened, part) or "<img src=x" in text(opened, part), part
    assert opened.evaluate("document.querySelectorAll('img, main b b, script[src]').length") == 0
    assert opened.evaluate("document.title") == "Metanode"
    accessible(opened)


def test_the_token_is_in_the_header_and_nowhere_else(opened: Browser, played: Played) -> None:
    """Catches a token in an address that a log or a proxy sees, or in what is to be read."""
    begin(opened, played)
    token = json.loads(played.home.admin.read_bytes())["reader"]
    asked = [url.partition("#")[0] for url in opened.requests()]
    assert any(url.endswith("/feed") for url in asked)
    assert not any(token in url for url in asked)
    assert token not in opened.evaluate("document.documentElement.outerHTML")
    assert opened.evaluate("document.cookie") == ""
    assert opened.evaluate("localStorage.length + sessionStorage.length") == 0


def test_the_state_is_lit_and_the_way_of_a_deposit_goes_on(
    opened: Browser, played: Played
) -> None:
    """Catches a light at the wrong state, and a deposit that seems to stand still or vanish."""
    seen = "77" * 32 + ":3"
    played.say(sightings=[{"outpoint": seen, "witnesses": 2}], deposits=[], payouts=[])
    begin(opened, played)
    step = ("document.querySelector(`#deposits code[title='${arguments[0]}']`)"
            ".closest('tr').querySelector('[aria-current]').textContent")
    opened.wait(f"{step} === 'seen'", seen)
    waits = {"outpoint": seen, "amount": 3_000_000, "height": 150}
    for word, place in (("confirmations", "mined"), ("round", "in line"),
                        ("signature", "agreed"), ("broadcast", "signed"), ("block", "sent")):
        played.say(deposits=[{**waits, "waits_for": word, "reason": "so it is"}], payouts=[])
        opened.wait(f"{step} === arguments[1]", seen, place)
    paid = {**status()["payouts"][0], "transfers": [seen]}
    played.say(deposits=[], payouts=[paid], phase="Cooldown")
    opened.wait(f"{step} === 'final'", seen)
    assert "3,000,000" in text(opened, "deposits"), "the amount is known from before"
    opened.wait(f"{LIT} === 'Cooldown'")
    assert "NextRound to Idle" in text(opened, "lifecycle-now")
    open_ = opened.evaluate("[...document.querySelectorAll('.arrow.open')].map(a => a.dataset.to)")
    assert set(open_) == {"Idle", "Regroup"}
    assert PAID not in text(opened, "deposits")


def test_a_chain_that_is_away_and_a_node_that_has_ended_are_said(
    opened: Browser, played: Played
) -> None:
    """Catches a page that goes on to show what was, as if nothing had happened."""
    begin(opened, played)
    assert "Ready" in text(opened, "ready")
    played.say(chain_fault="no answer", health="chain_away")
    opened.wait("document.getElementById('chain').innerText.includes('away: no answer')")
    assert "cannot take part" in text(opened, "ready")
    said = opened.evaluate("document.getElementById('said').textContent")
    assert said.startswith("not ready: the chain daemon is away")
    played.stop()
    opened.wait("document.getElementById('away').innerText.includes('does not answer')")
    assert opened.evaluate("document.getElementById('ready').hidden")
    assert opened.evaluate("document.getElementById('lamp').className") == "lamp off"
    accessible(opened)
    opened.errors()  # the browser itself tells of connections that are refused


def test_a_node_that_hangs_is_said_and_is_heard_again(window: Browser, played: Played) -> None:
    """Catches a page that waits for ever on an open connection that says nothing."""
    WINDOWS[0].apply(window)
    begin(window, played)
    played.stalls = True
    window.wait("document.getElementById('away').innerText.includes('hangs')")
    played.stalls = False
    window.wait("document.getElementById('connected').textContent.startsWith('Connected')")
    window.wait("document.getElementById('away').hidden")
    window.errors()


@pytest.mark.parametrize(
    ("fragment", "says"),
    [("", "no token"), ("#token=wrong", "started again"), ("#other=1", "no token")],
)
def test_a_wrong_address_is_said(
    window: Browser, played: Played, fragment: str, says: str
) -> None:
    """Catches a page that asks for ever with a token that is no good."""
    window.open("about:blank")
    window.open(address_of_page(played.home).partition("#")[0] + fragment)
    window.wait("document.getElementById('connected').textContent.includes(arguments[0])", says)
    assert "Run `metanode page`" in text(window, "connected") or not fragment.startswith("#token")
    window.errors()


def test_all_nodes_of_a_network_and_the_dead_one(opened: Browser, played: Played) -> None:
    """Catches a dead node that is not seen, and a choice that keys cannot make."""
    dead = "no node runs on here: start it"
    second = status(node_id=IDS[1], phase="Keygen", links=[ME])
    alive = {"name": "node 2", "node_id": IDS[1], "fault": None, "run": 1, "status": second,
             "readiness": readiness(second), "moves": [], "last": 0}
    played.others = [alive, away("node 3", IDS[2], dead)]
    begin(opened, played)
    rows = text(opened, "nodes")
    assert "away" in rows
    assert "not ready" in rows
    assert "node 3: does not answer" in opened.evaluate(
        "document.getElementById('said').textContent"
    )
    opened.evaluate("[...document.querySelectorAll('#nodes button')][1].focus()")
    opened.key("\ue007")  # Enter
    opened.wait(f"{LIT} === 'Keygen'")
    focused = opened.evaluate("document.activeElement.textContent")
    assert focused == "node 2", "the focus is lost when the table is drawn anew"
    accessible(opened)
    opened.evaluate("[...document.querySelectorAll('#nodes button')][2].click()")
    opened.wait(
        "document.getElementById('away').innerText.includes(arguments[0])", dead
    )
