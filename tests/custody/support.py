"""Deposits, blocks and policies with short names, deterministic."""

from __future__ import annotations

import hashlib
from typing import Any

from attrs import asdict
from coincurve import PrivateKey

from metanode.custody.document import PayoutDocument, PayoutTerms
from metanode.custody.payout import build_payout
from metanode.custody.policy import CustodyPolicy
from metanode.custody.scripts import address_of, data_script, key_script
from metanode.custody.transaction import Input, Output, UnsignedTransaction
from metanode.custody.transfers import Transfer, classify_all
from metanode.custody.types import BlockSummary, Coin, Deposit, Outpoint, Snapshot, Spend
from spec.parameters import MAINNET
from tests.support import key_of

HRP = "bcrt"
COIN = 100_000_000
NETWORK_ID = hashlib.sha256(b"network").digest()
KEY_ID = hashlib.sha256(b"key").digest()


def public(name: str) -> bytes:
    """Return the compressed public key of a name."""
    return key_of(name).public_key.format()


CUSTODY_KEY = key_of("custody")
CUSTODY = CUSTODY_KEY.public_key.format()
HOME = key_script(CUSTODY)
ROSTER = tuple(sorted(public(f"node {i}") for i in range(4)))
MEMO = b"pay:" + address_of(key_script(public("payee")), HRP).encode()


def ident(name: str) -> bytes:
    """Return a 32-byte id for a name."""
    return hashlib.sha256(name.encode()).digest()


def policy(**changes: int) -> CustodyPolicy:
    """Return the tests' policy, with changes."""
    values = {
        "service_fee_bps": 100, "minimum_deposit": 10_000, "refund_cost": 2_000,
        "fee_rate_cap": 100, "fee_window_blocks": 1, "transfers_per_payout": 20, "change_inputs": 2,
        "reserve_bps": 1000, "payout_window_blocks": 1000,
    }
    return CustodyPolicy.of(MAINNET, **{**values, **changes})


def deposit(
    name: str,
    amount: int = COIN,
    height: int = 1,
    position: int = 1,
    memo: bytes | None = MEMO,
    refund_script: bytes | None = key_script(public("user")),
    matures: int = 0,
) -> Deposit:
    """Return a deposit whose outpoint follows from its name."""
    outpoint = Outpoint(ident(name), 0)
    block = ident(f"block {height}")
    return Deposit(outpoint, amount, height, block, position, memo, refund_script, matures)


def coin(name: str, amount: int = COIN, height: int = 1) -> Coin:
    """Return a change coin whose outpoint follows from its name."""
    return Coin(Outpoint(ident(name), 7), amount, height)


def block(
    height: int,
    *,
    branch: str = "",
    parent: bytes | None = None,
    deposits: tuple[Deposit, ...] = (),
    change: tuple[Coin, ...] = (),
    spends: tuple[Spend, ...] = (),
    fee_rate: int = 0,
) -> BlockSummary:
    """Return the block at a height of the main branch, or of another one."""
    return BlockSummary(
        height=height,
        hash=ident(f"block {height}{branch}"),
        parent=ident(f"block {height - 1}") if parent is None else parent,
        fee_rate=fee_rate,
        deposits=deposits,
        change=change,
        spends=spends,
    )


def snapshot_of(
    deposits: list[Deposit], change: tuple[Coin, ...] = (), fee_rate: int = 2
) -> Snapshot:
    """Return a snapshot at height 100."""
    ordered = tuple(sorted(deposits, key=lambda found: found.order))
    return Snapshot(100, ident("block 100"), ordered, change, fee_rate)


def transfers_of(snapshot: Snapshot, rules: CustodyPolicy) -> tuple[Transfer, ...]:
    """Return the payable transfers of a snapshot."""
    return classify_all(snapshot, rules, HRP, CUSTODY)[0]


def payout(
    snapshot: Snapshot,
    transfers: tuple[Transfer, ...],
    rules: CustodyPolicy,
    roster: tuple[bytes, ...] = ROSTER,
    **others: Any,
) -> PayoutDocument:
    """Build a payout with the tests' identifiers; ``part`` and ``fee_floor`` may be given."""
    return build_payout(
        snapshot,
        transfers,
        roster,
        rules,
        network_id=NETWORK_ID,
        chain="devnet",
        key_id=KEY_ID,
        key_epoch=1,
        public_key=CUSTODY,
        **others,
    )


def signatures_of(document: PayoutDocument, key: PrivateKey = CUSTODY_KEY) -> list[tuple[int, int]]:
    """Sign every input with one key, in place of the threshold signature."""
    signed = []
    for digest in document.sighashes():
        compact = key.sign_recoverable(digest, hasher=None)
        signed.append((int.from_bytes(compact[:32]), int.from_bytes(compact[32:64])))
    return signed


def made_up(outpoint: Outpoint, **terms: Any) -> PayoutDocument:
    """Return a document of one version that pays one deposit, which no chain has."""
    known = {"network_id": NETWORK_ID, "chain": "devnet", "key_id": KEY_ID, "key_epoch": 1,
             "cutoff_hash": bytes(32), "window": 0, "part": 0, "fee_rate": 1}
    agreed = PayoutTerms(**{**known, **terms}, transfers=(outpoint,))
    outputs = Output(900, key_script(CUSTODY)), Output(0, data_script(agreed.commitment))
    version = UnsignedTransaction((Input(outpoint, 1000),), outputs, agreed.cutoff_height)
    return PayoutDocument(**asdict(agreed, recurse=False), versions=(version,))
