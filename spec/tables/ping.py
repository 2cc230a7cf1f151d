"""A peer as one node sees it: from its pings and from the stake that the chain shows.

Peer lists are cleared at each round boundary and rebuilt from pings.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

STAKE = Enum("StakeVerdict", ("stake_unconfirmed", "stake_spent", "stake_short", "stake_young",
                             "stake_foreign", "stake_good"))
LISTING = Enum("Listing", ("unlisted", "checking", "listed", "refused", "missing"))

_PAIR = ("Peer", "Peer")
CELLS = (
    Cell("listing", LISTING, _PAIR, "unlisted", "memory", "q in p's peer list"),
    Cell("ping_good", "bool", _PAIR, "False", "given",
         "the ping at hand has a new sequence number and a time near p's own; the share proof of a"
         " holder of the epoch in force is there and verifies; no other peer needs one"),
    Cell("stake", STAKE, _PAIR, "stake_unconfirmed", "given",
         "chain: q's stake was moved; is less than the minimum; is younger than 72 h between the"
         " median times; was not paid to q's own node id, so that another peer could present it"
         " (F-13); is not confirmed; or is good"),
    Cell("pings_missed", "bool", _PAIR, "False", "given", "clock: too many silent ping periods"),
)

_PING = "Ping(p: Peer, q: Peer)"

TABLE = Table("ping", "listing[p, q]", "the peer list of a node", rows=(
    Row(("unlisted", "refused"), _PING, "checking", "ping_good[p, q]",
        why="a valid ping makes p ask the chain about q's stake"),
    Row("checking", _PING, "same", "ping_good[p, q]", why="the chain has not answered yet"),
    Row("checking", "Stake(p: Peer, q: Peer)", "listed", "stake[p, q] == stake_good",
        why="unspent, enough, 72 h old and made out to q"),
    Row("checking", "Stake(p: Peer, q: Peer)", "refused",
        "stake[p, q] != stake_good",
        why="a peer without a good stake has no place in the list; a later ping asks again"),
    Row("listed", _PING, "same", "ping_good[p, q]", why="alive"),
    Row(("listed", "missing"), "Stake(p: Peer, q: Peer)", "same", "stake[p, q] == stake_good",
        why="asked again while the list stays: the stake still holds"),
    Row(("listed", "missing"), "Stake(p: Peer, q: Peer)", "refused", "stake[p, q] != stake_good",
        why="a stake that is gone takes its peer out of the list, before there is a key too"),
    Row("listed", "Silence(p: Peer, q: Peer)", "missing", "pings_missed[p, q]",
        why="F-09: a silent peer is missing, not guilty"),
    Row("missing", _PING, "listed", "ping_good[p, q]", why="one good ping clears it"),
    Row("any", "Boundary(p: Peer, q: Peer)", "unlisted",
        why="peer lists are cleared at each round boundary, so that no old entry lives on"),
))
