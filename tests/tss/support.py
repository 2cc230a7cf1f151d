"""Shared by the tests of the threshold engine: seeded entropy, a dealer and a small network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

import attrs

from metanode.tss import curve
from metanode.tss.keygen import KeygenSession
from metanode.tss.keyshare import Keyshare, PairState
from metanode.tss.messages import DealingShapes, Message, Round
from metanode.tss.ot_extension import pack_delta
from metanode.tss.pair_setup import receives
from metanode.tss.parameters import LEAVES_PER_TREE, SEED_BYTES, STANDARD, TREES, Parameters
from metanode.tss.refresh import RefreshSession
from metanode.tss.reshare import ReshareSession
from metanode.tss.session import Session
from metanode.tss.sign import LanesSession, SignSession

DIGEST = hashlib.sha256(b"a document").digest()
Tamper = Callable[[int, Message], Message | None]


COMPACT = Parameters(name="lambda-80", statistical_bits=80)
"""Statistical error 2^-80, about a sixth less traffic: another preset than the node's."""


def seeded(*labels: object) -> Callable[[int], bytes]:
    """Return a deterministic entropy source; equal labels give equal bytes."""
    prefix = repr(labels).encode()
    calls = 0

    def entropy(length: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_256(prefix + calls.to_bytes(8, "big")).digest(length)

    return entropy


def identity_keys(count: int) -> list[bytes]:
    """Return ascending stand-ins for node ids."""
    return [bytes((2, party)) + bytes(31) for party in range(1, count + 1)]


def keygen_sessions(
    threshold: int, count: int, *, seed: object = 0, context: bytes = b"context", epoch: int = 0
) -> dict[int, KeygenSession]:
    """Return one session per party, each with its own seeded entropy."""
    parties = range(1, count + 1)
    return {
        party: KeygenSession(
            party,
            parties,
            threshold,
            context,
            identity_keys(count),
            epoch,
            seeded("keygen", seed, party),
        )
        for party in parties
    }


def refresh_sessions(
    shares: Mapping[int, Keyshare], *, seed: object = 0, context: bytes = b"context"
) -> dict[int, RefreshSession]:
    """Return one session per member of an epoch."""
    keys = identity_keys(len(shares))
    return {
        party: RefreshSession(share, context, keys, seeded("refresh", seed, party))
        for party, share in shares.items()
    }


def reshare_sessions(
    shares: Mapping[int, Keyshare],
    dealers: Sequence[int],
    holders: Sequence[int],
    threshold: int,
    *,
    seed: object = 0,
    context: bytes = b"context",
) -> dict[int, ReshareSession]:
    """Return one session per participant, by its number in the session.

    ``dealers`` are old share indices; ``holders`` are places in the roster of
    :func:`identity_keys`, so that an old index stands for the member that has it.
    """
    everybody = identity_keys(max([*shares, *holders]))
    old_members, new_members = everybody[: len(shares)], [everybody[h - 1] for h in holders]
    sessions = {}
    for number, place in enumerate(sorted({*dealers, *holders}), start=1):
        sessions[number] = ReshareSession(
            everybody[place - 1],
            shares[1].package,
            old_members,
            dealers,
            new_members,
            threshold,
            context,
            seeded("reshare", seed, place),
            keyshare=shares[place] if place in dealers else None,
        )
    return sessions


def results_of(sessions: Mapping[int, Session[Keyshare]]) -> dict[int, Keyshare]:
    """Return the key shares that finished sessions gave, by share index."""
    shares = [session.result for session in sessions.values()]
    return {share.party_index: share for share in shares if share is not None}


def sign_sessions(
    shares: Mapping[int, Keyshare],
    signers: Sequence[int],
    *,
    digest: bytes = DIGEST,
    instance: bytes = bytes(32),
    tweak: int = 0,
    seed: object = 0,
    parameters: Parameters = STANDARD,
) -> dict[int, SignSession]:
    """Return one session per signer, each with its own seeded entropy."""
    return {
        party: SignSession(
            shares[party],
            signers,
            digest,
            instance,
            seeded("sign", seed, party, digest, instance),
            tweak,
            parameters,
        )
        for party in signers
    }


def lanes_sessions(
    shares: Mapping[int, Keyshare],
    signers: Sequence[int],
    digests: Sequence[bytes],
    *,
    instance: bytes = bytes(32),
    tweaks: Sequence[int] = (),
    seed: object = 0,
    parameters: Parameters = STANDARD,
    kind: type[Any] = LanesSession,
) -> dict[int, Any]:
    """Return one session of several digests per signer, or one batch (``kind``)."""
    return {
        party: kind(
            shares[party],
            signers,
            digests,
            instance,
            seeded("lanes", seed, party, digests, instance),
            tweaks,
            parameters,
        )
        for party in signers
    }


def digests_of(count: int, label: str = "digest") -> tuple[bytes, ...]:
    """Return different digests."""
    return tuple(hashlib.sha256(f"{label} {number}".encode()).digest() for number in range(count))


def deliver(
    sessions: Mapping[int, Session[Any]],
    *,
    tamper: Tamper | None = None,
    shuffle: Random | None = None,
    copies: int = 1,
) -> None:
    """Start every session and carry messages until none is left.

    ``tamper`` sees each (recipient, message) and returns what arrives instead, None to lose it;
    ``shuffle`` picks the next delivery at random; ``copies`` delivers each message that often.
    """
    queue: list[tuple[int, Message]] = []

    def send(messages: Iterable[Message]) -> None:
        for message in messages:
            everybody = [party for party in sessions if party != message.sender]
            to = everybody if message.recipient is None else [message.recipient]
            queue.extend((party, message) for party in to for _ in range(copies))

    for session in sessions.values():
        send(session.start())
    while queue:
        at = shuffle.randrange(len(queue)) if shuffle else 0
        recipient, message = queue.pop(at)
        arriving = tamper(recipient, message) if tamper else message
        if arriving is not None:
            send(sessions[recipient].receive(arriving))


def unbanned(shares: Mapping[int, Keyshare]) -> dict[int, Keyshare]:
    """Return equal shares with latches of their own: what one test bans, another has not."""
    return {party: attrs.evolve(share) for party, share in shares.items()}


def generate(threshold: int, count: int) -> dict[int, Keyshare]:
    """Return the key shares of a real key generation."""
    return unbanned(_generated(threshold, count))


@lru_cache(maxsize=16)
def _generated(threshold: int, count: int) -> Mapping[int, Keyshare]:
    sessions = keygen_sessions(threshold, count)
    deliver(sessions)
    shares = {party: session.result for party, session in sessions.items()}
    return {party: share for party, share in shares.items() if share is not None}


def deal_pair(seed: object) -> tuple[bytes, bytes, bytes]:
    """Return (leaves, punctured, delta) as base transfers and GGM trees would have left them."""
    leaves = seeded("leaves", seed)(TREES * LEAVES_PER_TREE * SEED_BYTES)
    deltas = [byte % LEAVES_PER_TREE for byte in seeded("deltas", seed)(TREES)]
    punctured = []
    for tree, delta in enumerate(deltas):
        for e in range(1, LEAVES_PER_TREE):
            start = (tree * LEAVES_PER_TREE + (e ^ delta)) * SEED_BYTES
            punctured.append(leaves[start : start + SEED_BYTES])
    return leaves, b"".join(punctured), pack_delta(deltas)


def deal(threshold: int, count: int, seed: object = 0) -> dict[int, Keyshare]:
    """Return key shares from a trusted dealer: what key generation yields, without its cost."""
    return unbanned(_dealt(threshold, count, seed))


@lru_cache(maxsize=32)
def _dealt(threshold: int, count: int, seed: object) -> Mapping[int, Keyshare]:
    entropy = seeded("deal", threshold, count, seed)
    coefficients = [curve.random_scalar(entropy) for _ in range(threshold)]
    parties = range(1, count + 1)
    secrets = {p: curve.evaluate_polynomial(coefficients, p) for p in parties}
    public = tuple(curve.encode_point(curve.generator_mult(secrets[p])) for p in parties)
    dealt = {(b, a): deal_pair((seed, b, a)) for b in parties for a in parties if a != b}
    return {
        p: Keyshare(
            key_id=hashlib.sha256(public[0]).digest(),
            epoch=0,
            threshold=threshold,
            party_index=p,
            secret_share=secrets[p],
            public_key=curve.encode_point(curve.generator_mult(coefficients[0])),
            public_shares=public,
            chain_code=bytes(32),
            pair_state={
                j: PairState(
                    leaves=dealt[p, j][0],
                    punctured=dealt[j, p][1],
                    delta=dealt[j, p][2],
                    zero_seed=seeded("zero", seed, min(p, j), max(p, j))(32),
                )
                for j in parties
                if j != p
            },
        )
        for p in parties
    }


Rounds = Sequence[Round] | DealingShapes
"""What the messages of a protocol look like; in a dealing, that of parties who deal and hold."""


def shape_of(rounds: Rounds, message: Message):
    """Return the shape of a message's payload."""
    if isinstance(rounds, DealingShapes):
        public = message.recipient is None
        rounds = rounds.rounds(receives=public or receives(message.sender, message.recipient))
    plan = rounds[message.round - 1]
    return plan.broadcast if message.recipient is None else plan.direct


def edit(rounds: Rounds, message: Message, name: str, change: Callable[[bytes], bytes]) -> Message:
    """Return the message with one field of its payload changed and the rest as it was."""
    shape = shape_of(rounds, message)
    values = shape.decode(message.payload)
    values[name] = change(values[name])
    return attrs.evolve(message, payload=shape.encode(values))


def flip(data: bytes) -> bytes:
    """Flip the lowest bit of the middle byte."""
    at = len(data) // 2
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def zero(data: bytes) -> bytes:
    """Return zero bytes of the same length."""
    return bytes(len(data))


def plus_one(data: bytes) -> bytes:
    """Add one to a scalar."""
    return curve.encode_scalar(int.from_bytes(data, "big") + 1)


def other_point(data: bytes) -> bytes:
    """Replace a point by another valid one, its negative."""
    return bytes((data[0] ^ 1,)) + data[1:]
