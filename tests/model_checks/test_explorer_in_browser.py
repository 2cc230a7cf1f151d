"""The explorer in a browser: what is clicked or typed does what it says, in every window."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_checks.explore import subject_of
from model_checks.explorer.model_view import ModelView
from model_checks.explorer.server import Server
from model_checks.explorer.trace_view import TraceView
from model_checks.explorer.view import View
from tests.browser import webdriver
from tests.browser.browsers import NEEDED, WINDOWS, accessible
from tests.browser.webdriver import Browser
from tests.model_checks.made_runs import whole_run
from tests.model_checks.test_traces import RING
from tests.model_checks.trace_files import NODE, place, written

pytestmark = NEEDED
READY = "document.getElementById('status').textContent.startsWith('step ')"
STATUS = "document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on a new profile."""
    with webdriver.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@contextmanager
def serving(view: View) -> Iterator[str]:
    """Serve a view, and give the address of its page."""
    with Server(view) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a small model with a counterexample of each kind."""
    path = tmp_path_factory.mktemp("spec") / "ring.py"
    path.write_text(RING, encoding="utf-8")
    with serving(ModelView(subject_of(str(path), ["Peer=3"], []), 10_000)) as url:
        yield url


@pytest.fixture(scope="module")
def large() -> Iterator[str]:
    """The page of a network with many cells, rows and choices."""
    with serving(ModelView(subject_of("signing", [], []), 100_000)) as url:
        yield url


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of the traces of four nodes, one of which is forged near its end."""
    traces = whole_run()
    del traces[NODE][place(traces[NODE], "session", "Release")]
    with serving(TraceView(written(tmp_path_factory.mktemp("traces"), traces))) as url:
        yield url


@pytest.fixture(params=WINDOWS, ids=str)
def opened(window: Browser, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A window of each size in each theme; afterwards: no errors, and nothing else was loaded."""
    request.param.apply(window)
    window.requests()
    yield window
    assert window.errors() == []
    assert [url for url in window.requests() if not url.startswith("http://127.0.0.1:")] == []


def begin(browser: Browser, url: str) -> None:
    """Open a page and wait for its first state."""
    browser.open(url)
    browser.wait(READY)


def moved(browser: Browser, number: int) -> None:
    """Wait until a step is shown."""
    browser.wait(f"{STATUS}.startsWith('step {number} ')")


def test_every_page_fits_and_is_accessible(
    opened: Browser, ring: str, large: str, traced: str
) -> None:
    """Catches what scrolls sideways, has too little contrast, or cannot be reached by keys."""
    for url in (ring, large, traced):
        begin(opened, url)
        opened.click("#forward") if url == traced else opened.click("#enabled button")
        moved(opened, 1)
        accessible(opened)


def test_a_step_a_way_back_and_another_way(opened: Browser, ring: str) -> None:
    """Catches buttons that lead elsewhere, and a change that is not marked."""
    begin(opened, ring)
    opened.click("#enabled button")
    moved(opened, 1)
    assert opened.evaluate("document.querySelector('td.changed').innerText").split() == [
        "0", "was", "none",
    ]
    assert "at == none (at is 0)" in opened.evaluate(
        "document.querySelector('#held').textContent"
    )
    opened.click("#enabled button[data-step='Go(p=0, q=1)']")
    moved(opened, 2)
    opened.click("#back")
    moved(opened, 1)
    opened.click("#forward")
    moved(opened, 2)
    opened.click("#lanes tbody tr:first-child button")
    moved(opened, 1)
    opened.click("#enabled button[data-step='Serve(p=0)']")
    opened.wait(f"{STATUS} === 'step 2 of 2: Serve(p=0)'")
    opened.click("#restart")
    opened.wait(f"{STATUS} === 'step 0 of 2, the first state'")


def test_a_counterexample_is_stepped_along_its_lanes(opened: Browser, ring: str) -> None:
    """Catches a run of the checks that cannot be loaded, or whose loop does not show."""
    begin(opened, ring)
    opened.click("#check")
    opened.wait("document.querySelectorAll('#runs option').length === 4")
    opened.evaluate(
        "(s => { s.value = [...s.options].find(o => o.text.includes('of Served')).value;"
        " s.dispatchEvent(new Event('change')); })(document.getElementById('runs'))"
    )
    opened.wait("document.querySelector('#lanes td.loop') !== null")
    heads = opened.evaluate(
        "[...document.querySelectorAll('#lanes thead th')].map(e => e.textContent)"
    )
    assert heads == ["step", "Peer 0", "Peer 1", "Peer 2"]
    assert "at: none → " in opened.evaluate("document.querySelector('.change').innerText")
    opened.click("#forward")
    moved(opened, 1)
    assert opened.evaluate("document.querySelectorAll('tr.here').length") == 1


def test_another_first_state_is_another_run(opened: Browser, ring: str) -> None:
    """Catches a choice of the first state that changes nothing."""
    begin(opened, ring)
    opened.evaluate(
        "(s => { s.value = '2'; s.dispatchEvent(new Event('change')); })"
        "(document.getElementById('starts'))"
    )
    opened.wait("document.querySelector('#enabled button').dataset.step === 'Enter(p=2)'")


def test_the_keys_are_enough(opened: Browser, ring: str) -> None:
    """Catches a page that needs a pointer."""
    begin(opened, ring)
    opened.evaluate("document.querySelector('#enabled button').focus()")
    opened.key("\ue007")  # Enter
    moved(opened, 1)
    tag = opened.evaluate("document.activeElement.tagName")
    assert tag != "BODY", "the focus is lost when the buttons are drawn anew"


def test_a_step_leads_to_its_row(opened: Browser, large: str) -> None:
    """Catches a link to a row that is not there, and a row without its text."""
    begin(opened, large)
    opened.click("#enabled .row-link")
    target = opened.evaluate("decodeURIComponent(location.hash.slice(1))")
    text = opened.evaluate("document.getElementById(arguments[0]).innerText", target)
    assert target.startswith("row-")
    assert "only if" in text
    assert "why" in text
    assert opened.evaluate(
        "document.getElementById(arguments[0]).getBoundingClientRect().top < innerHeight", target
    )


def test_a_filter_picks_the_choices(opened: Browser, large: str) -> None:
    """Catches a list of a hundred choices in which nobody finds the one that is meant."""
    begin(opened, large)
    opened.evaluate(
        "(f => { f.value = 'd=1'; f.dispatchEvent(new Event('input')); })"
        "(document.getElementById('only'))"
    )
    opened.wait(
        "[...document.querySelectorAll('#enabled button')].every(b => b.innerText.includes('d=1'))"
    )


def test_a_refused_trace_says_so(opened: Browser, traced: str) -> None:
    """Catches a forged trace that looks like a good one."""
    begin(opened, traced)
    refused = opened.evaluate("document.getElementById('refused').innerText")
    assert refused.startswith("Refused: ")
    assert "session" in refused
    opened.click("#forward")
    moved(opened, 1)
    assert opened.evaluate("document.getElementById('actions-part').hidden")


def test_an_explorer_that_has_ended_is_said(window: Browser, ring: str, tmp_path: Path) -> None:
    """Catches a page that does nothing when its server is gone."""
    path = tmp_path / "ring.py"
    path.write_text(RING, encoding="utf-8")
    with serving(ModelView(subject_of(str(path), ["Peer=2"], []), 10)) as url:
        begin(window, url)
    window.click("#enabled button")
    window.wait("document.getElementById('error').textContent.includes('still running')")
    window.errors()
