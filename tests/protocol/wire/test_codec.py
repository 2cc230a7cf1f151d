"""One message, one encoding: round trips and the agreement with another CBOR implementation."""

from __future__ import annotations

from typing import Any, ClassVar

import cbor2
import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import LocalFault
from metanode.protocol.wire.codec import (
    MAX_DEPTH,
    Codec,
    decode_canonical,
    encode_canonical,
    scan,
)
from spec.messages import MESSAGES, Hello, Keepalive


@frozen
class Part:
    index: int
    data: bytes


@frozen
class Toy:
    KIND: ClassVar[str] = "toy"
    number: int
    name: str
    data: bytes
    flag: bool
    numbers: tuple[int, ...]
    pair: tuple[int, str]
    part: Part
    parts: tuple[Part, ...]
    maybe: bytes | None = None
    maybe_part: Part | None = field(default=None)


TOY = Toy(
    -1, "é", b"\x00", True, (1, 2), (3, "x"), Part(0, b""), (Part(1, b"1"),), b"m", Part(2, b"")
)
CODEC = Codec({"toy": Toy})

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
)
_keys = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=20,
)


def test_a_message_survives_the_round_trip() -> None:
    """Catches a lost, renamed or retyped field."""
    for message in (TOY, Toy(0, "", b"", False, (), (0, ""), Part(0, b""), ())):
        assert CODEC.decode(CODEC.encode(message)) == message


def test_the_payload_is_a_map_of_kind_and_body() -> None:
    """Catches a changed wire format."""
    payload = Codec(MESSAGES).encode(Keepalive(("[::1]:1",)))
    body = {"endpoints": ["[::1]:1"], "seen_as": ""}
    assert cbor2.loads(payload) == {"k": "keepalive", "b": body}
    assert payload.hex() == (
        "a26162a2677365656e5f61736069656e64706f696e747381675b3a3a315d3a31"
        "616b696b656570616c697665"
    )


def test_the_catalogue_of_the_specification_has_a_wire_form() -> None:
    """Catches a message class with a field that the codec cannot carry exactly."""
    codec = Codec(MESSAGES)
    assert set(codec.kinds) == set(MESSAGES)
    hello = Hello(1, bytes(32), bytes(33), bytes(32))
    assert codec.decode(codec.encode(hello)) == hello


@settings(max_examples=300, derandomize=True, deadline=None)
@given(PLAIN)
def test_encoding_agrees_with_another_implementation(value: Any) -> None:
    """Catches a wrong head, length or key order: cbor2's canonical form is the same bytes.

    Its order is length-first (RFC 7049), ours bytewise (RFC 8949); for text keys they must agree.
    """
    encoded = encode_canonical(value)
    assert encoded == cbor2.dumps(value, canonical=True)
    scan(encoded)
    assert decode_canonical(encoded) == value


def test_keys_of_every_head_size_are_in_bytewise_order() -> None:
    """Catches an order that is right only for keys with a head of one byte."""
    keys = ["", "b", "aa", "é", "a" * 23, "a" * 24, "b" * 24, "a" * 255, "a" * 256, "b" * 300]
    encoded = encode_canonical(dict.fromkeys(reversed(keys), 0))
    assert list(decode_canonical(encoded)) == sorted(keys, key=lambda key: encode_canonical(key))
    assert encoded == cbor2.dumps(dict.fromkeys(keys, 0), canonical=True)


@pytest.mark.parametrize(
    "integer",
    [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, -1, -24, -25, -(2**64)],
)
def test_integers_at_every_width(integer: int) -> None:
    """Catches an off-by-one at a boundary between two widths, in the encoder or the scanner."""
    encoded = encode_canonical(integer)
    assert encoded == cbor2.dumps(integer)
    assert decode_canonical(encoded) == integer


def test_nesting_up_to_the_bound() -> None:
    """Catches an encoder and a scanner that disagree about the bound."""
    value: Any = 0
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode_canonical(encode_canonical(value)) == value
    with pytest.raises(LocalFault, match="nested"):
        encode_canonical([value])


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        memoryview(b"x"),
        bytearray(b"x"),
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {b"x": 1},
        {None: 1},
        1 << 64,
        -(1 << 64) - 1,
        {1, 2},
        object(),
        type("Sub", (int,), {})(3),
        type("Text", (str,), {})("x"),
    ],
)
def test_what_peers_would_refuse_is_not_sent(value: Any) -> None:
    """Catches an encoder that turns our own mistakes into bytes."""
    with pytest.raises(LocalFault):
        encode_canonical([value])


def test_catalogues_that_have_no_exact_form_are_refused() -> None:
    """Catches a message class that would only fail when it is first received."""

    @frozen
    class Floating:
        KIND: ClassVar[str] = "floating"
        value: float

    @frozen
    class Mapping_:
        KIND: ClassVar[str] = "mapping"
        value: dict[str, int]

    @frozen
    class Either:
        KIND: ClassVar[str] = "either"
        value: int | str

    for cls in (Floating, Mapping_, Either):
        with pytest.raises(LocalFault, match="wire form"):
            Codec({cls.KIND: cls})
    with pytest.raises(LocalFault, match="KIND"):
        Codec({"other": Toy})
    with pytest.raises(LocalFault, match="catalogue"):
        CODEC.encode(Part(1, b""))
