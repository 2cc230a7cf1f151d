---- MODULE signing ----
\* one event, competing digests, attempts in any order
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
  F
VARIABLES
  \* disk: the digest that p signed a vote for in this attempt
  \* @type: <<PEER, EVENT, Int>> -> DIGEST;
  voted,
  \* network: the signed vote itself: the checksum of a round, the ACK of a set-up
  \* @type: <<PEER, EVENT, Int, DIGEST>> -> Bool;
  vote,
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
  \* given: p may say anything
  \* @type: PEER -> Bool;
  faulty

\* @type: () => <<<<PEER, EVENT, Int>> -> DIGEST, <<PEER, EVENT, Int, DIGEST>> -> Bool, <<PEER, EVENT>> -> DIGEST, <<PEER, EVENT>> -> Int, <<PEER, EVENT, DIGEST>> -> Bool, <<PEER, EVENT, Int, DIGEST>> -> Bool, PEER -> Bool>>;
vars == <<voted, vote, lock, lock_attempt, released, released_in, faulty>>

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
  /\ vote \in [Peer \X Event \X Attempt \X Digest -> BOOLEAN]
  /\ lock \in [Peer \X Event -> (Digest \union {NoneDigest})]
  /\ lock_attempt \in [Peer \X Event -> (Attempt \union {NoneAttempt})]
  /\ released \in [Peer \X Event \X Digest -> BOOLEAN]
  /\ released_in \in [Peer \X Event \X Attempt \X Digest -> BOOLEAN]
  /\ faulty \in [Peer -> BOOLEAN]

Init ==
  /\ voted = [i0 \in Peer, i1 \in Event, i2 \in Attempt |-> NoneDigest]
  /\ vote = [i0 \in Peer, i1 \in Event, i2 \in Attempt, i3 \in Digest |-> FALSE]
  /\ lock = [i0 \in Peer, i1 \in Event |-> NoneDigest]
  /\ lock_attempt = [i0 \in Peer, i1 \in Event |-> NoneAttempt]
  /\ released = [i0 \in Peer, i1 \in Event, i2 \in Digest |-> FALSE]
  /\ released_in = [i0 \in Peer, i1 \in Event, i2 \in Attempt, i3 \in Digest |-> FALSE]
  /\ faulty \in [Peer -> BOOLEAN]
  /\ Cardinality({p_0 \in Peer : faulty[p_0]}) =< F

\* session: created -Ack-> acked
\* @type: (PEER, EVENT, Int, DIGEST) => Bool;
session_Ack(p, e, a, d) ==
  /\ ~faulty[p]
  \* first_vote(p, e, a, d)
  /\ (voted[p, e, a] = NoneDigest) \/ (voted[p, e, a] = d)
  \* lock_permits(p, e, a, d)
  /\ \/ lock[p, e] = NoneDigest
     \/ lock[p, e] = d
     \/ \E b_0 \in Attempt :
          /\ Rank(lock_attempt[p, e]) < Rank(b_0)
          /\ b_0 < a
          /\ Cardinality({q_1 \in Peer : vote[q_1, e, b_0, d]}) >= T
  /\ voted' = [voted EXCEPT ![p, e, a] = d]
  /\ vote' = [vote EXCEPT ![p, e, a, d] = TRUE]
  /\ UNCHANGED <<lock, lock_attempt, released, released_in, faulty>>

\* session: acked -Begin-> begun
\* @type: (PEER, EVENT, Int, DIGEST) => Bool;
session_Begin(p, e, a, d) ==
  /\ ~faulty[p]
  /\ NonePeer # p
  \* may_lock(p, e, a, d)
  /\ /\ Cardinality({q_0 \in Peer : vote[q_0, e, a, d]}) >= T
     /\ Rank(lock_attempt[p, e]) < Rank(a)
     /\ ~(\E b_0 \in Attempt :
            (a < b_0) /\ (~((voted[p, e, b_0] = NoneDigest) \/ (voted[p, e, b_0] = d))))
  /\ lock' = [lock EXCEPT ![p, e] = d]
  /\ lock_attempt' = [lock_attempt EXCEPT ![p, e] = a]
  /\ UNCHANGED <<voted, vote, released, released_in, faulty>>

\* session: begun -Release-> stepping
\* @type: (PEER, EVENT, Int, DIGEST, INSTANCE) => Bool;
session_Release(p, e, a, d, i) ==
  /\ ~faulty[p]
  /\ lock[p, e] = d
  /\ lock_attempt[p, e] = a
  /\ released' = [released EXCEPT ![p, e, d] = TRUE]
  /\ released_in' = [released_in EXCEPT ![p, e, a, d] = TRUE]
  /\ UNCHANGED <<voted, vote, lock, lock_attempt, faulty>>

\* peer: SetBuilding -SetFound-> ThresholdSet
\* @type: (PEER, EVENT, Int, DIGEST) => Bool;
peer_SetFound(p, e, r, d) ==
  /\ ~faulty[p]
  \* first_vote(p, e, r, d)
  /\ (voted[p, e, r] = NoneDigest) \/ (voted[p, e, r] = d)
  \* lock_permits(p, e, r, d)
  /\ \/ lock[p, e] = NoneDigest
     \/ lock[p, e] = d
     \/ \E b_0 \in Attempt :
          /\ Rank(lock_attempt[p, e]) < Rank(b_0)
          /\ b_0 < r
          /\ Cardinality({q_1 \in Peer : vote[q_1, e, b_0, d]}) >= T
  /\ voted' = [voted EXCEPT ![p, e, r] = d]
  /\ vote' = [vote EXCEPT ![p, e, r, d] = TRUE]
  /\ UNCHANGED <<lock, lock_attempt, released, released_in, faulty>>

\* peer: ThresholdSet -Certified-> Signing
\* @type: (PEER, EVENT, Int, DIGEST) => Bool;
peer_Certified(p, e, r, d) ==
  /\ ~faulty[p]
  /\ voted[p, e, r] = d
  \* may_lock(p, e, r, d)
  /\ /\ Cardinality({q_0 \in Peer : vote[q_0, e, r, d]}) >= T
     /\ Rank(lock_attempt[p, e]) < Rank(r)
     /\ ~(\E b_0 \in Attempt :
            (r < b_0) /\ (~((voted[p, e, b_0] = NoneDigest) \/ (voted[p, e, b_0] = d))))
  /\ lock' = [lock EXCEPT ![p, e] = d]
  /\ lock_attempt' = [lock_attempt EXCEPT ![p, e] = r]
  /\ UNCHANGED <<voted, vote, released, released_in, faulty>>

\* a move of the adversary or the world: a liar votes for everything
\* @type: (PEER, EVENT, Int, DIGEST) => Bool;
Forge(q, e, a, d) ==
  /\ faulty[q]
  /\ vote' = [vote EXCEPT ![q, e, a, d] = TRUE]
  /\ UNCHANGED <<voted, lock, lock_attempt, released, released_in, faulty>>

Next ==
  \/ \E p \in Peer, e \in Event, a \in Attempt, d \in Digest : session_Ack(p, e, a, d)
  \/ \E p \in Peer, e \in Event, a \in Attempt, d \in Digest : session_Begin(p, e, a, d)
  \/ \E p \in Peer, e \in Event, a \in Attempt, d \in Digest, i \in Instance : session_Release(p, e, a, d, i)
  \/ \E p \in Peer, e \in Event, r \in Attempt, d \in Digest : peer_SetFound(p, e, r, d)
  \/ \E p \in Peer, e \in Event, r \in Attempt, d \in Digest : peer_Certified(p, e, r, d)
  \/ \E q \in Peer, e \in Event, a \in Attempt, d \in Digest : Forge(q, e, a, d)

Spec == Init /\ [][Next]_vars

\* invariant: Of one event, at most one digest can gather t shares, F of them from liars, in one key epoch or in several.
NoDoubleSign ==
  \A e_0 \in Event, a_1 \in Attempt, b_2 \in Attempt, d_3 \in Digest, x_4 \in Digest :
    (d_3 # x_4)
    => (~(/\ (Cardinality({p_5 \in Peer : (~faulty[p_5]) /\ released_in[p_5, e_0, a_1, d_3]}) + F) >= T
          /\ (Cardinality({p_5 \in Peer : (~faulty[p_5]) /\ released_in[p_5, e_0, b_2, x_4]}) + F) >= T))

\* invariant: In one attempt of an event at most one digest is certified.
CertificateUnique ==
  \A e_0 \in Event, a_1 \in Attempt, d_2 \in Digest, x_3 \in Digest :
    (d_2 # x_3)
    => (~(/\ Cardinality({q_4 \in Peer : vote[q_4, e_0, a_1, d_2]}) >= T
          /\ Cardinality({q_4 \in Peer : vote[q_4, e_0, a_1, x_3]}) >= T))

\* invariant: A node that released two digests of one event had a certificate for each of them.
NoDoubleSignLocal ==
  \A p_0 \in Peer, e_1 \in Event, d_2 \in Digest, x_3 \in Digest :
    ((~faulty[p_0]) /\ (d_2 # x_3))
    => ((released[p_0, e_1, d_2] /\ released[p_0, e_1, x_3])
        => (/\ \E a_4 \in Attempt : Cardinality({q_5 \in Peer : vote[q_5, e_1, a_4, d_2]}) >= T
            /\ \E a_4 \in Attempt : Cardinality({q_5 \in Peer : vote[q_5, e_1, a_4, x_3]}) >= T))

\* invariant: A vote or a share that has left a node stands in the log on that node's disk.
DurableBeforeSend ==
  \A p_0 \in Peer, e_1 \in Event, a_2 \in Attempt, d_3 \in Digest :
    (~faulty[p_0]) => (vote[p_0, e_1, a_2, d_3] => (voted[p_0, e_1, a_2] = d_3))

\* step: SAFE-SIGN 3, and no crash undoes it
LocksMoveForward ==
  [][\A p_0 \in Peer, e_1 \in Event : Rank(lock_attempt[p_0, e_1]) =< Rank(lock_attempt'[p_0, e_1])]_vars

\* step: SAFE-SIGN 3: one vote an attempt
VotesAreFinal ==
  [][\A p_0 \in Peer, e_1 \in Event, a_2 \in Attempt :
       (voted[p_0, e_1, a_2] = NoneDigest) \/ (voted[p_0, e_1, a_2] = voted'[p_0, e_1, a_2])]_vars

\* invariant: in an attempt later than all others, the correct peers may vote for one digest
NextAttemptOpen ==
  \A e_0 \in Event :
    \E d_1 \in Digest :
      Cardinality({p_2 \in Peer : (~faulty[p_2]) /\ ((lock[p_2, e_0] = NoneDigest) \/ (lock[p_2, e_0] = d_1) \/ (\E b_3 \in Attempt : (Rank(lock_attempt[p_2, e_0]) < Rank(b_3)) /\ (Cardinality({q_4 \in Peer : vote[q_4, e_0, b_3, d_1]}) >= T)))}) >= T

\* reachable: correct members do release
NeverCanSign ==
  ~(\E e_0 \in Event, a_1 \in Attempt, d_2 \in Digest :
      (Cardinality({p_3 \in Peer : (~faulty[p_3]) /\ released_in[p_3, e_0, a_1, d_2]}) + F) >= T)

\* reachable: SAFE-SIGN 4 lets a lock move, even after a release
NeverLockMoves ==
  ~(\E p_0 \in Peer, e_1 \in Event, a_2 \in Attempt, b_3 \in Attempt, d_4 \in Digest, k_5 \in Digest :
      (d_4 # k_5) /\ released_in[p_0, e_1, a_2, d_4] /\ released_in[p_0, e_1, b_3, k_5])

\* reachable: the adversary's power: two votes in one attempt
NeverLiarsVoteTwice ==
  ~(\E p_0 \in Peer, e_1 \in Event, a_2 \in Attempt, d_3 \in Digest, k_4 \in Digest :
      (d_3 # k_4) /\ vote[p_0, e_1, a_2, d_3] /\ vote[p_0, e_1, a_2, k_4])

\* reachable: the adversary's power: its votes complete a certificate
NeverLiarsDecide ==
  ~(\E e_0 \in Event, a_1 \in Attempt, d_2 \in Digest :
      /\ Cardinality({q_3 \in Peer : vote[q_3, e_0, a_1, d_2]}) >= T
      /\ Cardinality({p_3 \in Peer : (~faulty[p_3]) /\ vote[p_3, e_0, a_1, d_2]}) < T)

\* for --cinit=ConstInit
ConstInit ==
  /\ Peer = {"0_OF_PEER", "1_OF_PEER", "2_OF_PEER"}
  /\ Event = {"0_OF_EVENT"}
  /\ Attempt = {0, 1}
  /\ Digest = {"0_OF_DIGEST", "1_OF_DIGEST"}
  /\ Instance = {"0_OF_INSTANCE"}
  /\ T = 3
  /\ F = 0

====
