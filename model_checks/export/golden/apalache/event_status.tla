---- MODULE event_status ----
\* where an event stands at each node, from PENDING to SUCCESS or EXPIRED
\* Generated from the tables: change those, not this.
EXTENDS Integers, FiniteSets

CONSTANTS
  \* a node; in a quorum, a share holder of the key epoch in question
  \* @type: Set(PEER);
  Peer,
  \* what is to be decided once: a payout, an operator's request, a key generation, a lock-in, a regroup, a succession
  \* @type: Set(EVENT);
  Event,
  \* a try at an event; in rounds, the round number, numbers from 0 on
  \* @type: Set(Int);
  Attempt,
  \* the hash of the document that an attempt would sign
  \* @type: Set(DIGEST);
  Digest,
  \* one run of a signing session: hash of event, attempt, digest, members
  \* @type: Set(INSTANCE);
  Instance,
  \* a number
  \* @type: Int;
  T,
  \* a number
  \* @type: Int;
  F,
  \* a number
  \* @type: Int;
  R
VARIABLES
  \* disk: the digest that p signed a vote for in this attempt
  \* @type: <<PEER, EVENT, Int>> -> DIGEST;
  voted,
  \* disk: the digest that p may release a share for; written with its certificate and document
  \* @type: <<PEER, EVENT>> -> DIGEST;
  lock,
  \* disk: the attempt of the certificate behind the lock
  \* @type: <<PEER, EVENT>> -> Int;
  lock_attempt,
  \* disk: the first signing message for this digest left p, or was about to
  \* @type: <<PEER, EVENT, DIGEST>> -> Bool;
  released,
  \* ghost: p released its share for d in attempt a: only shares of one attempt make a signature
  \* @type: <<PEER, EVENT, Int, DIGEST>> -> Bool;
  released_in,
  \* disk: where event e stands at p
  \* @type: <<PEER, EVENT>> -> Str;
  status,
  \* disk: the finished signatures are in p's store
  \* @type: <<PEER, EVENT, DIGEST>> -> Bool;
  signature_kept,
  \* given: the event ran out of time: the lifetime of a request is over, or the only attempt of a key generation or of a regroup; or a request for the key names an epoch that has gone
  \* @type: EVENT -> Bool;
  event_over,
  \* disk: p never released a share for e, and never will: it takes no part in e any more
  \* @type: <<PEER, EVENT>> -> Bool;
  renounced,
  \* given: p may say anything
  \* @type: PEER -> Bool;
  faulty

\* @type: () => <<<<PEER, EVENT, Int>> -> DIGEST, <<PEER, EVENT>> -> DIGEST, <<PEER, EVENT>> -> Int, <<PEER, EVENT, DIGEST>> -> Bool, <<PEER, EVENT, Int, DIGEST>> -> Bool, <<PEER, EVENT>> -> Str, <<PEER, EVENT, DIGEST>> -> Bool, EVENT -> Bool, <<PEER, EVENT>> -> Bool, PEER -> Bool>>;
vars == <<voted, lock, lock_attempt, released, released_in, status, signature_kept, event_over, renounced, faulty>>

\* @type: () => PEER;
NonePeer == "none_OF_PEER"

\* @type: () => Int;
NoneAttempt == -1

\* @type: () => DIGEST;
NoneDigest == "none_OF_DIGEST"

\* none is a number below every individual of an ordered sort
\* @type: Int => Int;
Rank(x) == x

TypeOK ==
  /\ voted \in [Peer \X Event \X Attempt -> (Digest \union {NoneDigest})]
  /\ lock \in [Peer \X Event -> (Digest \union {NoneDigest})]
  /\ lock_attempt \in [Peer \X Event -> (Attempt \union {NoneAttempt})]
  /\ released \in [Peer \X Event \X Digest -> BOOLEAN]
  /\ released_in \in [Peer \X Event \X Attempt \X Digest -> BOOLEAN]
  /\ status \in [Peer \X Event -> {"UNKNOWN", "PENDING", "IN_PROGRESS", "SUCCESS", "FAILED", "EXPIRED"}]
  /\ signature_kept \in [Peer \X Event \X Digest -> BOOLEAN]
  /\ event_over \in [Event -> BOOLEAN]
  /\ renounced \in [Peer \X Event -> BOOLEAN]
  /\ faulty \in [Peer -> BOOLEAN]

Init ==
  /\ voted = [i0 \in Peer, i1 \in Event, i2 \in Attempt |-> NoneDigest]
  /\ lock = [i0 \in Peer, i1 \in Event |-> NoneDigest]
  /\ lock_attempt = [i0 \in Peer, i1 \in Event |-> NoneAttempt]
  /\ released = [i0 \in Peer, i1 \in Event, i2 \in Digest |-> FALSE]
  /\ released_in = [i0 \in Peer, i1 \in Event, i2 \in Attempt, i3 \in Digest |-> FALSE]
  /\ status = [i0 \in Peer, i1 \in Event |-> "UNKNOWN"]
  /\ signature_kept = [i0 \in Peer, i1 \in Event, i2 \in Digest |-> FALSE]
  /\ event_over = [i0 \in Event |-> FALSE]
  /\ renounced = [i0 \in Peer, i1 \in Event |-> FALSE]
  /\ faulty \in [Peer -> BOOLEAN]
  /\ Cardinality({p_0 \in Peer : faulty[p_0]}) =< F

\* session: created -Ack-> acked
\* @type: (PEER, EVENT, Int, DIGEST) => Bool;
session_Ack(p, e, a, d) ==
  /\ ~faulty[p]
  /\ status[p, e] = "IN_PROGRESS"
  /\ ~renounced[p, e]
  \* first_vote(p, e, a, d)
  /\ (voted[p, e, a] = NoneDigest) \/ (voted[p, e, a] = d)
  \* lock_permits(p, e, a, d)
  /\ \/ lock[p, e] = NoneDigest
     \/ lock[p, e] = d
     \/ \E b_0 \in Attempt :
          /\ Rank(lock_attempt[p, e]) < Rank(b_0)
          /\ b_0 < a
          /\ Cardinality({q_1 \in Peer : faulty[q_1] \/ (voted[q_1, e, b_0] = d)}) >= T
  /\ voted' = [voted EXCEPT ![p, e, a] = d]
  /\ UNCHANGED <<lock, lock_attempt, released, released_in, status, signature_kept, event_over, renounced, faulty>>

\* session: acked -Begin-> begun
\* @type: (PEER, EVENT, Int, DIGEST) => Bool;
session_Begin(p, e, a, d) ==
  /\ ~faulty[p]
  /\ NonePeer # p
  /\ ~renounced[p, e]
  \* may_lock(p, e, a, d)
  /\ /\ Cardinality({q_0 \in Peer : faulty[q_0] \/ (voted[q_0, e, a] = d)}) >= T
     /\ Rank(lock_attempt[p, e]) < Rank(a)
     /\ ~(\E b_0 \in Attempt :
            (a < b_0) /\ (~((voted[p, e, b_0] = NoneDigest) \/ (voted[p, e, b_0] = d))))
  /\ lock' = [lock EXCEPT ![p, e] = d]
  /\ lock_attempt' = [lock_attempt EXCEPT ![p, e] = a]
  /\ UNCHANGED <<voted, released, released_in, status, signature_kept, event_over, renounced, faulty>>

\* session: begun -Release-> stepping
\* @type: (PEER, EVENT, Int, DIGEST, INSTANCE) => Bool;
session_Release(p, e, a, d, i) ==
  /\ ~faulty[p]
  /\ lock[p, e] = d
  /\ lock_attempt[p, e] = a
  /\ ~renounced[p, e]
  /\ released' = [released EXCEPT ![p, e, d] = TRUE]
  /\ released_in' = [released_in EXCEPT ![p, e, a, d] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, status, signature_kept, event_over, renounced, faulty>>

\* event: UNKNOWN -Create-> PENDING
\* @type: (PEER, EVENT) => Bool;
event_Create(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "UNKNOWN"
  /\ status' = [status EXCEPT ![p, e] = "PENDING"]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, signature_kept, event_over, renounced, faulty>>

\* event: PENDING -Setup-> IN_PROGRESS
\* @type: (PEER, EVENT, Int, DIGEST) => Bool;
event_Setup(p, e, a, d) ==
  /\ ~faulty[p]
  /\ status[p, e] = "PENDING"
  /\ ~event_over[e]
  \* first_vote(p, e, a, d)
  /\ (voted[p, e, a] = NoneDigest) \/ (voted[p, e, a] = d)
  \* lock_permits(p, e, a, d)
  /\ \/ lock[p, e] = NoneDigest
     \/ lock[p, e] = d
     \/ \E b_0 \in Attempt :
          /\ Rank(lock_attempt[p, e]) < Rank(b_0)
          /\ b_0 < a
          /\ Cardinality({q_1 \in Peer : faulty[q_1] \/ (voted[q_1, e, b_0] = d)}) >= T
  /\ status' = [status EXCEPT ![p, e] = "IN_PROGRESS"]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, signature_kept, event_over, renounced, faulty>>

\* event: IN_PROGRESS -Recover-> PENDING
\* @type: (PEER, EVENT) => Bool;
event_Recover(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "IN_PROGRESS"
  /\ status' = [status EXCEPT ![p, e] = "PENDING"]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, signature_kept, event_over, renounced, faulty>>

\* event: PENDING -Signature-> SUCCESS
\* @type: (PEER, EVENT, DIGEST) => Bool;
event_Signature(p, e, d) ==
  /\ ~faulty[p]
  /\ status[p, e] = "PENDING"
  \* signature_valid[e, d]
  /\ \E a_0 \in Attempt :
       Cardinality({q_1 \in Peer : faulty[q_1] \/ released_in[q_1, e, a_0, d]}) >= T
  /\ status' = [status EXCEPT ![p, e] = "SUCCESS"]
  /\ signature_kept' = [signature_kept EXCEPT ![p, e, d] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, event_over, renounced, faulty>>

\* event: IN_PROGRESS -Signature-> SUCCESS
\* @type: (PEER, EVENT, DIGEST) => Bool;
event_Signature_2(p, e, d) ==
  /\ ~faulty[p]
  /\ status[p, e] = "IN_PROGRESS"
  \* signature_valid[e, d]
  /\ \E a_0 \in Attempt :
       Cardinality({q_1 \in Peer : faulty[q_1] \/ released_in[q_1, e, a_0, d]}) >= T
  /\ status' = [status EXCEPT ![p, e] = "SUCCESS"]
  /\ signature_kept' = [signature_kept EXCEPT ![p, e, d] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, event_over, renounced, faulty>>

\* event: FAILED -Signature-> SUCCESS
\* @type: (PEER, EVENT, DIGEST) => Bool;
event_Signature_3(p, e, d) ==
  /\ ~faulty[p]
  /\ status[p, e] = "FAILED"
  \* signature_valid[e, d]
  /\ \E a_0 \in Attempt :
       Cardinality({q_1 \in Peer : faulty[q_1] \/ released_in[q_1, e, a_0, d]}) >= T
  /\ status' = [status EXCEPT ![p, e] = "SUCCESS"]
  /\ signature_kept' = [signature_kept EXCEPT ![p, e, d] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, event_over, renounced, faulty>>

\* event: IN_PROGRESS -ProtocolError-> FAILED
\* @type: (PEER, EVENT) => Bool;
event_ProtocolError(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "IN_PROGRESS"
  \* all(not released[p, e, d] for d in Digest)
  /\ \A d_0 \in Digest : ~released[p, e, d_0]
  /\ status' = [status EXCEPT ![p, e] = "FAILED"]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, signature_kept, event_over, renounced, faulty>>

\* event: IN_PROGRESS -ProtocolError-> PENDING
\* @type: (PEER, EVENT) => Bool;
event_ProtocolError_2(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "IN_PROGRESS"
  \* not (all(not released[p, e, d] for d in Digest))
  /\ ~(\A d_0 \in Digest : ~released[p, e, d_0])
  /\ status' = [status EXCEPT ![p, e] = "PENDING"]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, signature_kept, event_over, renounced, faulty>>

\* event: FAILED -Retry-> PENDING
\* @type: (PEER, EVENT) => Bool;
event_Retry(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "FAILED"
  /\ ~event_over[e]
  /\ status' = [status EXCEPT ![p, e] = "PENDING"]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, signature_kept, event_over, renounced, faulty>>

\* event: PENDING -Renounce-> PENDING
\* @type: (PEER, EVENT) => Bool;
event_Renounce(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "PENDING"
  /\ event_over[e]
  \* all(not released[p, e, d] for d in Digest)
  /\ \A d_0 \in Digest : ~released[p, e, d_0]
  /\ renounced' = [renounced EXCEPT ![p, e] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, status, signature_kept, event_over, faulty>>

\* event: FAILED -Renounce-> FAILED
\* @type: (PEER, EVENT) => Bool;
event_Renounce_2(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "FAILED"
  /\ event_over[e]
  \* all(not released[p, e, d] for d in Digest)
  /\ \A d_0 \in Digest : ~released[p, e, d_0]
  /\ renounced' = [renounced EXCEPT ![p, e] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, status, signature_kept, event_over, faulty>>

\* event: EXPIRED -Renounce-> EXPIRED
\* @type: (PEER, EVENT) => Bool;
event_Renounce_3(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "EXPIRED"
  /\ event_over[e]
  \* all(not released[p, e, d] for d in Digest)
  /\ \A d_0 \in Digest : ~released[p, e, d_0]
  /\ renounced' = [renounced EXCEPT ![p, e] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, status, signature_kept, event_over, faulty>>

\* event: PENDING -Expire-> EXPIRED
\* @type: (PEER, EVENT) => Bool;
event_Expire(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "PENDING"
  /\ event_over[e]
  \* refund_certificate(e)
  /\ Cardinality({q_0 \in Peer : faulty[q_0] \/ renounced[q_0, e]}) >= R
  \* all(not released[p, e, d] for d in Digest)
  /\ \A d_0 \in Digest : ~released[p, e, d_0]
  /\ status' = [status EXCEPT ![p, e] = "EXPIRED"]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, signature_kept, event_over, renounced, faulty>>

\* event: FAILED -Expire-> EXPIRED
\* @type: (PEER, EVENT) => Bool;
event_Expire_2(p, e) ==
  /\ ~faulty[p]
  /\ status[p, e] = "FAILED"
  /\ event_over[e]
  \* refund_certificate(e)
  /\ Cardinality({q_0 \in Peer : faulty[q_0] \/ renounced[q_0, e]}) >= R
  \* all(not released[p, e, d] for d in Digest)
  /\ \A d_0 \in Digest : ~released[p, e, d_0]
  /\ status' = [status EXCEPT ![p, e] = "EXPIRED"]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, signature_kept, event_over, renounced, faulty>>

\* a move of the adversary or the world: the deadline of the event, at any time
\* @type: (EVENT) => Bool;
TimeRunsOut(e) ==
  /\ ~event_over[e]
  /\ event_over' = [event_over EXCEPT ![e] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, status, signature_kept, renounced, faulty>>

Next ==
  \/ \E p \in Peer, e \in Event, a \in Attempt, d \in Digest : session_Ack(p, e, a, d)
  \/ \E p \in Peer, e \in Event, a \in Attempt, d \in Digest : session_Begin(p, e, a, d)
  \/ \E p \in Peer, e \in Event, a \in Attempt, d \in Digest, i \in Instance : session_Release(p, e, a, d, i)
  \/ \E p \in Peer, e \in Event : event_Create(p, e)
  \/ \E p \in Peer, e \in Event, a \in Attempt, d \in Digest : event_Setup(p, e, a, d)
  \/ \E p \in Peer, e \in Event : event_Recover(p, e)
  \/ \E p \in Peer, e \in Event, d \in Digest : event_Signature(p, e, d)
  \/ \E p \in Peer, e \in Event, d \in Digest : event_Signature_2(p, e, d)
  \/ \E p \in Peer, e \in Event, d \in Digest : event_Signature_3(p, e, d)
  \/ \E p \in Peer, e \in Event : event_ProtocolError(p, e)
  \/ \E p \in Peer, e \in Event : event_ProtocolError_2(p, e)
  \/ \E p \in Peer, e \in Event : event_Retry(p, e)
  \/ \E p \in Peer, e \in Event : event_Renounce(p, e)
  \/ \E p \in Peer, e \in Event : event_Renounce_2(p, e)
  \/ \E p \in Peer, e \in Event : event_Renounce_3(p, e)
  \/ \E p \in Peer, e \in Event : event_Expire(p, e)
  \/ \E p \in Peer, e \in Event : event_Expire_2(p, e)
  \/ \E e \in Event : TimeRunsOut(e)

Spec == Init /\ [][Next]_vars

\* step: SUCCESS and EXPIRED are final, and no event becomes UNKNOWN again
StatusMonotone ==
  [][\A p_0 \in Peer, e_1 \in Event :
       /\ ((status[p_0, e_1] = "SUCCESS") \/ (status[p_0, e_1] = "EXPIRED"))
          => (status'[p_0, e_1] = status[p_0, e_1])
       /\ (status[p_0, e_1] # "UNKNOWN") => (status'[p_0, e_1] # "UNKNOWN")]_vars

\* invariant: who says SUCCESS has the signature
SuccessIsSigned ==
  \A p_0 \in Peer, e_1 \in Event :
    (status[p_0, e_1] = "SUCCESS")
    => (\E d_2 \in Digest :
          /\ signature_kept[p_0, e_1, d_2]
          /\ \E a_0 \in Attempt :
               Cardinality({q_1 \in Peer : faulty[q_1] \/ released_in[q_1, e_1, a_0, d_2]}) >= T)

\* step: an event fails only where nothing left the node
FailedBeforeRelease ==
  [][\A p_0 \in Peer, e_1 \in Event :
       ((status[p_0, e_1] # "FAILED") /\ (status'[p_0, e_1] = "FAILED"))
       => (\A d_2 \in Digest : ~released[p_0, e_1, d_2])]_vars

\* step: no crash makes a node forget what it released
ReleaseSurvives ==
  [][\A p_0 \in Peer, e_1 \in Event, d_2 \in Digest :
       released[p_0, e_1, d_2] => released'[p_0, e_1, d_2]]_vars

\* reachable: a node comes back with a share out
NeverCanRecover ==
  ~(\E p_0 \in Peer, e_1 \in Event :
      (status[p_0, e_1] = "PENDING") /\ (~(\A d_2 \in Digest : ~released[p_0, e_1, d_2])))

\* reachable: F-15: a node takes a signature that it had no part in
NeverLateSignature ==
  ~(\E p_0 \in Peer, e_1 \in Event :
      (status[p_0, e_1] = "SUCCESS") /\ (\A d_2 \in Digest : ~released[p_0, e_1, d_2]))

\* reachable
NeverCanFail ==
  ~(\E p_0 \in Peer, e_1 \in Event : status[p_0, e_1] = "FAILED")

\* reachable: F-15: the others finish after a node gave up
NeverFailedTakesSignature ==
  ~(\E p_0 \in Peer, e_1 \in Event, d_2 \in Digest :
      /\ status[p_0, e_1] = "FAILED"
      /\ \E a_0 \in Attempt :
           Cardinality({q_1 \in Peer : faulty[q_1] \/ released_in[q_1, e_1, a_0, d_2]}) >= T)

\* reachable
NeverCanExpire ==
  ~(\E p_0 \in Peer, e_1 \in Event : status[p_0, e_1] = "EXPIRED")

\* always_can: while there is time and an attempt is left, the correct nodes can bring the event to an end everywhere
\* EventCanDecide, which is no formula of TLA+: implies(all(not event_over[e] for e in Event) and any(not any(a < b for b in Attempt) and all(faulty[p] or voted[p, e, a] == none for p in Peer) for e in Event for a in Attempt), all(faulty[p] or status[p, e] in (SUCCESS, EXPIRED) for p in Peer for e in Event))

\* for --cinit=ConstInit
ConstInit ==
  /\ Peer = {"0_OF_PEER", "1_OF_PEER", "2_OF_PEER"}
  /\ Event = {"0_OF_EVENT"}
  /\ Attempt = {0, 1}
  /\ Digest = {"0_OF_DIGEST", "1_OF_DIGEST"}
  /\ Instance = {"0_OF_INSTANCE"}
  /\ T = 3
  /\ F = 0
  /\ R = 1

====
