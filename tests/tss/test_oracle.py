"""The hash registry."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.tss import oracle
from metanode.tss.oracle import Tag

PACKAGE = Path(oracle.__file__).parent


def test_tags_are_unique_and_versioned() -> None:
    """Catches two purposes sharing one tag, which would let a value serve twice."""
    values = [tag.value for tag in Tag.__members__.values()]
    assert len(values) == len(set(values)) == len(Tag)
    assert all(re.fullmatch(rb"metanode/tss/[a-z0-9-]+/v\d+", value) for value in values)


def test_every_tag_has_a_use_and_every_hash_a_tag() -> None:
    """Catches a tag that nothing uses any more, and a module that hashes without the registry."""
    modules = {path.stem: path.read_text() for path in PACKAGE.glob("*.py")}
    used = {name for text in modules.values() for name in re.findall(r"\bTag\.([A-Z0-9_]+)", text)}
    assert used == set(Tag.__members__)
    hashing = {name for name, text in modules.items() if "import hashlib" in text}
    # curve: the hash that libsecp256k1 computes inside ecdh.
    assert hashing == {"oracle", "curve"}


def test_every_tag_separates_one_input() -> None:
    """Catches an oracle that drops its tag."""
    assert len({oracle.digest(tag, b"x") for tag in Tag}) == len(Tag)


@settings(max_examples=60)
@given(
    st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4)
)
def test_framing_is_injective(left: list[bytes], right: list[bytes]) -> None:
    """Catches an ambiguous join: two component lists with one encoding."""
    same = oracle.framed(Tag.SID, *left) == oracle.framed(Tag.SID, *right)
    assert same == (left == right)


def test_framing_by_hand() -> None:
    """Catches a change of the layout that the documentation states."""
    name = Tag.SID.value
    expected = bytes((len(name),)) + name + bytes(7) + b"\x02ab" + bytes(8)
    assert oracle.framed(Tag.SID, b"ab", b"") == expected
    assert oracle.digest(Tag.SID, b"ab", b"") == hashlib.sha256(expected).digest()


def test_oracles_by_the_hundred_equal_those_one_by_one() -> None:
    """Catches a buffer layout that is not the framed encoding, and a hash of another kind."""
    numbers = np.arange(300, dtype=">u2").view(np.uint8).reshape(300, 2)
    rows = np.frombuffer(bytes(range(256)) * 75, np.uint8).reshape(300, 64)
    fixed = (b"context", b"")
    each = [(*fixed, oracle.index(i), rows[i].tobytes()) for i in range(300)]
    assert oracle.framed_each(Tag.GGM, fixed, (numbers, rows)) == [
        oracle.framed(Tag.GGM, *components) for components in each
    ]
    assert oracle.digest_each(Tag.KDF, fixed, numbers, rows) == [
        oracle.digest(Tag.KDF, *components) for components in each
    ]
    assert oracle.wide_each(Tag.H2C, fixed, numbers, rows) == [
        oracle.wide(Tag.H2C, *components) for components in each
    ]
