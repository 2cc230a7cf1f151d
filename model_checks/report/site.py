"""The report as files: pages with links between them, an index to search, style and program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

from attrs import frozen

from model_checks.report.markup import VOID, Html, document, element

HERE = Path(__file__).resolve().parent
INDEXED_LETTERS = 400
"""So much of a place's text can be searched for."""
_TO_ID = re.compile(r'href="#([^"]*)"')
_SKIPPED = ("svg", "title", "script")


@frozen
class Page:
    """One file; links in its parts name ids, wherever in the report these are."""

    file: str
    title: str
    parts: tuple[Html, ...]


def files(pages: Sequence[Page], contents: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return every file of the report by name; ``contents`` are names and files for each page."""
    places = {id_: page.file for page in pages for id_, _ in _places(page)}
    told = {page.file: _written(page, contents, places) for page in pages}
    index = [[page.file, id_, text] for page in pages for id_, text in _places(page)]
    told["index.js"] = f"const INDEX = {json.dumps(index, ensure_ascii=False)};\n"
    styles = (HERE / name for name in ("style.css", "report.css"))
    told["style.css"] = "".join(path.read_text(encoding="utf-8") for path in styles)
    told["search.js"] = (HERE / "search.js").read_text(encoding="utf-8")
    return told


def _written(page: Page, contents: Iterable[tuple[str, str]], places: Mapping[str, str]) -> str:
    links = (
        element("a", name, href=file, aria_current="page" if file == page.file else None)
        for name, file in contents
    )
    search = element(
        "div",
        element("label", "Search the report", for_="search"),
        element("input", type="search", id="search", autocomplete="off"),
        element("p", id="count", role="status", class_="soft"),
        element("ul", id="found"),
        class_="search",
    )
    head = element(
        "header", element("nav", *links, class_="contents", aria_label="Parts of the report"),
        search,
    )
    foot = element(
        "footer",
        "Written by python -m model_checks report; it needs no network.",
    )

    def resolved(match: re.Match[str]) -> str:
        file = places.get(match[1], page.file)
        return f'href="{"" if file == page.file else file}#{match[1]}"'

    return _TO_ID.sub(resolved, document(page.title, head, element("main", *page.parts), foot))


def _places(page: Page) -> list[tuple[str, str]]:
    return _Reader("".join(page.parts)).places


class _Reader(HTMLParser):
    """Collects the ids of a page, each with the text that stands there."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: list[tuple[str, str]] = []
        self._open: list[tuple[str, str]] = []
        self._texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element; one with an id gathers text."""
        id_ = next((value or "" for name, value in attrs if name == "id"), "")
        if id_:
            self._texts[id_] = []
        if tag not in VOID:
            self._open.append((tag, id_))
        elif id_:
            self.places.append((id_, ""))

    def handle_endtag(self, tag: str) -> None:
        """Close an element, whose text is now known."""
        _, id_ = self._open.pop()
        if id_:
            text = re.sub(r"\s+", " ", " ".join(self._texts.pop(id_))).strip()
            self.places.append((id_, text[:INDEXED_LETTERS]))

    def handle_data(self, data: str) -> None:
        """Give text to every element around it; drawings have none to search for."""
        if not any(tag in _SKIPPED for tag, _ in self._open):
            for texts in self._texts.values():
                texts.append(data)
