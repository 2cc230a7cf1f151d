"""A night without one holder: the others deal, and seal its part for when it is back (F-45).

The holders that are there deal to all, and go over when all of them have all sealed parts. Then
they erase their old shares. The one that is away finds its new share in the sealed parts. A liar
deals as it likes. What it deals to those who are there is checked (F-43); what it seals can be read
by the absent one alone.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, quorum
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell

_NEW = "gone_over and (not away[p] or all(implies(sealed[q], readable[q]) for q in Peer))"
_GONE = "all(implies(not away[q], sealed[q]) for q in Peer)"

BLINDLY = Network(
    name="night_sealed_blindly",
    doc="F-45: nobody but its receiver can check what a dealer has sealed",
    honest="",
    crash=False,  # shares are on disk
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p deals as it likes"),
        Cell("away", "bool", ("Peer",), "False", "given", "p is silent, and correct"),
        Cell("sealed", "bool", ("Peer",), "False", "given", "all have what p sealed"),
        Cell("readable", "bool", ("Peer",), "False", "given", "it is a part of the share"),
        Cell("gone_over", "bool", (), "False", "given", "the new shares are decided"),
        Cell("erased", "bool", ("Peer",), "False", "given", "p's old share is gone"),
    ),
    rigid=("faulty", "away"),
    assume=(
        "count(p for p in Peer if faulty[p]) <= F",
        "count(p for p in Peer if away[p]) <= 1",
        "all(not (faulty[p] and away[p]) for p in Peer)",
        "count(p for p in Peer if not away[p]) >= T",
    ),
    moves=(
        Move("Deal(p: Peer)", ("not away[p]", "not sealed[p]"),
             {"sealed[p]": "True", "readable[p]": "True"}, "it seals what it has to"),
        Move("SealRubbish(p: Peer)", ("faulty[p]", "not sealed[p]"), {"sealed[p]": "True"},
             "it seals what fits nothing"),
        Move("GoOver()", (_GONE, "not gone_over"), {"gone_over": "True"},
             "all who are there have what everybody has sealed"),
        Move("Erase(p: Peer)", ("gone_over", "not away[p]", "not erased[p]"),
             {"erased[p]": "True"}, "the new share works"),
    ),
    properties=(
        Property(
            "CorrectCanSign",
            f"count(p for p in Peer if not faulty[p] and not erased[p]) >= T or "
            f"count(p for p in Peer if not faulty[p] and {_NEW}) >= T",
            doc="the correct holders alone have shares enough of one kind, once all are back",
        ),
        Property("GoesOver", "gone_over", "reachable", "a night without one of them ends"),
    ),
)
CHECKED = evolve(
    BLINDLY,
    name="night_sealed_and_checked",
    doc="the mend, which is not built: everybody can check what is sealed",
    moves=tuple(m for m in BLINDLY.moves if not m.event.startswith("SealRubbish")),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            BLINDLY, {"Peer": 4}, quorum(4, 1, 3), EACH_PEER, refuted=("CorrectCanSign",),
            findings=("F-45",),
            pinned=Counts(
                distinct=67, generated=133, depth=10, reached={"GoesOver": 4},
                violated={"CorrectCanSign": 5},
            ),
        ),
        Case(
            CHECKED, {"Peer": 4}, quorum(4, 1, 3), EACH_PEER,
            pinned=Counts(
                distinct=46, generated=90, depth=10, reached={"GoesOver": 4},
            ),
        ),
        Case(
            CHECKED, {"Peer": 7}, quorum(7, 2, 5), EACH_PEER,
            pinned=Counts(
                distinct=148, generated=496, depth=16, reached={"GoesOver": 7},
            ),
        ),
    ),
)
