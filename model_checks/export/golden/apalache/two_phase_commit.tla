---- MODULE two_phase_commit ----
\* agreement of managers on commit or abort
\* Generated from the tables: change those, not this.
EXTENDS Integers, FiniteSets

CONSTANTS
  \* a resource manager
  \* @type: Set(MANAGER);
  Manager
VARIABLES
  \* disk: what the manager did
  \* @type: MANAGER -> Str;
  manager,
  \* disk: what the transaction manager decided
  \* @type: Str;
  decision,
  \* disk: it knows that m is prepared
  \* @type: MANAGER -> Bool;
  heard_prepared,
  \* network: m's message
  \* @type: MANAGER -> Bool;
  said_prepared,
  \* network: its message to all
  \* @type: Bool;
  said_commit,
  \* network: its message to all
  \* @type: Bool;
  said_abort

\* @type: () => <<MANAGER -> Str, Str, MANAGER -> Bool, MANAGER -> Bool, Bool, Bool>>;
vars == <<manager, decision, heard_prepared, said_prepared, said_commit, said_abort>>

\* none is a number below every individual of an ordered sort
\* @type: Int => Int;
Rank(x) == x

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
\* @type: (MANAGER) => Bool;
HearPrepared(m) ==
  /\ decision = "undecided"
  /\ said_prepared[m]
  /\ heard_prepared' = [heard_prepared EXCEPT ![m] = TRUE]
  /\ UNCHANGED <<manager, decision, said_prepared, said_commit, said_abort>>

\* a move of the adversary or the world: all are prepared
\* @type: () => Bool;
Commit ==
  /\ decision = "undecided"
  \* all(heard_prepared[m] for m in Manager)
  /\ \A m_0 \in Manager : heard_prepared[m_0]
  /\ decision' = "decided_commit"
  /\ said_commit' = TRUE
  /\ UNCHANGED <<manager, heard_prepared, said_prepared, said_abort>>

\* a move of the adversary or the world: it may give up at any time
\* @type: () => Bool;
Abort ==
  /\ decision = "undecided"
  /\ decision' = "decided_abort"
  /\ said_abort' = TRUE
  /\ UNCHANGED <<manager, heard_prepared, said_prepared, said_commit>>

\* a move of the adversary or the world: ready to commit
\* @type: (MANAGER) => Bool;
Prepare(m) ==
  /\ manager[m] = "working"
  /\ manager' = [manager EXCEPT ![m] = "prepared"]
  /\ said_prepared' = [said_prepared EXCEPT ![m] = TRUE]
  /\ UNCHANGED <<decision, heard_prepared, said_commit, said_abort>>

\* a move of the adversary or the world: a manager may refuse before it is prepared
\* @type: (MANAGER) => Bool;
ChooseAbort(m) ==
  /\ manager[m] = "working"
  /\ manager' = [manager EXCEPT ![m] = "aborted"]
  /\ UNCHANGED <<decision, heard_prepared, said_prepared, said_commit, said_abort>>

\* a move of the adversary or the world: as decided
\* @type: (MANAGER) => Bool;
HearCommit(m) ==
  /\ said_commit
  /\ manager' = [manager EXCEPT ![m] = "committed"]
  /\ UNCHANGED <<decision, heard_prepared, said_prepared, said_commit, said_abort>>

\* a move of the adversary or the world: as decided
\* @type: (MANAGER) => Bool;
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

\* for --cinit=ConstInit
ConstInit ==
  /\ Manager = {"0_OF_MANAGER", "1_OF_MANAGER", "2_OF_MANAGER"}

====
