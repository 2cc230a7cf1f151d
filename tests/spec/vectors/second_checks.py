"""What the messages of a run must fit, computed from the page of the protocol, without the library.

Each check yields what is wrong, in words. The arithmetic is that of ``fastecdsa``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add
from typing import Any

from attrs import define, field
from fastecdsa.curve import secp256k1
from fastecdsa.point import Point

from tests.spec.vectors.second_decoder import Kind, Value

N, G = secp256k1.q, secp256k1.G
SUITE = b"metanode/dkls23/secp256k1/v3"
PRESET = b"lambda-128" + b"".join(number.to_bytes(4, "big") for number in (128, 128, 2, 128, 2))
Fields = Mapping[str, Any]
Slot = tuple[int, int, int | None]
"""Round, sender and recipient, who is None in a broadcast."""


def framed(tag: str, *components: bytes) -> bytes:
    """Return the tag and the components, each with its length before it."""
    name = b"metanode/tss/" + tag.encode()
    parts = [bytes((len(name),)), name]
    for component in components:
        parts += (len(component).to_bytes(8, "big"), component)
    return b"".join(parts)


def digest(tag: str, *components: bytes) -> bytes:
    """Return what the page calls H."""
    return hashlib.sha256(framed(tag, *components)).digest()


def challenge(*components: bytes) -> int:
    """Return S of the tag of proofs."""
    return int.from_bytes(hashlib.sha512(framed("dlog/v1", *components)).digest(), "big") % N


def number(*values: int) -> bytes:
    """Return what the page has in angle brackets."""
    return b"".join(value.to_bytes(2, "big") for value in values)


def scalar(data: bytes) -> int:
    """Return the number of these octets."""
    return int.from_bytes(data, "big")


def point(data: bytes) -> Point | None:
    """Return the point of a compressed encoding, or None."""
    x, p = scalar(data[1:]), secp256k1.p
    square = (x**3 + 7) % p
    y = pow(square, (p + 1) // 4, p)
    if len(data) != 33 or data[0] not in (2, 3) or x >= p or y * y % p != square:
        return None
    return Point(x, y if y % 2 == data[0] % 2 else p - y, secp256k1)


def encoded(where: Point) -> bytes:
    """Return the compressed encoding."""
    return bytes((2 + where.y % 2,)) + int(where.x).to_bytes(32, "big")


def cut(data: bytes, size: int) -> list[bytes]:
    """Return the parts of this size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def total(points: list[Point]) -> Point:
    """Return the sum."""
    return reduce(add, points)


def proved(proof: bytes, about: bytes, context: bytes) -> bool:
    """Return whether s·G = R + e·X."""
    nonce, key = point(proof[:33]), point(about)
    if nonce is None or key is None:
        return False
    e = challenge(context, about, proof[:33])
    return bool(scalar(proof[33:]) * G == nonce + e * key)


@define
class Run:
    """One run of the file. ``old`` are the results that it starts from, if any."""

    inputs: dict[str, Any]
    results: dict[str, Any]
    fields: dict[Slot, dict[str, Value]]
    payloads: dict[Slot, bytes]
    old: dict[str, Any] | None = None
    _sid: bytes = field(init=False, default=b"")

    @property
    def kind(self) -> Kind:
        return kind_of(self.inputs)

    @property
    def parties(self) -> list[int]:
        return list(self.inputs["parties"])

    @property
    def session_id(self) -> bytes:
        return bytes.fromhex(self.inputs["session_id"])

    def said(self, round_number: int, sender: int, recipient: int | None = None) -> Fields:
        return self.fields[round_number, sender, recipient]

    def each(self, round_number: int, name: str) -> list[bytes]:
        return [self.said(round_number, party)[name] for party in self.parties]

    def hex(self, name: str) -> bytes:
        return bytes.fromhex(self.inputs[name])

    def echo(self, last_round: int) -> bytes:
        rounds = range(1, last_round + 1)
        slots = [(each, party, None) for each in rounds for party in self.parties]
        seen = [self.payloads[slot] for slot in slots if slot in self.payloads]
        return digest("echo/v1", self.session_id, number(last_round), *seen)

    def wrong(self) -> Iterator[str]:
        """Yield what does not fit."""
        signing = self.kind.protocol == "signing"
        for (round_number, sender, recipient), values in self.fields.items():
            if round_number > 1:
                last = 1 if signing or round_number == 2 else 2
                if values["echo"] != self.echo(last):
                    yield f"echo of {sender} to {recipient} in round {round_number}"
        yield from self.wrong_signature() if signing else self.wrong_dealing()

    # Dealings

    def wrong_dealing(self) -> Iterator[str]:
        inputs, old = self.inputs, self.old
        ids = [bytes.fromhex(each) for each in inputs["identity_keys"]]
        before = [] if old is None else [confirmation(old, inputs["threshold"])]
        purpose = b"keygen" if old is None else b"refresh"
        address = digest(
            "address/v1", SUITE, PRESET, purpose, number(inputs["threshold"]),
            inputs["epoch"].to_bytes(8, "big"), self.hex("context"), *before, *ids,
        )
        if address != self.session_id:
            yield "session id"
        self._sid = digest("sid/v1", self.session_id, *self.each(1, "sid"))
        for dealer in self.parties:
            yield from self.wrong_dealer(dealer)
        yield from self.wrong_results()

    def wrong_dealer(self, dealer: int) -> Iterator[str]:
        first, second = self.said(1, dealer), self.said(2, dealer)
        about = (self.session_id, number(dealer), first["sid"])
        if digest("com/v1", *about, second["coefficients"], second["salt"]) != first["commitment"]:
            yield f"commitment of {dealer}"
        coefficients = cut(second["coefficients"], 33)
        for k, proof in enumerate(cut(second["proofs"], 65)):
            if not proved(proof, coefficients[k], self._sid + number(dealer, k)):
                yield f"proof {k} of {dealer}"
        for holder in self.parties:
            if holder == dealer:
                continue
            offer, answer = self.said(2, dealer, holder), self.said(3, dealer, holder)
            opened = digest(
                "zero-com/v1", self._sid, number(dealer, holder), answer["zero_seed"],
                answer["zero_salt"],
            )
            if opened != offer["zero_commitment"]:
                yield f"zero seed of {dealer} to {holder}"
            if scalar(answer["share"]) * G != self.dealt(dealer, holder):
                yield f"share of {dealer} for {holder}"
            if self.kind.new_key:
                part = (answer["chain_code"], answer["chain_salt"])
                if digest("chain-com/v1", *about, *part) != first["chain_commitment"]:
                    yield f"chain code of {dealer} to {holder}"
            if "ot_key" in answer and point(answer["ot_key"]) is None:
                yield f"key of transfers of {dealer} to {holder}"

    def dealt(self, dealer: int, holder: int) -> Point | None:
        """Return f(holder)·G as the coefficients have it; those of a refresh begin at degree 1."""
        first_degree = 0 if self.kind.new_key else 1
        terms = []
        for degree, data in enumerate(cut(self.said(2, dealer)["coefficients"], 33), first_degree):
            coefficient = point(data)
            if coefficient is None:
                return None
            terms.append(pow(holder, degree, N) * coefficient)
        return total(terms)

    def wrong_results(self) -> Iterator[str]:
        results, threshold = self.results, self.inputs["threshold"]
        chain = self.chain_code()
        if chain.hex() != results["chain_code"] or results["epoch"] != self.inputs["epoch"]:
            yield "chain code or epoch"
        lists = [cut(self.said(2, dealer)["coefficients"], 33) for dealer in self.parties]
        summed = [[point(data) for data in terms] for terms in zip(*lists, strict=True)]
        if any(term is None for terms in summed for term in terms):
            yield "a coefficient is no point"
            return
        sums = b"".join(encoded(total(terms)) for terms in summed)
        for holder in self.parties:
            last, share = self.said(4, holder), bytes.fromhex(results["public_shares"][holder - 1])
            terms = [self.dealt(dealer, holder) for dealer in self.parties]
            if self.old is not None:
                terms.append(point(bytes.fromhex(self.old["public_shares"][holder - 1])))
            if not last["public_share"] == share == encoded(total(terms)):
                yield f"public share of {holder}"
            if scalar(bytes.fromhex(results["secret_shares"][holder - 1])) * G != point(share):
                yield f"secret share of {holder}"
            if not proved(last["proof"], share, self._sid + number(holder, 65535) + chain + sums):
                yield f"last proof of {holder}"
        key = bytes.fromhex(results["public_key"])
        if self.old is None:
            if key != sums[:33]:
                yield "public key"
            if digest("key-id/v1", self._sid, key, chain).hex() != results["key_id"]:
                yield "key id"
        elif (self.old["public_key"], self.old["key_id"]) != (key.hex(), results["key_id"]):
            yield "a refresh moved the key"
        if interpolated(results, threshold) != point(key):
            yield "public shares do not come to the key"

    def chain_code(self) -> bytes:
        if self.old is not None:
            return bytes.fromhex(self.old["chain_code"])
        parts = []
        for dealer in self.parties:
            other = next(party for party in self.parties if party != dealer)
            parts.append(self.said(3, dealer, other)["chain_code"])
        return digest("chain/v1", self._sid, *parts)

    # Signing

    def wrong_signature(self) -> Iterator[str]:
        old, results = self.old or {}, self.results
        tweak = self.hex("tweak")
        address = digest(
            "sign-sid/v1", SUITE, PRESET, bytes.fromhex(old["key_id"]),
            old["epoch"].to_bytes(8, "big"), bytes.fromhex(old["public_key"]),
            confirmation(old, len(self.parties)), number(*self.parties), self.hex("digest"), tweak,
            self.hex("instance"),
        )
        if address != self.session_id:
            yield "session id"
        for party in self.parties:
            opening = self.said(2, party)
            about = (self.session_id, number(party), opening["nonce_point"], opening["salt"])
            if digest("sign-com/v1", *about) != self.said(1, party)["commitment"]:
                yield f"commitment of {party}"
        keys = [point(data) for data in self.each(2, "key_point")]
        nonces = [point(data) for data in self.each(2, "nonce_point")]
        key = point(bytes.fromhex(old["public_key"])) + scalar(tweak) * G
        if encoded(key).hex() != results["public_key"]:
            yield "tweaked key"
        if None in keys or None in nonces or total(keys) != key:
            yield "key points"
            return
        nonce = total(nonces)
        u, w = (sum(map(scalar, self.each(3, name))) for name in ("u", "w"))
        s, recovery = w * pow(u, -1, N) % N, nonce.y % 2 + 2 * (nonce.x >= N)
        if s > N // 2:
            s, recovery = N - s, recovery ^ 1
        found = {"r": f"{nonce.x % N:064x}", "s": f"{s:064x}", "recovery_id": recovery}
        if any(results[name] != value for name, value in found.items()):
            yield "signature"


def kind_of(inputs: Mapping[str, Any]) -> Kind:
    """Return what the decoder must know of a run."""
    if inputs["run"] == "sign":
        return Kind("signing", rounds=3)
    new_key = inputs["run"] == "keygen"
    return Kind("dealing", inputs["threshold"] - (not new_key), new_key)


def confirmation(results: Mapping[str, Any], threshold: int) -> bytes:
    """Return what all holders of these shares confirm."""
    names = ("public_key", "chain_code")
    return digest(
        "confirmation/v1", bytes.fromhex(results["key_id"]), results["epoch"].to_bytes(8, "big"),
        number(threshold), *(bytes.fromhex(results[name]) for name in names),
        *map(bytes.fromhex, results["public_shares"]),
    )


def interpolated(results: Mapping[str, Any], threshold: int) -> Point:
    """Return the key that the last public shares come to."""
    shares = results["public_shares"]
    chosen = range(len(shares) - threshold + 1, len(shares) + 1)
    terms = []
    for i in chosen:
        weight = 1
        for j in chosen:
            if j != i:
                weight = weight * j * pow(j - i, -1, N) % N
        terms.append(weight * point(bytes.fromhex(shares[i - 1])))
    return total(terms)
