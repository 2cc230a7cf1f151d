"""The hash under a fixed key, against a second reading of its definition, block by block."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import LocalFault
from metanode.tss.fixed_key import hash_blocks
from tests.tss.support import seeded

KEY = bytes(range(16))


def permute(key: bytes, block: bytes) -> bytes:
    """Return AES-128 of one block."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def tweaked_hash(key: bytes, number: int, block: bytes, blocks: int) -> bytes:
    """Return π(π(x) ⊕ (number, b)) ⊕ π(x) for each b, joined."""
    once = permute(key, block)
    joined = b""
    for b in range(blocks):
        tweak = number.to_bytes(8, "little") + b.to_bytes(8, "little")
        inner = bytes(x ^ y for x, y in zip(once, tweak, strict=True))
        joined += bytes(x ^ y for x, y in zip(permute(key, inner), once, strict=True))
    return joined


def test_the_permutation_is_aes() -> None:
    """Catches another cipher: FIPS 197, appendix C.1."""
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert permute(KEY, block).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


@settings(max_examples=30)
@given(
    st.binary(min_size=16, max_size=16),
    st.lists(st.integers(min_value=0, max_value=2**64 - 1), min_size=1, max_size=7),
    st.integers(min_value=1, max_value=7),
)
def test_it_is_what_is_written_down(key: bytes, numbers: list[int], blocks: int) -> None:
    """Catches a tweak in the wrong place or order, and blocks that are mixed up between inputs."""
    inputs = np.frombuffer(seeded(key)(16 * len(numbers)), np.uint8).reshape(-1, 16)
    hashed = hash_blocks(key, np.array(numbers, np.uint64), inputs, blocks)
    assert hashed.shape == (len(numbers), 16 * blocks)
    for number, line, result in zip(numbers, inputs, hashed, strict=True):
        assert result.tobytes() == tweaked_hash(key, number, line.tobytes(), blocks)


def test_one_input_has_one_hash_for_each_number_block_and_key() -> None:
    """Catches a tweak that two places have in common: equal leaves would give equal streams."""
    inputs = np.zeros((600, 16), np.uint8)
    found = set()
    for key in (KEY, bytes(16)):
        lines = hash_blocks(key, np.arange(600, dtype=np.uint64), inputs, 6).tobytes()
        found |= {lines[at : at + 16] for at in range(0, len(lines), 16)}
    assert len(found) == 2 * 600 * 6


def test_sizes_are_checked() -> None:
    """Catches a key of another strength, and rows of another width, going unnoticed."""
    one = np.zeros((1, 16), np.uint8)
    numbers = np.zeros(1, np.uint64)
    for key, given_numbers, inputs in (
        (bytes(32), numbers, one),
        (KEY, numbers, np.zeros((1, 32), np.uint8)),
        (KEY, np.zeros(2, np.uint64), one),
    ):
        with pytest.raises(LocalFault):
            hash_blocks(key, given_numbers, inputs, 1)
