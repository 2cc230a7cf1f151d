"""Decimal numbers of coins, as RPC prints them, to integer base units."""

from __future__ import annotations

from decimal import Decimal

from metanode.errors import Unavailable

BASE_UNITS_PER_COIN = 100_000_000


def base_units(value: object) -> int:
    """Return base units for a decimal number of coins; raises :class:`Unavailable` for nonsense."""
    if type(value) is int:
        return value * BASE_UNITS_PER_COIN
    if isinstance(value, Decimal) and value.is_finite():
        units = value * BASE_UNITS_PER_COIN
        if units == units.to_integral_value():
            return int(units)
    raise Unavailable(f"the chain daemon sent {value!r} as an amount")
