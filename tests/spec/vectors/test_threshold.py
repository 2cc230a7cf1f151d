"""The messages of threshold ECDSA: what the library sends, and what the page says that it means."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from tests.spec.vectors.second_checks import N, Run, kind_of, point, scalar
from tests.spec.vectors.second_decoder import Hashed, Refused, fields, hashed, read
from tests.spec.vectors.support import DIRECTORY, load
from tools.vectors import threshold

DOCUMENT = load("threshold_ecdsa.json")
RESULTS = {row["of"]: row for row in DOCUMENT["results"]}
INPUTS = {row["run"]: row for row in DOCUMENT["runs"]}
ROWS = {
    name: {
        (row["round"], row["sender"], row["recipient"]): row["payload"]
        for row in DOCUMENT["messages"]
        if row["of"] == name
    }
    for name in INPUTS
}
STARTS_FROM = {"keygen": None, "sign": "keygen", "refresh": "keygen"}


def run_of(name: str, rows: dict[Any, Any]) -> Run:
    """Return a run as the second decoder reads it; broadcasts have no values that are hashed."""
    kind, start = kind_of(INPUTS[name]), STARTS_FROM[name]
    return Run(
        INPUTS[name], RESULTS[name], {slot: read(kind, *slot, row) for slot, row in rows.items()},
        {slot: bytes.fromhex("".join(row)) for slot, row in rows.items() if slot[2] is None},
        None if start is None else RESULTS[start],
    )


@pytest.fixture(scope="module")
def live() -> list[threshold.Recorded]:
    """Return the runs as the library makes them now."""
    return threshold.recorded()


def test_the_library_makes_the_same_octets(
    live: list[threshold.Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a message that a peer of this suite would not understand, and an edit by hand."""
    monkeypatch.setattr(threshold, "recorded", lambda: live)
    path = DIRECTORY / "threshold_ecdsa.json"
    assert path.read_text(encoding="utf-8") == threshold.text()
    assert path.stat().st_size < 150_000


@pytest.mark.parametrize("name", INPUTS)
def test_every_message_that_the_page_lists_is_there_once(name: str) -> None:
    """Catches a message that the page does not know of, and one that only the page knows."""
    inputs = INPUTS[name]
    kind, parties = kind_of(inputs), inputs["parties"]
    wanted = {
        (number, sender, recipient)
        for number in range(1, kind.rounds + 1)
        for sender in parties
        for recipient in (None, *parties)
        if recipient != sender and fields(kind, number, sender, recipient)
    }
    assert set(ROWS[name]) == wanted
    assert len(wanted) == sum(row["of"] == name for row in DOCUMENT["messages"])


@pytest.mark.parametrize("name", INPUTS)
def test_every_message_fits_what_the_page_says(name: str) -> None:
    """Catches a formula of the page that is not the library's."""
    assert list(run_of(name, ROWS[name]).wrong()) == []


def test_another_library_takes_the_signature() -> None:
    """Catches a signature that only its own verifier takes."""
    row = RESULTS["sign"]
    key = ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256K1(), bytes.fromhex(row["public_key"])
    )
    signature = encode_dss_signature(int(row["r"], 16), int(row["s"], 16))
    digest = bytes.fromhex(INPUTS["sign"]["digest"])
    key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_long_values_are_what_their_hashes_say(live: list[threshold.Recorded]) -> None:
    """Catches a hash of something else, and points or scalars in them that are none."""
    seen = set()
    for recorded in live:
        name = recorded.inputs["run"]
        kind = kind_of(INPUTS[name])
        for message in recorded.messages:
            slot = (message.round, message.sender, message.recipient)
            whole = read(kind, *slot, [message.payload])
            listed = read(kind, *slot, ROWS[name][slot])
            for field, value in listed.items():
                assert value == whole[field] or value == hashed(whole[field])
                if isinstance(value, Hashed):
                    seen.add(field)
            if "ot_points" in whole:
                data = whole["ot_points"]
                assert all(point(data[at : at + 33]) for at in range(0, len(data), 33))
            if "masked" in whole:
                data = whole["masked"]
                assert all(scalar(data[at : at + 32]) < N for at in range(0, len(data), 32))
    assert seen == {
        "ot_points", "ggm_corrections", "ggm_sums", "ext_columns", "columns", "masked"
    }


def flips() -> Iterator[tuple[str, Any, str]]:
    """Yield a slot for each field of each run: the first one that has it."""
    found = set()
    for name, rows in ROWS.items():
        for slot in rows:
            for field, _ in fields(kind_of(INPUTS[name]), *slot):
                if (mark := (name, slot[0], slot[2] is None, field)) not in found:
                    found.add(mark)
                    yield name, slot, field


SECRET = {
    "ggm_digest", "ext_salt", "ext_x_check", "ext_t_check", "x_check", "t_check", "eta", "mu",
    "gamma_u", "gamma_v", "psi", "ot_key",
}
"""What only the recipient, who has choice bits of its own, can tell to be wrong."""
SALTS = {("sign", 1, False, "salt"), ("sign", 2, False, "salt")}
"""Those of multiplications; the salt that a broadcast opens a commitment with is everybody's."""


def test_each_value_that_anybody_can_check_is_checked() -> None:
    """Catches a second reader that takes what the page forbids, and so shows nothing."""
    unnoticed = set()
    for name, slot, field in flips():
        run = run_of(name, ROWS[name])
        value = run.fields[slot][field]
        if isinstance(value, Hashed):
            continue
        changed = value[:-1] + bytes((value[-1] ^ 1,))
        altered = {**run.fields, slot: {**run.fields[slot], field: changed}}
        if not list(evolve(run, fields=altered).wrong()):
            unnoticed.add((name, slot[0], slot[2] is None, field))
    assert {field for *_, field in unnoticed - SALTS} == SECRET
    assert unnoticed >= SALTS


@pytest.mark.parametrize("name", INPUTS)
def test_the_second_decoder_takes_one_encoding_only(name: str) -> None:
    """Catches a reader that would take what the library refuses."""
    kind = kind_of(INPUTS[name])
    slot = next(slot for slot in ROWS[name] if slot[0] == 2 and slot[2] is None)
    (text,) = ROWS[name][slot]
    good = bytes.fromhex(text)
    names = [field for field, _ in fields(kind, *slot)]
    first = good.index(names[0].encode())
    longer = good.replace(b"\x58\x20", b"\x59\x00\x20", 1)
    others = [good[:-1], good + b"\x00", longer, good[:first] + b"x" + good[first + 1 :], b""]
    others.append(bytes((good[0] ^ 1,)) + good[1:])
    assert read(kind, *slot, [good])
    for octets in others:
        with pytest.raises(Refused):
            read(kind, *slot, [octets])
    with pytest.raises(Refused):
        read(kind, 9, *slot[1:], [good])


def test_the_entropy_is_as_described() -> None:
    """Catches a description of the seeds that gives other octets."""
    draw, seed = threshold.entropy(b"seed"), b"seed"
    assert draw(5) == hashlib.shake_256(seed + bytes(7) + b"\x01").digest(5)
    assert draw(40) == hashlib.shake_256(seed + bytes(7) + b"\x02").digest(40)
