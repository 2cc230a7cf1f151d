"""Domain-separated hashing: an injective encoding in front of SHA-512/256."""

from __future__ import annotations

import hashlib

_COMPONENT_LENGTH_BYTES = 8


def tagged_hash(tag: str, *components: bytes) -> bytes:
    """Return the 32-byte SHA-512/256 of ``len(tag)‖tag‖(len(component)‖component)*``.

    Lengths make the join unambiguous and the tag keeps one use of the hash apart from every other,
    so that no value hashed for one purpose can be presented for another (F-11).
    """
    name = tag.encode("ascii")
    state = hashlib.new("sha512_256")
    state.update(len(name).to_bytes(1, "big") + name)
    for component in components:
        state.update(len(component).to_bytes(_COMPONENT_LENGTH_BYTES, "big"))
        state.update(component)
    return state.digest()
