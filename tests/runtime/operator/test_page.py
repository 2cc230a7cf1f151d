"""The page as it is served: whole, closed to everything else, and drawn from the table."""

from __future__ import annotations

import base64
import hashlib
import re

from metanode.runtime.operator.page import HERE, LIFECYCLE, PROGRAMS, page
from metanode.runtime.operator.page.lifecycle import picture
from spec.language.shape import arrows, everywhere

BODY, POLICY = page()
TEXT = BODY.decode()
RULES = dict(rule.split(" ", 1) for rule in POLICY.split("; "))


def inside(tag: str) -> str:
    """Return what stands in the one element of a name."""
    [found] = re.findall(rf"<{tag}>(.*?)</{tag}>", TEXT, re.DOTALL)
    return str(found)


def test_the_policy_allows_this_style_and_this_program_and_nothing_else() -> None:
    """Catches a page that a text of a peer can make run something, or load something."""
    assert "unsafe" not in POLICY
    assert RULES["default-src"] == "'none'"
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        digest = base64.b64encode(hashlib.sha256(inside(tag).encode()).digest()).decode()
        assert RULES[rule] == f"'sha256-{digest}'"
    assert (RULES["connect-src"], RULES["frame-ancestors"]) == ("'self'", "'none'")
    assert RULES["require-trusted-types-for"] == "'script'"


def test_the_program_makes_text_and_never_markup() -> None:
    """Catches a peer's text that becomes an element, and a style that the policy forbids."""
    sources = "".join((HERE / name).read_text(encoding="utf-8") for name in PROGRAMS)
    assert sources == inside("script")
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(",
                 "srcdoc", "DOMParser", "setAttribute(\"on", "localStorage", "cookie"):
        assert word not in sources
    assert not re.search(r"\sstyle=|\son\w+=", TEXT), "the policy does not allow them"
    assert sources.count("token()") == 2, "for the header, and to see whether there is one"
    assert 'Authorization: `Bearer ${token()}`' in sources


def test_the_page_needs_nothing_from_anywhere() -> None:
    """Catches a page that does not work without a network."""
    addresses = set(re.findall(r"[a-z]+://[^\s\"'<]+", TEXT))
    assert addresses == {"http://www.w3.org/2000/svg"}, "a name, which nobody loads"
    for left in ("/* style */", "/* program */", "<!-- lifecycle -->", "<!-- notes -->"):
        assert left not in TEXT


def test_the_picture_is_the_table() -> None:
    """Catches a state or an arrow that the page does not draw, or that no row has."""
    drawn = picture(LIFECYCLE)
    assert re.findall(r'id="state-(\w+)"', drawn) == list(LIFECYCLE.states)
    told = {
        (source, target): events.split(" / ")
        for source, target, events in re.findall(
            r'data-from="(\w+)" data-to="(\w+)" data-events="([^"]*)"', drawn
        )
    }
    wanted = arrows(LIFECYCLE)
    assert told == {ends: events for ends, events in wanted.items() if ends[0] != ends[1]}
    stays = dict(re.findall(r'id="state-(\w+)" data-loops="([^"]+)"', drawn))
    assert stays == {a: " / ".join(events) for (a, b), events in wanted.items() if a == b}
    for event in everywhere(LIFECYCLE):
        assert event not in drawn
        assert event in TEXT


def test_no_arrow_hides_another() -> None:
    """Catches two arrows in one lane, and a lane outside the picture."""
    drawn = picture(LIFECYCLE)
    width = int(re.search(r'width="(\d+)"', drawn)[1])  # type: ignore[index]
    lanes = re.findall(r'd="M\d+ \d+H(\d+)V', drawn)
    assert len(lanes) == len(set(lanes))
    assert all(0 < int(lane) < width for lane in lanes)
    assert width <= 390 - 28, "a phone shows it without scrolling"
