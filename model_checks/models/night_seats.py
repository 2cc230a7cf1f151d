"""Seats that change hands by night: what a cartel gets, and how soon (F-44).

Nights come one after the other, here in the place of epochs, and each may give one seat to another
peer. Correct holders state whom they heard; liars state what suits them, and bring as many
candidates as they like, each with a stake. Correct holders may go: they take their stake away, or
are gone for good. All candidates are the cartel's, which is the worst that can be.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, quorum
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_STATED = "any(attested[p, n] for n in Attempt)"

NETWORK = Network(
    name="night_seats",
    doc="one seat a night: who goes, and who comes in",
    rows=(("regroup", "Attest"), ("regroup", "AttestAgain")),
    untracked=("regroup",),
    crash=False,  # statements are on disk
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p states what suits it"),
        Cell("founder", "bool", ("Peer",), "False", "given", "p has a seat at first"),
        Cell("came", "bool", ("Peer",), "False", "given", "p has got a seat since"),
        Cell("went", "bool", ("Peer",), "False", "given", "p has lost its seat"),
        Cell("gone", "bool", ("Peer",), "False", "given", "nobody hears p any more"),
        Cell("spent", "bool", ("Peer",), "False", "given", "p's stake is spent"),
        Cell("over", "bool", ("Epoch",), "False", "given", "this night has given a seat away"),
    ),
    rigid=("faulty", "founder"),
    assume=(
        "count(p for p in Peer if founder[p]) == N",
        "count(p for p in Peer if founder[p] and faulty[p]) <= F",
        "all(founder[p] or faulty[p] for p in Peer)",
    ),
    given={
        "follows[k, h]": "True",
        "holding[p, h]": "active",
        "night_begun[n]": "True",
        "stake_holds[q, h]": "not spent[q]",
        "says_heard[p, q, h]": f"seated(p) and (faulty[p] or not gone[q] and {_STATED})",
        "says_silent[p, q, h]": f"seated(p) and (faulty[p] or gone[q] and {_STATED})",
        "says_withheld[p, q, h]": "seated(p) and faulty[p]",
        "says_missed[p, q, h]": "seated(p) and faulty[p]",
    },
    definitions=(
        Definition(
            "seated(p: Peer)", "(founder[p] or came[p]) and not went[p]", "p holds a share"
        ),
    ),
    moves=(
        Move("Spend(p: Peer)", ("not faulty[p]", "not spent[p]"), {"spent[p]": "True"},
             "a correct holder takes its stake away"),
        Move("Vanish(p: Peer)", ("not faulty[p]", "not gone[p]"), {"gone[p]": "True"},
             "a correct holder is gone for good"),
        Move(
            "Replace(h: Epoch, q: Peer, c: Peer)",
            ("not over[h]", "all(implies(k < h, over[k]) for k in Epoch)",
             "seated(q)", "not seated(c)", "not went[c]", "may_go(q, h)", "may_enter(c, h)"),
            {"over[h]": "True", "went[q]": "True", "came[c]": "True"},
            "a night gives one seat to another peer",
        ),
    ),
    properties=(
        Property(
            "NoSeatByWord",
            "implies(all(faulty[p] or not spent[p] and not gone[p] for p in Peer), "
            "count(p for p in Peer if faulty[p] and seated(p)) <= F)",
            doc="as long as correct holders stay, a cartel has no seat more, whatever it states",
        ),
        Property(
            "OnlyWhoLeft",
            "all(implies(went[p] and not faulty[p], spent[p] or gone[p]) for p in Peer)",
            doc="a correct holder that pings and has its stake keeps its seat",
        ),
        Property(
            "TakenOver",
            "count(p for p in Peer if faulty[p] and seated(p)) >= T",
            "reachable",
            "what no rule of seats can forbid: correct holders go one after the other",
        ),
    ),
)

_FEW = {"present": "says_heard", "absent": "says_silent", "spoilt": "says_withheld"}
WORD_OF_FEW = evolve(
    NETWORK,
    name="night_word_of_few",
    doc="F-44: the word of F holders prunes one, and brings one in",
    definitions=(
        *NETWORK.definitions,
        *(
            Definition(
                f"{name}(q: Peer, h: Epoch)", f"count(p for p in Peer if {says}[p, q, h]) >= F",
                "a few holders say so",
            )
            for name, says in _FEW.items()
        ),
    ),
)

_TWO_NIGHTS = {"Peer": 6, "Epoch": 2, "Attempt": 1}

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, _TWO_NIGHTS, quorum(4, 1, 3), EACH_PEER, findings=("F-44",),
            pinned=Counts(
                distinct=1128, generated=8216, depth=15, reached={"TakenOver": 6},
            ),
        ),
        Case(
            NETWORK, {"Peer": 8, "Epoch": 3, "Attempt": 1}, quorum(5, 1, 4), EACH_PEER,
            pinned=Counts(
                distinct=3190, generated=34911, depth=19, reached={"TakenOver": 9},
            ),
        ),
        Case(
            WORD_OF_FEW, _TWO_NIGHTS, quorum(4, 1, 3), EACH_PEER,
            refuted=("NoSeatByWord", "OnlyWhoLeft"),
            pinned=Counts(
                distinct=4260, generated=36584, depth=15, reached={"TakenOver": 2},
                violated={"NoSeatByWord": 1, "OnlyWhoLeft": 1},
            ),
        ),
    ),
)
