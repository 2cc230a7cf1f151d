"""Several digests in one session, between honest parties: what lanes share and what they do not."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from random import Random
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import LocalFault
from metanode.tss import curve
from metanode.tss.lane import Signature, tweaked_key
from metanode.tss.messages import Message, sign_rounds
from metanode.tss.parameters import LANES, STANDARD
from metanode.tss.sign import LanesSession
from tests.tss.support import (
    COMPACT,
    DIGEST,
    deal,
    deliver,
    digests_of,
    generate,
    lanes_sessions,
    seeded,
    sign_sessions,
)
from tests.tss.test_sign import check_everywhere

DIGESTS = digests_of(LANES)


def signatures(sessions: dict[int, Any]) -> tuple[Signature, ...]:
    """Return the signatures that all sessions agree on."""
    results = {session.result for session in sessions.values()}
    assert len(results) == 1, [session.abort for session in sessions.values()]
    (result,) = results
    assert result is not None
    assert all(isinstance(each, Signature) for each in result)
    return result


@pytest.mark.parametrize("count", [1, 2, LANES])
@pytest.mark.parametrize("parameters", [STANDARD, COMPACT], ids=lambda each: each.name)
def test_every_lane_signs_its_own_digest(count: int, parameters: object) -> None:
    """Catches lanes that are mixed up anywhere between the extension and the signature."""
    shares = deal(3, 4)
    sessions = lanes_sessions(shares, (1, 2, 4), DIGESTS[:count], parameters=parameters)
    deliver(sessions, shuffle=Random(count), copies=2)
    made = signatures(sessions)
    assert len(made) == count
    for digest, signature in zip(DIGESTS, made, strict=False):
        check_everywhere(shares[1].public_key, digest, signature)


def test_signing_after_real_key_generation() -> None:
    """Catches lanes that need more of the base transfers than a key generation leaves."""
    shares = generate(2, 3)
    for chosen in combinations(shares, 2):
        sessions = lanes_sessions(shares, chosen, DIGESTS)
        deliver(sessions)
        for digest, signature in zip(DIGESTS, signatures(sessions), strict=True):
            check_everywhere(shares[1].public_key, digest, signature)


@settings(max_examples=5)
@given(st.data())
def test_each_lane_has_its_tweak(data: st.DataObject) -> None:
    """Catches a tweak that is added to another lane's key, or to all of them."""
    tweaks = data.draw(st.lists(st.integers(0, curve.ORDER - 1), min_size=1, max_size=4))
    shares, digests = deal(2, 3), digests_of(len(tweaks))
    sessions = lanes_sessions(shares, (1, 3), digests, tweaks=tweaks)
    deliver(sessions)
    for digest, tweak, made in zip(digests, tweaks, signatures(sessions), strict=True):
        check_everywhere(tweaked_key(shares[1].public_key, tweak), digest, made)


def test_one_lane_is_a_single_signature() -> None:
    """Catches a second protocol: who signs one digest as a list meets who signs it alone."""
    shares = deal(2, 2)
    listed, alone = lanes_sessions(shares, (1, 2), [DIGEST]), sign_sessions(shares, (1, 2))
    sessions = {1: listed[1], 2: alone[2]}
    deliver(sessions)
    assert sessions[1].result == (sessions[2].result,)
    check_everywhere(shares[1].public_key, DIGEST, sessions[2].result)


def test_equal_digests_are_signed_with_different_nonces() -> None:
    """Catches a nonce that is made of the digest and the session alone."""
    shares = deal(2, 2)
    sessions = lanes_sessions(shares, (1, 2), [DIGEST, DIGEST, DIGEST])
    deliver(sessions)
    made = signatures(sessions)
    assert len({signature.r for signature in made}) == 3
    for signature in made:
        check_everywhere(shares[1].public_key, DIGEST, signature)


def test_lanes_share_no_secret() -> None:
    """Catches a nonce, φ, key part, choice bits or χ that serves two lanes: it gives the key away.
    """
    sessions = lanes_sessions(deal(3, 3), (1, 2, 3), DIGESTS)
    seen: dict[str, list[Any]] = defaultdict(list)

    def look(_: int, message: Message) -> Message:
        session = sessions[message.sender]
        if message.round == 2 and message.recipient is None:
            for lane in session._lanes:
                for name in ("nonce", "phi", "key_part"):
                    seen[name].append(getattr(lane, name))
            for bob in session._bobs.values():
                seen["chi"] += bob.chis
                width = len(bob.choices) // LANES
                seen["choices"] += [bob.choices[n * width :][:width] for n in range(LANES)]
        return message

    # The session's broadcast reaches two parties; what is seen twice is counted once below.
    deliver(sessions, tamper=look)
    pairs, parties = 6, 3
    for name, count in (("nonce", parties), ("phi", parties), ("key_part", parties)):
        assert len(set(seen[name])) == count * LANES
    for name in ("chi", "choices"):
        assert len(set(seen[name])) == pairs * LANES


def test_a_source_that_repeats_gives_each_lane_a_nonce() -> None:
    """Catches lanes, or parts of a batch, that draw the same from a broken source."""
    share, nonces = deal(2, 2)[1], set()
    for number in range(2):
        instance = bytes((number,)) * 32
        session = LanesSession(share, (1, 2), [DIGEST] * LANES, instance, bytes)
        session.start()
        nonces |= {lane.nonce for lane in session._lanes}
        nonces |= {lane.phi for lane in session._lanes}
        session.expire()
    assert len(nonces) == 4 * LANES


def test_psi_of_two_lanes_tells_nothing_of_phi() -> None:
    """Catches one χ for two digests by what is on the wire: ψ - ψ' would be φ - φ' at each peer."""
    sessions = lanes_sessions(deal(3, 3), (1, 2, 3), DIGESTS)
    psi: dict[int, list[int]] = {}

    def look(recipient: int, message: Message) -> Message:
        if message.sender == 1 and message.round == 2 and message.recipient is not None:
            data = cbor2.loads(message.payload)["psi"]
            psi[recipient] = [int.from_bytes(data[n : n + 32], "big") for n in range(0, 256, 32)]
        return message

    deliver(sessions, tamper=look)
    for first, second in combinations(range(LANES), 2):
        differences = {(psi[peer][first] - psi[peer][second]) % curve.ORDER for peer in (2, 3)}
        assert len(differences) == 2


@settings(max_examples=4)
@given(st.integers(min_value=2, max_value=5), st.binary(min_size=32, max_size=32))
def test_zero_shares_sum_to_zero_in_each_lane(threshold: int, instance: bytes) -> None:
    """Catches a sign or an order error in the zero sharing, and one sharing for all lanes."""
    signers = tuple(range(1, threshold + 1))
    sessions = lanes_sessions(deal(threshold, 5), signers, DIGESTS, instance=instance)
    lanes = [[s._zero_share(lane) for lane in s._lanes] for s in sessions.values()]
    assert all(sum(shares) % curve.ORDER == 0 for shares in zip(*lanes, strict=True))
    assert len({share for own in lanes for share in own}) == threshold * LANES


def test_session_id_depends_on_every_digest_and_tweak() -> None:
    """Catches parties who disagree about a lane, or about how many there are, and go on."""
    shares = deal(2, 3)
    first, second, third = DIGESTS[:3]
    cases: list[tuple[list[bytes], list[int]]] = [
        ([first, second], []),
        ([second, first], []),
        ([first], []),
        ([first, second, third], []),
        ([first, first], []),
        ([first, third], []),
        ([first, second], [1, 0]),
        ([first, second], [0, 1]),
    ]
    ids = {
        lanes_sessions(shares, (1, 2), digests, tweaks=tweaks)[1].session_id
        for digests, tweaks in cases
    }
    assert len(ids) == len(cases)
    plain = lanes_sessions(shares, (1, 2), [first, second], tweaks=[0, 0])
    assert plain[1].session_id in ids, "no tweaks are zeros"


@pytest.mark.parametrize(
    "change",
    [
        {"digests": ()},
        {"digests": digests_of(LANES + 1)},
        {"digests": (DIGEST, bytes(31))},
        {"digests": (DIGEST, bytearray(32))},
        {"digests": DIGEST},
        {"tweaks": (1,)},
        {"tweaks": (0, 0, 0)},
        {"tweaks": (0, curve.ORDER)},
        {"tweaks": (0, -1)},
        {"tweaks": (0, True)},
        {"signers": (1, 1)},
        {"instance": bytes(31)},
    ],
    ids=str,
)
def test_bad_configuration_is_refused(change: dict[str, Any]) -> None:
    """Catches no digest, too many, odd ones, and tweaks that are not one for each."""
    good: dict[str, Any] = {
        "keyshare": deal(2, 3)[1],
        "signers": (1, 2),
        "digests": DIGESTS[:2],
        "instance": bytes(32),
        "entropy": seeded("x"),
    }
    assert LanesSession(**good).state == "new"
    with pytest.raises(LocalFault):
        LanesSession(**{**good, **change})


def test_a_message_of_all_lanes_fits() -> None:
    """Catches lanes beyond what a frame takes, and what a batch saves lost on the way."""
    first, second, third = sign_rounds(STANDARD, LANES)
    shapes = [first.broadcast, first.direct, second.broadcast, second.direct, third.broadcast]
    sizes = [shape.encoded_bytes for shape in shapes if shape is not None]
    assert max(sizes) == 394_452 < 400_000
    assert sum(sizes) < 0.98 * LANES * 55_039


def test_the_secrets_of_all_lanes_are_dropped() -> None:
    """Catches a lane whose nonce stays after the end."""
    sessions = lanes_sessions(deal(2, 2), (1, 2), DIGESTS[:3])
    first = sessions[1].start()
    assert len({lane.nonce for lane in sessions[1]._lanes}) == 3
    assert all(str(lane.nonce) not in repr(lane) for lane in sessions[1]._lanes)
    sessions[1].expire()
    assert first
    for lane in sessions[1]._lanes:
        secrets = (lane.nonce, lane.phi, lane.key_part, lane.sum_u, lane.sum_v, lane.u, lane.w)
        assert set(secrets) == {0}
