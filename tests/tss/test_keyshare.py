"""Key share serialisation."""

from __future__ import annotations

from typing import Any

import attrs
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import UserError
from metanode.tss import curve
from metanode.tss.keyshare import Keyshare, confirmation_digest
from tests.tss.support import deal, deliver, generate, sign_sessions

SHARE = deal(2, 3)[1]
DATA = SHARE.to_bytes()
PAIR_FIELDS = ("leaves", "punctured", "delta", "zero_seed")


def test_round_trip() -> None:
    """Catches a field that is lost or changed in the keystore."""
    assert Keyshare.from_bytes(DATA) == SHARE
    assert Keyshare.from_bytes(DATA).to_bytes() == DATA


def test_restored_shares_sign() -> None:
    """Catches a restored share that looks equal but does not work."""
    shares = {p: Keyshare.from_bytes(s.to_bytes()) for p, s in generate(2, 2).items()}
    sessions = sign_sessions(shares, [1, 2])
    deliver(sessions)
    assert {session.state for session in sessions.values()} == {"finished"}


def test_secrets_are_not_printed() -> None:
    """Catches secrets in a log line or a traceback."""
    text = repr(SHARE)
    assert str(SHARE.secret_share) not in text
    assert "pair_state" not in text
    assert "chain_code" not in text
    assert repr(SHARE.pair_state[2]) == "PairState()"


def test_immutable() -> None:
    """Catches two concurrent sessions disturbing each other through the share."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        SHARE.epoch = 3
    with pytest.raises(TypeError):
        SHARE.pair_state[2] = SHARE.pair_state[3]


def damaged(**changes: Any) -> bytes:
    """Return the share's bytes with some entries replaced."""
    raw = cbor2.loads(DATA)
    raw.update(changes)
    return cbor2.dumps(raw, canonical=True)


def pairs(**changes: Any) -> dict[int, Any]:
    """Return the pair states with some fields of party 2's replaced."""
    states = cbor2.loads(DATA)["pair_state"]
    return {2: {**states[2], **changes}, 3: states[3]}


POINT = curve.encode_point(curve.generator_mult(9))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        DATA[:-1],
        DATA + b"\x00",
        b"\x9f" * 5000,
        cbor2.dumps([]),
        cbor2.dumps({"version": 1}),
        cbor2.dumps(dict(reversed(cbor2.loads(DATA).items()))),
        damaged(extra=1),
        damaged(version=1),
        damaged(version=True),
        damaged(version="2"),
        damaged(epoch=-1),
        damaged(epoch=2**32),
        damaged(epoch=True),
        damaged(threshold=1),
        damaged(threshold=4),
        damaged(threshold=3),
        damaged(party_index=0),
        damaged(party_index=2),
        damaged(party_index=4),
        damaged(secret_share=bytes(32)),
        damaged(secret_share=curve.ORDER.to_bytes(32, "big")),
        damaged(secret_share=curve.encode_scalar(SHARE.secret_share + 1)),
        damaged(secret_share=SHARE.secret_share),
        damaged(secret_share=bytes(31)),
        damaged(public_key=POINT),
        damaged(public_key=SHARE.public_key[:32]),
        damaged(public_shares=[]),
        damaged(public_shares=[SHARE.public_shares[0]]),
        damaged(public_shares=[*SHARE.public_shares[:2], POINT]),
        damaged(public_shares=[*SHARE.public_shares[:2], bytes(33)]),
        damaged(public_shares=[*SHARE.public_shares[:2], 5]),
        damaged(public_shares={}),
        damaged(chain_code=bytes(31)),
        damaged(key_id=bytes(33)),
        damaged(key_id="x" * 32),
        damaged(pair_state={}),
        damaged(pair_state=[1]),
        damaged(pair_state={2: 1, 3: 2}),
        damaged(pair_state={**pairs(), 1: pairs()[2]}),
        *(damaged(pair_state=pairs(**{name: b"short"})) for name in PAIR_FIELDS),
        damaged(pair_state=pairs(more=b"")),
    ],
)
def test_damage_is_one_user_error(data: bytes) -> None:
    """Catches a damaged share that loads, or that fails with anything but a UserError."""
    with pytest.raises(UserError, match="damaged"):
        Keyshare.from_bytes(data)


@pytest.mark.parametrize("version", [0, 3, -1, 2**40])
def test_another_format_says_what_to_do(version: int) -> None:
    """Catches a share of a later version called damaged, so that its owner throws it away."""
    with pytest.raises(UserError, match=f"format {version}.*use the version that wrote it"):
        Keyshare.from_bytes(damaged(version=version))


@settings(max_examples=40)
@given(st.binary(max_size=64), st.integers(min_value=0, max_value=400))
def test_random_bytes_never_escape_as_another_error(noise: bytes, at: int) -> None:
    """Catches an exception of the CBOR library reaching the caller."""
    for data in (noise, DATA[:at] + noise + DATA[at + len(noise) :]):
        try:
            share = Keyshare.from_bytes(data)
        except UserError:
            continue
        assert share.to_bytes() == data


def test_confirmation_covers_every_public_field() -> None:
    """Catches two parties confirming different keys with one digest."""
    digests = {confirmation_digest(SHARE)}
    changes: list[dict[str, Any]] = [
        {"key_id": bytes(32)},
        {"epoch": 1},
        {"threshold": 3},
        {"public_key": POINT},
        {"chain_code": b"\x01" * 32},
        {"public_shares": SHARE.public_shares[:2]},
        {"public_shares": SHARE.public_shares[::-1]},
    ]
    digests.update(confirmation_digest(attrs.evolve(SHARE, **change)) for change in changes)
    assert len(digests) == len(changes) + 1
    same = attrs.evolve(SHARE, party_index=2, secret_share=1)
    assert confirmation_digest(same) == confirmation_digest(SHARE)
