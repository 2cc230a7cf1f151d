"""BIP-32: the extended keys, derived by the textbook with the group operations of the engine."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from attrs import evolve, frozen
from btclib import base58
from btclib.exceptions import BTClibException
from btclib.hashes import hash160

from metanode.tss import curve
from tests.spec.vectors.support import load

VECTORS = load("bip32.json")
PUBLIC, PRIVATE = bytes.fromhex("0488b21e"), bytes.fromhex("0488ade4")
HARDENED = 1 << 31


@frozen
class Key:
    """The fields of an extended key as BIP-32 serialises them."""

    version: bytes
    depth: int
    parent: bytes
    index: int
    chain_code: bytes
    content: bytes

    @property
    def public(self) -> bytes:
        """Return the public key, 33 octets."""
        if self.version == PUBLIC:
            return self.content
        secret = int.from_bytes(self.content, "big")
        return curve.encode_point(curve.generator_mult(secret))

    def neutered(self) -> Key:
        """Return the public half."""
        return evolve(self, version=PUBLIC, content=self.public)

    def child(self, index: int) -> Key:
        """Return CKDpriv or CKDpub."""
        data = self.content if index >= HARDENED else self.public
        digest = mac(self.chain_code, data + index.to_bytes(4, "big"))
        offset = int.from_bytes(digest[:32], "big")
        if self.version == PRIVATE:
            secret = (offset + int.from_bytes(self.content, "big")) % curve.ORDER
            content = secret.to_bytes(33, "big")
        else:
            point = curve.parse_point(self.content)
            assert point is not None
            sum_point = curve.offset_generator(point, offset)
            assert sum_point is not None
            content = curve.encode_point(sum_point)
        parent = hash160(self.public)[:4]
        return Key(self.version, self.depth + 1, parent, index, digest[32:], content)

    def text(self) -> str:
        """Return the Base58Check form."""
        head = self.version + bytes([self.depth]) + self.parent + self.index.to_bytes(4, "big")
        return base58.encode(head + self.chain_code + self.content).decode()


def mac(key: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA512."""
    return hmac.new(key, data, hashlib.sha512).digest()


def master(seed: bytes) -> Key:
    """Return the master key of a seed."""
    digest = mac(b"Bitcoin seed", seed)
    return Key(PRIVATE, 0, bytes(4), 0, digest[32:], b"\x00" + digest[:32])


def steps(path: str) -> list[int]:
    """Return the indices of a path such as m/0H/1."""
    return [int(step.rstrip("H")) + HARDENED * step.endswith("H") for step in path.split("/")[1:]]


def fault(text: str) -> str | None:
    """Return what is wrong with an extended key, in the words of the file, or None."""
    try:
        data = base58.decode(text, 78)
    except BTClibException:
        return "wrong checksum"
    version, tag, content = data[:4], data[45], data[45:]
    if version not in (PUBLIC, PRIVATE):
        return "unknown version"
    kind, other = ("public", "private") if version == PUBLIC else ("private", "public")
    if tag > 3 or tag == 1:
        return f"{kind} key with tag 0{tag}"
    if (tag == 0) != (version == PRIVATE):
        return f"{kind} version, {other} key"
    if data[4] == 0 and data[5:9] != bytes(4):
        return "depth 0 with a parent"
    if data[4] == 0 and data[9:13] != bytes(4):
        return "depth 0 with an index"
    if version == PUBLIC:
        return "public key off the curve" if curve.parse_point(content) is None else None
    secret = curve.decode_scalar(content[1:])
    return {None: "private key n", 0: "private key 0"}.get(secret)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["number"])
def test_keys_of_a_seed(vector: dict[str, Any]) -> None:
    """Catches wrong group operations, and a wrong digit in the file."""
    for row in vector["keys"]:
        key = master(bytes.fromhex(vector["seed"]))
        public = key.neutered()
        for index in steps(row["path"]):
            public = public.child(index) if index < HARDENED else key.child(index).neutered()
            key = key.child(index)
        assert key.text() == row["private"]
        assert key.neutered().text() == row["public"]
        assert public.text() == row["public"]
        assert fault(row["private"]) is fault(row["public"]) is None


@pytest.mark.parametrize("row", VECTORS["invalid"], ids=lambda row: row["reason"])
def test_invalid_keys(row: dict[str, str]) -> None:
    """Catches a point or a scalar that the engine should not parse, and a wrong reason."""
    assert fault(row["key"]) == row["reason"]
