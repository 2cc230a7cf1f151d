---- MODULE keygen_lock_in ----
\* several keys are made; one is locked in, everywhere the same
\* Generated from the tables: change those, not this.
EXTENDS Integers, FiniteSets

CONSTANTS
  \* a node; in a quorum, a share holder of the key epoch in question
  \* @type: Set(PEER);
  Peer,
  \* the key that one keygen slot makes; later slots are larger, numbers from 0 on
  \* @type: Set(Int);
  Key,
  \* a number
  \* @type: Int;
  T,
  \* a number
  \* @type: Int;
  F
VARIABLES
  \* disk: key k, at p
  \* @type: <<PEER, Int>> -> Str;
  key,
  \* disk: p's share of k, encrypted
  \* @type: <<PEER, Int>> -> Bool;
  key_share,
  \* network: Confirmation: p's signature over public key, public shares and epoch
  \* @type: <<PEER, Int>> -> Bool;
  confirmed,
  \* given: computed: the lock-in signature verifies under k itself
  \* @type: Int -> Bool;
  lock_in_valid,
  \* given: p may say anything
  \* @type: PEER -> Bool;
  faulty

\* @type: () => <<<<PEER, Int>> -> Str, <<PEER, Int>> -> Bool, <<PEER, Int>> -> Bool, Int -> Bool, PEER -> Bool>>;
vars == <<key, key_share, confirmed, lock_in_valid, faulty>>

\* none is a number below every individual of an ordered sort
\* @type: Int => Int;
Rank(x) == x

TypeOK ==
  /\ key \in [Peer \X Key -> {"no_key", "generating", "stored", "certified_by_all", "locked_in", "abandoned"}]
  /\ key_share \in [Peer \X Key -> BOOLEAN]
  /\ confirmed \in [Peer \X Key -> BOOLEAN]
  /\ lock_in_valid \in [Key -> BOOLEAN]
  /\ faulty \in [Peer -> BOOLEAN]

Init ==
  /\ key = [i0 \in Peer, i1 \in Key |-> "no_key"]
  /\ key_share = [i0 \in Peer, i1 \in Key |-> FALSE]
  /\ confirmed = [i0 \in Peer, i1 \in Key |-> FALSE]
  /\ lock_in_valid = [i0 \in Key |-> FALSE]
  /\ faulty \in [Peer -> BOOLEAN]
  /\ Cardinality({p_0 \in Peer : faulty[p_0]}) =< F
  /\ Cardinality({p_0 \in Peer : ~faulty[p_0]}) >= T

\* keygen: no_key -Start-> generating
\* @type: (PEER, Int) => Bool;
keygen_Start(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "no_key"
  /\ key' = [key EXCEPT ![p, k] = "generating"]
  /\ UNCHANGED <<key_share, confirmed, lock_in_valid, faulty>>

\* keygen: generating -Store-> stored
\* @type: (PEER, Int) => Bool;
keygen_Store(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "generating"
  /\ key' = [key EXCEPT ![p, k] = "stored"]
  /\ key_share' = [key_share EXCEPT ![p, k] = TRUE]
  /\ confirmed' = [confirmed EXCEPT ![p, k] = TRUE]
  /\ UNCHANGED <<lock_in_valid, faulty>>

\* keygen: stored -Certify-> certified_by_all
\* @type: (PEER, Int) => Bool;
keygen_Certify(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "stored"
  \* among(k, all(confirmed[q, k] for q in Peer))
  /\ \A q_0 \in Peer : confirmed[q_0, k]
  /\ key' = [key EXCEPT ![p, k] = "certified_by_all"]
  /\ UNCHANGED <<key_share, confirmed, lock_in_valid, faulty>>

\* keygen: certified_by_all -LockIn-> locked_in
\* @type: (PEER, Int) => Bool;
keygen_LockIn(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "certified_by_all"
  /\ lock_in_valid[k]
  \* not any(key[p, j] == locked_in for j in Key)
  /\ ~(\E j_0 \in Key : key[p, j_0] = "locked_in")
  /\ key' = [key EXCEPT ![p, k] = "locked_in"]
  /\ UNCHANGED <<key_share, confirmed, lock_in_valid, faulty>>

\* keygen: generating -Fail-> abandoned
\* @type: (PEER, Int) => Bool;
keygen_Fail(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "generating"
  /\ key' = [key EXCEPT ![p, k] = "abandoned"]
  /\ UNCHANGED <<key_share, confirmed, lock_in_valid, faulty>>

\* keygen: stored -Outdate-> abandoned
\* @type: (PEER, Int) => Bool;
keygen_Outdate(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "stored"
  \* count(j for j in Key if key[p, j] == certified_by_all and k < j) >= 3
  /\ Cardinality({j_0 \in Key : (key[p, j_0] = "certified_by_all") /\ (k < j_0)}) >= 3
  /\ key' = [key EXCEPT ![p, k] = "abandoned"]
  /\ UNCHANGED <<key_share, confirmed, lock_in_valid, faulty>>

\* keygen: certified_by_all -Outdate-> abandoned
\* @type: (PEER, Int) => Bool;
keygen_Outdate_2(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "certified_by_all"
  \* count(j for j in Key if key[p, j] == certified_by_all and k < j) >= 3
  /\ Cardinality({j_0 \in Key : (key[p, j_0] = "certified_by_all") /\ (k < j_0)}) >= 3
  /\ key' = [key EXCEPT ![p, k] = "abandoned"]
  /\ UNCHANGED <<key_share, confirmed, lock_in_valid, faulty>>

\* keygen: stored -Retire-> abandoned
\* @type: (PEER, Int) => Bool;
keygen_Retire(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "stored"
  \* any(key[p, j] == locked_in for j in Key if j != k)
  /\ \E j_0 \in Key : (j_0 # k) /\ (key[p, j_0] = "locked_in")
  /\ key' = [key EXCEPT ![p, k] = "abandoned"]
  /\ UNCHANGED <<key_share, confirmed, lock_in_valid, faulty>>

\* keygen: certified_by_all -Retire-> abandoned
\* @type: (PEER, Int) => Bool;
keygen_Retire_2(p, k) ==
  /\ ~faulty[p]
  /\ key[p, k] = "certified_by_all"
  \* any(key[p, j] == locked_in for j in Key if j != k)
  /\ \E j_0 \in Key : (j_0 # k) /\ (key[p, j_0] = "locked_in")
  /\ key' = [key EXCEPT ![p, k] = "abandoned"]
  /\ UNCHANGED <<key_share, confirmed, lock_in_valid, faulty>>

\* a move of the adversary or the world: a liar confirms a key that it never stored
\* @type: (PEER, Int) => Bool;
ForgeConfirmation(q, k) ==
  /\ faulty[q]
  /\ confirmed' = [confirmed EXCEPT ![q, k] = TRUE]
  /\ UNCHANGED <<key, key_share, lock_in_valid, faulty>>

\* a move of the adversary or the world: T holders sign the key's name; the event is signed once
\* @type: (Int) => Bool;
SignLockIn(k) ==
  \* count(q for q in Peer if faulty[q] or key[q, k] in (certified_by_all, locked_in)) >= T
  /\ Cardinality({q_0 \in Peer : faulty[q_0] \/ (key[q_0, k] = "certified_by_all") \/ (key[q_0, k] = "locked_in")}) >= T
  \* not any(lock_in_valid[j] for j in Key)
  /\ ~(\E j_0 \in Key : lock_in_valid[j_0])
  /\ lock_in_valid' = [lock_in_valid EXCEPT ![k] = TRUE]
  /\ UNCHANGED <<key, key_share, confirmed, faulty>>

Next ==
  \/ \E p \in Peer, k \in Key : keygen_Start(p, k)
  \/ \E p \in Peer, k \in Key : keygen_Store(p, k)
  \/ \E p \in Peer, k \in Key : keygen_Certify(p, k)
  \/ \E p \in Peer, k \in Key : keygen_LockIn(p, k)
  \/ \E p \in Peer, k \in Key : keygen_Fail(p, k)
  \/ \E p \in Peer, k \in Key : keygen_Outdate(p, k)
  \/ \E p \in Peer, k \in Key : keygen_Outdate_2(p, k)
  \/ \E p \in Peer, k \in Key : keygen_Retire(p, k)
  \/ \E p \in Peer, k \in Key : keygen_Retire_2(p, k)
  \/ \E q \in Peer, k \in Key : ForgeConfirmation(q, k)
  \/ \E k \in Key : SignLockIn(k)

Spec == Init /\ [][Next]_vars

FairSpec ==
  /\ Spec
  /\ \A k \in Key : WF_vars(SignLockIn(k))

\* invariant: No two nodes lock in different keys.
LockInAgreement ==
  \A p_0 \in Peer, q_1 \in Peer, k_2 \in Key, j_3 \in Key :
    ((~faulty[p_0]) /\ (~faulty[q_1]) /\ (k_2 # j_3))
    => (~((key[p_0, k_2] = "locked_in") /\ (key[q_1, j_3] = "locked_in")))

\* invariant: A node that has locked a key in holds a share of it, and at least t members do.
KeyAvailable ==
  \A p_0 \in Peer, k_1 \in Key :
    (~faulty[p_0])
    => ((key[p_0, k_1] = "locked_in")
        => (/\ key_share[p_0, k_1]
            /\ Cardinality({q_2 \in Peer : (~faulty[q_2]) /\ key_share[q_2, k_1]}) >= T))

\* invariant: every correct member holds its share of a key whose address is shown
AllHoldShares ==
  \A p_0 \in Peer, k_1 \in Key :
    (key[p_0, k_1] = "locked_in") => (\A q_2 \in Peer : faulty[q_2] \/ key_share[q_2, k_1])

\* invariant: a correct node confirms only what is on its disk
ConfirmedIsStored ==
  \A p_0 \in Peer, k_1 \in Key : (confirmed[p_0, k_1] /\ (~faulty[p_0])) => key_share[p_0, k_1]

\* step: a key whose address is shown is never given up
LockedInForGood ==
  [][\A p_0 \in Peer, k_1 \in Key : (key[p_0, k_1] = "locked_in") => (key'[p_0, k_1] = "locked_in")]_vars

\* step: no share is ever lost
ShareIsKept ==
  [][\A p_0 \in Peer, k_1 \in Key : key_share[p_0, k_1] => key_share'[p_0, k_1]]_vars

\* always_can: while no key is locked in and a slot is left, the members can all lock one in
\* KeygenCanEnd, which is no formula of TLA+: implies(all(not faulty[p] for p in Peer) and not any(lock_in_valid[k] for k in Key) and any(all(key[p, k] == no_key for p in Peer) for k in Key), any(all(key[p, k] == locked_in for p in Peer) for k in Key))

\* reachable
NeverCanLockIn ==
  ~(\E p_0 \in Peer, k_1 \in Key : (key[p_0, k_1] = "locked_in") /\ (~faulty[p_0]))

\* reachable: a key that was stored and not chosen is dropped
NeverCanRetire ==
  ~(\E p_0 \in Peer, k_1 \in Key, j_2 \in Key :
      (key[p_0, k_1] = "abandoned") /\ key_share[p_0, k_1] /\ (key[p_0, j_2] = "locked_in"))

\* reachable: the adversary's power: its confirmation counts though it stored nothing
NeverLiarHasNoShare ==
  ~(\E p_0 \in Peer, q_1 \in Peer, k_2 \in Key :
      /\ faulty[q_1]
      /\ key[p_0, k_2] = "locked_in"
      /\ confirmed[q_1, k_2]
      /\ ~key_share[q_1, k_2])

\* for --cinit=ConstInit
ConstInit ==
  /\ Peer = {"0_OF_PEER", "1_OF_PEER", "2_OF_PEER"}
  /\ Key = {0}
  /\ T = 3
  /\ F = 0

====
