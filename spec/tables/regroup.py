"""The regroup: new shares of the same key, every night, for the same holders or others.

An *epoch* is one sharing of the key: the first one comes from key generation, each later one is
made by an attempt at a regroup, and has that attempt's number. The attempts of one night all want
to follow the same epoch, and only one of them may (F-37):

1. **Prepare.** Each member of the attempt's roster gets its new share, flushes it and says so.
2. **Hand over.** When all of them said so, each holder of the epoch before steps back: from then on
   it takes no part in signing there (the fence). It shows every lock that it has, with its
   certificate, and says that it handed over.
3. **Succeed.** Then the old shares sign one thing more: the name of the epoch that follows. That is
   one event under SAFE-SIGN, so no two attempts are ever both decided, and the signature convinces
   every node that knows the public key, even one that joins later.
4. **Activate.** Members take over the locks that were handed over, then work with the new shares.
5. **Erase.** Only then does a holder erase its old share.

Until step 2 the old epoch signs on, and an attempt that fails costs nothing: it is tried again in
later rounds. A later attempt goes on without members that T holders missed (F-26), but only if
n - f >= t holds without them, too, with the same f: a member that is missed may be correct, and all
liars may remain (F-38). With t = floor(2n/3) + 1 this never holds; then the operators decide which
members stay (``quorumchange``), and meanwhile the old shares sign. No block list is asked.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Definition, Enum, Row, Table

HOLDING = Enum("Holding", ("no_share", "prepared", "active", "fenced", "erased"))

_SHARE = ("Peer", "Epoch")
CELLS = (
    Cell("holding", HOLDING, _SHARE, "no_share", "disk", "p's share of epoch h, and its use"),
    Cell("ready_said", "bool", _SHARE, "False", "network",
         "SharePrepared: p's share of h is on its disk, and every check of it held"),
    Cell("lock_shown", "bool", (*_SHARE, "Event", "Attempt", "Digest"), "False", "network",
         "LockShown: p's lock of the event, with the certificate behind it"),
    Cell("handed_over", "bool", _SHARE, "False", "network",
         "HandedOver: h may follow; p signs nothing else in the epoch before and showed its locks"),
    Cell("missed", "bool", ("Peer", "Peer", "Epoch"), "False", "network",
         "Missed: p waited in vain for q's part in attempt h"),
    Cell("follows", "bool", ("Epoch", "Epoch"), "False", "given",
         "the first epoch follows the other one, or would: its attempt was begun for that"),
    Cell("roster_has", "bool", _SHARE, "False", "given",
         "p is in h's roster: the eligible holders, less those missed by T holders in an earlier"
         " attempt of the night, where the others can bear that (F-38)"),
    Cell("share_checked", "bool", _SHARE, "False", "given",
         "the session that makes h's shares ended at p, and every check of it held"),
    Cell("overdue", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "clock: p waits too long for q's part in attempt h"),
    Cell("succession_signed", "bool", ("Epoch",), "False", "given",
         "computed: a signature of the key over h's name, as what follows the epoch before,"
         " verifies"),
    Cell("locks_taken", "bool", _SHARE, "False", "given",
         "of each event, p's lock is as new as those that T holders handed over to h"),
    Cell("locks_all_shown", "bool", _SHARE, "False", "given",
         "p has shown to the members of h each lock that it has, but for events whose payout is"
         " final on the chain (SAFE-SIGN 6), those whose id fixes the digest (requests), and those"
         " that are signed by no epoch in force"),
)

DEFINITIONS = (
    Definition("first_epoch(h: Epoch)", "not any(follows[h, g] for g in Epoch)",
               "h is what key generation made"),
    Definition("all_ready(k: Epoch)",
               "among(k, all(implies(roster_has[q, k], ready_said[q, k]) for q in Peer))",
               "every member of the attempt has its share on disk"),
    Definition("works_before(p: Peer, h: Epoch)",
               "any(follows[h, g] and holding[p, g] == active for g in Epoch)",
               "p still signs with its share of the epoch before"),
    Definition("rivals(h: Epoch, k: Epoch)",
               "h != k and any(follows[h, g] and follows[k, g] for g in Epoch)",
               "attempts of one night: they would follow the same epoch"),
    Definition("holds_epoch(p: Peer)", "any(holding[p, h] == active for h in Epoch)",
               "p has a share that is in force"),
    Definition("hands_over(p: Peer)",
               "any(holding[p, h] == fenced for h in Epoch) and not holds_epoch(p)",
               "p has stepped back, and works with no new share yet"),
    Definition("left_out(q: Peer, h: Epoch)",
               "count(p for p in Peer if missed[p, q, h]) >= T",
               "T holders missed q in attempt h, so at least one correct holder did"),
)

TABLE = Table("regroup", "holding[p, h]", "a share, from its making to its erasure", rows=(
    Row("no_share", "Found(p: Peer, h: Epoch)", "active", ("first_epoch(h)", "roster_has[p, h]"),
        why="key generation has put this share in store; it works since the key is locked in"),
    Row("no_share", "Prepare(p: Peer, h: Epoch)", "prepared",
        ("not first_epoch(h)", "roster_has[p, h]", "share_checked[p, h]"),
        {"ready_said[p, h]": "True"},
        why="the new share is on disk before anybody is told"),
    Row("prepared", "Tell(p: Peer, h: Epoch)", "same", "not first_epoch(h)",
        {"ready_said[p, h]": "True"},
        why="a peer that was away is told again"),
    Row(("no_share", "prepared"), "Miss(p: Peer, h: Epoch, q: Peer)", "same",
        ("not first_epoch(h)", "overdue[p, q, h]"), {"missed[p, q, h]": "True"},
        why="F-26: one silent member costs one attempt, not the night"),

    Row("active", "Fence(p: Peer, h: Epoch, k: Epoch)", "fenced",
        ("follows[k, h]", "all_ready(k) or succession_signed[k]"),
        why="F-24: no lock may be added to those that are handed over; F-25: no holder steps back"
            " before all members have their shares"),
    Row(("fenced", "erased"),
        "ShowLock(p: Peer, h: Epoch, k: Epoch, e: Event, a: Attempt, d: Digest)", "same",
        ("follows[k, h]", "lock[p, e] == d", "lock_attempt[p, e] == a"),
        {"lock_shown[p, k, e, a, d]": "True"},
        why="F-24: a lock goes to those who will sign next"),
    Row(("fenced", "erased"), "HandOver(p: Peer, h: Epoch, k: Epoch)", "same",
        ("follows[k, h]", "all_ready(k) or succession_signed[k]", "locks_all_shown[p, k]"),
        {"handed_over[p, k]": "True"},
        why="a holder that has handed over may sign that k succeeds; it says so again to a member"
            " that was away"),

    Row("prepared",
        "TakeOver(p: Peer, h: Epoch, q: Peer, e: Event, a: Attempt, d: Digest)", "same",
        ("lock_shown[q, h, e, a, d]", "certified(e, a, d)", "lock_attempt[p, e] < a",
         "not works_before(p, h)"),
        {"lock[p, e]": "d", "lock_attempt[p, e]": "a"},
        why="F-24: the certificate convinces a member who was not there; F-32: a holder who voted"
            " for another digest since must not release this one with its old share"),
    Row("prepared", "Activate(p: Peer, h: Epoch)", "active",
        ("succession_signed[h]", "not works_before(p, h)", "locks_taken[p, h]"),
        why="F-24, F-25: the succession is decided for all, and no lock is forgotten"),
    Row(("prepared", "active", "fenced"), "Erase(p: Peer, h: Epoch, k: Epoch)", "erased",
        ("follows[k, h]", "succession_signed[k]",
         "holding[p, k] in (active, fenced, erased) or not roster_has[p, k]"),
        why="F-25: an old share goes when the new one works"),
    Row("prepared", "Outdone(p: Peer, h: Epoch, k: Epoch)", "erased",
        ("rivals(h, k)", "succession_signed[k]"),
        why="the share of an attempt that failed signs nothing"),
))
