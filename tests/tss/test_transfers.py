"""Base transfers, the extension and the multiplication, each as a property."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.tss import base_ot, curve, multiplication, oracle
from metanode.tss.multiplication import Link, alice_multiply, bob_finish, bob_start, gadget
from metanode.tss.oracle import Tag
from metanode.tss.ot_extension import (
    ALL_PLACES,
    _CheckMatrix,
    _expand,
    delta_bits,
    extend_receiver,
    extend_sender,
    hash_rows,
    pack_delta,
    row_key,
)
from metanode.tss.parameters import (
    BASE_OTS,
    CHECK_BYTES,
    LANES,
    SEED_BYTES,
    STANDARD,
    TREES,
    Parameters,
)
from tests.tss.support import COMPACT, deal_pair, seeded
from tests.tss.test_fixed_key import tweaked_hash

SID = hashlib.sha256(b"pair").digest()
SEEDS = st.integers(min_value=0, max_value=2**32)


@lru_cache(maxsize=1)
def base_transfers():
    """Return (receiver, its keys, both keys of the sender)."""
    receiver = base_ot.BaseOtReceiver(SID, seeded("receiver"))
    sent = base_ot.send(SID, receiver.message, seeded("sender"))
    assert sent is not None
    sender_key, both = sent
    return receiver, receiver.keys(sender_key), both


def test_base_transfer_gives_the_chosen_key_and_not_the_other() -> None:
    """Catches a receiver that learns nothing, both keys, or the wrong branch."""
    receiver, keys, both = base_transfers()
    assert 35 < sum(receiver.choices) < 93, "five standard deviations around one half"
    for choice, key, pair in zip(receiver.choices, keys, both, strict=True):
        assert key == pair[choice]
        assert key != pair[1 - choice]
    assert len({key for pair in both for key in pair}) == 2 * BASE_OTS


def test_keys_are_what_is_written_down() -> None:
    """Catches an array in the wrong order: every key again, one hash at a time."""
    receiver, keys, both = base_transfers()
    sent = base_ot.send(SID, receiver.message, seeded("sender"))
    assert sent is not None
    sender_key, _ = sent
    point = curve.parse_point(sender_key)
    assert point is not None
    for m, (choice, key, pair) in enumerate(zip(receiver.choices, keys, both, strict=True)):
        points = receiver.message[66 * m : 66 * m + 66]
        number = oracle.index(m, choice)
        secret = int.from_bytes(receiver._secrets[m], "big")
        shared = curve.ecdh(secret, point)
        assert key == oracle.digest(Tag.KDF, SID, sender_key, number, points, shared)[:SEED_BYTES]
        assert key == pair[choice]
        own, other = (points[33 * b : 33 * b + 33] for b in (choice, 1 - choice))
        hashed = curve.decode_ellswift(oracle.wide(Tag.H2C, SID, number, other))
        total = curve.combine([curve.parse_point(own), hashed])
        assert curve.encode_point(total) == curve.encode_point(curve.generator_mult(secret))


def test_hash_to_curve_has_an_unknown_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches H2C = hash·G: then both branches open and the choice bit is on the wire."""
    other = curve.encode_point(curve.generator_mult(7))
    point = curve.encode_point(base_ot.hash_to_curve(SID, 3, 1, other))
    components = (SID, oracle.index(3, 1), other)
    wide = oracle.wide(Tag.H2C, *components)
    for scalar in (
        int.from_bytes(wide, "big"),
        int.from_bytes(wide[:32], "big"),
        int.from_bytes(wide[32:], "big"),
        int.from_bytes(oracle.digest(Tag.H2C, *components), "big"),
    ):
        assert curve.encode_point(curve.generator_mult(scalar)) != point
        negative = curve.generator_mult(-scalar)
        assert curve.encode_point(negative) != point

    def refuse(_: int) -> None:
        raise AssertionError("hash-to-curve multiplied the generator")

    monkeypatch.setattr(curve, "generator_mult", refuse)
    assert curve.encode_point(base_ot.hash_to_curve(SID, 3, 1, other)) == point


def test_wire_of_a_base_transfer_does_not_show_the_choice() -> None:
    """Catches a choice bit that an observer can recompute from R_0, R_1 and public hashes."""
    receiver, _, _ = base_transfers()
    known = {curve.encode_point(curve.generator_mult(k)) for k in range(1, 50)}
    guesses = []
    for number in range(BASE_OTS):
        pair = receiver.message[66 * number : 66 * number + 66]
        points = (pair[:33], pair[33:])
        bases = []
        for branch in (0, 1):
            own = curve.parse_point(points[branch])
            assert own is not None
            mask = base_ot.hash_to_curve(SID, number, branch, points[1 - branch])
            base = curve.combine([own, mask])
            assert base is not None
            bases.append(curve.encode_point(base))
        assert not known.intersection(bases)
        guesses.append(int(bases[0] > bases[1]))
    agreeing = sum(g == c for g, c in zip(guesses, receiver.choices, strict=True))
    assert 35 < agreeing < 93, "five standard deviations around one half"


def test_receiver_cannot_cancel_a_branch() -> None:
    """Catches infinity: R_0 = -H2C(m, 0, R_1) makes branch 0 infinity and must be malformed."""
    receiver, _, _ = base_transfers()
    second = receiver.message[33:66]
    mask = base_ot.hash_to_curve(SID, 0, 0, second)
    first = curve.encode_point(curve.negate(mask))
    assert base_ot.send(SID, first + receiver.message[33:], seeded("s")) is None


def test_malformed_base_messages() -> None:
    """Catches truncated batches and invalid points on either side."""
    receiver, _, _ = base_transfers()
    assert base_ot.send(SID, receiver.message[:-66], seeded("s")) is None
    assert base_ot.send(SID, bytes(33) + receiver.message[33:], seeded("s")) is None
    assert receiver.keys(bytes(33)) is None


@settings(max_examples=4)
@given(SEEDS, st.sampled_from([STANDARD, COMPACT]))
def test_extension_correlation(seed: int, parameters: Parameters) -> None:
    """Catches a broken extension: rows agree at β = 0 and differ by Δ at β = 1."""
    leaves, punctured, delta = deal_pair(seed)
    masked = seeded("x", seed)(parameters.choice_bytes + CHECK_BYTES)
    message, bob = extend_receiver(parameters.choice_bits, SID, bytes(32), leaves, masked)
    alice = extend_sender(parameters.choice_bits, SID, bytes(32), punctured, delta, message)
    assert alice is not None
    bits = np.unpackbits(np.frombuffer(masked, np.uint8), bitorder="little")
    bits = bits[: parameters.choice_bits, None]
    assert np.array_equal(alice ^ bob, bits * np.frombuffer(delta, np.uint8))


def test_check_matrix_equals_bit_by_bit_multiplication() -> None:
    """Catches an error in the byte tables: row·U over GF(2) computed one bit at a time."""
    columns = seeded("columns")(64)
    matrix = _CheckMatrix(SID, bytes(32), columns, COMPACT.choice_bits)
    fixed = oracle.digest(Tag.CHI, SID, bytes(32), columns)
    raw = oracle.stream(Tag.CHI, COMPACT.choice_bits * 16, SID, bytes(32), fixed)
    rows = [int.from_bytes(raw[k : k + 16], "little") for k in range(0, len(raw), 16)]
    width = COMPACT.choice_bytes + CHECK_BYTES
    vectors = np.frombuffer(seeded("v")(3 * width), np.uint8).reshape(3, -1)
    for vector, result in zip(vectors, matrix.apply(vectors), strict=True):
        data = vector.tobytes()
        bits = int.from_bytes(data[: COMPACT.choice_bytes], "little")
        expected = int.from_bytes(data[COMPACT.choice_bytes :], "little")
        for number, row in enumerate(rows):
            if bits >> number & 1:
                expected ^= row
        assert result.tobytes() == expected.to_bytes(16, "little")


def test_delta_packing_round_trip() -> None:
    """Catches a bit order that differs between key generation and use."""
    deltas = [byte % 4 for byte in seeded("d")(TREES)]
    bits = delta_bits(pack_delta(deltas))
    assert (bits[:, 0] + 2 * bits[:, 1]).tolist() == deltas


def test_row_hash_is_what_is_written_down() -> None:
    """Catches a row that is hashed under another number, or with another key."""
    rows = np.frombuffer(seeded("rows")(5 * 16), np.uint8).reshape(5, 16)
    key = row_key(SID, bytes(32))
    assert key == oracle.digest(Tag.ROW_KEY, SID, bytes(32))[:16]
    sets = (rows, rows[::-1] ^ 1)
    for given_rows, hashed in zip(sets, hash_rows(key, sets, 96), strict=True):
        for j in range(5):
            assert hashed[j].tobytes() == tweaked_hash(key, j, given_rows[j].tobytes(), 6)


def test_leaves_are_expanded_as_written_down() -> None:
    """Catches leaves whose numbers, or whose keys, differ between the two sides."""
    leaves, punctured, delta = deal_pair("expanded")
    width = COMPACT.choice_bytes + CHECK_BYTES
    key = oracle.digest(Tag.PRG_KEY, SID, bytes(32))[:16]
    known = np.unpackbits(np.frombuffer(delta, np.uint8), bitorder="little").reshape(TREES, 2)
    places = (known[:, :1] + 2 * known[:, 1:]) ^ np.arange(1, 4, dtype=np.uint8)
    full = _expand(SID, bytes(32), leaves, ALL_PLACES, width)
    seen = _expand(SID, bytes(32), punctured, places, width)
    for tree in range(TREES):
        for place in range(4):
            at = 16 * (4 * tree + place)
            wanted = tweaked_hash(key, 4 * tree + place, leaves[at : at + 16], 5)[:width]
            assert full[tree, place].tobytes() == wanted
        for slot, place in enumerate(places[tree]):
            assert np.array_equal(seen[tree, slot], full[tree, place])


def multiply(seed: int, parameters: Parameters, inputs: list[tuple[int, int]]):
    """Run one multiplication; return χ, Alice's shares and Bob's shares, each lane by lane."""
    leaves, punctured, delta = deal_pair(seed)
    link = Link(parameters, SID, gadget(SID, parameters.choice_bits), len(inputs))
    state, first = bob_start(link, leaves, seeded("bob", seed))
    answered = alice_multiply(link, punctured, delta, inputs, first, seeded("alice", seed))
    assert answered is not None
    shares, second = answered
    return state.chis, shares, bob_finish(link, state, second)


SCALARS = st.integers(min_value=0, max_value=curve.ORDER - 1)


@settings(max_examples=6)
@given(
    SEEDS,
    st.sampled_from([STANDARD, COMPACT]),
    st.lists(st.tuples(SCALARS, SCALARS), min_size=1, max_size=LANES),
)
def test_multiplication_identity(
    seed: int, parameters: Parameters, inputs: list[tuple[int, int]]
) -> None:
    """Catches any arithmetic slip, or a χ that serves two lanes: c_i + d_i = a_i·χ for both inputs
    of each lane, which has a χ of its own.
    """
    chis, alice, bob = multiply(seed, parameters, inputs)
    assert bob is not None
    assert len(set(chis)) == len(chis) == len(inputs)
    for chi, own, shares, others in zip(chis, inputs, alice, bob, strict=True):
        for a, c, d in zip(own, shares, others, strict=True):
            assert (c + d - a * chi) % curve.ORDER == 0


def test_masked_range_check_agrees_with_the_slow_one() -> None:
    """Catches the fast filter letting a scalar at or above n through, or refusing one below."""
    for value, good in (
        (curve.ORDER - 1, True),
        (curve.ORDER, False),
        (2**256 - 1, False),
        (0, True),
    ):
        data = bytes(64) + value.to_bytes(32, "big") + bytes(32)
        assert multiplication.masked_in_range(data) is good
