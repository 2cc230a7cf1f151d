"""What tests of several packages share: byte sources, keys, ids, hashes, refused commands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from coincurve import PrivateKey


def entropy(seed: str = "seed") -> Callable[[int], bytes]:
    """Return a deterministic byte source."""
    calls = 0

    def draw(length: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_256(f"{seed} {calls}".encode()).digest(length)

    return draw


def key_of(name: str) -> PrivateKey:
    """Return the same key for the same name in every run."""
    return PrivateKey(hashlib.sha256(name.encode()).digest())


def node(number: int) -> bytes:
    """Return a stand-in for a node id."""
    return number.to_bytes(33, "big")


def peers(count: int) -> tuple[bytes, ...]:
    """Return stand-ins for node ids, in order."""
    return tuple(map(node, range(count)))


def double_sha256(data: bytes) -> bytes:
    """Return Bitcoin's hash of ``data``."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def refused(outcome: tuple[int, str, str], *words: str, printed: bool = False) -> None:
    """Check that a command (exit code, stdout, stderr) was refused in one line with these words.

    Nothing may stand on stdout, unless the command has ``printed`` what it had done until then.
    """
    code, said, errors = outcome
    assert code == 2, errors
    assert bool(said) == printed, said
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    for word in words:
        assert word in errors
