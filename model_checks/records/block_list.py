"""Suspects and blocks: silence only makes suspect, evidence blocks, only a pardon lifts a ban."""

from __future__ import annotations

from model_checks.records.record import Record

_AS_BEFORE = (
    "after(standing[p, x]) == standing[p, x] and after(block_until[p, x]) == block_until[p, x] "
    "and after(pair_banned[p, x]) == pair_banned[p, x] and after(blamed[p, x]) == blamed[p, x]"
)

BLOCK_LIST = Record(
    table="block_list",
    taken={
        "Silence": "standing[p, q] == clear and pings_missed[p, q]",
        "GoodPing": "standing[p, q] == suspect and ping_good[p, q]",
        "Block": "evidence_verified[p, q]",
        "Over": "standing[p, q] == blocked and block_over[p, q]",
        "Ban": "conduct[p, q] not in (blameless, at_fault)",
        "Blame": "conduct[p, q] in (at_fault, cheating)",
        "Pardon": "pair_banned[p, q] and fresh_transfers[p, q]",
    },
    then={
        "Silence": "after(standing[p, q]) == suspect",
        "GoodPing": "after(standing[p, q]) == clear",
        "Block": "after(standing[p, q]) == blocked and after(block_until[p, q])",
        "Over": "after(standing[p, q]) == clear",
        "Ban": "after(pair_banned[p, q]) and after(standing[p, q]) == standing[p, q]",
        "Blame": "after(blamed[p, q]) and after(standing[p, q]) == standing[p, q]",
        "Pardon": "not after(pair_banned[p, q]) and after(standing[p, q]) == standing[p, q]",
    },
    steps={
        "BlockNeedsEvidence": "implies(after(standing[p, q]) == blocked, "
        "standing[p, q] == blocked or evidence_verified[p, q])",
        "StoredOnEvidence": "implies(after(block_until[p, q]), "
        "block_until[p, q] or evidence_verified[p, q])",
        "BannedForCheating": "implies(after(pair_banned[p, q]), "
        "pair_banned[p, q] or conduct[p, q] == cheating)",
        "BanOutlastsItsTransfers": "implies(pair_banned[p, q], after(pair_banned[p, q]) "
        "or fresh_transfers[p, q])",
        "BlamedForAFault": "implies(after(blamed[p, q]), "
        "blamed[p, q] or conduct[p, q] != blameless)",
        "BlameIsKept": "implies(blamed[p, q], after(blamed[p, q]))",
        "OthersStay": f"all({_AS_BEFORE} for x in Peer if x != q)",
    },
    crash=f"all({_AS_BEFORE} for x in Peer)",
    first="all(standing[p, q] == clear and not block_until[p, q] and not pair_banned[p, q] "
    "and not blamed[p, q] for q in Peer)",
)
