"""Payments from the coins of one key: what is spent, what comes back, and what it costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.custody.policy import CustodyPolicy
from metanode.custody.scripts import address_of, key_script
from metanode.custody.transaction import virtual_size
from metanode.custody.types import Outpoint
from metanode.custody.withdrawal import build_withdrawal
from metanode.errors import UserError
from spec.parameters import DEVNET
from tests.support import key_of

OWNER, PAYEE = (key_of(name).public_key.format() for name in ("owner", "payee"))
POLICY = CustodyPolicy.of(DEVNET, "bcrt")
TO = address_of(key_script(PAYEE), "bcrt")


def coins(*amounts: int) -> list[tuple[Outpoint, int]]:
    """Return coins of these amounts."""
    return [(Outpoint(bytes(31) + bytes([n]), n), amount) for n, amount in enumerate(amounts)]


@given(
    st.lists(st.integers(1_000, 10**8), min_size=1, max_size=20), st.integers(1_000, 10**9),
    st.integers(1, 500),
)
def test_nothing_is_lost_or_made(amounts: list[int], amount: int, rate: int) -> None:
    """Catches a fee below its rate, change below dust, or coins that vanish in a payment."""
    try:
        found = build_withdrawal(
            coins(*amounts), TO, amount, rate, POLICY, hrp="bcrt", public_key=OWNER
        )
    except UserError:
        assert sum(amounts) < amount + rate * 110 * (len(amounts) + 1)
        return
    spent = dict(coins(*amounts))
    fee = found.transaction.fee
    assert found.paid == amount
    assert sum(spent[coin] for coin in found.coins) == amount + found.change + fee
    scripts = [output.script for output in found.transaction.outputs]
    least = rate * virtual_size(len(found.coins), scripts)
    dust = POLICY.dust_limit(key_script(OWNER))
    assert least <= fee < least + dust + rate * 40
    assert found.change == 0 or found.change >= dust


@given(st.lists(st.integers(10_000, 10**8), min_size=1, max_size=20), st.integers(1, 50))
def test_all_of_it_leaves_no_change(amounts: list[int], rate: int) -> None:
    """Catches a rest that stays behind when everything is withdrawn."""
    found = build_withdrawal(coins(*amounts), TO, None, rate, POLICY, hrp="bcrt", public_key=OWNER)
    assert len(found.coins) == len(amounts)
    assert (found.change, found.paid + found.transaction.fee) == (0, sum(amounts))


def test_its_own_signatures_open_the_coins() -> None:
    """Catches a digest that is not the one which the chain checks."""
    key = key_of("owner")
    found = build_withdrawal(coins(50_000), TO, None, 1, POLICY, hrp="bcrt", public_key=OWNER)
    signed = [key.sign_recoverable(digest, hasher=None) for digest in found.digests]
    raw = found.sign([(int.from_bytes(s[:32]), int.from_bytes(s[32:64])) for s in signed])
    assert OWNER in raw


@pytest.mark.parametrize("amount", [None, 1])
def test_dust_is_refused(amount: int | None) -> None:
    """Catches an output that no daemon relays."""
    with pytest.raises(UserError, match="too little|relay no less"):
        build_withdrawal(coins(300), TO, amount, 1, POLICY, hrp="bcrt", public_key=OWNER)
