"""What the admin port answers without the token, and the headers of all its answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from metanode.runtime.operator.openapi import document
from metanode.runtime.operator.page import page

HANGS_S: Final = 60.0
"""A node that has not looked at its clock for so long hangs: a restart mends it."""
JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"
Answer = tuple[int, str, bytes]


def public_pages(
    readiness: Callable[[], Mapping[str, Any]], idle_s: Callable[[], float]
) -> Mapping[str, Callable[[], Answer]]:
    """Return the answers by path without the leading slash; ``idle_s`` is how long ago the node has
    last looked at its clock, in seconds.
    """

    def livez() -> Answer:
        idle = max(0.0, idle_s())
        alive = idle < HANGS_S
        code = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
        return code, JSON, json.dumps({"alive": alive, "idle_s": round(idle, 3)}).encode()

    def readyz() -> Answer:
        told = readiness()
        code = HTTPStatus.OK if told["ready"] else HTTPStatus.SERVICE_UNAVAILABLE
        return code, JSON, json.dumps(told, sort_keys=True).encode()

    return {
        "": lambda: (HTTPStatus.OK, HTML, page()[0]),
        "livez": livez,
        "readyz": readyz,
        "openapi.json": lambda: (HTTPStatus.OK, JSON, _openapi()),
    }


@cache
def _openapi() -> bytes:
    return json.dumps(document(), sort_keys=True).encode()


def page_headers() -> tuple[tuple[str, str], ...]:
    """Return the headers that go with every answer: what the page may do, and who may ask."""
    return (
        ("Content-Security-Policy", page()[1]),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    )
