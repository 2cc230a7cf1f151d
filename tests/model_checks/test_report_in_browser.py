"""The report in a browser: what is clicked leads where it says, and nothing is loaded or broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_checks.models import CASES
from model_checks.report import results
from model_checks.report.pages import CONTENTS, START, report
from model_checks.runner import explore_case
from tests.browser import webdriver
from tests.browser.browsers import NEEDED, PHONE, WINDOWS, accessible
from tests.browser.webdriver import Browser

pytestmark = NEEDED
SHOWN = ("refund_on_own_word", "link_whoever_notices", "cooldown_by_advertised_state")
SUBJECT = "subject-refund_against_payout.html"
TRIED = (START, SUBJECT, "subject-cooldown.html", "properties.html", "findings.html",
         "table-session.html", "cells.html", "mutants.html", "limits.html", "tables.html",
         "records.html")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a finding, a run that goes on for ever, and a survivor."""
    verdicts = []
    for case in CASES:
        if case.network.name in SHOWN and not case.deep:
            verdicts.append({**explore_case(case).as_json(), "expected": True, "faults": []})
    found = results.models({"holds": True, "models": verdicts}, "here")
    survivor = results.Mutant("a mutant with a long-name[p, e, r] := of.its_own", "guard",
                              "survived", "tables", unexplained=True)
    folder = tmp_path_factory.mktemp("report")
    for name, text in report(found, (survivor,)).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on a new profile."""
    with webdriver.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(params=WINDOWS, ids=str)
def opened(window: Browser, folder: Path, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The start page in each window and theme; afterwards: no errors, nothing from elsewhere."""
    request.param.apply(window)
    window.requests()  # what a new window loads of the browser itself
    window.open(folder / START)
    yield window
    assert window.errors() == []
    elsewhere = (u for u in window.requests() if not u.startswith(("data:", folder.as_uri())))
    assert list(elsewhere) == []


def shown(browser: Browser, target: str) -> tuple[str, str]:
    """Wait until the element with an id shows, and return its tag and its text."""
    browser.wait(
        "(e => { if (!e) return false; const box = e.getBoundingClientRect(); return"
        " box.height > 0 && box.top < innerHeight && box.bottom > 0; })"
        "(document.getElementById(arguments[0]))",
        target,
    )
    found = browser.evaluate(
        "(e => [e.tagName.toLowerCase(), e.innerText])(document.getElementById(arguments[0]))",
        target,
    )
    return found[0], found[1]


@pytest.mark.parametrize("name", TRIED)
def test_every_page_fits_and_is_accessible(opened: Browser, folder: Path, name: str) -> None:
    """Catches what scrolls sideways, has too little contrast, or cannot be reached by keys."""
    opened.open(folder / name)
    accessible(opened)


def test_the_contents_lead_to_every_part(opened: Browser, folder: Path) -> None:
    """Catches a link of the contents that goes nowhere, and a page that is not named there."""
    for name, file in CONTENTS:
        opened.open(folder / START)
        opened.click(f"nav.contents a[href='{file}']")
        assert opened.evaluate("location.pathname.split('/').pop()") == file, name
        here = "document.querySelector('nav.contents [aria-current=page]').innerText"
        assert opened.evaluate(here) == name


def test_a_step_of_a_counterexample_leads_to_its_row(opened: Browser, folder: Path) -> None:
    """Catches a finding that does not lead to its run, or a run that does not lead to its rows."""
    opened.open(folder / "findings.html")
    opened.click("#F-16 dd a[href*='#trace-']")
    opened.wait("location.pathname.includes('/subject-')")
    shown(opened, opened.evaluate("location.hash.slice(1)"))
    box = "details[open] svg a[href*='#row-']"
    target = opened.evaluate(
        "document.querySelector(arguments[0]).getAttribute('href').split('#')[1]", box
    )
    event = opened.evaluate(
        "document.querySelector(arguments[0]).lastElementChild.textContent", box
    )
    opened.click(f"{box} text:last-child")
    opened.wait("location.pathname.includes('/table-')")
    tag, text = shown(opened, target)
    assert tag == "tr"
    assert event.partition(".")[2].partition("#")[0] in text


def test_what_is_folded_away_opens_when_a_link_leads_into_it(
    opened: Browser, folder: Path
) -> None:
    """Catches a link to a counterexample that stays closed."""
    opened.open(folder / "findings.html")
    links = "document.querySelectorAll(\"dd a[href*='#trace-refund-on-own-word']\")"
    count = opened.evaluate(f"{links}.length")
    assert count
    opened.evaluate(f"{links}[{count} - 1].click()")
    opened.wait("location.pathname.endsWith('refund_against_payout.html')")
    opened.wait("document.querySelector(':target') !== null")
    assert opened.evaluate("document.querySelector(':target').closest('details').open")
    assert opened.evaluate("document.querySelector(':target svg').checkVisibility()")
    assert " -> " in opened.evaluate("document.querySelector(':target ol').innerText")


def test_the_search_leads_to_a_row(opened: Browser) -> None:
    """Catches a search that finds nothing, or leads to another page."""
    opened.evaluate(
        "(f => { f.value = 'session release'; f.dispatchEvent(new Event('input')); })"
        "(document.getElementById('search'))"
    )
    assert " found" in opened.evaluate("document.getElementById('count').innerText")
    target = opened.evaluate(
        "[...document.querySelectorAll('#found a')].map(a => a.getAttribute('href'))"
        ".find(h => h.startsWith('table-session.html#row-session-'))"
    )
    opened.click(f"#found a[href='{target}']")
    opened.wait("location.pathname.endsWith('table-session.html')")
    shown(opened, target.partition("#")[2])


def test_the_search_says_when_it_finds_nothing(opened: Browser) -> None:
    """Catches a search that leaves its reader without an answer."""
    opened.evaluate(
        "(f => { f.value = 'xyzzy'; f.dispatchEvent(new Event('input')); })"
        "(document.getElementById('search'))"
    )
    assert opened.evaluate("document.getElementById('count').innerText") == "0 found"


def test_the_score_names_the_survivor(opened: Browser, folder: Path) -> None:
    """Catches a survivor that stands outside the window or is cut off."""
    opened.open(folder / "mutants.html")
    right, inner = opened.evaluate(
        "[[...document.querySelectorAll('h1 ~ ul li')]"
        ".find(e => e.innerText.includes('of.its_own')).getBoundingClientRect().right, innerWidth]"
    )
    assert right <= inner


def test_a_browser_sees_what_is_wrong(window: Browser, tmp_path: Path) -> None:
    """Catches a test that would find neither errors, nor what a page loads, nor what hinders."""
    path = tmp_path / "bad.html"
    path.write_text('<body style="width: 3000px"><script src="none.js"></script></body>')
    window.resize(*PHONE)
    window.open(path)
    assert any("none.js" in error for error in window.errors())
    assert (tmp_path / "none.js").as_uri() in window.requests()
    wide, inner = window.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide > inner or inner > PHONE[0]
    path.write_text('<meta name="viewport" content="width=device-width"><p><input>')
    window.open(path)
    with pytest.raises(AssertionError, match="label: Form elements must have labels"):
        accessible(window)
