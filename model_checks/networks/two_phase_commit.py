"""A first network, as a tutorial: two-phase commit, whose state counts are published.

Resource managers prepare, a transaction manager decides. It uses no row of the protocol: all of it
is moves. Expected with three managers: 288 states, 1,146 generated, depth 11; with six: 50,816,
402,306, 20.
"""

from __future__ import annotations

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
            "HearPrepared(m: Manager)",
            ("decision == undecided", "said_prepared[m]"),
            {"heard_prepared[m]": "True"},
            "the decision waits for every manager",
        ),
        Move(
            "Commit()",
            ("decision == undecided", "all(heard_prepared[m] for m in Manager)"),
            {"decision": "decided_commit", "said_commit": "True"},
            "all are prepared",
        ),
        Move(
            "Abort()",
            ("decision == undecided",),
            {"decision": "decided_abort", "said_abort": "True"},
            "it may give up at any time",
        ),
        Move(
            "Prepare(m: Manager)",
            ("manager[m] == working",),
            {"manager[m]": "prepared", "said_prepared[m]": "True"},
            "ready to commit",
        ),
        Move(
            "ChooseAbort(m: Manager)",
            ("manager[m] == working",),
            {"manager[m]": "aborted"},
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
