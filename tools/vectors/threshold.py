"""The messages of a key generation, a signature and a refresh, from seeds: ``metanode.tss`` itself.

These are no formulas: what is on the wire is fixed here for whoever writes a second peer. A test
reads the file by a decoder that shares no code with the library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import cbor2
from attrs import frozen

from metanode.tss import KeygenSession, Keyshare, Message, RefreshSession, SignSession, tweaked_key
from metanode.tss.curve import ORDER, Entropy, encode_scalar
from metanode.tss.session import Session

PARTIES, THRESHOLD, SIGNERS = (1, 2, 3), 2, (1, 3)
WHOLE_OCTETS = 256
"""Longer values stand in the file as their hash."""


def chosen(label: str) -> bytes:
    """Return 32 octets that nobody chose."""
    return hashlib.sha256(b"metanode vectors: " + label.encode()).digest()


IDENTITIES = sorted(b"\x02" + chosen(f"node {number}") for number in PARTIES)


def entropy(seed: bytes) -> Entropy:
    """Return the source of one party in one run, as the file's section describes it."""
    calls = 0

    def draw(length: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_256(seed + calls.to_bytes(8, "big")).digest(length)

    return draw


@frozen
class Recorded:
    """One run: what it was made of, its messages in the order they were sent, what came out."""

    inputs: dict[str, Any]
    messages: tuple[Message, ...]
    results: dict[str, Any]


def carry(sessions: Mapping[int, Session[Any]]) -> tuple[Message, ...]:
    """Hand every message to whom it is for; return all of them."""
    sent = [message for session in sessions.values() for message in session.start()]
    for message in sent:
        for party, session in sessions.items():
            if party != message.sender and message.recipient in (None, party):
                sent += session.receive(message)
    if any(session.state != "finished" for session in sessions.values()):
        raise ValueError("a run of the vectors failed")
    return tuple(sent)


def shares_of(sessions: Mapping[int, Session[Keyshare]]) -> dict[int, Keyshare]:
    """Return what came out of a dealing."""
    results = {party: session.result for party, session in sessions.items()}
    return {party: share for party, share in results.items() if share is not None}


def dealt(name: str, epoch: int, sessions: Mapping[int, Session[Keyshare]]) -> Recorded:
    """Run a dealing."""
    messages, shares = carry(sessions), shares_of(sessions)
    inputs = {
        "run": name, "parties": PARTIES, "threshold": THRESHOLD, "epoch": epoch,
        "context": chosen(f"context of {name}").hex(),
        "identity_keys": [each.hex() for each in IDENTITIES],
        "seeds": [chosen(f"{name} {party}").hex() for party in PARTIES],
        "session_id": messages[0].session_id.hex(),
    }
    first = shares[1]
    results = {
        "key_id": first.key_id.hex(), "epoch": first.epoch, "public_key": first.public_key.hex(),
        "chain_code": first.chain_code.hex(),
        "public_shares": [share.hex() for share in first.public_shares],
        "secret_shares": [encode_scalar(share.secret_share).hex() for share in shares.values()],
    }
    return Recorded(inputs, messages, results)


def recorded() -> list[Recorded]:
    """Return the three runs; signature and refresh start from the generated shares."""
    made = {
        party: KeygenSession(
            party, PARTIES, THRESHOLD, chosen("context of keygen"), IDENTITIES, 1,
            entropy(chosen(f"keygen {party}")),
        )
        for party in PARTIES
    }
    keygen, shares = dealt("keygen", 1, made), shares_of(made)
    renewed = {
        party: RefreshSession(
            share, chosen("context of refresh"), IDENTITIES, entropy(chosen(f"refresh {party}")), 2
        )
        for party, share in shares.items()
    }
    return [keygen, signed(shares), dealt("refresh", 2, renewed)]


def signed(shares: Mapping[int, Keyshare]) -> Recorded:
    """Run a signature of two of the three."""
    digest, instance = chosen("digest"), chosen("instance")
    tweak = int.from_bytes(chosen("tweak"), "big") % ORDER
    sessions = {
        party: SignSession(
            shares[party], SIGNERS, digest, instance, entropy(chosen(f"sign {party}")), tweak
        )
        for party in SIGNERS
    }
    messages, signature = carry(sessions), sessions[SIGNERS[0]].result
    if signature is None:
        raise ValueError("a signature of the vectors failed")
    inputs = {
        "run": "sign", "parties": SIGNERS, "digest": digest.hex(), "instance": instance.hex(),
        "tweak": encode_scalar(tweak).hex(),
        "seeds": [chosen(f"sign {party}").hex() for party in SIGNERS],
        "session_id": messages[0].session_id.hex(),
    }
    results = {
        "public_key": tweaked_key(shares[1].public_key, tweak).hex(),
        "r": encode_scalar(signature.r).hex(), "s": encode_scalar(signature.s).hex(),
        "recovery_id": signature.recovery_id,
    }
    return Recorded(inputs, messages, results)


def pieces(payload: bytes) -> list[str | dict[str, Any]]:
    """Return a payload, where long values are replaced by their length and hash."""
    found: list[str | dict[str, Any]] = []
    at = 0
    for value in cbor2.loads(payload).values():
        if len(value) > WHOLE_OCTETS:
            start = payload.index(value, at)
            hashed = {"octets": len(value), "sha256": hashlib.sha256(value).hexdigest()}
            found += [payload[at:start].hex(), hashed]
            at = start + len(value)
    return [*found, payload[at:].hex()] if at < len(payload) else found


def text() -> str:
    """Return the file's content."""
    runs = recorded()
    document = {
        "title": "Messages of threshold ECDSA, suite metanode/dkls23/secp256k1/v3",
        "source": "made by tools/vectors with metanode.tss from seeds",
        "runs": [run.inputs for run in runs],
        "messages": [
            {
                "of": run.inputs["run"], "round": message.round, "sender": message.sender,
                "recipient": message.recipient, "payload": pieces(message.payload),
            }
            for run in runs
            for message in run.messages
        ],
        "results": [{"of": run.inputs["run"], **run.results} for run in runs],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
