"""A first network, as a tutorial: two-phase commit, whose state counts are published.

Resource managers prepare, a transaction manager decides. It uses no row of the protocol: all of it
is moves. Expected with three managers: 288 states, 1,146 generated, depth 11; with six: 50,816,
402,306, 20.
"""

from __future__ import annotations

from model_checks.cases import Case, Counts, Model, ProofCase
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Enum, Sort

MANAGER = Enum("ManagerState", ("working", "prepared", "committed", "aborted"))
DECISION = Enum("DecisionState", ("undecided", "decided_commit", "decided_abort"))

NETWORK = Network(
    name="two_phase_commit",
    doc="agreement of managers on commit or abort",
    honest="",
    crash=False,
    sorts=(Sort("Manager", "a resource manager"),),
    cells=(
        Cell("manager", MANAGER, ("Manager",), "working", "disk", "what the manager did"),
        Cell("decision", DECISION, (), "undecided", "disk", "what the transaction manager decided"),
        Cell(
            "heard_prepared", "bool", ("Manager",), "False", "disk", "it knows that m is prepared"
        ),
        Cell("said_prepared", "bool", ("Manager",), "False", "network", "m's message"),
        Cell("said_commit", "bool", (), "False", "network", "its message to all"),
        Cell("said_abort", "bool", (), "False", "network", "its message to all"),
    ),
    moves=(
        Move(
            "HearPrepared(m: Manager)", ("decision == undecided", "said_prepared[m]"),
            {"heard_prepared[m]": "True"}, "the decision waits for every manager",
        ),
        Move(
            "Commit()", ("decision == undecided", "all(heard_prepared[m] for m in Manager)"),
            {"decision": "decided_commit", "said_commit": "True"}, "all are prepared",
        ),
        Move(
            "Abort()", ("decision == undecided",),
            {"decision": "decided_abort", "said_abort": "True"}, "it may give up at any time",
        ),
        Move(
            "Prepare(m: Manager)", ("manager[m] == working",),
            {"manager[m]": "prepared", "said_prepared[m]": "True"}, "ready to commit",
        ),
        Move(
            "ChooseAbort(m: Manager)", ("manager[m] == working",), {"manager[m]": "aborted"},
            "a manager may refuse before it is prepared",
        ),
        Move("HearCommit(m: Manager)", ("said_commit",), {"manager[m]": "committed"}, "as decided"),
        Move("HearAbort(m: Manager)", ("said_abort",), {"manager[m]": "aborted"}, "as decided"),
    ),
    properties=(
        Property(
            "Consistent",
            "all(not (manager[m] == committed and manager[k] == aborted) "
            "for m in Manager for k in Manager)",
            doc="no two managers disagree",
        ),
        Property("CanCommit", "all(manager[m] == committed for m in Manager)", "reachable"),
        Property("CanAbort", "all(manager[m] == aborted for m in Manager)", "reachable"),
    ),
)

LEMMAS = (
    Property(
        "SaidWasPrepared",
        "all(implies(said_prepared[m], manager[m] != working) for m in Manager)",
        "lemma",
        "a manager prepares before it says so, and never works again",
    ),
    Property(
        "HeardWasSaid", "all(implies(heard_prepared[m], said_prepared[m]) for m in Manager)",
        "lemma", "only what was said is heard",
    ),
    Property(
        "CommitWasDecided", "implies(said_commit, decision == decided_commit)", "lemma",
        "the message follows the decision, which is final",
    ),
    Property(
        "AbortWasDecided", "implies(said_abort, decision == decided_abort)", "lemma",
        "the message follows the decision, which is final",
    ),
    Property(
        "CommitHeardAll",
        "implies(decision == decided_commit, all(heard_prepared[m] for m in Manager))",
        "lemma",
        "it commits when all are prepared",
    ),
    Property(
        "CommittedWasTold", "all(implies(manager[m] == committed, said_commit) for m in Manager)",
        "lemma", "no manager commits by itself",
    ),
    Property(
        "PreparedAbortsWhenTold",
        "all(implies(said_prepared[m] and manager[m] == aborted, said_abort) for m in Manager)",
        "lemma",
        "a prepared manager waits for the decision",
    ),
)
"""Why two-phase commit agrees, for any number of managers."""

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {"Manager": 3},
            records="Manager",
            pinned=Counts(
                distinct=288, generated=1146, depth=11, reached={"CanAbort": 3, "CanCommit": 10},
            ),
        ),
        Case(
            NETWORK, {"Manager": 6},
            records="Manager",
            pinned=Counts(
                distinct=50816, generated=402306, depth=20, reached={"CanAbort": 6, "CanCommit":
                19},
            ),
        ),
        Case(
            NETWORK, {"Manager": 7}, {}, ("Manager",),
            records="Manager",
            pinned=Counts(
                distinct=920, generated=8410, depth=23, reached={"CanAbort": 7, "CanCommit": 22},
            ),
        ),
        Case(
            NETWORK, {"Manager": 8},
            records="Manager",
            pinned=Counts(
                distinct=1745408, generated=18507778, depth=26, reached={"CanAbort": 8,
                "CanCommit": 25},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, LEMMAS, obligations=64),),
)
