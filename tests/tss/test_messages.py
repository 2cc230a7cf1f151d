"""Payload encoding."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import LocalFault
from metanode.tss.messages import DealingShapes, Message, Round, Shape, sign_rounds
from metanode.tss.parameters import STANDARD
from tests.tss.support import COMPACT, seeded

SHAPES = [
    shape
    for rounds in (
        DealingShapes(2, chain=True).rounds(),
        DealingShapes(7, chain=True).rounds(receives=False),
        sign_rounds(STANDARD),
        sign_rounds(COMPACT),
    )
    for plan in rounds
    for shape in (plan.broadcast, plan.direct)
    if shape is not None
]
SMALL = Shape.of(b=2, aa=1, c=0)


def values(shape: Shape) -> dict[str, bytes]:
    """Return some value of the right length for each field."""
    return {name: seeded(name)(length) for name, length in shape.fields}


@pytest.mark.parametrize("shape", SHAPES)
def test_encoding_is_canonical_cbor(shape: Shape) -> None:
    """Catches a template that is not what a CBOR library writes and reads."""
    payload = shape.encode(values(shape))
    assert payload == cbor2.dumps(values(shape), canonical=True)
    assert cbor2.loads(payload) == values(shape) == shape.decode(payload)
    assert len(payload) == shape.encoded_bytes


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xa0",
        cbor2.dumps({"b": b"xy", "aa": b"z"}),
        cbor2.dumps({"aa": b"z", "b": b"xy", "c": b""}),
        cbor2.dumps({"b": "xy", "c": b"", "aa": b"z"}),
        cbor2.dumps({"b": b"xyz", "c": b"", "aa": b""}),
        cbor2.dumps({"b": b"xy", "c": b"", "aa": b"z", "d": 1}),
        cbor2.dumps({"b": b"xy", "c": b"", "aa": b"z"}) + b"\x00",
        cbor2.dumps([b"xy", b"", b"z"]),
    ],
)
def test_anything_else_is_refused(payload: bytes) -> None:
    """Catches missing, unknown, reordered, mistyped or wrongly sized fields and trailing bytes."""
    assert SMALL.decode(cbor2.dumps({"b": b"xy", "c": b"", "aa": b"z"})) is not None
    assert SMALL.decode(payload) is None


@given(st.binary(max_size=24))
def test_decoding_never_raises_and_is_injective(payload: bytes) -> None:
    """Catches a payload with two encodings: whatever decodes encodes to the same bytes."""
    decoded = SMALL.decode(payload)
    assert decoded is None or SMALL.encode(decoded) == payload


def test_encoding_our_own_mistake_is_a_local_fault() -> None:
    """Catches a wrong length of ours leaving the node."""
    with pytest.raises(LocalFault):
        SMALL.encode({"b": b"x", "aa": b"z", "c": b""})
    with pytest.raises(LocalFault):
        SMALL.encode({"b": b"xy", "aa": b"z"})


def test_payload_is_not_printed() -> None:
    """Catches shares and seeds in a log line."""
    assert "secret" not in repr(Message(bytes(32), 1, 1, 2, b"secret"))


def test_bytes_per_ordered_pair() -> None:
    """Catches growth of the traffic, for 32 of 60: 56 kB for signing, 16 kB for a dealing."""

    def sent(rounds: tuple[Round, ...]) -> int:
        shapes = [shape for plan in rounds for shape in (plan.broadcast, plan.direct)]
        return sum(shape.encoded_bytes for shape in shapes if shape is not None)

    assert sent(sign_rounds(STANDARD)) == 55_039 < 56_000
    assert sent(sign_rounds(COMPACT)) == 45_055
    for coefficients, chain, most in ((32, True, 15_500), (31, False, 15_300)):
        shapes = DealingShapes(coefficients, chain=chain)
        sides = [sent(shapes.rounds(receives=receives)) for receives in (True, False)]
        assert sum(sides) // 2 < most, sides
