"""The page that shows a node, or a network: one file without a build step, made when it is asked
for.

It is static: all that it shows comes from ``/feed``, which needs the token. The token stands in the
fragment of the address, which no browser sends; the page's program hands it over in the header of
its own requests and nowhere else. The policy allows this style and this program, by their hashes,
and no other source of anything; text of peers becomes text, never markup.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Final

from metanode.runtime.operator.page.lifecycle import notes, picture
from spec.protocol import PROTOCOL

HERE: Final = Path(__file__).resolve().parent
STYLES: Final = ("page.css",)
PROGRAMS: Final = ("make.js", "clock.js", "graph.js", "plots.js", "money.js", "page.js")
"""In their order: each builds on those before it."""
LIFECYCLE: Final = PROTOCOL.machines["peer"]


@cache
def page() -> tuple[bytes, str]:
    """Return the page with its style and its program in it, and the policy that allows no other."""
    style, program = _all(STYLES), _all(PROGRAMS)
    text = (HERE / "page.html").read_text(encoding="utf-8")
    for place, content in (
        ("/* style */", style), ("/* program */", program),
        ("<!-- lifecycle -->", picture(LIFECYCLE)), ("<!-- notes -->", notes(LIFECYCLE)),
    ):
        text = text.replace(place, content)
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(program)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return text.encode("utf-8"), policy


def _all(names: tuple[str, ...]) -> str:
    return "".join((HERE / name).read_text(encoding="utf-8") for name in names)


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
