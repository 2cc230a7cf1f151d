"""Whatever the bytes are, decoding gives a valid message or Malformed, and nothing else."""

from __future__ import annotations

from typing import Any, ClassVar

import cbor2
import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import Malformed
from metanode.protocol.wire.codec import (
    MAX_DEPTH,
    MAX_ITEMS,
    Codec,
    decode_canonical,
    encode_canonical,
    scan,
)
from spec.messages import MESSAGES


@frozen
class Part:
    index: int


def _short(_: object, __: object, value: bytes) -> None:
    if len(value) > 4:
        raise ValueError("data is too long")


def _odd(_: object, __: object, value: int) -> None:
    _ = 1 // value


@frozen
class Toy:
    KIND: ClassVar[str] = "toy"
    number: int = field(validator=_odd)
    data: bytes = field(validator=_short)
    flag: bool
    name: str
    numbers: tuple[int, ...]
    pair: tuple[int, int]
    part: Part
    maybe: Part | None = None


CODEC = Codec({"toy": Toy})
GOOD: dict[str, Any] = {
    "number": 1,
    "data": b"",
    "flag": True,
    "name": "",
    "numbers": [],
    "pair": [1, 2],
    "part": {"index": 0},
    "maybe": None,
}


def payload(body: Any, kind: Any = "toy") -> bytes:
    """Return a payload as another implementation writes it."""
    return cbor2.dumps({"b": body, "k": kind}, canonical=True)


def test_the_base_of_these_tests_is_good() -> None:
    """Catches tests that fail for another reason than the one they name."""
    assert CODEC.decode(payload(GOOD)) == Toy(1, b"", True, "", (), (1, 2), Part(0))


BAD_CBOR = {
    "nothing": "",
    "ends in a head": "19",
    "ends in a string": "4401",
    "ends in a map": "a1",
    "ends after a key": "a16161",
    "array longer than the frame": "9bffffffffffffffff",
    "map longer than the frame": "bbffffffffffffffff",
    "string longer than the frame": "5bffffffffffffffff00",
    "trailing bytes": "0000",
    "zero in one byte more": "1800",
    "23 in one byte more": "1817",
    "255 in two bytes": "1900ff",
    "65535 in four bytes": "1a0000ffff",
    "32 bits in eight bytes": "1b00000000ffffffff",
    "length in one byte more": "580161",
    "negative in one byte more": "3800",
    "unsorted keys": "a2616201616101",
    "doubled keys": "a2616101616101",
    "longer key first": "a262616101616201",
    "integer key": "a10101",
    "bytes key": "a1416101",
    "array key": "a18001",
    "null key": "a1f601",
    "indefinite array": "9f01ff",
    "indefinite bytes": "5f4101ff",
    "indefinite text": "7f6161ff",
    "indefinite map": "bf616101ff",
    "lone break": "ff",
    "bignum": "c249010000000000000000",
    "regular expression tag": "d8236161",
    "cyclic reference": "d81c81d81d00",
    "date tag": "c000",
    "half float": "f90000",
    "single float": "fa00000000",
    "double float": "fb0000000000000000",
    "undefined": "f7",
    "simple value": "f0",
    "simple value in two bytes": "f8ff",
    "false in two bytes": "f814",
    "reserved length": "1c",
    "bad UTF-8": "61ff",
    "surrogate in UTF-8": "63eda080",
    "overlong UTF-8": "62c080",
    "bad UTF-8 key": "a161ff01",
}


@pytest.mark.parametrize("encoded", BAD_CBOR.values(), ids=BAD_CBOR.keys())
def test_cbor_that_is_not_deterministic_is_refused(encoded: str) -> None:
    """Catches a second encoding of one value, and every item that costs more than its bytes."""
    data = bytes.fromhex(encoded)
    with pytest.raises(Malformed):
        scan(data)
    with pytest.raises(Malformed):
        decode_canonical(data)
    with pytest.raises(Malformed):
        # The same item where a value is expected inside a message.
        CODEC.decode(b"\xa2\x61b" + data + b"\x61k\x63toy")


def test_deep_nesting_is_refused_without_recursion() -> None:
    """Catches a stack overflow by a frame of opening brackets."""
    for opening in (b"\x81", b"\xa1\x60"):
        for depth in (MAX_DEPTH + 1, 5000, 500_000):
            with pytest.raises(Malformed):
                scan(opening * depth + b"\x00")


def test_the_item_budget_holds() -> None:
    """Catches memory amplification: a million one-byte items become a hundred megabytes."""
    scan(encode_canonical([0] * (MAX_ITEMS - 1)))
    with pytest.raises(Malformed, match="items"):
        scan(encode_canonical([0] * MAX_ITEMS))


WRONG_BODIES: dict[str, Any] = {
    "no map": 5,
    "null": None,
    "array": [1],
    "empty": {},
    "unknown key": {**GOOD, "zz": 1},
    "missing key": {key: value for key, value in GOOD.items() if key != "name"},
    "missing optional key": {key: value for key, value in GOOD.items() if key != "maybe"},
    "text for a number": {**GOOD, "number": "1"},
    "bool for a number": {**GOOD, "number": True},
    "null for a number": {**GOOD, "number": None},
    "number for bytes": {**GOOD, "data": 1 << 40},
    "array for bytes": {**GOOD, "data": [1, 2]},
    "text for bytes": {**GOOD, "data": "x"},
    "bytes for text": {**GOOD, "name": b"x"},
    "number for bool": {**GOOD, "flag": 1},
    "text for an array": {**GOOD, "numbers": "12"},
    "map for an array": {**GOOD, "numbers": {"1": 1}},
    "wrong element": {**GOOD, "numbers": [1, "2"]},
    "pair too short": {**GOOD, "pair": [1]},
    "pair too long": {**GOOD, "pair": [1, 2, 3]},
    "array for a class": {**GOOD, "part": [0]},
    "unknown nested key": {**GOOD, "part": {"index": 0, "x": 0}},
    "wrong optional": {**GOOD, "maybe": 3},
    "validator says no": {**GOOD, "data": b"12345"},
    "validator breaks": {**GOOD, "number": 0},
}


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES.keys())
def test_wrong_types_are_refused_and_never_converted(body: Any) -> None:
    """Catches a converter that builds ``bytes(n)`` from a number or reads "12" as a list."""
    with pytest.raises(Malformed):
        CODEC.decode(payload(body))


@pytest.mark.parametrize("kind", ["other", "", "Toy", 1, None, [], {}, b"toy"])
def test_unknown_kinds_are_refused(kind: Any) -> None:
    """Catches a lookup that fails with another error for odd kinds."""
    with pytest.raises(Malformed):
        CODEC.decode(payload(GOOD, kind))


@pytest.mark.parametrize(
    "outer", [{}, {"k": "toy"}, {"b": GOOD}, {"b": GOOD, "k": "toy", "z": 1}, []]
)
def test_the_outer_map_is_exact(outer: Any) -> None:
    """Catches room for extra data beside kind and body."""
    with pytest.raises(Malformed):
        CODEC.decode(cbor2.dumps(outer, canonical=True))


def test_culprits_are_named_and_reasons_are_short() -> None:
    """Catches a fault without a name, and a reason as long as the peer wants it to be."""
    with pytest.raises(Malformed) as caught:
        CODEC.decode(payload({"x" * 100_000: 1}), b"peer")
    assert caught.value.culprits() == (b"peer",)
    assert len(caught.value.reason) <= 160


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    """Catches any exception but Malformed from noise."""
    with pytest.raises(Malformed):
        Codec(MESSAGES).decode(data) if data[:1] == b"\xa2" else CODEC.decode(data)


@settings(max_examples=600, derandomize=True, deadline=None)
@given(st.data())
def test_a_mutated_message_is_refused_or_has_one_encoding(data: st.DataObject) -> None:
    """Catches a second spelling of a message: what decodes must encode to the same bytes."""
    mutated = bytearray(payload({**GOOD, "numbers": [1, 300], "name": "name", "data": b"1234"}))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        mutated[position] = data.draw(st.integers(0, 255))
    try:
        message = CODEC.decode(bytes(mutated))
    except Malformed:
        return
    assert CODEC.encode(message) == bytes(mutated)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.binary(max_size=24))
def test_what_the_scanner_accepts_is_canonical_for_another_implementation(data: bytes) -> None:
    """Catches a scanner that is laxer than deterministic CBOR."""
    try:
        scan(data)
    except Malformed:
        return
    assert cbor2.dumps(cbor2.loads(data), canonical=True) == data
