"""Payouts that are on their way at once never spend one deposit, however little a node has heard.

Every deposit belongs to one window of blocks, and the payouts of a window are its parts, here in
the place of attempts: each is an event of its own, so that one document of it is signed
(``signing``). A node votes for a part only when it knows what became of each part before, and for a
document only if it spends nothing that those spend and can still be mined. Windows share no
deposit, so one window says it all. Liars vote for anything.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, ProofCase, quorum
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

WILLING = "willing(p: Peer, a: Attempt, d: Digest)"
_TAKEN = "signed[b, x] and share_input[d, x] and not dead[x]"

NETWORK = Network(
    name="payout_windows",
    doc="the parts of one window, one after the other",
    honest="",
    crash=False,  # what a node has signed, and what it has heard of it, is on disk
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p votes for anything"),
        Cell(
            "share_input",
            "bool",
            ("Digest", "Digest"),
            "False",
            "given",
            "two documents spend one deposit",
        ),
        Cell("signed", "bool", ("Attempt", "Digest"), "False", "given", "t have signed it"),
        Cell(
            "knows",
            "bool",
            ("Peer", "Attempt"),
            "False",
            "given",
            "p has the signatures of this part",
        ),
        Cell("dead", "bool", ("Digest",), "False", "given", "it can never be mined any more"),
    ),
    rigid=("faulty", "share_input"),
    assume=(
        "count(p for p in Peer if faulty[p]) <= F",
        "all(share_input[d, x] == share_input[x, d] for d in Digest for x in Digest)",
    ),
    definitions=(
        Definition(
            WILLING,
            f"all(implies(b < a, knows[p, b]) for b in Attempt) and not any(b < a and {_TAKEN} "
            "for b in Attempt for x in Digest)",
            "p knows the parts before, and the document spends nothing of theirs",
        ),
    ),
    moves=(
        Move(
            "Sign(a: Attempt, d: Digest)",
            (
                "count(p for p in Peer if faulty[p] or willing(p, a, d)) >= T",
                "not any(signed[a, x] for x in Digest)",
            ),
            {"signed[a, d]": "True"},
            "t vote, lock and release: one document of an event (NoDoubleSign)",
            fair=True,
        ),
        Move(
            "Learn(p: Peer, a: Attempt)",
            ("not faulty[p]", "not knows[p, a]", "any(signed[a, d] for d in Digest)"),
            {"knows[p, a]": "True"},
            "the signatures reach p, sooner or later",
            fair=True,
        ),
        Move(
            "Die(d: Digest)",
            ("any(signed[a, d] for a in Attempt)", "not dead[d]"),
            {"dead[d]": "True"},
            "an input leaves the chain",
        ),
    ),
    properties=(
        Property(
            "NoInputTwice",
            "all(not (signed[a, d] and signed[b, x] and share_input[d, x] and not dead[d] "
            "and not dead[x]) for a in Attempt for b in Attempt for d in Digest for x in Digest "
            "if a != b)",
            doc="two signed payouts that can both be mined have no input in common",
        ),
        Property(
            "SignedAgain",
            "any(signed[a, d] and signed[b, x] and share_input[d, x] for a in Attempt "
            "for b in Attempt for d in Digest for x in Digest if a < b)",
            "reachable",
            "the deposits of a payout that died are paid in another one",
        ),
        Property(
            "TwoAtOnce",
            "any(signed[a, d] and signed[b, x] and not dead[d] and not dead[x] "
            "for a in Attempt for b in Attempt for d in Digest for x in Digest if a < b)",
            "reachable",
            "two are on their way at once",
        ),
    ),
)

BY_FIRST_DEPOSIT = evolve(
    NETWORK,
    name="payout_by_first_deposit",
    doc="F-40: an event is named by its first deposit, and a node leaves out what it knows of",
    definitions=(
        Definition(
            WILLING,
            f"not any(knows[p, b] and {_TAKEN} for b in Attempt for x in Digest)",
            "the document spends nothing that p has heard of",
        ),
    ),
)

LEMMAS = (
    Property(
        "KnownIsSigned",
        "all(implies(knows[p, a], any(signed[a, d] for d in Digest)) for p in Peer "
        "for a in Attempt)",
        "lemma",
        "what a node knows the signatures of is signed",
    ),
    Property(
        "PartsInOrder",
        "all(implies(signed[a, d] and b < a, any(signed[b, x] for x in Digest)) "
        "for a in Attempt for b in Attempt for d in Digest)",
        "lemma",
        "of t voters one is correct, and it knew the parts before",
    ),
    Property(
        "OneDocument",
        "all(not (signed[a, d] and signed[a, x]) for a in Attempt for d in Digest "
        "for x in Digest if d != x)",
        "lemma",
        "a part is one event",
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK,
            {"Peer": 4, "Attempt": 2, "Digest": 3},
            quorum(4, 1, 3),
            EACH_PEER,
            pinned=Counts(
                distinct=36704, generated=115328, depth=13, reached={"SignedAgain": 5, "TwoAtOnce":
                4},
            ),
        ),
        Case(
            BY_FIRST_DEPOSIT,
            {"Peer": 4, "Attempt": 2, "Digest": 2},
            quorum(4, 1, 3),
            EACH_PEER,
            refuted=("NoInputTwice",),
            pinned=Counts(
                distinct=5872, generated=25984, depth=13, reached={"SignedAgain": 2, "TwoAtOnce":
                2}, violated={"NoInputTwice": 2},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, LEMMAS, obligations=16),),
)
