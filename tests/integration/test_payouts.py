"""Deposits into a network made by hand: what comes out, and what the chain's witnesses hold."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import utils
from fastecdsa.curve import secp256k1

from metanode.chains.json_decimal import base_units
from metanode.custody.payout import custody_address, custody_script
from metanode.identity import Identity
from spec.parameters import DEVNET
from tests.integration.signatures import verified_by_all
from tests.integration.support import SIZE, Live, metanode, wait_until
from tests.support import double_sha256

SIGHASH_ALL = 1
AMOUNT = 3_000_000


def bip143_digest(view: dict[str, Any], place: int, public_key: bytes, amount: int) -> bytes:
    """Return what input ``place`` of a transaction signs, written from BIP143 and nothing else."""

    def outpoint(entry: dict[str, Any]) -> bytes:
        return bytes.fromhex(entry["txid"])[::-1] + entry["vout"].to_bytes(4, "little")

    def output(entry: dict[str, Any]) -> bytes:
        script = bytes.fromhex(entry["scriptPubKey"]["hex"])
        assert len(script) < 253
        return base_units(entry["value"]).to_bytes(8, "little") + bytes([len(script)]) + script

    def sequence(entry: dict[str, Any]) -> bytes:
        number: int = entry["sequence"]
        return number.to_bytes(4, "little")

    key_hash = hashlib.new("ripemd160", hashlib.sha256(public_key).digest()).digest()
    script_code = b"\x19\x76\xa9\x14" + key_hash + b"\x88\xac"
    entry = view["vin"][place]
    return double_sha256(
        view["version"].to_bytes(4, "little")
        + double_sha256(b"".join(map(outpoint, view["vin"])))
        + double_sha256(b"".join(map(sequence, view["vin"])))
        + outpoint(entry)
        + script_code
        + amount.to_bytes(8, "little")
        + sequence(entry)
        + double_sha256(b"".join(map(output, view["vout"])))
        + view["locktime"].to_bytes(4, "little")
        + SIGHASH_ALL.to_bytes(4, "little")
    )


def test_a_deposit_is_paid_once_with_signatures_that_three_libraries_accept(live: Live) -> None:
    """Catches a wrong payee or amount, a second payment, a signature that only we accept."""
    made = live.deposit(AMOUNT)
    payout = live.paid(made)
    assert len(payout["signers"]) == 3
    key = live.public_key
    view = live.transaction(payout["txid"])
    assert made.outpoint in {f"{entry['txid']}:{entry['vout']}" for entry in view["vin"]}

    fee = AMOUNT * DEVNET.service_fee_bps // 10_000
    paid = [o for o in view["vout"] if o["scriptPubKey"]["hex"] == made.script.hex()]
    assert [base_units(output["value"]) for output in paid] == [AMOUNT - fee]

    for place, entry in enumerate(view["vin"]):
        source = live.transaction(entry["txid"])["vout"][entry["vout"]]
        assert source["scriptPubKey"]["hex"] == custody_script(key).hex()
        signature, witness_key = map(bytes.fromhex, entry["txinwitness"])
        assert witness_key == key
        assert signature[-1] == SIGHASH_ALL
        digest = bip143_digest(view, place, key, base_units(source["value"]))
        der = signature[:-1]
        r, s = utils.decode_dss_signature(der)
        assert utils.encode_dss_signature(r, s) == der
        assert 0 < s <= secp256k1.q // 2
        assert verified_by_all(key, digest, der)
        assert not verified_by_all(key, double_sha256(digest), der)

    assert live.accounts(made) == [([payout["txid"]], [AMOUNT - fee])]


def test_dust_is_declined_with_one_note_and_a_bad_memo_is_refunded(live: Live) -> None:
    """Catches dust that is paid, or reported again with each block, and a refund gone astray."""
    dust = live.deposit(DEVNET.minimum_deposit - 1)
    live.deposits.remove(dust)
    astray = live.deposit(2_000_000, memo=b"no address")
    live.deposits.remove(astray)
    payout = live.paid(astray)
    view = live.transaction(payout["txid"])
    home = live.user.public_key.format()
    amounts = [
        base_units(o["value"])
        for o in view["vout"]
        if o["scriptPubKey"]["hex"] == custody_refund(home)
    ]
    assert amounts == [2_000_000 - DEVNET.refund_cost]
    wait_until("a later block", lambda: later_block(live, payout["txid"]))
    assert live.accounts(dust) == [([], [])]
    for status in live.statuses():
        notes = [n for n in status["recent"] if n["event"] == "deposit.declined"]
        assert [n["outpoint"] for n in notes].count(dust.outpoint) == 1
        assert all(dust.outpoint not in p["transfers"] for p in status["payouts"])


def custody_refund(public_key: bytes) -> str:
    """Return the script of the user's own address: where a refund goes."""
    key_hash = hashlib.new("ripemd160", hashlib.sha256(public_key).digest()).hexdigest()
    return "0014" + key_hash


def later_block(live: Live, txid: str) -> bool:
    """Tell whether blocks were mined on top of a transaction's, and seen by every node."""
    view = live.transaction(txid)
    height = live.rpc("getblockheader", view["blockhash"])["height"] + 2
    return all((s["chain"] or {}).get("height", 0) >= height for s in live.statuses())


def listed(status: dict[str, Any]) -> int:
    """Return how many peers a node lists: at a round's start the list begins anew."""
    return sum(peer["listing"] == "listed" for peer in status["peers"])


def test_status_of_a_running_node_for_people_and_for_programs(live: Live) -> None:
    """Catches a status that cannot be read, that lacks what an operator needs, or tells secrets."""
    wait_until("a peer list of all", lambda: all(listed(s) == SIZE for s in live.statuses()))
    home = live.network.homes[0]
    shown = metanode("status", "--home", home.path)
    assert (shown.returncode, shown.stderr) == (0, "")
    for wanted in ("phase: ", "links:", "chain_fault: -", "public_key: ", "refused:"):
        assert wanted in shown.stdout
    done = metanode("status", "--home", home.path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert len(document["links"]) == SIZE - 1
    assert len(document["peers"]) == SIZE
    key = document["key"]
    assert key["threshold"] == 3
    assert key["custody_address"] == custody_address(bytes.fromhex(key["public_key"]), "bcrt")
    assert f"custody_address: {key['custody_address']}" in shown.stdout
    passphrase = (live.network.directory / "passphrase").read_text().strip()
    token = json.loads(home.admin.read_text())["token"]
    for secret in (passphrase, token):
        assert secret not in done.stdout + shown.stdout
    metrics = metanode("status", "--home", home.path, "--metrics")
    assert metrics.returncode == 0
    assert "# TYPE" in metrics.stdout


def test_identity_of_the_library_check() -> None:
    """Catches a three-library check that would accept anything."""
    identity = Identity.generate(lambda length: b"\x05" * length)
    signature = identity.sign("test", b"body")
    r, s = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    der = utils.encode_dss_signature(r, s)
    assert not verified_by_all(identity.node_id, hashlib.sha256(b"other").digest(), der)
