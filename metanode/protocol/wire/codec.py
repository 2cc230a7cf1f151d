"""Messages as bytes: deterministic CBOR below, attrs classes with exact types above.

One message has exactly one encoding. The decoder accepts RFC 8949 section 4.2.1 (core deterministic
encoding) and nothing else: shortest lengths, map keys in bytewise order of their encoding and only
text, no tags, no floats, no indefinite lengths, nothing after the item. General CBOR libraries
accept far more (a tag can build a one-megabyte integer or a cyclic object), therefore :func:`scan`
walks the bytes first and cbor2 only ever sees what has passed.

For text keys bytewise order of the encoded keys and "shorter key first" (RFC 7049) are the same
order, because the length stands in the leading bytes; a test holds the two against each other.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import attrs
import cbor2
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn

from metanode.errors import LocalFault, Malformed

MAX_DEPTH: Final = 16
MAX_ITEMS: Final = 20_000
MAX_REASON_CHARACTERS: Final = 160
INT_BOUND: Final = 1 << 64

_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(2, 8)
_FALSE, _TRUE, _NULL = 0xF4, 0xF5, 0xF6
_ONE_BYTE_ARGUMENT = 24
_EIGHT_BYTE_ARGUMENT = 27

Plain = None | bool | int | bytes | str | list["Plain"] | tuple["Plain", ...] | dict[str, "Plain"]


# ---------------------------------------------------------------------------------- reading CBOR


def _read_head(data: bytes, position: int) -> tuple[int, int, int]:
    """Return (major type, argument, position behind the head) of the item at ``position``."""
    if position >= len(data):
        raise Malformed("CBOR ends early")
    major, argument = data[position] >> 5, data[position] & 0x1F
    position += 1
    if argument < _ONE_BYTE_ARGUMENT:
        return major, argument, position
    if argument > _EIGHT_BYTE_ARGUMENT:
        raise Malformed("CBOR indefinite or reserved length")
    width = 1 << (argument - _ONE_BYTE_ARGUMENT)
    end = position + width
    if end > len(data):
        raise Malformed("CBOR ends early")
    value = int.from_bytes(data[position:end], "big")
    # The value must not fit the next shorter form: under 24 in the head itself, else half the
    # bytes.
    smallest = _ONE_BYTE_ARGUMENT if width == 1 else 1 << (4 * width)
    if major != _SIMPLE and value < smallest:
        raise Malformed("CBOR length or integer is not in its shortest form")
    return major, value, end


def scan(data: bytes, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> int:
    """Check that ``data`` is one item of deterministic CBOR and return its number of items.

    Depth counts nested arrays and maps. Time is linear in the length and nothing is allocated per
    announced length. Raises Malformed with the rule that is broken.
    """
    # Containers around the current one: (items still to come, is it a map, previous key).
    outer: list[tuple[int, bool, bytes]] = []
    remaining, in_map, previous_key = 1, False, b""
    position = items = 0
    while True:
        while remaining == 0:
            if not outer:
                if position != len(data):
                    raise Malformed("CBOR has trailing bytes")
                return items
            remaining, in_map, previous_key = outer.pop()
        start, first = position, data[position : position + 1]
        major, argument, position = _read_head(data, position)
        items += 1
        if items > max_items:
            raise Malformed(f"CBOR has more than {max_items} items")
        # A map of n pairs counts as 2n items, so an even number to come means: this one is a key.
        is_key = in_map and remaining % 2 == 0
        remaining -= 1
        if is_key and major != _TEXT:
            raise Malformed("CBOR map key is not text")
        if major in (_BYTES, _TEXT):
            if argument > len(data) - position:
                raise Malformed("CBOR ends early")
            if major == _TEXT:
                _check_utf8(data[position : position + argument])
            position += argument
        elif major in (_ARRAY, _MAP):
            count = argument if major == _ARRAY else 2 * argument
            if count > len(data) - position:
                raise Malformed("CBOR ends early")
            if len(outer) >= max_depth:
                raise Malformed(f"CBOR is nested deeper than {max_depth}")
            outer.append((remaining, in_map, previous_key))
            remaining, in_map, previous_key = count, major == _MAP, b""
        elif major == _TAG:
            raise Malformed("CBOR tags are not allowed")
        elif major == _SIMPLE and first[0] not in (_FALSE, _TRUE, _NULL):
            raise Malformed("CBOR float or simple value is not allowed")
        if is_key:
            key = data[start:position]
            if key <= previous_key:
                raise Malformed("CBOR map keys are out of order or doubled")
            previous_key = key


def _check_utf8(text: bytes) -> None:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("CBOR text is not UTF-8") from error


def decode_canonical(data: bytes) -> Any:
    """Return the plain value (None, bool, int, bytes, str, list, dict) of deterministic CBOR.

    Raises Malformed for anything else.
    """
    scan(data)
    try:
        return cbor2.loads(
            data, max_depth=MAX_DEPTH + 1, allow_indefinite=False, allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except (cbor2.CBORDecodeError, ValueError, RecursionError) as error:
        raise Malformed(f"CBOR: {error}"[:MAX_REASON_CHARACTERS]) from error


# ---------------------------------------------------------------------------------- writing CBOR


def encode_canonical(value: Plain) -> bytes:
    """Return the deterministic CBOR of a plain value; tuples are written as arrays.

    Raises LocalFault for what the other side would refuse: floats, integers beyond 64 bits, other
    types (memoryview, subclasses), lone surrogates, keys that are not text, deeper nesting than
    ``MAX_DEPTH``.
    """
    _check_plain(value, MAX_DEPTH)
    try:
        return cbor2.dumps(value, canonical=True)
    except UnicodeEncodeError as error:
        raise LocalFault("a lone surrogate cannot be encoded") from error


def _check_plain(value: Plain, depth: int) -> None:
    """Refuse what has no place on the wire; types are compared exactly, a subclass is refused."""
    kind = type(value)
    if kind in (bytes, str, bool, types.NoneType):
        return
    if kind is int:
        if not -INT_BOUND <= value < INT_BOUND:  # type: ignore[operator]  # an int, exactly
            raise LocalFault("an integer beyond 64 bits cannot be encoded")
        return
    if kind not in (list, tuple, dict):
        raise LocalFault(f"{kind.__name__} cannot be encoded")
    if depth == 0:
        raise LocalFault(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        if any(type(key) is not str for key in value):
            raise LocalFault("a map key must be text")
        value = list(value.values())
    for element in value:  # type: ignore[union-attr]  # a list or a tuple by now
        _check_plain(element, depth - 1)


# -------------------------------------------------------------------------------- message classes


def _exact(expected: type) -> Callable[[Any, Any], Any]:
    """Return a hook that accepts instances of exactly ``expected`` and converts nothing."""

    def structure(value: Any, _type: Any) -> Any:
        if type(value) is not expected:
            raise TypeError(f"expected {expected.__name__}, got {type(value).__name__}")
        return value

    return structure


def _is_tuple(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple


def _tuple_factory(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    elements = typing.get_args(kind)
    endless = len(elements) == 2 and elements[1] is Ellipsis

    def structure(value: Any, _type: Any) -> Any:
        if type(value) is not list:
            raise TypeError(f"expected array, got {type(value).__name__}")
        if endless:
            return tuple(converter.structure(item, elements[0]) for item in value)
        if len(value) != len(elements):
            raise TypeError(f"expected {len(elements)} elements, got {len(value)}")
        pairs = zip(value, elements, strict=True)
        return tuple(converter.structure(item, element) for item, element in pairs)

    return structure


def _class_factory(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    build = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=False
    )
    names = frozenset(attribute.name for attribute in attrs.fields(cls))

    def structure(value: Any, kind: Any) -> Any:
        if type(value) is not dict:
            raise TypeError(f"expected map, got {type(value).__name__}")
        # Every key must be there, also one with a default: else one message had two encodings.
        if value.keys() != names:
            odd = sorted(names.symmetric_difference(value))
            raise TypeError(f"{cls.__name__}: unknown or missing keys {', '.join(odd)}")
        return build(value, kind)

    return structure


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    for exact in (int, str, bytes, bool):
        converter.register_structure_hook(exact, _exact(exact))
    converter.register_structure_hook_factory(_is_tuple, _tuple_factory)
    converter.register_structure_hook_factory(attrs.has, _class_factory)
    return converter


_CONVERTER: Final = _make_converter()
"""One for all codecs: it makes a function for each class when it first meets it."""


def _check_field_type(kind: Any, where: str) -> None:
    """Refuse message classes with fields that have no exact wire form."""
    if kind in (int, str, bytes, bool, types.NoneType):
        return
    origin = typing.get_origin(kind)
    if origin is tuple:
        for element in typing.get_args(kind):
            if element is not Ellipsis:
                _check_field_type(element, where)
    elif origin in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(kind) if member is not types.NoneType]
        if len(members) != 1:
            raise LocalFault(f"{where}: a union other than 'X | None' has no wire form")
        _check_field_type(members[0], where)
    elif isinstance(kind, type) and attrs.has(kind):
        _check_class(kind)
    else:
        raise LocalFault(f"{where}: {kind!r} has no wire form")


@cache
def _check_class(cls: type) -> None:
    hints = typing.get_type_hints(cls)
    for attribute in attrs.fields(cls):
        _check_field_type(hints[attribute.name], f"{cls.__name__}.{attribute.name}")


class Codec:
    """Turns messages into frame payloads and back.

    A payload is the map ``{"b": {field: value, ...}, "k": kind}``.
    """

    def __init__(self, messages: Mapping[str, type]) -> None:
        """Take the catalogue: kind -> attrs class whose ``KIND`` is that kind.

        Raises LocalFault for a class that is not attrs, has another kind, or has a field whose type
        is not one of int, str, bytes, bool, tuple, ``X | None`` and attrs classes of these.
        """
        for kind, cls in messages.items():
            if not attrs.has(cls) or getattr(cls, "KIND", None) != kind:
                raise LocalFault(f"message {kind!r}: not an attrs class with that KIND")
            _check_class(cls)
        self._messages = dict(messages)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the catalogue, in its order."""
        return tuple(self._messages)

    def encode(self, message: object) -> bytes:
        """Return the payload of ``message``; raises LocalFault when it is not in the catalogue."""
        kind = getattr(message, "KIND", None)
        if type(kind) is not str or self._messages.get(kind) is not type(message):
            raise LocalFault(f"{type(message).__name__} is not in the message catalogue")
        body = _CONVERTER.unstructure(message)
        return encode_canonical({"b": body, "k": kind})

    def decode(self, payload: bytes, *culprits: bytes) -> Any:
        """Return the message in ``payload``.

        Raises Malformed, naming ``culprits`` (node ids), for every payload that is not the one
        encoding of a valid message; never raises anything else, whatever the bytes are.
        """
        try:
            plain = decode_canonical(payload)
            if type(plain) is not dict or plain.keys() != {"b", "k"}:
                raise Malformed("payload is not a map of kind and body")
            kind = plain["k"]
            if type(kind) is not str or kind not in self._messages:
                raise Malformed(f"unknown message kind {kind!r}")
            return _CONVERTER.structure(plain["b"], self._messages[kind])
        except Exception as error:
            # Validators and the libraries may raise anything; for the node it is one thing.
            reason = error.reason if isinstance(error, Malformed) else f"{error}"
            raise Malformed(reason[:MAX_REASON_CHARACTERS], *culprits) from error
