"""HTML and SVG as values: what is not :class:`Html` is text, and text is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

VOID = frozenset({"meta", "br", "link", "input"})
"""Elements without an end tag."""


class Html(str):
    """Markup that is ready to be written; only this module makes it."""

    __slots__ = ()


Attribute = str | int | float | None


def element(tag: str, *children: str, **attributes: Attribute) -> Html:
    """Return an element; children that are plain text are escaped, and so is every attribute.

    ``class_`` stands for ``class`` and an underscore inside a name for a hyphen; an attribute that
    is None is left out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def join(parts: Iterable[str], separator: str = "") -> Html:
    """Return the parts one after the other, each escaped unless it is markup."""
    return Html(escape(separator).join(escape(part) for part in parts))


def escape(text: str) -> Html:
    """Return text as markup; markup stays as it is."""
    return text if isinstance(text, Html) else Html(html.escape(text))


def document(title: str, *body: str) -> Html:
    """Return a whole document of the report, with the style and the program that lie beside it."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("link", rel="stylesheet", href="style.css"),
        element("script", src="index.js", defer=""),
        element("script", src="search.js", defer=""),
    )
    return Html(f"<!DOCTYPE html>\n{element('html', head, element('body', *body), lang='en')}\n")


def anchor(*parts: str) -> str:
    """Return an id for what the parts name: letters, digits and hyphens."""
    return "-".join(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)


def link(text: str, target: str) -> Html:
    """Return a link to an id of this document."""
    return element("a", text, href=f"#{target}")


def fold(title: Html, id_: str, *body: str, folded: bool = False) -> Html:
    """Return a part that can be folded away, and may be so at first; a link to its id opens it."""
    parts = element("summary", title), element("div", *body, id=id_)
    return element("details", *parts, open=None if folded else "")


def table(headings: tuple[str, ...], rows: Iterable[Html], class_: str = "cards") -> Html:
    """Return a table that scrolls by itself where the window is too narrow for it."""
    names = (element("th", name, scope="col") for name in headings)
    head = element("thead", element("tr", *names))
    whole = element("table", head, element("tbody", *rows), class_=class_)
    return scroll(whole, f"table of {headings[0]}")


def scroll(wide: Html, label: str) -> Html:
    """Return what may be wider than the window, to be scrolled by itself, with the keys too."""
    return element("div", wide, class_="scroll", tabindex=0, role="region", aria_label=label)


def row(headings: tuple[str, ...], cells: Iterable[str], **attributes: Attribute) -> Html:
    """Return a row; every cell knows its heading, which a narrow window shows beside it."""
    written = (
        element("td", element("div", cell), data_label=heading)
        for heading, cell in zip(headings, cells, strict=True)
    )
    return element("tr", *written, **attributes)


def prose(text: str) -> list[Html]:
    """Return the paragraphs of a docstring; what stands in back-quotes is code."""
    return [
        element("p", *(
            element("code", part) if number % 2 else part
            for number, part in enumerate(re.split(r"`+([^`]+)`+", paragraph))
        ))
        for paragraph in text.split("\n\n")
    ]


def lines(parts: Iterable[str]) -> Html:
    """Return each part on a line of its own, as code."""
    return join(element("code", part, class_="line") for part in parts)
