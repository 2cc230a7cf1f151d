"""What a node says of itself to its operator: plain values, no secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metanode.custody.payout import custody_address
from metanode.protocol.keys.epoch import KeyEpoch

if TYPE_CHECKING:  # the node imports this module
    from metanode.protocol.node import NodeCore


def report_of(core: NodeCore) -> dict[str, Any]:
    """Return a node's state: phase, peers, key, payouts, swaps, and how far its chain goes."""
    ctx, key, tip = core.ctx, core.ctx.key, core.ledger.tip
    swaps = [
        {"swap": swap.hex(), "state": state}
        for (_, swap), state in ctx.tables.view.entries("swap")
        if isinstance(swap, bytes)
    ]
    return {
        "node_id": ctx.me.hex(),
        "phase": core.rounds.phase(),
        "round": ctx.round_number(),
        "links": sorted(peer.hex() for peer in ctx.links),
        "peers": core.pings.report(),
        "key": None if key is None else _key(key, ctx.settings.hrp),
        "regroup": core.regroups.report(),
        "keys": core.keygen.status(),
        "payouts": core.settlement.report(),
        "swaps": swaps,
        "chain": None if tip is None else {"height": tip[0], "block": tip[1].hex()},
    }


def _key(key: KeyEpoch, hrp: str) -> dict[str, Any]:
    return {
        "slot": key.slot,
        "epoch": key.number,
        "key_id": key.key_id.hex(),
        "public_key": key.public_key.hex(),
        "custody_address": custody_address(key.public_key, hrp),
        "threshold": key.threshold,
        "byzantine": key.byzantine,
        "roster": [member.hex() for member in key.roster],
        "holds_share": key.keyshare is not None,
    }
