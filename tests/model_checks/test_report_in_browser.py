"""The report in a browser: what is clicked leads where it says, and nothing is loaded or broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_checks.models import CASES
from model_checks.report import results
from model_checks.report.page import CONTENTS, page
from model_checks.runner import explore_case
from tests.model_checks import webdriver
from tests.model_checks.webdriver import Browser

pytestmark = pytest.mark.skipif(
    webdriver.CHROMIUM is None or webdriver.DRIVER is None,
    reason="needs Debian's chromium and chromium-driver",
)
DESKTOP, PHONE = (1280, 900), (390, 844)
SHOWN = ("refund_on_own_word", "link_whoever_notices")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a finding, a run that goes on for ever, and a survivor, as a file."""
    verdicts = []
    for case in CASES:
        if case.network.name in SHOWN and not case.deep:
            verdicts.append({**explore_case(case).as_json(), "expected": True, "faults": []})
    found = results.models({"holds": True, "models": verdicts}, "here")
    survivor = results.Mutant("a mutant with a long-name[p, e, r] := of.its_own", "guard",
                              "survived", "tables", unexplained=True)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(found, (survivor,)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on a new profile."""
    with webdriver.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def opened(window: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The report in a window of each size; afterwards: no errors, and nothing else was loaded."""
    window.resize(*request.param)
    window.requests()  # what a new window loads of the browser itself
    window.open(report)
    yield window
    assert window.errors() == []
    assert set(window.requests()) <= {report.as_uri()}


def where(browser: Browser, target: str) -> dict[str, Any]:
    """Return what is known of the element with an id: tag, text, top edge, whether it shows."""
    found = browser.evaluate(
        "(e => { const box = e.getBoundingClientRect(); return {hash: location.hash.slice(1),"
        " tag: e.tagName.toLowerCase(), text: e.innerText, top: box.top,"
        " shown: box.height > 0 && box.top < innerHeight && box.bottom > 0 }; })"
        "(document.getElementById(arguments[0]))",
        target,
    )
    assert isinstance(found, dict)
    return found


def test_the_page_is_as_wide_as_the_window(opened: Browser) -> None:
    """Catches a table or a chart that makes the whole page scroll sideways."""
    wide, inner = opened.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner
    assert inner in (DESKTOP[0], PHONE[0])


def test_the_contents_lead_to_every_part(opened: Browser) -> None:
    """Catches a link of the contents that goes nowhere, or to something that does not show."""
    for name, target in CONTENTS:
        opened.evaluate("scrollTo(0, 0)")
        opened.click(f"nav.contents a[href='#{target}']")
        part = where(opened, target)
        assert (part["hash"], part["tag"], part["shown"]) == (target, "h2", True), name


def test_a_step_of_a_counterexample_leads_to_its_row(opened: Browser) -> None:
    """Catches a finding that shows its run and not the row which makes it possible."""
    opened.click("nav a[href='#F-16']")
    assert where(opened, "F-16")["shown"]
    box = "#F-16 details svg a[href^='#row-']"
    target = opened.evaluate("document.querySelector(arguments[0]).getAttribute('href')", box)[1:]
    event = opened.evaluate(
        "document.querySelector(arguments[0]).lastElementChild.textContent", box
    )
    opened.click(f"{box} text:last-child")
    row = where(opened, target)
    assert (row["hash"], row["tag"], row["shown"]) == (target, "tr", True)
    assert event.partition(".")[2].partition("#")[0] in row["text"]


def test_what_is_folded_away_opens_when_a_link_leads_into_it(opened: Browser) -> None:
    """Catches a link to a counterexample that a reader has closed."""
    shows = "document.querySelector('#F-16 details svg').checkVisibility()"
    assert opened.evaluate(shows)
    opened.click("#F-16 details summary")
    assert not opened.evaluate(shows)
    opened.click("#F-16 dd a[href^='#trace-']")
    assert opened.evaluate(shows)
    assert where(opened, opened.evaluate("location.hash.slice(1)"))["shown"]


def test_the_score_names_the_survivor(opened: Browser) -> None:
    """Catches a survivor that stands outside the window or is cut off."""
    opened.click("nav.contents a[href='#mutation']")
    right, inner = opened.evaluate(
        "[[...document.querySelectorAll('#mutation ~ ul li')]"
        ".find(e => e.innerText.includes('of.its_own')).getBoundingClientRect().right, innerWidth]"
    )
    assert right <= inner


def test_a_browser_sees_what_is_wrong(window: Browser, tmp_path: Path) -> None:
    """Catches a test that would find neither errors nor what a page loads."""
    path = tmp_path / "bad.html"
    path.write_text('<body style="width: 3000px"><script src="none.js"></script></body>')
    window.resize(*PHONE)
    window.open(path)
    assert any("none.js" in error for error in window.errors())
    assert (tmp_path / "none.js").as_uri() in window.requests()
    wide, inner = window.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide > inner or inner > PHONE[0]
