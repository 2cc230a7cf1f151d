"""Operators in the simulator: what they ask of their nodes, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from metanode.errors import UserError
from metanode.protocol.node import NodeCore
from metanode.protocol.requests.request import Request, holders_id, make_document
from metanode.tss.verify import verify_signature
from spec import messages as m
from tests.simulation.simulator import Simulation, with_key

DIGEST = hashlib.sha256(b"an invoice").digest()
OTHER = hashlib.sha256(b"another invoice").digest()


def quiet(seed: int, **options: Any) -> Simulation:
    """Return a network with a key in force, linked and at the beginning of a round."""
    sim = with_key(seed, **options)
    sim.run(1.55)
    return sim


def ask(sim: Simulation, number: int, kind: str, **fields: object) -> Request:
    """Let the operator of one node ask; UserError if it refuses."""
    outcome: list[Request | UserError] = []

    def put(core: NodeCore, now: float) -> None:
        try:
            outcome.append(core.on_request(now, kind, fields))
        except UserError as refusal:
            outcome.append(refusal)

    sim._input(sim.nodes[number], put)
    if isinstance(outcome[0], UserError):
        raise outcome[0]
    return outcome[0]


def sign_document(sim: Simulation, digest: bytes, label: str = "") -> bytes:
    """Return the document of a request to sign with the key in force."""
    key = sim.core(0).ctx.epoch
    given = {
        "key_id": key.key_id.hex(),
        "digest": digest.hex(),
        "holders": holders_id(key.quorum).hex(),
        "label": label,
    }
    return make_document("sign", given)


def ask_to_sign(
    sim: Simulation, numbers: Iterable[int], digest: bytes = DIGEST, label: str = ""
) -> bytes:
    """Let the operators of some nodes ask for a signature; return the event."""
    events = set()
    for number in numbers:
        core = sim.core(number)
        key_id = core.ctx.epoch.key_id.hex()
        request = ask(sim, number, "sign", key_id=key_id, digest=digest.hex(), label=label)
        events.add(request.event(core.settings.network_id))
    assert len(events) == 1
    return events.pop()


def signature(sim: Simulation, number: int, event: bytes) -> tuple[int, int] | None:
    """Return r and s of a finished request at a node, verified once more, or None."""
    core = sim.core(number)
    found = core.book.found.get(event)
    if found is None:
        return None
    assert core.book.status(event) == "SUCCESS"
    assert isinstance(found, m.SignatureFound)
    rs = found.signatures[0].rs
    r, s = int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")
    digest = core.requests.asked[event].fields["digest"]
    assert verify_signature(sim.public_key, digest, r, s)
    return r, s


def all_signed(sim: Simulation, event: bytes, numbers: Iterable[int] = range(4)) -> bool:
    """Return whether these nodes run and have the signature, all of them the same."""
    if any(sim.nodes[number].core is None for number in numbers):
        return False
    found = {signature(sim, number, event) for number in numbers}
    return len(found) == 1 and None not in found
