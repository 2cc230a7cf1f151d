"""The transaction that takes out what no payout takes."""

from __future__ import annotations

import pytest

from metanode.custody.release import MAX_RELEASED, build_release
from metanode.custody.scripts import address_of, key_script, script_of_address
from metanode.custody.transaction import SEQUENCE, virtual_size
from metanode.devnet.validation import parse_transaction
from metanode.errors import UserError
from metanode.protocol.requests.request import LABEL_CHARACTERS
from tests.custody.support import CUSTODY, CUSTODY_KEY, HOME, HRP, deposit, policy, public

PAYEE = address_of(key_script(public("payee")), HRP)


def build(names: str = "abc", address: str = PAYEE, rate: int = 1, amount: int = 300) -> object:
    """Return a release of named coins of one amount."""
    coins = [deposit(name, amount=amount) for name in names]
    return build_release(coins, address, rate, policy(), hrp=HRP, public_key=CUSTODY)


def test_the_same_coins_payee_and_rate_give_the_same_bytes() -> None:
    """Catches operators whose requests never meet: an order, a spelling, a label of one's own."""
    coins = [deposit(name, amount=3_000) for name in "abc"]
    first = build_release(coins, PAYEE, 2, policy(), hrp=HRP, public_key=CUSTODY)
    again = build_release(
        coins[::-1], PAYEE.upper(), 2, policy(), hrp=HRP, public_key=CUSTODY
    )
    assert first == again
    assert (first.digests, first.labels) == (again.digests, again.labels)
    inputs = [spent.outpoint for spent in first.transaction.inputs]
    assert inputs == sorted(inputs)
    assert len(set(first.digests)) == len(set(first.labels)) == 3
    dearer = build_release(coins, PAYEE, 3, policy(), hrp=HRP, public_key=CUSTODY)
    assert not set(first.digests) & set(dearer.digests)


def test_one_output_pays_all_less_the_fee() -> None:
    """Catches change, a fee that is no such rate, and a form of another transaction of ours."""
    release = build_release(
        [deposit("a", amount=3_000)], PAYEE, 2, policy(), hrp=HRP, public_key=CUSTODY
    )
    (output,) = release.transaction.outputs
    script = script_of_address(PAYEE, HRP)
    fee = 2 * virtual_size(1, [script])
    assert (output.script, output.amount) == (script, 3_000 - fee)
    assert (release.paid, release.transaction.fee, release.fee_rate) == (3_000 - fee, fee, 2)
    signatures = [
        CUSTODY_KEY.sign_recoverable(digest, hasher=None)[:64] for digest in release.digests
    ]
    parsed = parse_transaction(release.sign(signatures).hex())
    assert parsed.txid == release.txid
    assert (parsed.tx.version, parsed.tx.lock_time) == (2, 0)
    assert parsed.tx.vin[0].sequence == SEQUENCE
    assert parsed.vsize in (fee // 2, fee // 2 - 1)


def test_labels_fit_whatever_is_released() -> None:
    """Catches a release that no node takes because of the length of its label."""
    coins = [deposit(f"{n}", amount=84 * 10**13) for n in range(MAX_RELEASED)]
    release = build_release(coins, PAYEE, 1, policy(), hrp=HRP, public_key=CUSTODY)
    assert max(map(len, release.labels)) <= LABEL_CHARACTERS
    assert all(label.startswith(f"release {release.paid} in ") for label in release.labels)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"names": "a"}, "300 less a fee of 110 is too little"),
        ({"names": "ab", "rate": 2}, "600 less a fee of .* is too little, .* no less than 294"),
        ({"rate": 0}, "a fee rate of 0 is out of bounds: use one from 1 to 100"),
        ({"rate": 101}, "a fee rate of 101 is out of bounds"),
        ({"address": address_of(HOME, HRP)}, "is the custody's own address"),
        ({"address": address_of(HOME, "bc")}, "belongs to another chain"),
        ({"address": "nonsense"}, "is no segwit address"),
    ],
)
def test_what_cannot_be_released_is_refused(wrong: dict[str, str | int], complaint: str) -> None:
    """Catches dust that no daemon relays, and money that goes where nobody can have it."""
    assert build()
    with pytest.raises(UserError, match=complaint):
        build(**wrong)  # type: ignore[arg-type]  # they are what the function takes
