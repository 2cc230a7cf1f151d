"""What a node has heard from one peer in one round, from its first proposal to its signing set.

The hash checked is ``SHA-512/256(document)`` against our own, and the second one binds the peer's
id to the document, with lengths and a tag; the share proof is bound to peer, key epoch and round.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Definition, Enum, Opt, Row, Table

HEARD = Enum("Heard", ("silent", "heard_proposal", "accepted", "in_view", "equivocated"))

CELLS = (
    Cell("heard", HEARD, ("Peer", "Peer", "Attempt"), "silent", "memory",
         "q's part in round r, at p"),
    Cell("proposal_of", Opt("Digest"), ("Peer", "Peer", "Attempt"), "none", "memory",
         "the document that q proposed first"),
    Cell("id_hash_matches", "bool", ("Peer", "Peer", "Attempt"), "False", "given",
         "computed: the second hash is that of q's id and our document"),
    Cell("share_proof_valid", "bool", ("Peer", "Peer", "Attempt"), "False", "given",
         "computed: q knows its share, proved for this peer, epoch and round"),
    Cell("set_large_enough", "bool", ("Peer", "Peer", "Attempt"), "False", "given",
         "q's signing set has at least T distinct holders, q among them"),
)

DEFINITIONS = (
    Definition("holds_with(p: Peer, q: Peer)",
               "any(holding[p, h] == active and roster_has[q, h] for h in Epoch)",
               "p and q hold shares of the epoch in force"),
)

TABLE = Table("round", "heard[p, q, r]", "proposals and signing sets of one round", rows=(
    Row("silent", "Hear(p: Peer, q: Peer, r: Attempt, d: Digest)", "heard_proposal",
        "holds_with(p, q)", {"proposal_of[p, q, r]": "d"},
        why="p keeps it even if it differs from p's own, so that a second one is noticed (F-05)"),
    Row("heard_proposal", "Accept(p: Peer, q: Peer, r: Attempt, d: Digest)", "accepted",
        ("proposal_of[p, q, r] == d", "proposed[p, r, d]", "id_hash_matches[p, q, r]",
         "share_proof_valid[p, q, r]", "not pair_banned[p, q]"),
        why="m[0] equals ours, m[1] recomputes, the proof verifies and is not a copy (F-10, F-11);"
            " p never signs with a peer that it has banned"),
    Row("accepted", "HearSet(p: Peer, q: Peer, r: Attempt)", "in_view",
        "set_large_enough[p, q, r]",
        why="sets that do not meet the threshold are ignored"),
    Row(("silent", "heard_proposal", "accepted", "in_view"),
        "Equivocate(p: Peer, q: Peer, r: Attempt)", "equivocated", "evidence_verified[p, q]",
        why="two signed bodies are evidence; q counts nowhere for the rest of the round"),
))
