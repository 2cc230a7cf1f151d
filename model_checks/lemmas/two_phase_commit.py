"""Why two-phase commit agrees, for any number of managers."""

from __future__ import annotations

from model_checks.system import Property

LEMMAS = (
    Property(
        "SaidWasPrepared",
        "all(implies(said_prepared[m], manager[m] != working) for m in Manager)",
        "lemma",
        "a manager prepares before it says so, and never works again",
    ),
    Property(
        "HeardWasSaid",
        "all(implies(heard_prepared[m], said_prepared[m]) for m in Manager)",
        "lemma",
        "only what was said is heard",
    ),
    Property(
        "CommitWasDecided",
        "implies(said_commit, decision == decided_commit)",
        "lemma",
        "the message follows the decision, which is final",
    ),
    Property(
        "AbortWasDecided",
        "implies(said_abort, decision == decided_abort)",
        "lemma",
        "the message follows the decision, which is final",
    ),
    Property(
        "CommitHeardAll",
        "implies(decision == decided_commit, all(heard_prepared[m] for m in Manager))",
        "lemma",
        "it commits when all are prepared",
    ),
    Property(
        "CommittedWasTold",
        "all(implies(manager[m] == committed, said_commit) for m in Manager)",
        "lemma",
        "no manager commits by itself",
    ),
    Property(
        "PreparedAbortsWhenTold",
        "all(implies(said_prepared[m] and manager[m] == aborted, said_abort) for m in Manager)",
        "lemma",
        "a prepared manager waits for the decision",
    ),
)
