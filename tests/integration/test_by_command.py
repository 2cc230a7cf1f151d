"""A key by command on one network of real processes: digests are signed, its shares renewed.

Nodes are killed amid it. The tests run in this order; what the first leaves, the second goes on
with.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from coincurve import PublicKey
from cryptography.hazmat.primitives.asymmetric import utils

from tests.integration.regroups import FOUNDERS, Regroups
from tests.integration.signatures import verified_by_all
from tests.integration.support import metanode, wait_until

pytestmark = pytest.mark.timeout(400)  # every wait has a patience of its own

DIGEST = hashlib.sha256(b"an invoice").digest()
OTHER = hashlib.sha256(b"another invoice").digest()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Regroups]:
    """Four nodes that make no key before they are told to, and one that may join."""
    regroups = Regroups.begin(tmp_path_factory.mktemp("by-command"))
    try:
        yield regroups
    finally:
        regroups.network.stop()


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what a command that was done has printed."""
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def verified(answer: dict[str, Any], digest: bytes) -> bool:
    """Return whether all libraries accept a signature in each form that is printed of it."""
    key = bytes.fromhex(answer["public_key"])
    compact = bytes.fromhex(answer["r"]) + bytes.fromhex(answer["s"])
    recoverable = compact + bytes([answer["recovery_id"]])
    again = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    der = bytes.fromhex(answer["der"])
    assert utils.decode_dss_signature(der) == (int(answer["r"], 16), int(answer["s"], 16))
    return again.format() == key and verified_by_all(key, digest, der)


def test_a_key_by_command_then_a_digest_is_signed_once_and_for_all(made: Regroups) -> None:
    """Catches a key that nobody asked for, a signature that others refuse, one that a restart
    forgets or makes anew, and a command that asks although too few are up.
    """
    network, all_four = made.network, range(FOUNDERS)
    digest = ("--digest", DIGEST.hex())
    early = made.run("sign", all_four, *digest)
    assert (early.returncode, early.stdout) == (2, "")
    assert "there is no key yet" in early.stderr
    assert made.everywhere(all_four, lambda status: not status["keys"]), "nobody asked for a key"

    made.make_key()
    wait_until("the key counts everywhere", lambda: made.everywhere(all_four, has_key))

    signing = made.run("sign", all_four, *digest)
    signed = answer(signing)
    assert verified(signed, DIGEST)
    assert (signed["address"], signed["digest"]) == (made.key["address"], DIGEST.hex())
    assert len(signed["signers"]) == 3
    for line in ("asked: sign at 4 nodes", "coordinated by", "voted", "signed"):
        assert line in signing.stderr

    for number in all_four:
        network.kill(number)
    pair = (0, 1)
    for number in pair:
        network.start(number)
    wait_until("two nodes are back", lambda: made.everywhere(pair, linked_as_a_pair))
    few = made.run("sign", pair, "--digest", OTHER.hex())
    assert few.returncode == 2
    assert "2 of 4 holders are up, 3 are needed: start the others" in few.stderr
    once_more = answer(made.run("sign", pair, *digest))
    assert [once_more[name] for name in "rs"] == [signed[name] for name in "rs"]

    for number in (2, 3):
        network.start(number)
    wait_until("all are back", lambda: made.everywhere(all_four, made.linked))
    shown = json.loads(metanode("events", "--home", network.homes[3].path, "--json").stdout)
    kinds = [entry["kind"] for entry in shown]
    assert kinds.count("sign") == 1, "what was refused was created nowhere"
    assert {"keygen", "lock_in", "keygen_slot"} <= set(kinds)


def has_key(status: dict[str, Any]) -> bool:
    """Return whether a node has the key in force."""
    return bool(status["key"])


def linked_as_a_pair(status: dict[str, Any]) -> bool:
    """Return whether one of two nodes that are up is back with its key."""
    return len(status["links"]) == 1 and has_key(status)


def test_the_key_is_refreshed_handed_on_and_signs(made: Regroups) -> None:
    """Catches an address that changes, a share left behind, a joiner or a leaver that is wrong.

    In the middle of the quorum change the joiner is killed with SIGKILL. At the end the traces of
    all five nodes together must be a run of the protocol.
    """
    if not made.key:
        made.make_key()
    made.signs()
    made.refresh()
    made.signs()
    leaver = made.holders[-1]
    made.replace(4, 0, victim=made.spare, phase="the share is prepared")
    made.signs()
    assert made.holders == [0, 1, 2, FOUNDERS]
    left = made.status(leaver)
    assert left["key"]["custody_address"] == made.key["address"]
    assert not left["key"]["holds_share"]
    assert not list(made.network.homes[leaver].keyshares.iterdir()), "its old share is gone"
    made.network.stop()
    legal, said = made.network.judge_traces({})
    assert legal, said
