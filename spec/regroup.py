"""The nightly regroup: new shares of the same key, for the same holders or others.

**The node does not run this table yet.** It is assembled beside the protocol (``REGROUP``), so that
the rules are checked before the sessions that make new shares are built on them. Its messages are
not on the wire yet: a network cell says here what its message will be.

An *epoch* is one sharing of the key: the first one comes from key generation, each later one would
be made by an attempt at a regroup. The attempts of one night all want to follow the same epoch, and
only one of them may (F-37):

1. **Prepare.** Each member of the attempt's roster gets its new share, flushes it and says so.
2. **Hand over.** When all of them said so, the holders of the epoch before sign that this attempt
   succeeds theirs. From then on they take no part in signing there (the fence), and they show every
   lock that they have, with its certificate. T such statements for one attempt decide; it is one
   event under SAFE-SIGN, so no two attempts are ever both decided.
3. **Activate.** Members take over the locks that were handed over, then work with the new shares.
4. **Erase.** Only then does a holder erase its old share.

Until step 2 the old epoch signs on, and an attempt that fails costs nothing: a later attempt of the
same night goes on without who is shown guilty by evidence, or was missed by T holders (F-26). No
block list is asked.

Leaving somebody out has a price. With t = floor(2n/3) + 1 all members that are left are needed for
n - f >= t, so who is left out counts as one of the f: if it was correct and only cut off, and a
liar stays, the liar is one of the t that are needed to sign.
"""

from __future__ import annotations

from spec.assembly import assemble
from spec.language import Cell, Definition, Enum, Row, Sort, Table
from spec.protocol import PROTOCOL

EPOCH = Sort("Epoch", "one sharing of the key; what an attempt at a regroup makes", ordered=True)
HOLDING = Enum("Holding", ("no_share", "prepared", "active", "fenced", "erased"))

_SHARE = ("Peer", "Epoch")
CELLS = (
    Cell("holding", HOLDING, _SHARE, "no_share", "disk", "p's share of epoch h, and its use"),
    Cell("ready_said", "bool", _SHARE, "False", "network",
         "Ready: p's share of h is on its disk, and every check of it held"),
    Cell("lock_shown", "bool", (*_SHARE, "Event", "Attempt", "Digest"), "False", "network",
         "a part of HandOver: p's lock of the event, with the certificate behind it"),
    Cell("handed_over", "bool", _SHARE, "False", "network",
         "HandOver: h follows; p signs nothing in the epoch before any more, and showed its locks"),
    Cell("missed", "bool", ("Peer", "Peer", "Epoch"), "False", "network",
         "Missed: p waited in vain for q's part in attempt h"),
    Cell("first_epoch", "bool", ("Epoch",), "False", "given", "h is what key generation made"),
    Cell("follows", "bool", ("Epoch", "Epoch"), "False", "given",
         "the first one would follow the other, or does: what its attempt was begun for"),
    Cell("roster_has", "bool", _SHARE, "False", "given",
         "p is in h's roster: the eligible holders, less those left out by evidence, or missed by T"
         " holders, in an earlier attempt of the night"),
    Cell("share_checked", "bool", _SHARE, "False", "given",
         "the session that makes h's shares ended at p, and every check of it held"),
    Cell("overdue", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "clock: p waits too long for q's part in attempt h"),
    Cell("succession", "bool", ("Epoch",), "False", "given",
         "certificate: T holders of the epoch before handed over to h; SAFE-SIGN: to no other one"),
    Cell("locks_taken", "bool", _SHARE, "False", "given",
         "of each event, p's lock is as new as those that T holders handed over to h"),
)

DEFINITIONS = (
    Definition("all_ready(k: Epoch)",
               "all(implies(roster_has[q, k], ready_said[q, k]) for q in Peer)",
               "every member of the attempt has its share on disk"),
    Definition("works_before(p: Peer, h: Epoch)",
               "any(follows[h, g] and holding[p, g] == active for g in Epoch)",
               "p still signs with its share of the epoch before"),
    Definition("rivals(h: Epoch, k: Epoch)",
               "h != k and any(follows[h, g] and follows[k, g] for g in Epoch)",
               "attempts of one night: they would follow the same epoch"),
    Definition("left_out(q: Peer, h: Epoch)",
               "count(p for p in Peer if missed[p, q, h]) >= T",
               "so many missed q in attempt h that a correct one of them did"),
)

_ALL_SHOWN = (
    "all(implies(lock[p, e] == d and lock_attempt[p, e] == a, lock_shown[p, k, e, a, d]) "
    "for e in Event for a in Attempt for d in Digest)"
)

TABLE = Table("regroup", "holding[p, h]", "a share, from its making to its erasure", rows=(
    Row("no_share", "Found(p: Peer, h: Epoch)", "active", ("first_epoch[h]", "roster_has[p, h]"),
        why="key generation has put this share in store; it works since the key is locked in"),
    Row("no_share", "Prepare(p: Peer, h: Epoch)", "prepared",
        ("not first_epoch[h]", "roster_has[p, h]", "share_checked[p, h]"),
        {"ready_said[p, h]": "True"},
        why="the new share is on disk before anybody is told"),
    Row(("no_share", "prepared"), "Miss(p: Peer, h: Epoch, q: Peer)", "same",
        ("not first_epoch[h]", "overdue[p, q, h]"), {"missed[p, q, h]": "True"},
        why="F-26: one silent member costs one attempt, not the night"),

    Row("active", "Fence(p: Peer, h: Epoch, k: Epoch)", "fenced", ("follows[k, h]", "all_ready(k)"),
        why="F-24: what is handed over must not grow; F-25: no step back before all have shares"),
    Row("fenced", "ShowLock(p: Peer, h: Epoch, k: Epoch, e: Event, a: Attempt, d: Digest)", "same",
        ("follows[k, h]", "lock[p, e] == d", "lock_attempt[p, e] == a"),
        {"lock_shown[p, k, e, a, d]": "True"},
        why="F-24: a lock goes to those who will sign next"),
    Row("fenced", "HandOver(p: Peer, h: Epoch, k: Epoch)", "same",
        ("follows[k, h]", "all_ready(k)", _ALL_SHOWN), {"handed_over[p, k]": "True"},
        why="a vote for the attempt that succeeds; who is fenced may vote for a later one, too"),

    Row("prepared",
        "TakeOver(p: Peer, h: Epoch, q: Peer, e: Event, a: Attempt, d: Digest)", "same",
        ("lock_shown[q, h, e, a, d]", "certified(e, a, d)", "lock_attempt[p, e] < a",
         "not works_before(p, h)"),
        {"lock[p, e]": "d", "lock_attempt[p, e]": "a"},
        why="F-24: the certificate convinces a member who was not there; F-32: a holder who voted"
            " for another digest since must not release this one with its old share"),
    Row("prepared", "Activate(p: Peer, h: Epoch)", "active",
        ("succession[h]", "not works_before(p, h)", "locks_taken[p, h]"),
        why="F-24, F-25: decided for all, and nothing that was locked is forgotten"),
    Row(("prepared", "active", "fenced"), "Erase(p: Peer, h: Epoch, k: Epoch)", "erased",
        ("follows[k, h]", "succession[k]",
         "holding[p, k] in (active, fenced, erased) or not roster_has[p, k]"),
        why="F-25: an old share goes when the new one works"),
    Row("prepared", "Outdone(p: Peer, h: Epoch, k: Epoch)", "erased",
        ("rivals(h, k)", "succession[k]"),
        why="the share of an attempt that failed signs nothing"),
))

REGROUP = assemble(
    sorts=(*PROTOCOL.names.sorts.values(), EPOCH),
    cells=(*PROTOCOL.cells.values(), *CELLS),
    tables=(*(machine.table for machine in PROTOCOL.machines.values()), TABLE),
    definitions=(*PROTOCOL.names.definitions.values(), *DEFINITIONS),
    constants=PROTOCOL.names.constants,
)
"""The protocol with the regroup beside it."""
