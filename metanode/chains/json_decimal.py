"""JSON with exact decimals: a chain amount must never become a binary float."""

from __future__ import annotations

import json
from decimal import Decimal

Json = None | bool | int | str | Decimal | list["Json"] | dict[str, "Json"]


def loads(data: bytes) -> Json:
    """Parse UTF-8 JSON with fractions as ``Decimal``; raises ``ValueError`` when it is none.

    NaN and the infinities, which Python would accept, are refused.
    """

    def refuse(name: str) -> Json:
        raise ValueError(f"{name} is not JSON")

    try:
        value: Json = json.loads(data, parse_float=Decimal, parse_constant=refuse)
    except RecursionError as fault:
        raise ValueError("JSON nested too deeply") from fault
    return value


def dumps(value: object) -> str:
    """Write JSON; ``Decimal`` in plain notation with all its digits, other objects refused."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value)
