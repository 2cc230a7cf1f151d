"""A page as a reader sees it: its text, its places, where its links lead, what it loads."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

from model_checks.report import markup


class Reader(HTMLParser):
    """Collects what a browser would see, and every tag that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: Counter[str] = Counter()
        self.targets: set[str] = set()
        self.resources: list[str] = []
        self.files: set[tuple[str, str]] = set()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            elif name == "href" and (value or "").startswith("#"):
                self.targets.add((value or "")[1:])
            elif name in ("src", "href") and re.match(r"[\w-]+\.(html|js|css)(#|$)", value or ""):
                file, _, id_ = (value or "").partition("#")
                self.files.add((file, id_))
            elif (name, value) == ("href", "data:,"):
                continue
            elif name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.resources.append(f"{tag} {name}={value}")
            elif name.startswith("on"):
                self.faults.append(f"{tag} {name}")
        if tag not in markup.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)
