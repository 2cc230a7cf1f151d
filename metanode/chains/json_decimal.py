"""JSON with exact decimals: a chain amount must never become a binary float."""

from __future__ import annotations

import json
from decimal import Decimal

from metanode.errors import Unavailable

Json = None | bool | int | str | Decimal | list["Json"] | dict[str, "Json"]
BASE_UNITS_PER_COIN = 100_000_000
MAX_COINS = 10**10  # far above what any chain has


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


def base_units(value: object) -> int:
    """Return base units for a decimal number of coins; raises :class:`Unavailable` for nonsense."""
    if type(value) is int:
        return value * BASE_UNITS_PER_COIN
    # The bound comes first: as a whole number, 1E+999999 would have a million digits.
    if isinstance(value, Decimal) and value.is_finite() and abs(value) < MAX_COINS:
        units = value * BASE_UNITS_PER_COIN
        if units == units.to_integral_value():
            return int(units)
    raise Unavailable(f"the chain daemon sent {value!r} as an amount")
