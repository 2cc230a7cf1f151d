"""The kinds of field a message may have: each declares its bound, and refuses what exceeds it.

A value out of bounds raises ``ValueError`` or ``TypeError`` at construction, wherever it comes
from; a message is therefore never larger or odder than its declaration says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import NOTHING, Attribute, field

NUMBER_LIMIT = 1 << 63


def octets(exactly: int | None = None, *, at_most: int | None = None) -> Any:
    """Declare a byte string of a fixed or a bounded length."""

    def bound(_: object, attribute: Attribute[bytes], value: bytes) -> None:
        if type(value) is not bytes:
            raise TypeError(f"{attribute.name} must be bytes")
        if exactly is not None and len(value) != exactly:
            raise ValueError(f"{attribute.name} must have {exactly} octets, not {len(value)}")
        if at_most is not None and len(value) > at_most:
            raise ValueError(f"{attribute.name} has {len(value)} octets, {at_most} are allowed")

    return field(validator=bound, repr=False if at_most else _short)


def natural(below: int = NUMBER_LIMIT) -> Any:
    """Declare a whole number from 0 to ``below`` - 1."""

    def bound(_: object, attribute: Attribute[int], value: int) -> None:
        if type(value) is not int or not 0 <= value < below:
            raise ValueError(f"{attribute.name} must be a whole number below {below}")

    return field(validator=bound)


def text(at_most: int, default: Any = NOTHING) -> Any:
    """Declare a text of bounded length; a ``default`` is what a sender says who leaves it out."""

    def bound(_: object, attribute: Attribute[str], value: str) -> None:
        if type(value) is not str or len(value) > at_most:
            raise ValueError(f"{attribute.name} must be text of at most {at_most} characters")

    return field(validator=bound, default=default)


def one_of(names: tuple[str, ...]) -> Any:
    """Declare one of a few names."""

    def bound(_: object, attribute: Attribute[str], value: str) -> None:
        if type(value) is not str or value not in names:
            raise ValueError(f"{attribute.name} must be one of {', '.join(names)}")

    return field(validator=bound)


def many(at_most: int, octets_each: int | None = None) -> Any:
    """Declare a tuple of bounded length, of byte strings of a fixed length or of nested parts."""

    def bound(
        _: object, attribute: Attribute[tuple[object, ...]], value: tuple[object, ...]
    ) -> None:
        if type(value) is not tuple or len(value) > at_most:
            raise ValueError(f"{attribute.name} must be a list of at most {at_most}")
        for item in value:
            if octets_each and (type(item) is not bytes or len(item) != octets_each):
                raise ValueError(f"each of {attribute.name} must have {octets_each} octets")

    return field(validator=bound)


def optional_octets(exactly: int) -> Any:
    """Declare a byte string of a fixed length, or none."""

    def bound(_: object, attribute: Attribute[bytes | None], value: bytes | None) -> None:
        if value is not None and (type(value) is not bytes or len(value) != exactly):
            raise ValueError(f"{attribute.name} must have {exactly} octets or be absent")

    return field(validator=bound, repr=_short)


def exactly(kind: type) -> Callable[[object, Attribute[Any], object], None]:
    """Return the validator of a nested part, or a truth value: this very class, no subclass."""

    def bound(_: object, attribute: Attribute[Any], value: object) -> None:
        if type(value) is not kind:
            raise TypeError(f"{attribute.name} must be a {kind.__name__}")

    return bound


def part(kind: type) -> Any:
    """Declare a nested part, or a truth value, of exactly this class."""
    return field(validator=exactly(kind))


def _short(value: bytes | None) -> str:
    return "none" if value is None else value.hex()[:16]
