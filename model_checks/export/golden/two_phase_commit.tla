---- MODULE two_phase_commit ----
\* agreement of managers on commit or abort
\* Generated from the tables: change those, not this.
EXTENDS Integers, FiniteSets

CONSTANTS Manager, None
VARIABLES
  manager, \* disk: what the manager did
  decision, \* disk: what the transaction manager decided
  heard_prepared, \* disk: it knows that m is prepared
  said_prepared, \* network: m's message
  said_commit, \* network: its message to all
  said_abort \* network: its message to all

vars == <<manager, decision, heard_prepared, said_prepared, said_commit, said_abort>>

\* none lies below every individual of an ordered sort
Rank(x) == IF x = None THEN -1 ELSE x

TypeOK ==
  /\ manager \in [Manager -> {"working", "prepared", "committed", "aborted"}]
  /\ decision \in {"undecided", "decided_commit", "decided_abort"}
  /\ heard_prepared \in [Manager -> BOOLEAN]
  /\ said_prepared \in [Manager -> BOOLEAN]
  /\ said_commit \in BOOLEAN
  /\ said_abort \in BOOLEAN

Init ==
  /\ manager = [i0 \in Manager |-> "working"]
  /\ decision = "undecided"
  /\ heard_prepared = [i0 \in Manager |-> FALSE]
  /\ said_prepared = [i0 \in Manager |-> FALSE]
  /\ said_commit = FALSE
  /\ said_abort = FALSE

\* a move of the adversary or the world: the decision waits for every manager
HearPrepared(m) ==
  /\ decision = "undecided"
  /\ said_prepared[m]
  /\ heard_prepared' = [heard_prepared EXCEPT ![m] = TRUE]
  /\ UNCHANGED <<manager, decision, said_prepared, said_commit, said_abort>>

\* a move of the adversary or the world: all are prepared
Commit ==
  /\ decision = "undecided"
  \* all(heard_prepared[m] for m in Manager)
  /\ \A m_0 \in Manager : heard_prepared[m_0]
  /\ decision' = "decided_commit"
  /\ said_commit' = TRUE
  /\ UNCHANGED <<manager, heard_prepared, said_prepared, said_abort>>

\* a move of the adversary or the world: it may give up at any time
Abort ==
  /\ decision = "undecided"
  /\ decision' = "decided_abort"
  /\ said_abort' = TRUE
  /\ UNCHANGED <<manager, heard_prepared, said_prepared, said_commit>>

\* a move of the adversary or the world: ready to commit
Prepare(m) ==
  /\ manager[m] = "working"
  /\ manager' = [manager EXCEPT ![m] = "prepared"]
  /\ said_prepared' = [said_prepared EXCEPT ![m] = TRUE]
  /\ UNCHANGED <<decision, heard_prepared, said_commit, said_abort>>

\* a move of the adversary or the world: a manager may refuse before it is prepared
ChooseAbort(m) ==
  /\ manager[m] = "working"
  /\ manager' = [manager EXCEPT ![m] = "aborted"]
  /\ UNCHANGED <<decision, heard_prepared, said_prepared, said_commit, said_abort>>

\* a move of the adversary or the world: as decided
HearCommit(m) ==
  /\ said_commit
  /\ manager' = [manager EXCEPT ![m] = "committed"]
  /\ UNCHANGED <<decision, heard_prepared, said_prepared, said_commit, said_abort>>

\* a move of the adversary or the world: as decided
HearAbort(m) ==
  /\ said_abort
  /\ manager' = [manager EXCEPT ![m] = "aborted"]
  /\ UNCHANGED <<decision, heard_prepared, said_prepared, said_commit, said_abort>>

Next ==
  \/ \E m \in Manager : HearPrepared(m)
  \/ Commit
  \/ Abort
  \/ \E m \in Manager : Prepare(m)
  \/ \E m \in Manager : ChooseAbort(m)
  \/ \E m \in Manager : HearCommit(m)
  \/ \E m \in Manager : HearAbort(m)

Spec == Init /\ [][Next]_vars

\* invariant: no two managers disagree
Consistent ==
  \A m_0 \in Manager, k_1 \in Manager :
    ~((manager[m_0] = "committed") /\ (manager[k_1] = "aborted"))

\* reachable
NeverCanCommit ==
  ~(\A m_0 \in Manager : manager[m_0] = "committed")

\* reachable
NeverCanAbort ==
  ~(\A m_0 \in Manager : manager[m_0] = "aborted")

====
