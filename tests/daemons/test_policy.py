"""What daemons refuse, and in which words: one table for the embedded chain and a real daemon.

A case makes a transaction out of coins of the purse; the other end of it is the error code and the
beginning of the reason of ``sendrawtransaction``, or ``ACCEPTED``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from btclib.hashes import hash160, sha256
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut

from metanode.custody.scripts import data_script, witness_script
from metanode.custody.transaction import CURVE_ORDER, der_signature
from metanode.custody.types import Outpoint
from spec.chains import family
from tests.daemons.coins import FEE, Coin, script_of, signed, signed_tx
from tests.daemons.offers import ACCEPTED, HOME, PAYEE, Answer, answer, least_relay_fee, sent, spend
from tests.daemons.support import AMOUNT, COIN, PURSE, Chain
from tests.support import key_of

FINAL = 0xFFFFFFFF
Make = Callable[[Chain], bytes]


def raw_of(transaction: Tx) -> bytes:
    """Return the bytes of a transaction, however odd it is."""
    return transaction.serialize(include_witness=True, check_validity=False)


def paying(chain: Chain, *outputs: tuple[int, bytes]) -> bytes:
    """Return a payment with these outputs and the change behind them."""
    coin = chain.coin()
    change = coin.amount - FEE - sum(amount for amount, _ in outputs)
    return signed([coin], [*outputs, (change, HOME)])[0]


# --- amounts --------------------------------------------------------------------------------------

SCRIPTS = {
    "p2pk": b"\x21" + key_of("bare").public_key.format() + b"\xac",
    "p2pk of a long key": b"\x41" + key_of("bare").public_key.format(False) + b"\xac",
    "p2pkh": script_of(PAYEE, "p2pkh"),
    "p2sh": script_of(PAYEE, "p2sh-p2wpkh"),
    "p2wpkh": HOME,
    "p2wsh": witness_script(0, bytes(32)),
    "p2tr": witness_script(1, bytes(32)),
}
OLD = ("p2pk", "p2pk of a long key", "p2pkh", "p2sh")
SPENDING = dict.fromkeys(OLD, 148)  # vB of an input; of a witness program 67


def dust(kind: str, short: int) -> Make:
    """Pay the least amount of a kind of output, less ``short``."""

    def make(chain: Chain) -> bytes:
        size = 8 + 1 + len(SCRIPTS[kind]) + SPENDING.get(kind, 67)
        return paying(chain, (size * family(chain.hrp).dust_rate - short, SCRIPTS[kind]))

    return make


def least_fee(short: int) -> Make:
    """Pay the relay rate, less ``short`` units."""
    return lambda chain: spend(chain.coin(), least_relay_fee(chain) - short)


def dear(chain: Chain) -> bytes:
    """Pay more than a sender can mean: 0.1 coins for 1,000 vB are the most."""
    coin = chain.coin()
    return spend(coin, coin.amount - AMOUNT)


def impossible(amount: int) -> Make:
    """Pay an amount that no coin can have."""
    return lambda chain: signed([chain.coin()], [(amount, HOME)])[0]


# --- form -----------------------------------------------------------------------------------------


def memo(size: int) -> Make:
    """Carry ``size`` bytes of data."""
    script = b"\x6a\x4c" + bytes([size]) + bytes(size)
    return lambda chain: paying(chain, (0, script))


def bare(keys: int) -> bytes:
    """Return the script that one of some bare keys opens."""
    pushed = b"".join(b"\x21" + key_of(f"bare {n}").public_key.format() for n in range(keys))
    return b"\x51" + pushed + bytes([0x50 + keys]) + b"\xae"


def multisig(keys: int) -> Make:
    """Pay one of some bare keys."""
    return lambda chain: paying(chain, (AMOUNT, bare(keys)))


def many_checks(outputs: int, fee: int) -> Make:
    """Pay bare keys many times: each counts as twenty signature checks, at a cost of 80."""

    def make(chain: Chain) -> bytes:
        coin = chain.coin()
        each = coin.amount // outputs // 2
        made = [(each, bare(1))] * outputs
        return signed([coin], [*made, (coin.amount - fee - outputs * each, HOME)])[0]

    return make


def of_version(version: int) -> Make:
    """Make an ordinary payment of a version."""
    return lambda chain: spend(chain.coin(), version=version)


def small(chain: Chain) -> bytes:
    """Burn a coin in fewer than 65 bytes, the length of an inner node of a block's tree."""
    return signed([chain.coin()], [(0, b"\x6a")])[0]


def heavy(chain: Chain) -> bytes:
    """Weigh more than 400,000."""
    coin = chain.coin()
    return raw_of(signed_tx([coin], [(COIN // 30_000, HOME)] * 3_300))


def with_script_sig(script: bytes) -> Make:
    """Put something into the part of an input that a witness program leaves empty."""

    def make(chain: Chain) -> bytes:
        coin = chain.coin()
        bent = signed_tx([coin], [(coin.amount - FEE, HOME)])
        bent.vin[0].script_sig = script
        return raw_of(bent)

    return make


def coinbase(_chain: Chain) -> bytes:
    """Make coins of nothing, as only a block may."""
    mined = TxIn(OutPoint(), b"\x01\x02\x03", FINAL, check_validity=False)
    return raw_of(Tx(1, 0, [mined], [TxOut(AMOUNT, HOME)], check_validity=False))


def duplicate(chain: Chain) -> bytes:
    """Name a coin twice."""
    coin = chain.coin()
    return signed([coin, coin], [(coin.amount, HOME)])[0]


def null_input(chain: Chain) -> bytes:
    """Name the coin that is none beside a real one."""
    coin = chain.coin()
    nowhere = Coin(Outpoint(bytes(32), FINAL), AMOUNT, PURSE)
    return signed([coin, nowhere], [(coin.amount, HOME)])[0]


# --- time -----------------------------------------------------------------------------------------


def locked_to_height(ahead: int, sequence: int = FINAL - 1) -> Make:
    """Lock to the tip's height and ``ahead`` more."""
    return lambda chain: spend(chain.coin(), locktime=chain.height() + ahead, sequence=sequence)


def locked_to_time(ahead: int) -> Make:
    """Lock to the median time of the tip and ``ahead`` seconds more."""

    def make(chain: Chain) -> bytes:
        tip = chain.call("getblockheader", chain.call("getbestblockhash"))
        return spend(chain.coin(), locktime=int(tip["mediantime"]) + ahead, sequence=FINAL - 1)

    return make


def aged(blocks: int, required: int, version: int = 2) -> Make:
    """Spend a coin that ``blocks`` follow, by an input that waits ``required`` blocks (BIP68)."""

    def make(chain: Chain) -> bytes:
        first = chain.coin()
        (coin,) = sent(chain, [first], [first.amount - FEE])
        chain.mine(1 + blocks)
        return spend(coin, sequence=required, version=version)

    return make


def mined(depth: int) -> Make:
    """Spend the coinbase of a block so deep (the tip is at 1)."""

    def make(chain: Chain) -> bytes:
        (block, *_) = chain.mine(depth, PURSE)
        found = chain.call("getblock", block.hex(), 2)["tx"][0]
        out = next(o for o in found["vout"] if o["value"] > 0)
        outpoint = Outpoint(bytes.fromhex(found["txid"]), out["n"])
        return spend(Coin(outpoint, int(out["value"] * COIN), PURSE))

    return make


# --- coins ----------------------------------------------------------------------------------------


def unknown(chain: Chain) -> bytes:
    """Spend what no transaction has made."""
    return spend(Coin(Outpoint(bytes(range(32)), 0), AMOUNT, PURSE))


def spent(chain: Chain) -> bytes:
    """Spend what another transaction has spent, in a block."""
    coin = chain.coin()
    chain.send(spend(coin))
    chain.mine()
    return spend(coin, 2 * FEE)


def mined_already(chain: Chain) -> bytes:
    """Send what a block holds."""
    raw = spend(chain.coin())
    chain.send(raw)
    chain.mine()
    return raw


def waiting_already(chain: Chain) -> bytes:
    """Send what the mempool holds."""
    raw = spend(chain.coin())
    chain.send(raw)
    return raw


def bent_signature(*, high: bool) -> Make:
    """Sign with the greater of the two s, or not at all."""

    def make(chain: Chain) -> bytes:
        coin = chain.coin()
        bent = signed_tx([coin], [(coin.amount - FEE, HOME)])
        signature, public = bent.vin[0].script_witness.stack
        r_size = signature[3]
        r = int.from_bytes(signature[4 : 4 + r_size])
        s = int.from_bytes(signature[6 + r_size : -1])
        other = _der(r, CURVE_ORDER - s) if high else der_signature(r, s + 1)
        bent.vin[0].script_witness = Witness([other + b"\x01", public])
        return raw_of(bent)

    return make


def _der(r: int, s: int) -> bytes:
    """Return DER as it is, with a high s."""
    parts = b"".join(
        bytes([2, n.bit_length() // 8 + 1]) + n.to_bytes(n.bit_length() // 8 + 1) for n in (r, s)
    )
    return bytes([0x30, len(parts)]) + parts


def of_script(script: bytes, script_sig: bytes, witness: Sequence[bytes] = ()) -> Make:
    """Spend a mined output of any script with these words."""

    def make(chain: Chain) -> bytes:
        chain.send(paying(chain, (AMOUNT, script)))
        (block,) = chain.mine()
        found = chain.call("getblock", block.hex(), 2)["tx"]
        txid = next(
            bytes.fromhex(each["txid"])
            for each in found
            if each["vout"][0]["scriptPubKey"]["hex"] == script.hex()
        )
        spending = TxIn(OutPoint(txid, 0), script_sig, FINAL, Witness(witness))
        return raw_of(Tx(2, 0, [spending], [TxOut(AMOUNT - FEE, HOME)], check_validity=False))

    return make


SIXTEEN_CHECKS = b"\x51" + b"\xac" * 16
DROP = b"\x75\x51"  # drops a word and is content


def to_hash(script: bytes) -> bytes:
    """Return the P2SH script of a script."""
    return b"\xa9\x14" + hash160(script) + b"\x87"


DUST = (-26, "dust")
CHEAP = (-26, "min relay fee not met")
MISSING = (-25, "bad-txns-inputs-missingorspent")
SCRIPT = (-26, "script-verify-flag")  # mandatory or not: versions differ
LOCKED = (-26, "non-final")
ODD = (-26, "scriptpubkey")

CASES: dict[str, tuple[Make, Answer]] = {
    **{f"{kind}: a unit less than daemons relay": (dust(kind, 1), DUST) for kind in SCRIPTS},
    **{f"{kind}: the least that daemons relay": (dust(kind, 0), ACCEPTED) for kind in SCRIPTS},
    "a fee below the relay rate": (least_fee(2), CHEAP),
    "a fee of the relay rate": (least_fee(0), ACCEPTED),
    "a fee that nobody can mean": (dear, (-25, "Fee exceeds maximum configured by user")),
    "more out than in": (lambda chain: spend(chain.coin(), -1), (-26, "bad-txns-in-belowout")),
    "a negative amount": (impossible(-1), (-26, "bad-txns-vout-negative")),
    "an amount above all money": (impossible(1 << 60), (-26, "bad-txns-vout-toolarge")),
    "80 bytes of memo": (memo(80), ACCEPTED),
    "81 bytes of memo": (memo(81), ODD),
    "two memos": (
        lambda chain: paying(chain, (0, data_script(b"a")), (0, data_script(b"b"))),
        (-26, "multi-op-return"),
    ),
    "a script of no known kind": (lambda chain: paying(chain, (AMOUNT, DROP)), ODD),
    "one of three bare keys": (multisig(3), ACCEPTED),
    "one of four bare keys": (multisig(4), ODD),
    "199 bare keys, which count as 79,605 vB": (many_checks(199, 79_604), CHEAP),
    "199 bare keys, paid for": (many_checks(199, 79_605), ACCEPTED),
    "200 bare keys": (many_checks(200, 90_000), (-26, "bad-txns-too-many-sigops, 16001")),
    "version 0": (of_version(0), (-26, "version")),
    "version 1": (of_version(1), ACCEPTED),
    "version 4": (of_version(4), (-26, "version")),
    "fewer than 65 bytes": (small, (-26, "tx-size-small")),
    "more than 400,000 of weight": (heavy, (-26, "tx-size")),
    "a script of 1,651 bytes": (
        with_script_sig(b"\x4d\x70\x06" + bytes(1_648)), (-26, "scriptsig-size")
    ),
    "a script that does something": (with_script_sig(b"\x61"), (-26, "scriptsig-not-pushonly")),
    "a coinbase": (coinbase, (-26, "coinbase")),
    "one coin twice": (duplicate, (-26, "bad-txns-inputs-duplicate")),
    "a coin of nowhere": (null_input, (-26, "bad-txns-prevout-null")),
    "no bytes of a transaction": (lambda _: b"\x00", (-22, "TX decode failed")),
    "locked to the tip": (locked_to_height(0), ACCEPTED),
    "locked to the next block": (locked_to_height(1), LOCKED),
    "locked, but every input is final": (locked_to_height(9, FINAL), ACCEPTED),
    "locked to the time before": (locked_to_time(-1), ACCEPTED),
    "locked to the time of the tip": (locked_to_time(0), LOCKED),
    "a coin of three blocks, as asked": (aged(2, 3), ACCEPTED),
    "a coin of three blocks, four asked": (aged(2, 4), (-26, "non-BIP68-final")),
    "four asked by a version that does not": (aged(2, 4, version=1), ACCEPTED),
    "a coinbase at depth 99": (mined(99), (-26, "bad-txns-premature-spend-of-coinbase")),
    "a coinbase at depth 100": (mined(100), ACCEPTED),
    "a coin that never was": (unknown, MISSING),
    "an output that never was": (
        lambda chain: spend(Coin(Outpoint(chain.coin().outpoint.txid, 999), AMOUNT, PURSE)), MISSING
    ),
    "a coin that is spent": (spent, MISSING),
    "in a block already": (mined_already, (-27, "")),
    "in the mempool already": (waiting_already, ACCEPTED),
    "a signature of something else": (bent_signature(high=False), SCRIPT),
    "a signature with a high s": (bent_signature(high=True), SCRIPT),
    "sixteen signature checks": (
        of_script(to_hash(SIXTEEN_CHECKS), bytes([len(SIXTEEN_CHECKS)]) + SIXTEEN_CHECKS),
        (-26, "bad-txns-nonstandard-inputs"),
    ),
    "a word of 80 bytes": (
        of_script(witness_script(0, sha256(DROP)), b"", [bytes(80), DROP]), ACCEPTED
    ),
    "a word of 81 bytes": (
        of_script(witness_script(0, sha256(DROP)), b"", [bytes(81), DROP]),
        (-26, "bad-witness-nonstandard"),
    ),
}
@pytest.mark.parametrize("name", CASES)
def test_daemons_and_the_embedded_chain_refuse_alike(chain: Chain, name: str) -> None:
    """Catches an embedded chain that takes what no daemon takes, or says why in other words."""
    make, (code, reason) = CASES[name]
    found, said = answer(chain, make(chain))
    assert (found, reason in said) == (code, True), said
