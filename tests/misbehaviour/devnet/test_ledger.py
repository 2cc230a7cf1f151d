"""Transactions that must never be mined, refused by script execution or by relay rules."""

from __future__ import annotations

import pytest
from btclib.script.sig_hash import segwit_v0
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut

from metanode.custody.scripts import data_script
from metanode.custody.transaction import (
    CURVE_ORDER,
    SEQUENCE,
    SIGHASH_ALL,
    Input,
    Output,
    UnsignedTransaction,
)
from metanode.custody.types import Outpoint
from metanode.devnet.faucet import FAUCET_SCRIPT, pay_from_faucet
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.types import ChainTransaction, DevnetError, RpcCode
from metanode.errors import LocalFault
from tests.devnet.support import COIN, founded_ledger, public, script_of
from tests.support import key_of

USER = key_of("user")


def integer(value: int) -> bytes:
    """Return a DER integer."""
    digits = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes([2, len(digits)]) + digits


def der(r: int, s: int) -> bytes:
    """Return DER without any normalisation, unlike the code under test."""
    body = integer(r) + integer(s)
    return bytes([0x30, len(body)]) + body


class Case:
    """A funded coin and its honest spend, to be bent by a test."""

    def __init__(self) -> None:
        self.ledger, _ = founded_ledger()
        paid = pay_from_faucet(self.ledger, [(COIN, script_of(USER))])
        self.ledger.mine(FAUCET_SCRIPT)
        self.outpoint = Outpoint(paid.txid, 0)
        self.unsigned = self.transaction(COIN, COIN - 1000)
        signed = USER.sign_recoverable(self.unsigned.sighashes(public(USER))[0], hasher=None)
        self.r, self.s = int.from_bytes(signed[:32]), int.from_bytes(signed[32:64])

    def transaction(self, amount_in: int, amount_out: int) -> UnsignedTransaction:
        """Return a spend of the coin as if it had held ``amount_in``."""
        return UnsignedTransaction(
            (Input(self.outpoint, amount_in),), (Output(amount_out, script_of(USER)),)
        )

    def with_witness(self, *items: bytes) -> ChainTransaction:
        """Return the spend with this witness."""
        spending = TxIn(
            OutPoint(self.outpoint.txid, self.outpoint.index), b"", SEQUENCE, Witness(items)
        )
        return ChainTransaction.of(Tx(2, 0, [spending], [TxOut(COIN - 1000, script_of(USER))]))

    def refused(self, transaction: ChainTransaction) -> DevnetError:
        """Return the refusal, and check that nothing changed."""
        with pytest.raises(DevnetError) as raised:
            self.ledger.submit(transaction)
        assert self.ledger.mempool.entries == {}
        assert self.ledger.mempool.spenders == {}
        return raised.value


@pytest.fixture
def case() -> Case:
    """Return a fresh chain with one coin of the user."""
    return Case()


def test_the_honest_spend_is_accepted(case: Case) -> None:
    """Catches a suite in which everything is refused for another reason."""
    good = case.with_witness(der(case.r, case.s) + bytes([SIGHASH_ALL]), public(USER))
    assert case.ledger.submit(good) == case.unsigned.txid


def test_high_s_is_refused(case: Case) -> None:
    """Catches missing LOW_S: real nodes do not relay it, so the devnet must not either."""
    high = der(case.r, CURVE_ORDER - case.s) + bytes([SIGHASH_ALL])
    refusal = case.refused(case.with_witness(high, public(USER)))
    assert refusal.code == RpcCode.VERIFY_REJECTED
    assert "script-verify" in refusal.message


@pytest.mark.parametrize(
    "bend",
    [
        lambda c: (der(c.r, c.s + 1) + b"\x01", public(USER)),
        lambda c: (der(c.r + 1, c.s) + b"\x01", public(USER)),
        lambda c: (der(c.r, c.s) + b"\x02", public(USER)),  # another sighash type than was signed
        lambda c: (der(c.r, c.s) + b"\x00", public(USER)),
        lambda c: (der(c.r, c.s), public(USER)),
        lambda c: (b"", public(USER)),
        lambda c: (der(c.r, c.s) + b"\x01", public(key_of("thief"))),
        lambda c: (der(c.r, c.s) + b"\x01",),
        lambda c: (b"", der(c.r, c.s) + b"\x01", public(USER)),
        lambda c: (b"\x30\x06\x02\x01\x01\x02\x01\x01\x01", public(USER)),
        lambda c: (der(c.r, c.s) + b"\x01", USER.public_key.format(compressed=False)),
        lambda c: (),
    ],
)
def test_bad_witnesses_are_refused(case: Case, bend: object) -> None:
    """Catches a spend without the owner's signature."""
    items = bend(case)  # type: ignore[operator]  # parametrize hands over an object
    assert case.refused(case.with_witness(*items)).code == RpcCode.VERIFY_REJECTED


def test_signature_over_another_amount_is_refused(case: Case) -> None:
    """Catches digests that do not commit to the amount, as before BIP143."""
    lying = case.transaction(2 * COIN, COIN - 1000)
    signed = USER.sign_recoverable(lying.sighashes(public(USER))[0], hasher=None)
    witness = der(int.from_bytes(signed[:32]), int.from_bytes(signed[32:64])) + b"\x01"
    assert case.refused(case.with_witness(witness, public(USER))).code == RpcCode.VERIFY_REJECTED


def signed(case: Case, outputs: list[tuple[int, bytes]], times: int = 1) -> ChainTransaction:
    """Return a properly signed spend of the coin, named ``times`` times."""
    unsigned = UnsignedTransaction(
        (Input(case.outpoint, COIN),) * times, tuple(Output(a, s) for a, s in outputs)
    )
    signatures = [USER.sign_recoverable(d, hasher=None) for d in unsigned.sighashes(public(USER))]
    pairs = [(int.from_bytes(s[:32]), int.from_bytes(s[32:64])) for s in signatures]
    tx = unsigned._transaction()
    for position, (r, s) in enumerate(pairs):
        tx.vin[position].script_witness = Witness([der(r, s) + b"\x01", public(USER)])
    return ChainTransaction.of(tx)


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        ([(COIN + 1, script_of(USER))], "belowout"),
        ([(COIN - 50, script_of(USER))], "min relay fee"),
        ([(100, script_of(USER)), (COIN - 5000, script_of(USER))], "dust"),
        ([(0, data_script(b"a")), (0, data_script(b"b"))], "multi-op-return"),
    ],
)
def test_bad_amounts_are_refused(case: Case, outputs: list[tuple[int, bytes]], reason: str) -> None:
    """Catches coins made from nothing, and transactions that real nodes do not relay."""
    assert reason in case.refused(signed(case, outputs)).message


def test_coinbase_and_locktime_are_refused(case: Case) -> None:
    """Catches a coinbase from outside, and a locktime that is ignored."""
    tree = case.ledger.tree
    coinbase = tree.transactions(tree.active[1])[0]  # one that the faucet has spent
    assert case.refused(coinbase).message == "coinbase"
    locked = signed(case, [(COIN - 1000, script_of(USER))]).tx
    locked.lock_time = 500
    assert case.refused(ChainTransaction.of(locked)).message == "non-final"


def test_unknown_and_spent_coins_are_refused(case: Case) -> None:
    """Catches a spend of a coin that never was, or is gone."""
    good = signed(case, [(COIN - 1000, script_of(USER))])
    case.ledger.submit(good)
    case.ledger.mine(FAUCET_SCRIPT)
    again = case.refused(signed(case, [(COIN - 9000, script_of(USER))]))
    assert again.code == RpcCode.VERIFY_ERROR
    case.outpoint = Outpoint(bytes(range(32)), 0)
    assert case.refused(signed(case, [(COIN - 1000, script_of(USER))])).code == RpcCode.VERIFY_ERROR


def test_rival_that_does_not_opt_in_stays(case: Case) -> None:
    """Catches a replacement of a payment that is final by its sequence number (BIP125)."""
    final = signed(case, [(COIN - 1000, script_of(USER))]).tx
    final.vin[0].sequence = 0xFFFFFFFF
    code = b"\x76\xa9\x14" + script_of(USER)[2:] + b"\x88\xac"
    compact = USER.sign_recoverable(segwit_v0(code, final, 0, 1, COIN), hasher=None)
    pair = der(int.from_bytes(compact[:32]), int.from_bytes(compact[32:64]))
    final.vin[0].script_witness = Witness([pair + b"\x01", public(USER)])
    case.ledger.submit(ChainTransaction.of(final))
    with pytest.raises(DevnetError, match="txn-mempool-conflict"):
        case.ledger.submit(signed(case, [(COIN - 90_000, script_of(USER))]))


def test_block_with_a_bad_spend_changes_nothing(case: Case) -> None:
    """Catches a block that is half connected before it is refused."""
    ledger: DevnetLedger = case.ledger
    bad = case.with_witness(der(case.r, case.s + 1) + b"\x01", public(USER))
    raw = ledger.tree.build([bad], 1000, FAUCET_SCRIPT, ledger.now())
    tip, coins = ledger.tree.tip, dict(ledger.tree.coins)
    node = ledger.tree.add(raw)
    with pytest.raises(DevnetError, match="script-verify"):
        ledger.tree.connect(node, lambda _: False)
    assert ledger.tree.tip is tip
    assert ledger.tree.coins == coins
    assert bad.txid not in ledger.tree.locations


def test_block_of_another_parent_is_a_fault(case: Case) -> None:
    """Catches a block that is connected to anything but its parent."""
    raw = case.ledger.tree.build([], 0, FAUCET_SCRIPT, case.ledger.now())
    node = case.ledger.tree.add(raw)
    case.ledger.mine(FAUCET_SCRIPT)
    with pytest.raises(LocalFault, match="child of the tip"):
        case.ledger.tree.connect(node, lambda _: True)
    stranger, _ = founded_ledger()
    stranger.mine(FAUCET_SCRIPT)
    foreign = DevnetLedger(lambda: 0)
    with pytest.raises(LocalFault, match="parent is unknown"):
        foreign.tree.add(stranger.tree.tip.raw)
