"""A peer as one node sees it: from its pings and from the stake that the chain shows.

Peer lists are cleared at each round boundary and rebuilt from pings.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

LISTING = Enum("Listing", ("unlisted", "checking", "listed", "refused", "missing"))

_PAIR = ("Peer", "Peer")
CELLS = (
    Cell("listing", LISTING, _PAIR, "unlisted", "memory", "q in p's peer list"),
    Cell("ping_fresh", "bool", _PAIR, "False", "given",
         "a new sequence number, and a time near p's own"),
    Cell("ping_proof_valid", "bool", _PAIR, "False", "given",
         "the share proof verifies where q holds a share; none is asked of others"),
    Cell("stake_unspent", "bool", _PAIR, "False", "given", "chain: the output was never moved"),
    Cell("stake_enough", "bool", _PAIR, "False", "given", "chain: at least the minimum"),
    Cell("stake_aged", "bool", _PAIR, "False", "given", "chain: 72 h between the median times"),
    Cell("stake_owned", "bool", _PAIR, "False", "given",
         "chain: paid to q's own node id, so that no other peer can present it (F-13)"),
    Cell("pings_missed", "bool", _PAIR, "False", "given", "clock: too many silent ping periods"),
)

_PING = "Ping(p: Peer, q: Peer)"
_GOOD_PING = ("ping_fresh[p, q]", "ping_proof_valid[p, q]")
_GOOD_STAKE = ("stake_unspent[p, q]", "stake_enough[p, q]", "stake_aged[p, q]", "stake_owned[p, q]")

TABLE = Table("ping", "listing[p, q]", "the peer list of a node", rows=(
    Row(("unlisted", "refused"), _PING, "checking", _GOOD_PING,
        why="a valid ping makes p ask the chain about q's stake"),
    Row("checking", _PING, "same", _GOOD_PING, why="the chain has not answered yet"),
    Row("checking", "Stake(p: Peer, q: Peer)", "listed", _GOOD_STAKE,
        why="unspent, enough, 72 h old and made out to q"),
    Row("checking", "Stake(p: Peer, q: Peer)", "refused",
        f"not ({' and '.join(_GOOD_STAKE)})",
        why="no stake, no place in the list; a later ping asks again"),
    Row("listed", _PING, "same", _GOOD_PING, why="alive"),
    Row("listed", "Silence(p: Peer, q: Peer)", "missing", "pings_missed[p, q]",
        why="F-09: a silent peer is missing, not guilty"),
    Row("missing", _PING, "listed", _GOOD_PING, why="one good ping clears it"),
    Row("any", "Boundary(p: Peer, q: Peer)", "unlisted",
        why="peer lists are cleared at each round boundary, so that no old entry lives on"),
))
