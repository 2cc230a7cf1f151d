"""A hash for what is hashed by the hundred: AES under one key for a whole multiplication.

The tweaked MMO construction (Guo, Katz, Wang, Yu, "Efficient and secure multiparty computation from
fixed-key block ciphers", 2020): H(x, i) = π(π(x) ⊕ i) ⊕ π(x), where π is AES-128 under a
public key and x, i and the result are one block each. With π an ideal cipher it is tweakable
circular correlation robust, which is what the extension asks of its row hash (Bob sees the hash of
z ⊕ Δ for z of his own making), and a pseudorandom generator in i for a uniform secret x.

- **The key is new for each multiplication and direction.** It is a hash of the pair session id and
  a fresh salt of whoever is to be protected, so that nothing computed before the message serves
  against it, and nothing against one run serves against another.
- **A tweak is used once for each input:** number of the input and number of the block. The
  guess of one x at one place costs a call of its own for each place, so that many rows or leaves
  under one key are no easier than one.
- **Inputs are 128 bits:** rows have the bits of Δ, leaves are seeds of 128 bits.

One call encrypts all inputs and one all blocks (ECB of independent blocks is just that: many calls
of π). Where the processor has AES instructions this is constant time and runs at gigabytes a
second; see ``README.md``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from metanode.errors import check

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

BLOCK_BYTES = 16
KEY_BYTES = 16
_WORDS = BLOCK_BYTES // 8


def hash_blocks(key: bytes, numbers: npt.NDArray[np.uint64], inputs: Bytes, blocks: int) -> Bytes:
    """Return H(x, (number, b)) for b below ``blocks``, side by side for each input x.

    ``inputs`` are (count, 16) bytes and ``numbers`` their numbers; the result is (count, 16·blocks)
    bytes. A tweak is the number and b, 8 bytes each, little-endian.
    """
    check(len(key) == KEY_BYTES, "a fixed key has 16 bytes")
    check(inputs.shape == (len(numbers), BLOCK_BYTES), "inputs are blocks, each with its number")
    # ECB is the permutation itself, applied to independent blocks; nothing is encrypted here.
    encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    once = np.frombuffer(encrypt(inputs.tobytes()), "<u8").reshape(-1, _WORDS)
    # Blocks of one number b side by side: numpy is fast along long lines only.
    inner = np.empty((blocks, len(numbers), _WORDS), "<u8")
    inner[...] = once
    inner[:, :, 0] ^= numbers
    inner[:, :, 1] ^= np.arange(blocks, dtype=np.uint64)[:, None]
    twice: Words = np.frombuffer(encrypt(inner.data.cast("B")), "<u8").reshape(inner.shape) ^ once
    lines = twice.view(f"V{BLOCK_BYTES}")[:, :, 0].T
    return np.ascontiguousarray(lines).view(np.uint8)
