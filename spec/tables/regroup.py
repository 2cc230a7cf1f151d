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
liars may remain (F-38). With t = floor(2n/3) + 1 this never holds.

So a member that gets no message complains of the one that sends none, before all. Whoever is
accused shows the message to all, sealed to the one that complained, and any member passes it on. A
member that T holders saw not answering is one of the liars: the attempts go on without it, and f
falls by one (F-43). No block list is asked.

Who holds shares after a night follows from three things that every voter checks: the epoch in
force, stakes at a block that the attempt names, and statements of T holders about whom they heard
(F-44, ``metanode/protocol/reshare/night.py``). Holders whose stake is spent go, seats that are free
go to candidates that T holders heard, the oldest stake first, and a holder that T holders did not
hear for several nights is replaced, never dropped. Of what one night may change there is a limit.
Operators' ``quorumchange`` stays, and wins.
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
    Cell("attended", "bool", ("Peer", "Attempt"), "False", "network",
         "Attendance: whom p heard in the day before night n"),
    Cell("attested", "bool", ("Peer", "Attempt"), "False", "disk", "what p stated for night n"),
    Cell("night_begun", "bool", ("Attempt",), "False", "given",
         "clock: the hour of night n has passed, and no epoch was made since"),
    Cell("says_heard", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "in p's statement, which attempt h shows, q is heard, with its stake"),
    Cell("says_silent", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "in p's statement, which attempt h shows, q was not heard for so many nights that it may "
         "be replaced"),
    Cell("says_missed", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "attempt h shows p's word that it missed q in an earlier attempt to follow this epoch"),
    Cell("says_withheld", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "attempt h shows p's word that q left complaints unanswered"),
    Cell("stake_holds", "bool", _SHARE, "False", "given",
         "chain: p's stake is unspent at the block that attempt h names; that of a newcomer is 72 h"
         " old there, enough, and of a node that was not put out with it"),
    Cell("asked_for", "bool", ("Epoch",), "False", "given",
         "the operator here asks for the holders of h"),
    Cell("complained", "bool", ("Peer", "Peer", "Epoch"), "False", "network",
         "Complaint: p has not got q's part in the run of attempt h"),
    Cell("answered", "bool", ("Peer", "Peer", "Epoch"), "False", "network",
         "Answer: p shows all what q complained not to have got in attempt h"),
    Cell("opened", "bool", ("Peer", "Peer", "Epoch"), "False", "network",
         "Opened: p shows what q has sealed to it in attempt h, which is no message of the run"),
    Cell("answer_void", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "what q's answer to p in attempt h holds is no message of the run"),
    Cell("proof_shown", "bool", ("Peer", "Peer", "Epoch"), "False", "network",
         "Proven: p shows what q has signed in attempt h, and nobody may sign"),
    Cell("proof_held", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "p has a record of attempt h that convicts q before a stranger"),
    Cell("withheld", "bool", ("Peer", "Peer", "Epoch"), "False", "network",
         "Withheld: p heard members complain of q up to attempt h, and q not answering"),
    Cell("lacks", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "clock: p waits for q's message in the run of attempt h longer than one takes to come"),
    Cell("part_sent", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "p has sent what q complains of in attempt h, and can show it again"),
    Cell("unanswered", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
         "clock: in so many attempts to follow this epoch, of which h is the last, p heard a member"
         " complain of q, and q not answer until the end; or p holds a proof against q"),
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
               "any(g < h and holding[p, g] == active for g in Epoch)",
               "F-46: p still signs with a share of an earlier epoch, the one before or not"),
    Definition("rivals(h: Epoch, k: Epoch)",
               "h != k and any(follows[h, g] and follows[k, g] for g in Epoch)",
               "attempts of one night: they would follow the same epoch"),
    Definition("moved_on(p: Peer, h: Epoch)",
               "any(h < k and holding[p, k] in (active, fenced, erased) and not rivals(h, k) "
               "for k in Epoch)",
               "p has worked with a later share than that of h, or given it up; an attempt that was"
               " outdone by h does not count"),
    Definition("holds_epoch(p: Peer)", "any(holding[p, h] == active for h in Epoch)",
               "p has a share that is in force"),
    Definition("hands_over(p: Peer)",
               "any(holding[p, h] == fenced for h in Epoch) and not holds_epoch(p)",
               "p has stepped back, and works with no new share yet"),
    Definition("left_out(q: Peer, h: Epoch)",
               "count(p for p in Peer if missed[p, q, h]) >= T",
               "T holders missed q in attempt h, so at least one correct holder did"),
    Definition("present(q: Peer, h: Epoch)",
               "any(follows[h, g] and among(g, count(p for p in Peer if says_heard[p, q, h]) >= T) "
               "for g in Epoch)",
               "T holders heard q, so at least one correct holder did"),
    Definition("absent(q: Peer, h: Epoch)",
               "count(p for p in Peer if says_silent[p, q, h]) >= T",
               "T holders did not hear q for several nights; liars cannot hide its pings"),
    Definition("spoilt(q: Peer, h: Epoch)",
               "count(p for p in Peer if says_withheld[p, q, h]) >= T",
               "T holders saw q not answering complaints"),
    Definition("held_before(q: Peer, h: Epoch)",
               "any(follows[h, g] and roster_has[q, g] for g in Epoch)",
               "q is a holder of the epoch that attempt h follows"),
    Definition("may_enter(q: Peer, h: Epoch)", "stake_holds[q, h] and present(q, h)",
               "F-44: only the staked, and nobody by the word of fewer than T holders"),
    Definition("may_go(q: Peer, h: Epoch)",
               "not stake_holds[q, h] or absent(q, h) or spoilt(q, h) or "
               "count(p for p in Peer if says_missed[p, q, h]) >= T",
               "F-44: nobody loses its share by the word of fewer than T holders"),
    Definition("newcomers_fair(h: Epoch)",
               "among(h, all(implies(roster_has[q, h], held_before(q, h) or may_enter(q, h)) "
               "for q in Peer))",
               "who comes in in attempt h may do so"),
    Definition("leavers_fair(h: Epoch)",
               "all(implies(held_before(q, h) and not roster_has[q, h], may_go(q, h)) "
               "for q in Peer)",
               "who goes in attempt h may do so"),
    Definition("seats_fair(h: Epoch)",
               "asked_for[h] or newcomers_fair(h) and leavers_fair(h)",
               "statements of T holders, the chain or the operator explain the roster of h"),
)

TABLE = Table("regroup", "holding[p, h]", "a share, from its making to its erasure", rows=(
    Row("no_share", "Found(p: Peer, h: Epoch)", "active", ("first_epoch(h)", "roster_has[p, h]"),
        why="key generation has put this share in store; it works since the key is locked in"),
    Row("no_share", "Prepare(p: Peer, h: Epoch)", "prepared",
        ("not first_epoch(h)", "roster_has[p, h]", "share_checked[p, h]", "seats_fair(h)"),
        {"ready_said[p, h]": "True"},
        why="the new share is on disk before anybody is told"),
    Row("prepared", "Tell(p: Peer, h: Epoch)", "same", "not first_epoch(h)",
        {"ready_said[p, h]": "True"},
        why="a peer that was away is told again"),
    Row(("no_share", "prepared"), "Miss(p: Peer, h: Epoch, q: Peer)", "same",
        ("not first_epoch(h)", "overdue[p, q, h]"), {"missed[p, q, h]": "True"},
        why="F-26: one silent member costs one attempt, not the night"),

    Row("active", "Attest(p: Peer, h: Epoch, n: Attempt)", "same",
        ("night_begun[n]", "not attested[p, n]"),
        {"attested[p, n]": "True", "attended[p, n]": "True"},
        why="F-44: whom p heard decides about seats; one statement a night, on disk before it is"
            " sent"),
    Row("active", "AttestAgain(p: Peer, h: Epoch, n: Attempt)", "same",
        ("night_begun[n]", "attested[p, n]"), {"attended[p, n]": "True"},
        why="the same statement, for a peer that was away"),

    Row(("no_share", "prepared"), "Complain(p: Peer, h: Epoch, q: Peer)", "same",
        ("not first_epoch(h)", "lacks[p, q, h]"), {"complained[p, q, h]": "True"},
        why="F-43: a liar that hides a message from one member makes all others miss that member"),
    Row("any", "Answer(p: Peer, h: Epoch, q: Peer)", "same",
        ("not first_epoch(h)", "complained[q, p, h]", "part_sent[p, q, h]"),
        {"answered[p, q, h]": "True"},
        why="F-43: shown to all, so that nobody can say that it was not; a false complaint costs"
            " traffic"),
    Row("any", "Open(p: Peer, h: Epoch, q: Peer)", "same",
        ("not first_epoch(h)", "answered[q, p, h]", "answer_void[p, q, h]"),
        {"opened[p, q, h]": "True"},
        why="F-43: an answer that only its receiver could read would be worth nothing to others"),
    Row("any", "ShowProof(p: Peer, h: Epoch, q: Peer)", "same",
        ("not first_epoch(h)", "proof_held[p, q, h]"), {"proof_shown[p, q, h]": "True"},
        why="F-43: a wrong message stops its receiver like a hidden one, and convicts its sender"),
    Row(("no_share", "prepared"), "Accuse(p: Peer, h: Epoch, q: Peer)", "same",
        ("not first_epoch(h)", "unanswered[p, q, h]"), {"withheld[p, q, h]": "True"},
        why="F-43: who spoils a dealing is named, and out in the same night"),

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
         "not works_before(p, h)", "not moved_on(p, h)"),
        {"lock[p, e]": "d", "lock_attempt[p, e]": "a"},
        why="F-24: the certificate convinces a member who was not there; F-32, F-46: a holder who"
            " voted for another digest since must not release this one with another share"),
    Row("prepared", "Activate(p: Peer, h: Epoch)", "active",
        ("succession_signed[h]", "not works_before(p, h)", "not moved_on(p, h)",
         "locks_taken[p, h]"),
        why="F-24, F-25: the succession is decided for all, and no lock is forgotten; F-46: nobody"
            " goes back to an older share"),
    Row(("prepared", "active", "fenced"), "Erase(p: Peer, h: Epoch, k: Epoch)", "erased",
        ("follows[k, h]", "succession_signed[k]",
         "holding[p, k] in (active, fenced, erased) or not roster_has[p, k]"),
        why="F-25: an old share goes when the new one works"),
    Row("prepared", "Outdone(p: Peer, h: Epoch, k: Epoch)", "erased",
        ("rivals(h, k)", "succession_signed[k]"),
        why="the share of an attempt that failed signs nothing"),
))
