"""A status as a node of a network of four gives it, for what reads one."""

from __future__ import annotations

import copy
from typing import Any

IDS = tuple(f"02{number:02x}" * 2 + "ab" * 29 for number in range(1, 5))
ME = IDS[0]
DEPOSIT = "cd" * 32 + ":0"
PAID = "ef" * 32 + ":1"
STARTED = 1_800_000_000.0


def peer(node_id: str, **changes: Any) -> dict[str, Any]:
    """Return a peer of the list."""
    return {
        "node_id": node_id, "listing": "listed", "phase": "Idle", "health": "ok",
        "standing": "clear", "stake": "ab" * 32 + ":0", "last_ping_s": 0.4,
        "linked": node_id != ME, "self": node_id == ME, "weight": 2_000_000, "online": True,
        "principal": True, **changes,
    }


_STATUS: dict[str, Any] = {
    "node_id": ME, "phase": "Idle", "round": 300_000_000,
    "periods": {"round_s": 6, "keygen_slot_s": 6, "regroup_s": 12},
    "links": list(IDS[1:]),
    "stake": {"outpoint": "ab" * 32 + ":0", "amount": 2_000_000, "height": 113, "spent_at": None,
              "state": "good"},
    "peers": [peer(node_id) for node_id in IDS],
    "health": "ok", "weight": {"online_percent": 100.0, "minimum_percent": 67.0, "known": True},
    "key": {
        "slot": 1, "epoch": 1, "key_id": "11" * 32, "public_key": "02" + "33" * 32,
        "custody_address": "bcrt1qskjmhf84znsw7s2wyv3jgu35ackytl63cuyzgz", "threshold": 3,
        "byzantine": 1, "roster": list(IDS), "holds_share": True,
    },
    "regroup": {"due": False, "drafts": [], "missed": {}, "withheld": {}, "night": None,
                "statements": 0, "candidates": [], "barred": []},
    "keys": {"1": "locked_in"}, "keygen": {"mode": "clock", "until": 1, "members": 4},
    "payouts": [{
        "event": "aa" * 32, "txid": "bb" * 32, "version": 0, "versions": 3, "state": "COMPLETED",
        "digest": "cc" * 32, "signers": list(IDS[:3]), "transfers": [PAID], "inputs": 2,
        "outputs": 7, "reason": "",
    }],
    "sightings": [],
    "deposits": [{"outpoint": DEPOSIT, "amount": 3_000_000, "height": 150, "waits_for": "round",
                  "reason": "it is in line for one of the next rounds"}],
    "swaps": [], "chain": {"height": 151, "block": "dd" * 32}, "chain_fault": None,
    "port": 7000, "started": STARTED, "uptime_s": 20, "frames_in": 10, "frames_out": 12,
    "refused": {"duplicate": 2}, "address": {}, "names": {}, "exclusions": [], "blocked": [],
    "endpoints": {"known": 3, "reached": 3, "added": []}, "trace": {"seq": 9, "hash": "ee" * 32},
    "recent": [{"at": STARTED + 1, "event": "node.started", "has_key": True}],
}


def status(**changes: Any) -> dict[str, Any]:
    """Return the status of a node that is well, with some members changed."""
    return {**copy.deepcopy(_STATUS), **changes}
