"""SAFE-SIGN: the cells and the formulas that keep one event from being signed twice.

1. 2t − n > f and n − f ≥ t, checked by ``spec.parameters.quorum_fault`` before a node starts.
2. Votes, lock and released digests are kept on disk, flushed before anything is sent, never swept.
3. At most one signed vote per (event, attempt). t equal votes are a certificate. Only with a
   certificate does a node lock and release.
4. Locked on d at attempt a: a vote for another digest needs a certificate for it from an attempt
   between a and the current one. (4b) A vote for another digest in a later attempt is a promise:
   from then on no earlier attempt locks any more (F-32).
5. The release point is the first signing message that leaves the node.
6. Whatever pays a deposit spends it, and every deposit belongs to one window of blocks. The payouts
   of a window are signed one after the other, each without the deposits of those before. So of all
   signatures that pay one deposit at most one can take effect.

The rules stand as guards in ``session.py``, ``peer.py`` and ``event.py``; they share what is below.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Definition, Enum, Opt

KIND = Enum("EventKind", ("unknown_kind", "payout", "sign", "key_request", "keygen", "lock_in",
                          "regroup", "succession"))

CELLS = (
    Cell("voted", Opt("Digest"), ("Peer", "Event", "Attempt"), "none", "disk",
         "the digest that p signed a vote for in this attempt"),
    Cell("vote", "bool", ("Peer", "Event", "Attempt", "Digest"), "False", "network",
         "the signed vote itself: the checksum of a round, the ACK of a set-up"),
    Cell("lock", Opt("Digest"), ("Peer", "Event"), "none", "disk",
         "the digest that p may release a share for; written with its certificate and document"),
    Cell("lock_attempt", Opt("Attempt"), ("Peer", "Event"), "none", "disk",
         "the attempt of the certificate behind the lock"),
    Cell("released", "bool", ("Peer", "Event", "Digest"), "False", "disk",
         "the first signing message for this digest left p, or was about to"),
    Cell("released_in", "bool", ("Peer", "Event", "Attempt", "Digest"), "False", "ghost",
         "p released its share for d in attempt a: only shares of one attempt make a signature"),
    Cell("share", "bool", ("Peer", "Instance"), "False", "network",
         "Release: the first signing messages of p in this run are out"),
    Cell("instance_used", "bool", ("Peer", "Instance"), "False", "disk",
         "p has taken part in this run; a run is never entered twice"),
    Cell("kind", KIND, ("Event",), "unknown_kind", "given",
         "what e is about, as p has derived it from the chain, the clock or an operator's request"),
    Cell("epoch_signs", "bool", ("Epoch", "Event", "Attempt"), "False", "given",
         "attempt a of e is signed with the shares of epoch h: it stands in the votes"),
)

DEFINITIONS = (
    Definition("certified(e: Event, a: Attempt, d: Digest)",
               "among(e, a, count(q for q in Peer if vote[q, e, a, d]) >= T)",
               "t equal signed votes: anyone who holds them can show them to anyone; holders and t"
               " are those of the epoch that signs this attempt (F-19)"),
    Definition("needs_all(e: Event)", "kind[e] in (keygen, regroup)",
               "where shares are made every member takes part, so every member's vote is needed"),
    Definition("without_epoch(e: Event)", "kind[e] in (keygen, lock_in, regroup, succession)",
               "e makes shares or hands them over; everything else is signed by an epoch in force"),
    Definition("enough_votes(e: Event, a: Attempt, d: Digest)",
               "certified(e, a, d) and implies(needs_all(e), "
               "among(e, a, all(vote[q, e, a, d] for q in Peer)))",
               "a certificate; where all members take part, it has the votes of all of them"),
    Definition("first_vote(p: Peer, e: Event, a: Attempt, d: Digest)",
               "voted[p, e, a] in (none, d)",
               "SAFE-SIGN 3: one digest per attempt"),
    Definition("lock_permits(p: Peer, e: Event, a: Attempt, d: Digest)",
               "lock[p, e] in (none, d) or "
               "any(lock_attempt[p, e] < b and b < a and certified(e, b, d) for b in Attempt)",
               "SAFE-SIGN 4: the lock, or a newer certificate that overrides it"),
    Definition("share_in_force(p: Peer, e: Event, a: Attempt)",
               "without_epoch(e) or "
               "any(epoch_signs[h, e, a] and holding[p, h] == active for h in Epoch)",
               "F-24: p signs only after it took over the locks, and only until it hands them"
               " over"),
    Definition("works(p: Peer, e: Event, a: Attempt)",
               "share_in_force(p, e, a) and not renounced[p, e]",
               "p takes part in e; F-16: it never again takes part in an event that it has"
               " renounced"),
    Definition("may_lock(p: Peer, e: Event, a: Attempt, d: Digest)",
               "enough_votes(e, a, d) and lock_attempt[p, e] < a "
               "and not any(a < b and voted[p, e, b] not in (none, d) for b in Attempt)",
               "SAFE-SIGN 3: only a certificate locks, locks only move forward, and a vote for "
               "another digest in a higher attempt is a promise that no lower one locks any more"),
)
