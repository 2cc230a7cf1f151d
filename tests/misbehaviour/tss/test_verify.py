"""The release verifier against forgers: nothing but the one right text, and nothing raises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.tss import curve
from metanode.tss.curve import ORDER
from metanode.tss.verify import verify_compact, verify_signature
from tests.spec.vectors.der import verify_der
from tests.spec.vectors.support import load

ORDINARY = {
    case["form"]: tuple(bytes.fromhex(case[f]) for f in ("public_key", "digest", "signature"))
    for case in load("ecdsa_edge_cases.json")["cases"]
    if case["name"].startswith("ordinary")
}
VERIFY: dict[str, Callable[..., bool]] = {"der": verify_der, "compact": verify_compact}
FORMS = pytest.mark.parametrize("form", ["der", "compact"])


def der(r: int, s: int) -> bytes:
    """Return the one right text of (r, s)."""
    parts = [value.to_bytes(value.bit_length() // 8 + 1, "big") for value in (r, s)]
    body = b"".join(bytes([2, len(part)]) + part for part in parts)
    return bytes([0x30, len(body)]) + body


@FORMS
def test_every_flipped_bit_is_refused(form: str) -> None:
    """Catches a bit of key, digest or signature that does not count."""
    parts = ORDINARY[form]
    assert VERIFY[form](*parts)
    for which, data in enumerate(parts):
        for bit in range(8 * len(data)):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            attempt = [*parts[:which], bytes(changed), *parts[which + 1 :]]
            assert not VERIFY[form](*attempt), (which, bit)


@FORMS
def test_every_cut_and_every_octet_more_is_refused(form: str) -> None:
    """Catches an octet that may be left out or added, wherever it stands."""
    parts = ORDINARY[form]
    for which, data in enumerate(parts):
        shorter = [data[:at] + data[at + 1 :] for at in range(len(data))]
        shorter += [data[:at] for at in range(len(data))] + [
            data[at + 1 :] for at in range(len(data))
        ]
        longer = [
            data[:at] + bytes([octet]) + data[at:]
            for at in range(len(data) + 1)
            for octet in (0x00, 0x01, 0x02, 0x30, 0x80, 0xFF)
        ]
        for changed in (*shorter, *longer):
            assert not VERIFY[form](*parts[:which], changed, *parts[which + 1 :])


@FORMS
@given(data=st.data())
def test_no_other_signature_is_accepted(form: str, data: st.DataObject) -> None:
    """Catches a second text for the same signature, after any few changes of octets."""
    key, digest, signature = ORDINARY[form]
    changed = bytearray(signature)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        until = data.draw(st.integers(at, min(at + 3, len(changed))))
        changed[at:until] = data.draw(st.binary(max_size=3))
    assert VERIFY[form](key, digest, bytes(changed)) is (bytes(changed) == signature)


@given(
    secret=st.integers(1, ORDER - 1),
    nonce=st.integers(1, ORDER - 1),
    digest=st.binary(min_size=32, max_size=32),
)
def test_signatures_have_one_text_and_one_negation(secret: int, nonce: int, digest: bytes) -> None:
    """Catches a form or a key form that refuses good signatures, and a high s that passes."""
    point = curve.generator_mult(secret)
    r = curve.affine(curve.generator_mult(nonce))[0] % ORDER
    s = (int.from_bytes(digest, "big") + r * secret) * curve.inverse(nonce) % ORDER
    x, y = (value.to_bytes(32, "big") for value in curve.affine(point))
    for value in (s, ORDER - s):
        released = 0 < value <= ORDER // 2
        compact = r.to_bytes(32, "big") + value.to_bytes(32, "big")
        for key in (curve.encode_point(point), b"\x04" + x + y):
            assert verify_signature(key, digest, r, value) is released
            assert verify_der(key, digest, der(r, value)) is released
            assert verify_compact(key, digest, compact) is released


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=70),
    st.binary(max_size=80),
    st.binary(max_size=80).map(bytearray),
    st.binary(max_size=80).map(memoryview),
    st.lists(st.integers(0, 255), max_size=70),
    st.binary(min_size=33, max_size=33),
    st.binary(min_size=64, max_size=65),
    st.binary(max_size=70).map(lambda data: b"\x30" + bytes([len(data)]) + data),
    st.sampled_from([part for parts in ORDINARY.values() for part in parts]),
)
NUMBERS = st.one_of(ANYTHING, st.integers(0, 2**257), st.sampled_from([0, 1, ORDER - 1, ORDER]))


@given(key=ANYTHING, digest=ANYTHING, signature=ANYTHING)
def test_nothing_raises(key: object, digest: object, signature: object) -> None:
    """Catches a crash on what a peer may send, and an answer that is no bool."""
    for form, verify in VERIFY.items():
        expected = (key, digest, signature) == ORDINARY[form]
        assert verify(key, digest, signature) is expected


@given(key=ANYTHING, digest=ANYTHING, r=NUMBERS, s=NUMBERS)
def test_nothing_raises_on_numbers(key: object, digest: object, r: object, s: object) -> None:
    """Catches a crash of either library on numbers, keys and digests at random."""
    good_key, good_digest, _ = ORDINARY["compact"]
    assert verify_signature(key, digest, r, s) is False
    assert verify_signature(good_key, good_digest, r, s) is False
