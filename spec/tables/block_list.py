"""The peers that a node refuses to talk to. Blocks affect dialling and pings, never a quorum.

A block needs verified evidence: two conflicting messages signed by the same peer, or a failed check
that only the sender can have caused. Silence makes a peer suspect, and one good ping clears it.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

CONDUCT = Enum("Conduct", ("blameless", "at_fault", "cheating"))
STANDING = Enum("Standing", ("clear", "suspect", "blocked"))

_PAIR = ("Peer", "Peer")
CELLS = (
    Cell("standing", STANDING, _PAIR, "clear", "disk", "how q stands with p"),
    Cell("block_until", "bool", _PAIR, "False", "disk",
         "the evidence and the hour at which the block ends are in p's store"),
    Cell("pair_banned", "bool", _PAIR, "False", "disk",
         "q failed a check of the pair's oblivious transfers: never sign with q on these again"),
    Cell("blamed", "bool", _PAIR, "False", "disk",
         "records of what q did in runs with p are in p's store"),
    Cell("evidence_verified", "bool", _PAIR, "False", "given",
         "the evidence convinces a third party"),
    Cell("block_over", "bool", _PAIR, "False", "given", "clock: the hour of the entry has passed"),
    Cell("conduct", CONDUCT, _PAIR, "blameless", "given",
         "q in the run of p that has just ended: at_fault if a check failed that q alone can have"
         " made fail; cheating if that was a consistency check of the multiplication, where an"
         " accepted guess would leak a secret"),
    Cell("fresh_transfers", "bool", _PAIR, "False", "given",
         "the shares in force, with the pair's base transfers, were made after the ban"),
)

_BLOCK = "Block(p: Peer, q: Peer)"
_KEEP = {"block_until[p, q]": "True"}

TABLE = Table("block_list", "standing[p, q]", "suspects and blocks", rows=(
    Row("clear", "Silence(p: Peer, q: Peer)", "suspect", "pings_missed[p, q]",
        why="a suspect is dialled less often and is still welcome"),
    Row("suspect", "GoodPing(p: Peer, q: Peer)", "clear", "ping_good[p, q]",
        why="F-09: a short partition must not become an outage of days"),
    Row(("clear", "suspect"), _BLOCK, "blocked", "evidence_verified[p, q]", _KEEP,
        why="a peer is blocked for 72 h, and on evidence alone"),
    Row("blocked", _BLOCK, "same", "evidence_verified[p, q]", _KEEP,
        why="new evidence extends the entry"),
    Row("blocked", "Over(p: Peer, q: Peer)", "clear", "block_over[p, q]",
        why="the entry runs out"),
    Row("any", "Ban(p: Peer, q: Peer)", "same", "conduct[p, q] == cheating",
        {"pair_banned[p, q]": "True"},
        why="q may have learned one bit by guessing: p signs with it only after fresh base"
            " transfers"),
    Row("any", "Blame(p: Peer, q: Peer)", "same", "conduct[p, q] != blameless",
        {"blamed[p, q]": "True"},
        why="the record of what q did survives a restart and can be shown to others"),
    Row("any", "Pardon(p: Peer, q: Peer)", "same",
        ("pair_banned[p, q]", "fresh_transfers[p, q]"),
        {"pair_banned[p, q]": "False"},
        why="fresh transfers make the guessed bit worthless; whether p signs with q again is its"
            " operator's decision"),
))
