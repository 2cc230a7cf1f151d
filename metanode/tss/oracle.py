"""Every hash of the threshold engine: tagged, versioned, injectively framed.

An oracle call hashes ``len(tag)‖tag‖(len(component)‖component)*`` with lengths of one byte (tag)
and eight bytes (component), big-endian. Two calls can collide only when tag and every component
agree, so no value made for one purpose can be presented for another. :class:`Tag` is the registry
of all tags.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum, unique

import numpy as np
import numpy.typing as npt

from metanode.tss.curve import ORDER

_LENGTH_BYTES = 8
_INDEX_BYTES = 2


@unique
class Tag(bytes, Enum):
    """One entry per purpose; ``unique`` refuses two purposes with one value at import."""

    ADDRESS = b"metanode/tss/address/v1"
    SID = b"metanode/tss/sid/v1"
    PAIR = b"metanode/tss/pair/v1"
    ECHO = b"metanode/tss/echo/v1"
    COMMITMENT = b"metanode/tss/com/v1"
    CHAIN_COMMITMENT = b"metanode/tss/chain-com/v1"
    CHAIN_CODE = b"metanode/tss/chain/v1"
    ZERO_COMMITMENT = b"metanode/tss/zero-com/v1"
    ZERO = b"metanode/tss/zero/v1"
    DLOG = b"metanode/tss/dlog/v1"
    DLOG_NONCE = b"metanode/tss/dlog-nonce/v1"
    SHARE_PROOF = b"metanode/tss/share-proof/v1"
    H2C = b"metanode/tss/h2c/v1"
    KDF = b"metanode/tss/kdf/v1"
    GGM = b"metanode/tss/ggm/v2"
    GGM_PROOF = b"metanode/tss/ggm-proof/v1"
    GGM_DIGEST = b"metanode/tss/ggm-digest/v2"
    PRG_KEY = b"metanode/tss/prg-key/v2"
    CHI = b"metanode/tss/chi/v1"
    T_CHECK = b"metanode/tss/t-check/v1"
    EXTENDED = b"metanode/tss/extended/v1"
    ROW_KEY = b"metanode/tss/row-key/v2"
    THETA = b"metanode/tss/theta/v1"
    MU = b"metanode/tss/mu/v1"
    GADGET = b"metanode/tss/gadget/v1"
    OLDER_LEAF = b"metanode/tss/older-leaf/v1"
    HEDGE_KEY = b"metanode/tss/hedge-key/v1"
    HEDGE = b"metanode/tss/hedge/v1"
    KEY_ID = b"metanode/tss/key-id/v1"
    CONFIRMATION = b"metanode/tss/confirmation/v1"
    SIGN_COMMITMENT = b"metanode/tss/sign-com/v1"
    SIGN_SID = b"metanode/tss/sign-sid/v1"
    BATCH = b"metanode/tss/batch/v1"
    PART = b"metanode/tss/part/v1"


def framed(tag: Tag, *components: bytes) -> bytes:
    """Return the injective encoding that the oracles hash."""
    name = tag.value
    parts = [len(name).to_bytes(1, "big"), name]
    for component in components:
        parts.append(len(component).to_bytes(_LENGTH_BYTES, "big"))
        parts.append(component)
    return b"".join(parts)


def index(*numbers: int) -> bytes:
    """Return party indices, counters and bits as fixed-width big-endian bytes."""
    return b"".join(number.to_bytes(_INDEX_BYTES, "big") for number in numbers)


def digest(tag: Tag, *components: bytes) -> bytes:
    """Return 32 bytes (SHA-256)."""
    return hashlib.sha256(framed(tag, *components)).digest()


def wide(tag: Tag, *components: bytes) -> bytes:
    """Return 64 bytes (SHA-512)."""
    return hashlib.sha512(framed(tag, *components)).digest()


def scalar(tag: Tag, *components: bytes) -> int:
    """Return a scalar modulo the group order, from 512 bits, so that the bias is under 2^-255."""
    return int.from_bytes(wide(tag, *components), "big") % ORDER


def stream(tag: Tag, length_bytes: int, *components: bytes) -> bytes:
    """Return ``length_bytes`` bytes (SHAKE-256)."""
    return hashlib.shake_256(framed(tag, *components)).digest(length_bytes)


def framed_each(
    tag: Tag, fixed: Sequence[bytes], varying: Sequence[npt.NDArray[np.uint8]]
) -> list[bytes]:
    """Return :func:`framed` of the fixed components and line i of each varying one, for every i.

    ``varying`` are (count, length) bytes. All encodings have one length, so that they are laid out
    in one buffer and sliced: the fastest form found, for oracles that are called by the hundred.
    """
    parts = [np.frombuffer(framed(tag, *fixed), np.uint8)]
    for component in varying:
        head = component.shape[1].to_bytes(_LENGTH_BYTES, "big")
        parts += (np.frombuffer(head, np.uint8), component)
    width = sum(part.shape[-1] for part in parts)
    buffer = np.empty((len(varying[0]), width), np.uint8)
    at = 0
    for part in parts:
        buffer[:, at : at + part.shape[-1]] = part
        at += part.shape[-1]
    flat = buffer.tobytes()
    return [flat[start : start + width] for start in range(0, len(flat), width)]


def digest_each(tag: Tag, fixed: Sequence[bytes], *varying: npt.NDArray[np.uint8]) -> list[bytes]:
    """Return :func:`digest` for every line of the varying components."""
    return [hashlib.sha256(data).digest() for data in framed_each(tag, fixed, varying)]


def wide_each(tag: Tag, fixed: Sequence[bytes], *varying: npt.NDArray[np.uint8]) -> list[bytes]:
    """Return :func:`wide` for every line of the varying components."""
    return [hashlib.sha512(data).digest() for data in framed_each(tag, fixed, varying)]
