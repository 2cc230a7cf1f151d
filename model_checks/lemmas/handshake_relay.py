"""Why nobody is taken for a correct peer, for every number of peers, liars and links: F-28.

A correct peer signs one proof a link, after the hello that it answered, and what it signed never
changes. A proof that names the keys of both ends was made for this very channel.
"""

from __future__ import annotations

from model_checks.system import Property

_EACH = "for p in Peer for l in Link"
_CORRECT = "not faulty[p] and at(p, l)"

LEMMAS = (
    Property(
        "ReadyWasProved",
        f"all(implies({_CORRECT} and ready_sent[p, l], link_proved[p, l]) {_EACH})",
        "lemma",
        "a correct peer is ready when the other end has proved itself",
    ),
    Property(
        "ProvedIsAtTheOtherEnd",
        "all(implies(not faulty[p] and not faulty[q] and link_proved[p, l] and "
        "other_end[p, l] == q, joined(p, q, l) and other_end[q, l] == p and proof_sent[q, l]) "
        "for p in Peer for q in Peer for l in Link)",
        "lemma",
        "the proof that held was made for this channel",
    ),
    Property(
        "UpIsProved",
        f"all(implies(link[p, l] == established, link_proved[p, l] and {_CORRECT}) {_EACH})",
        "lemma",
        "only rows establish, and they run at a correct peer's own ends",
    ),
    Property(
        "UpSaidHello",
        f"all(implies(link[p, l] != closed, {_CORRECT} and hello_sent[p, l]) {_EACH})",
        "lemma",
        "a link that was closed is never opened again",
    ),
    Property(
        "CorrectChannel",
        "all(implies(joined(p, q, l) and not faulty[p] and not faulty[q], "
        "passed_of[l] == none and passed_at[l] == none) "
        "for p in Peer for q in Peer for l in Link)",
        "lemma",
        "between correct peers no liar has a say",
    ),
    Property(
        "AnsweredOnce",
        f"all(implies({_CORRECT} and (link_proved[p, l] or other_end[p, l] != none), "
        "other_end[p, l] != none and proof_sent[p, l] and hello_sent[p, l] and "
        f"link[p, l] != connected) {_EACH})",
        "lemma",
        "one hello is answered a link, and what was answered stays",
    ),
)
