"""Requests on a network of real processes: a key by command, a digest signed, again and again."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import anyio
import pytest
from coincurve import PublicKey
from fastecdsa import ecdsa
from fastecdsa.curve import secp256k1
from fastecdsa.point import Point

from metanode.devnet.local_network import LocalNetwork
from metanode.errors import MetanodeError
from metanode.runtime.operator.admin import fetch_status
from tests.integration.support import metanode, wait_until

SIZE = 4
DIGEST = hashlib.sha256(b"an invoice").digest()
OTHER = hashlib.sha256(b"another invoice").digest()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """Four nodes that make no key before they are told to."""
    made = LocalNetwork(tmp_path_factory.mktemp("requests"), size=SIZE, keygen="command")
    try:
        anyio.run(made.prepare, backend="trio")
        for number in range(SIZE):
            made.start(number)
        wait_until("all members are listed at all nodes", lambda: everywhere(made, listed))
        yield made
    finally:
        made.stop()


def everywhere(network: LocalNetwork, condition: Any, numbers: Sequence[int] = range(SIZE)) -> bool:
    """Return whether a condition holds of the status of each of these nodes."""
    fallen = network.fallen()
    assert not fallen, f"a node ended by itself: {fallen}"
    try:
        return all(condition(fetch_status(network.homes[number])) for number in numbers)
    except MetanodeError:
        return False


def listed(status: dict[str, Any]) -> bool:
    """Return whether a node has proved the stakes of all members and is linked with them."""
    proved = [peer for peer in status["peers"] if peer["listing"] == "listed"]
    return len(proved) == SIZE and len(status["links"]) == SIZE - 1


def homes(network: LocalNetwork, numbers: Sequence[int] = range(SIZE)) -> list[object]:
    """Return the options that name the homes of these nodes."""
    return [word for number in numbers for word in ("--home", network.homes[number].path)]


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what a command that was done has printed."""
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def verified(answer: dict[str, Any], digest: bytes) -> bool:
    """Return whether two libraries accept a signature in each form that is printed of it."""
    key = PublicKey(bytes.fromhex(answer["public_key"]))
    r, s = bytes.fromhex(answer["r"]), bytes.fromhex(answer["s"])
    again = PublicKey.from_signature_and_message(
        r + s + bytes([answer["recovery_id"]]), digest, hasher=None
    )
    x, y = key.point()
    pair = (int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    return (
        key.verify(bytes.fromhex(answer["der"]), digest, hasher=None)
        and again == key
        and bool(ecdsa.verify(pair, digest, Point(x, y, secp256k1), secp256k1, prehashed=True))
    )


def test_a_key_by_command_then_a_digest_is_signed_once_and_for_all(network: LocalNetwork) -> None:
    """Catches a key that nobody asked for, a signature that others refuse, one that a restart
    forgets or makes anew, and a command that asks although too few are up.
    """
    digest = ["--digest", DIGEST.hex(), "--json"]
    early = metanode("sign", *homes(network), *digest)
    assert (early.returncode, early.stdout) == (2, "")
    assert "there is no key yet" in early.stderr
    assert everywhere(network, lambda status: not status["keys"]), "nobody has asked for a key"

    made = answer(metanode("keygen", *homes(network), "--json"))
    wait_until("the key counts everywhere", lambda: everywhere(network, lambda s: s["key"]))

    signing = metanode("sign", *homes(network), *digest)
    signed = answer(signing)
    assert verified(signed, DIGEST)
    assert (signed["address"], signed["digest"]) == (made["address"], DIGEST.hex())
    assert len(signed["signers"]) == 3
    for line in ("asked: sign at 4 nodes", "coordinated by", "voted", "signed"):
        assert line in signing.stderr

    for number in range(SIZE):
        network.kill(number)
    for number in (0, 1):
        network.start(number)
    pair = (0, 1)
    linked = lambda status: len(status["links"]) == 1 and status["key"]  # noqa: E731 - a condition
    wait_until("two nodes are back", lambda: everywhere(network, linked, pair))
    few = metanode("sign", *homes(network, pair), "--digest", OTHER.hex())
    assert few.returncode == 2
    assert "2 of 4 holders are up, 3 are needed: start the others" in few.stderr
    once_more = answer(metanode("sign", *homes(network, pair), *digest))
    assert [once_more[name] for name in "rs"] == [signed[name] for name in "rs"]

    for number in (2, 3):
        network.start(number)
    linked_all = lambda status: len(status["links"]) == SIZE - 1  # noqa: E731 - a condition
    wait_until("all are back", lambda: everywhere(network, linked_all))
    shown = json.loads(metanode("events", "--home", network.homes[3].path, "--json").stdout)
    kinds = [entry["kind"] for entry in shown]
    assert kinds.count("sign") == 1, "what was refused was created nowhere"
    assert {"keygen", "lock_in", "keygen_slot"} <= set(kinds)
