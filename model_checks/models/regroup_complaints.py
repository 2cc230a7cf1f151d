"""A night in which liars hide messages of a dealing from some members (F-43).

A liar deals to whom it likes, and answers complaints with what it likes, or not at all. A member
that lacks a message cannot go on, and all others lack its next one. The attempt ends when the
network is calm: what correct members have to say is said and heard. Liars say of everybody that it
withheld its part; they cannot open what is no rubbish.

It is one attempt after which T holders go on without those that they name, where a node waits for
several: what holds of one holds of each. If nobody is starved, all have their shares.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import Case, Counts, Model, quorum
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_ROWS = ("Complain", "Answer", "Open", "ShowProof", "Accuse")
_OPEN = "complained[c, q, h] and not (answered[q, c, h] and not opened[c, q, h])"
_EXCUSE = "complained[q, x, h] and not (answered[x, q, h] and not opened[q, x, h])"

NETWORK = Network(
    name="regroup_complaints",
    doc="one liar starves members of messages; complaints name it, and the night goes on",
    rows=tuple(("regroup", event) for event in _ROWS),
    untracked=("regroup",),
    crash=False,  # who crashes amid a dealing is one of the F
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),
        Cell("dealt", "bool", ("Peer", "Peer", "Epoch"), "False", "given",
             "liar q has sent p what it has to in attempt h"),
        Cell("over", "bool", ("Epoch",), "False", "given", "the attempt has come to nothing"),
    ),
    rigid=("faulty",),
    assume=("count(p for p in Peer if faulty[p]) <= F",),
    given={
        "follows[k, h]": "h < k and not any(i < h for i in Epoch)",
        "says_withheld[p, q, h]": "faulty[p] or withheld[p, q, h]",
        "roster_has[p, h]": "True",
        "lacks[p, q, h]": "begun(h) and not over[h] and roster_has[p, h] and roster_has[q, h] and "
        "(faulty[q] and not dealt[q, p, h] or not faulty[q] and p != q and stuck(q, h))",
        "part_sent[p, q, h]": "faulty[q] or not stuck(p, h)",
        "answer_void[p, q, h]": "faulty[q] and not dealt[q, p, h]",
        "proof_held[p, q, h]": "False",
        "unanswered[p, q, h]": "over[h] and open_against(q, h)",
    },
    definitions=(
        Definition(
            "stuck(p: Peer, h: Epoch)",
            "any(faulty[x] and roster_has[x, h] and not dealt[x, p, h] for x in Peer)",
            "p lacks a liar's message",
        ),
        Definition(
            "begun(h: Epoch)",
            "not first_epoch(h)",
            "it is the attempt",
        ),
        Definition(
            "open_against(q: Peer, h: Epoch)",
            f"any({_OPEN} for c in Peer) and not any({_EXCUSE} for x in Peer)",
            "a complaint of q is open, and q has none of its own, of an earlier stage",
        ),
        Definition(
            "calm(h: Epoch)",
            "all(implies(lacks[p, q, h], complained[p, q, h]) and "
            "implies(complained[q, p, h] and part_sent[p, q, h], answered[p, q, h]) and "
            "implies(answered[q, p, h] and answer_void[p, q, h], opened[p, q, h]) "
            "for p in Peer for q in Peer if not faulty[p])",
            "what correct members have to say is said",
        ),
    ),
    moves=(
        Move("Deal(q: Peer, p: Peer, h: Epoch)",
             ("faulty[q]", "not faulty[p]", "begun(h)", "not over[h]"),
             {"dealt[q, p, h]": "True"}, "a liar sends a member what it has to"),
        Move("LieAnswer(q: Peer, p: Peer, h: Epoch)",
             ("faulty[q]", "complained[p, q, h]", "not over[h]"),
             {"answered[q, p, h]": "True"}, "before all, something that only p can read"),
        Move("End(h: Epoch)", ("begun(h)", "calm(h)", "not over[h]"), {"over[h]": "True"},
             "the attempt's time is over"),
    ),
    properties=(
        Property(
            "OnlyLiarsAreOut",
            "all(implies(spoilt(q, h), faulty[q]) for q in Peer for h in Epoch)",
            doc="whoever the others go on without is one of the F",
        ),
        Property(
            "NoFalseWord",
            "all(implies(withheld[p, q, h] and not faulty[p], faulty[q]) "
            "for p in Peer for q in Peer for h in Epoch)",
            doc="a correct member accuses liars alone",
        ),
        Property(
            "StarvedIsNamed",
            "all(implies(over[h] and any(not faulty[p] and stuck(p, h) for p in Peer), "
            "any(faulty[q] and open_against(q, h) for q in Peer)) for h in Epoch)",
            doc="an attempt that ends with a starved member names a liar, so no liar has a veto",
        ),
        Property(
            "WithoutTheLiar",
            "any(spoilt(q, h) for q in Peer for h in Epoch)",
            "reachable",
            "T holders name the liar",
        ),
        Property(
            "Excused",
            "any(not faulty[q] and complained[p, q, h] and not faulty[p] for p in Peer "
            "for q in Peer for h in Epoch)",
            "reachable",
            "correct members complain of each other, because a liar starved one",
        ),
    ),
)

FALSE_COMPLAINTS = evolve(
    NETWORK,
    name="regroup_false_complaints",
    doc="a liar that deals to all complains of correct members, and answers nobody",
    given={**NETWORK.given, "lacks[p, q, h]": "False"},
    moves=(
        *(m for m in NETWORK.moves if m.event.startswith(("Deal", "End"))),
        Move("LieComplain(q: Peer, p: Peer, h: Epoch)",
             ("faulty[q]", "not faulty[p]", "begun(h)", "not over[h]"),
             {"complained[q, p, h]": "True"}, "it complains of a correct member"),
    ),
    properties=tuple(p for p in NETWORK.properties if p.name in ("OnlyLiarsAreOut", "NoFalseWord")),
)
NO_COMPLAINTS = evolve(
    NETWORK,
    name="regroup_no_complaints",
    doc="F-43: all that is known is who is silent, and nobody may be left out for that (F-38)",
    rows=(("regroup", "ShowProof"),),
    definitions=(
        *(d for d in NETWORK.definitions if not d.signature.startswith("calm")),
        Definition("calm(h: Epoch)", "True", "nobody has anything to say"),
    ),
    moves=tuple(m for m in NETWORK.moves if not m.event.startswith("Lie")),
    properties=tuple(p for p in NETWORK.properties if p.name == "StarvedIsNamed"),
)
ANSWER_BELIEVED = evolve(
    NETWORK,
    name="regroup_answer_believed",
    doc="F-43: an answer counts, though only who complained can read it",
    given={**NETWORK.given, "answer_void[p, q, h]": "False"},
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {"Peer": 4, "Epoch": 2}, quorum(4, 1, 3), findings=("F-43",),
            pinned=Counts(
                distinct=734722, generated=18626790, depth=29, reached={"Excused": 1,
                "WithoutTheLiar": 7},
            ),
        ),
        Case(
            FALSE_COMPLAINTS, {"Peer": 4, "Epoch": 2}, quorum(4, 1, 3), pinned=Counts(
                distinct=1122, generated=16006, depth=11,
            ),
        ),
        Case(
            NO_COMPLAINTS, {"Peer": 4, "Epoch": 2}, quorum(4, 1, 3),
            refuted=("StarvedIsNamed",), pinned=Counts(
                distinct=66, generated=134, depth=5, violated={"StarvedIsNamed": 1},
            ),
        ),
        Case(
            ANSWER_BELIEVED, {"Peer": 4, "Epoch": 2}, quorum(4, 1, 3),
            refuted=("StarvedIsNamed", "NoFalseWord", "OnlyLiarsAreOut"), pinned=Counts(
                distinct=363810, generated=8359970, depth=25, reached={"Excused": 1,
                "WithoutTheLiar": 7}, violated={"NoFalseWord": 8, "OnlyLiarsAreOut": 9,
                "StarvedIsNamed": 7},
            ),
        ),
    ),
)
