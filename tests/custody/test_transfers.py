"""Which deposits are released, refunded, ignored or held."""

from __future__ import annotations

import pytest

from metanode.custody.scripts import MAX_MEMO_BYTES, address_of, key_script
from metanode.custody.transfers import Declined, Transfer, classify, classify_all, transfer_id
from tests.custody.support import CUSTODY, HOME, HRP, MEMO, deposit, policy, public, snapshot_of
from tests.support import key_of

PAYEE_SCRIPT = key_script(public("payee"))
USER_SCRIPT = key_script(public("user"))


def test_good_memo_is_released() -> None:
    """Catches money that goes anywhere but where the memo says."""
    verdict = classify(deposit("a"), policy(), HRP, CUSTODY)
    assert isinstance(verdict, Transfer)
    assert (verdict.kind, verdict.script, verdict.reason) == ("release", PAYEE_SCRIPT, "")
    assert verdict.id == transfer_id(deposit("a").outpoint)
    assert len(verdict.id) == 32


@pytest.mark.parametrize(
    "memo",
    [
        None,
        b"",
        b"pay:",
        b"hello",
        MEMO[4:],  # no prefix
        b"PAY:" + MEMO[4:],
        MEMO + b" ",
        MEMO[:-1] + b"x",  # checksum
        b"pay:" + address_of(PAYEE_SCRIPT, "bc").encode(),  # another chain
        b"pay:1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",  # base58 of another chain
        b"pay:\xff\xfe",
        "pay:bcrt1é".encode(),
        b"pay:" + b"q" * MAX_MEMO_BYTES,
        MEMO + b"\x00" * 100,
        b"pay:" + address_of(HOME, HRP).encode(),  # custody itself: it would vanish into change
    ],
)
def test_bad_memo_is_refunded(memo: bytes | None) -> None:
    """Catches a crash on odd memos, and a deposit that is kept because its memo is bad."""
    verdict = classify(deposit("a", memo=memo), policy(), HRP, CUSTODY)
    assert isinstance(verdict, Transfer)
    assert (verdict.kind, verdict.script) == ("refund", USER_SCRIPT)
    assert verdict.reason


@pytest.mark.parametrize(
    "refund_script",
    [None, b"", b"\x51", b"\x6a\x01x", HOME, bytes.fromhex("2105" + "02" * 32 + "ac")],
)
def test_no_way_back_is_held(refund_script: bytes | None) -> None:
    """Catches a refund that no node relays: it would block every other transfer of its payout."""
    verdict = classify(deposit("a", memo=None, refund_script=refund_script), policy(), HRP, CUSTODY)
    assert isinstance(verdict, Declined)
    assert (verdict.kind, verdict.deposit) == (
        "held",
        deposit("a", memo=None, refund_script=refund_script),
    )


@pytest.mark.parametrize("compressed", [True, False])
def test_a_bare_key_is_refunded(compressed: bool) -> None:
    """Catches the money of a miner with an old wallet, which is held although daemons relay it."""
    key = key_of("user").public_key.format(compressed)
    script = bytes([len(key)]) + key + b"\xac"
    verdict = classify(deposit("a", memo=None, refund_script=script), policy(), HRP, CUSTODY)
    assert isinstance(verdict, Transfer)
    assert (verdict.kind, verdict.script) == ("refund", script)


def test_dust_is_ignored_at_the_boundary() -> None:
    """Catches an off-by-one at the minimum deposit."""
    below = classify(deposit("a", amount=9_999), policy(), HRP, CUSTODY)
    assert isinstance(below, Declined)
    assert below.kind == "ignored"
    assert "9999" in below.reason
    assert isinstance(classify(deposit("a", amount=10_000), policy(), HRP, CUSTODY), Transfer)


def test_classify_all_keeps_the_order() -> None:
    """Catches a batch whose order differs from the chain's."""
    found = [
        deposit("a", height=3),
        deposit("b", height=2, memo=None),
        deposit("c", height=1, amount=10),
    ]
    transfers, declined = classify_all(snapshot_of(found), policy(), HRP, CUSTODY)
    assert [t.deposit for t in transfers] == [found[1], found[0]]
    assert [d.deposit for d in declined] == [found[2]]
    assert key_script(CUSTODY) == HOME
