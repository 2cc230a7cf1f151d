"""Where the published designs break, and what holds instead: the list that auditors read first.

Each finding gives the rule as its source has it, a short run in which it fails, the rule that this
protocol has in its place, and what carries that rule. Sources: M = the metanode peer protocol, N =
Nano's peering, T = the TSS node architecture. n share holders, t shares needed to sign, f liars; A,
B, C, D, E are nodes, X is a liar; d1 and d2 are two documents of one event.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Finding:
    """One finding.

    ``held_by`` names what carries the rule: a row as ``table: state -Event-> state``, a name as
    ``spec.parameters.quorum_fault``, a cell or formula as ``cell lock`` and ``formula certified``,
    or a file. ``later`` tells what is not built yet.
    """

    id: str
    source_rule: str
    what_breaks: str
    rule: str
    held_by: tuple[str, ...] = ()
    later: str = ""


FINDINGS = (
    Finding("F-01", "T: any t of n may sign.",
            "With t at most half of n, A and B sign d1 while C and D sign d2.",
            "SAFE-SIGN 1: 2t − n > f and n − f ≥ t, or the node does not start.",
            ("spec.parameters.quorum_fault", "metanode/runtime/home/config.py")),
    Finding("F-02", "M: rest when t + 1 peers say that they are signing.",
            "A session has exactly t signers, so the rule never applies by itself; one liar who"
            " also says that it signs stops every round.",
            "What a peer says of its state is for display. Certificate and lock keep a second"
            " signature out.",
            ("peer: ThresholdSet -Certified-> Signing", "formula certified", "cell lock")),
    Finding("F-03", "M: the rest ends with the minute.",
            "A, B and C sign d1 at :59; D has not seen it and pays the deposit again with B and C,"
            " from other coins.",
            "SAFE-SIGN 6: a payout spends the deposits that it pays, so the chain takes one of the"
            " two.",
            ("payout: BROADCAST -Final-> COMPLETED", "metanode/custody/payout.py")),
    Finding("F-04", "M, T: nothing remembers that a share went out.",
            "A keeps B's share for d1 to itself; B gives up and signs d2 with C.",
            "SAFE-SIGN 2: the lock and the release are on disk before a share leaves.",
            ("cell released", "cell lock", "session: begun -Release-> stepping",
             "metanode/runtime/store/signing_log.py")),
    Finding("F-05", "M: each peer sends one proposal, and nobody checks that.",
            "X sends one proposal to A and B, another one to C.",
            "Proposals are signed; the first one is kept, and two different ones are evidence.",
            ("round: silent -Hear-> heard_proposal", "round: accepted -Equivocate-> equivocated",
             "metanode/protocol/rounds/round.py")),
    Finding("F-06", "M: a peer whose checksum differs is blocked.",
            "n = 4: after one lie of X the peer that it misled is blocked, and X is in every set"
            " that is left; after a second lie no set has t members.",
            "A mismatch ends the round and blocks nobody. Only two conflicting signed messages of"
            " one peer do.",
            ("peer: ThresholdSet -Mismatch-> Cooldown", "block_list: clear -Block-> blocked")),
    Finding("F-07", "M: the document carries the checksum of the peer table as it is.",
            "A blocks somebody for itself, and its document has another hash than all others.",
            "The document carries the checksum of the roster of the key epoch, which is the same"
            " for all.",
            ("metanode/custody/document.py",)),
    Finding("F-08", "M: blocks decide who may be in a signing set.",
            "A blocks B and C blocks D: the largest set of peers who see each other has two"
            " members.",
            "Blocks decide about dialling and pings, never about a quorum.",
            ("spec.tables.block_list.TABLE", "round: heard_proposal -Accept-> accepted")),
    Finding("F-09", "M: a peer that does not answer is bad, and is blocked for 72 h.",
            "A partition of one minute becomes an outage of three days.",
            "Silence makes a peer missing or suspect; one good ping clears it.",
            ("block_list: suspect -GoodPing-> clear", "ping: missing -Ping-> listed",
             "spec.parameters.Preset")),
    Finding("F-10", "M: of equal share proofs, those of junior peers are dropped.",
            "Senior X shows a copy of junior J's proof, and J is dropped.",
            "A proof is bound to share index, peer, key epoch and round; a copy does not verify.",
            ("cell share_proof_valid", "round: heard_proposal -Accept-> accepted",
             "metanode/tss/proofs.py")),
    Finding("F-11", "M: the second hash of a proposal is that of peer id and document, joined.",
            "Id and document can be cut elsewhere, and last round's hash is good in this one.",
            "A tag, every length, the round and the key epoch are hashed as well.",
            ("cell id_hash_matches", "metanode/hashing.py")),
    Finding("F-12", "M: rounds follow the minute of the wall clock.",
            "A node whose clock is 2 s ahead sends round r + 1 while the others still clear r.",
            "Every message carries its round; messages of round r + 1 wait, and nothing starts in"
            " the last seconds of a round.",
            ("spec.parameters.Preset", "metanode/protocol/rounds/round.py")),
    Finding("F-13", "M: the ping names a stake transaction.",
            "Ten peers show the same stake; old pings are sent again.",
            "A stake is paid to its node's own id; a ping has a sequence number and a time.",
            ("cell stake", "cell ping_good", "ping: checking -Stake-> listed")),
    Finding("F-14", "T: a crash takes an event from IN_PROGRESS back to PENDING.",
            "A and B release d1 and crash, X has the signature; A, B and D then sign d2.",
            "SAFE-SIGN 2 to 4 and 6: the event is tried again, with the lock that is on disk.",
            ("event: IN_PROGRESS -Recover-> PENDING", "formula lock_permits", "cell lock")),
    Finding("F-15", "T: an expired session is tried again.",
            "B finishes one second after A gave up; A begins anew.",
            "A verified signature is taken whenever it comes, and only the locked digest may be"
            " tried again.",
            ("event: PENDING -Signature-> SUCCESS", "event: FAILED -Signature-> SUCCESS",
             "formula lock_permits")),
    Finding("F-16", "T: PENDING becomes EXPIRED, and the deposit goes back.",
            "A and B have released their shares, and C gives up on its own: the deposit is both"
            " refunded and paid out.",
            "A refund needs n − t + 1 + f signed statements of holders that they have never"
            " released a share for the event and never will.",
            ("event: PENDING -Renounce-> PENDING", "event: PENDING -Expire-> EXPIRED",
             "formula refund_certificate", "spec.parameters.refund_quorum",
             "metanode/protocol/requests/expiry.py")),
    Finding("F-17", "T: what to sign is what the coordinator's set-up says.",
            "The hash in the envelope is that of an honest document, the payload is not.",
            "A set-up is a request: each member rebuilds the document from its own view and votes"
            " for the hash of that, or refuses.",
            ("session: absent -Setup-> created", "cell digest_rebuilt",
             "event: UNKNOWN -Create-> PENDING", "metanode/protocol/events/coordinator.py")),
    Finding("F-18", "T: a list of at least t participants is good.",
            "[A, A, B] passes.",
            "Members are distinct, sorted, of this key epoch's roster, and include the node that"
            " checks them.",
            ("cell members_valid", "session: absent -Setup-> created")),
    Finding("F-19", "T: t is computed from the number of nodes that are eligible now.",
            "A key that 9 holders made needs 7 of them. When 6 are eligible, t becomes 5, and the 5"
            " that are chosen cannot sign.",
            "n, t and the holders belong to the key epoch.",
            ("formula certified", "metanode/protocol/tables/view.py")),
    Finding("F-20", "T: each node finds the coordinator by its own block number.",
            "One node is at block 999, another at 1000: they accept different coordinators.",
            "The attempt's number names the coordinator and is in the set-up. A set-up that comes"
            " early waits, and a higher attempt takes over while nothing is released.",
            ("cell coordinator", "session: acked -Supersede-> expired")),
    Finding("F-21", "T: one coordinator for 1000 blocks.",
            "The coordinator is offline, or ignores an event: nothing happens for days.",
            "The coordinator is roster[(epoch + attempt) mod n], and attempts grow with the clock.",
            ("cell coordinator", "session: absent -Coordinate-> created",
             "metanode/protocol/events/coordinator.py")),
    Finding("F-22", "T: the coordinator waits for everyone whom it chose.",
            "One of them is dead, and the event waits for ever.",
            "All eligible members are asked, and t of those who vote are the session.",
            ("session: acked -Convene-> begun", "session: acked -NotChosen-> expired")),
    Finding("F-23", "T: a step names its event only.",
            "A step of attempt 1 enters attempt 2.",
            "A step names its run: the hash of event, attempt, digest and members. A run is"
            " entered once, and none survives a restart.",
            ("cell instance_used", "session: begun -Release-> stepping",
             "metanode/protocol/events/sessions.py")),
    Finding("F-24", "M: regroup begins with a clean slate.",
            "A, B, C and X of the old epoch release d1; A, D, E and X of the new one sign d2.",
            "T holders of the old epoch fence themselves and hand their locks over, before the new"
            " shares sign anything. A member that has not taken over the locks votes for nothing in"
            " the new epoch.",
            ("regroup: active -Fence-> fenced", "regroup: fenced -HandOver-> fenced",
             "regroup: prepared -Activate-> active", "formula works", "cell locks_taken")),
    Finding("F-25", "M: the old shares are deleted as soon as there are new ones.",
            "Two members have switched, two never finish: nobody has t shares of one kind.",
            "Old shares are erased when all members of the attempt have new ones on disk, and the"
            " attempt is decided.",
            ("regroup: fenced -Erase-> erased", "formula all_ready", "cell succession_signed")),
    Finding("F-26", "M: if somebody misbehaves, the regroup is skipped.",
            "One griefer, or one silent member, skips it every night.",
            "The regroup is tried again in the same night. A member is left out if t holders have"
            " signed that they missed it, and if the others can do without it (F-38); no block list"
            " decides that. The old epoch keeps signing.",
            ("regroup: no_share -Miss-> no_share", "cell missed", "formula left_out",
             "cell roster_has")),
    Finding("F-27", "M, T: key generation ends at each node for itself.",
            "The last message reaches A only: two deposit addresses.",
            "A key counts when all n confirmed the same; it signs its own name, and its address is"
            " shown only then.",
            ("keygen: stored -Certify-> certified_by_all",
             "keygen: certified_by_all -LockIn-> locked_in", "cell confirmed")),
    Finding("F-28", "N: the handshake signs the cookie.",
            "X hands A's proof on to B; the old version does not look at the network at all.",
            "Tag, version, network, both ids, the role, both cookies and both channel keys are"
            " signed. There is one version.",
            ("link: connected -Hello-> challenged", "cell proof_sent",
             "metanode/protocol/links/handshake.py")),
    Finding("F-29", "N: a node that notices two links to one peer closes one of them.",
            "Both ends notice at once, and each closes another one: no link is left.",
            "Both keep the one that the smaller id dialled, and drop the other when it is up.",
            ("link: established -Supersede-> closed", "cell outranks",
             "metanode/protocol/links/handshake.py")),
    Finding("F-30", "N: one open cookie an endpoint.",
            "Four dials that never finish keep everyone behind the same address out.",
            "Cookies hold no state: a time, a nonce and a MAC bound to the channel.",
            ("cell proof", "metanode/protocol/links/handshake.py")),
    Finding("F-31", "N: the stake that must be online is an amount, 6e37 raw.",
            "All stake together is 1.33e37: it can never be enough.",
            "The minimum is a share of the known total.",
            ("spec.parameters.Preset", "metanode/protocol/peers/peering.py")),
    Finding("F-32", "Ours, as first written: locks only move forward; nothing else.",
            "n = 4: A, B and X vote for d1 in attempt 1, and X keeps the certificate to itself. A,"
            " B and C vote for d2 in attempt 2. X shows the old certificate, and A and B lock on d1"
            " and release it. Then X shows the new one, and A, B and C move on and release d2."
            " Found by the exhaustive search and by the prover, 14 steps.",
            "A vote for another digest in a higher attempt is a promise: from then on no lower"
            " attempt locks.",
            ("formula may_lock", "session: acked -Begin-> begun",
             "peer: ThresholdSet -Certified-> Signing")),
    Finding("F-33", "Ours, as first written: any n staked nodes may make the next key.",
            "Quorums of the rosters A, B, C, D and A, B, C, E may share one liar only: two keys are"
            " locked in, and users see two addresses.",
            "While a node makes a key or has one in store, it makes others with the same members"
            " only. It is not enough to ask this of the keys that all have confirmed: a liar may"
            " confirm late, so that two keys come to count at once. Two groups that never met, both"
            " of n staked nodes, are two networks: the operators of a new network compare its"
            " address.",
            ("keygen: no_key -Start-> generating", "cell same_roster",
             "metanode/protocol/keys/keygen.py")),
    Finding("F-34", "M: the threshold set is taken in order of seniority.",
            "A senior member who proposes and then never votes, or votes wrongly, is in the set of"
            " every round: with n = 4 and one liar no payout is ever signed.",
            "Copies are pruned by seniority. In each round another choice of n - t members goes"
            " last, so that every choice of liars is left out of some round. It is not enough to"
            " begin with another member each time, because two liars may stand apart in the order."
            " A coordinator also takes its voters in turn, and it takes last the members that were"
            " silent in earlier runs.",
            ("formula threshold_set_known", "metanode/protocol/rounds/threshold_set.py",
             "metanode/protocol/events/coordinator.py")),
    Finding("F-35", "T: a protocol error with nothing released fails the event.",
            "A liar makes the session of n − t + 1 members fail before the release point: nobody"
            " can sign the event any more, and nobody can expire it. Found by the search for states"
            " without a way out.",
            "A failed event is tried again in a later attempt; the lock and the votes stay.",
            ("event: FAILED -Retry-> PENDING",)),
    Finding("F-36", "M, T: a deposit after its request was cancelled is refunded.",
            "Some members heard the request and saw it run out, others did not: n − t + 1 book the"
            " deposit as a release, n − t + 1 as a refund, and no payout has t members. Found by"
            " the search for states without a way out.",
            "The deposit's own memo decides, whatever was heard before.",
            ("swap: none_yet -Deposit-> PendingRelease", "metanode/custody/transfers.py")),
    Finding("F-37", "Ours, as first written: t + f acknowledgements activate an attempt's shares.",
            "X acknowledges the first attempt late, when the second one, without it, is complete:"
            " some members activate the first, some the second, and neither has t. Found by the"
            " exhaustive search, 12 steps.",
            "Acknowledgements make an attempt eligible. Which attempt succeeds an epoch is decided"
            " once, under SAFE-SIGN, by t votes of the epoch's holders; each is fenced before it"
            " votes.",
            ("regroup: fenced -HandOver-> fenced", "regroup: prepared -Outdone-> erased",
             "cell succession_signed")),
    Finding("F-38", "Ours, for F-26: a member is left out if t holders signed that they missed it.",
            "X hides its messages from B alone, so B gets no further and the others wait for B."
            " With X's own statement, t holders have missed B. B is left out and X stays: with n ="
            " 4, X is one of the t = 3 members that are left, and can refuse every payout. Found by"
            " a simulated liar; `regroup_correct_left_out` is the same run as a model.",
            "f is not lowered when a member is left out: the others go on without it only if"
            " n - f >= t still holds. With t = floor(2n/3) + 1 this never holds, and the operators"
            " decide.",
            ("cell roster_has", "metanode/protocol/reshare/regroup.py")),
    Finding("F-39", "Ours, as first written: t equal votes are a certificate, by today's t.",
            "n, t, f are 7, 5, 2. Three correct holders and both liars sign d1 in attempt 1; the"
            " two other correct ones and a liar vote for d2 in attempt 2: three votes, where five"
            " are needed. In the next epoch n, t, f are 4, 3, 1: a node that is locked on d1 takes"
            " these three votes for a newer certificate and votes for d2, and d2 is signed as well."
            " Found by reading; `regroup_todays_numbers` is the same run with 3, 2, 0 and then 1,"
            " 1, 0, in 22 steps.",
            "A certificate is counted with the holders, t and f of the epoch that signs its attempt"
            " (F-19), by every node and at any time.",
            ("formula certified", "formula lock_permits", "metanode/protocol/tables/view.py")),
    Finding("F-40", "Ours, as first written: the next payout waits until the last one is final.",
            "A depositor takes a deposit back by a reorganisation after its payout was signed; or"
            " no daemon takes the payout. It is never final, and nothing is ever paid again. Found"
            " on a real daemon; `payout_one_at_a_time` is the same run as a model. To let each node"
            " leave out what it knows to be signed is not enough: one that has not heard of d1"
            " signs d2 with the same deposit (`payout_by_first_deposit`, 2 steps).",
            "Each payout ends by itself, and several are on their way at once. Every deposit"
            " belongs to one window of blocks; a window's payouts are signed one after the other,"
            " each as an event of its own, and a node votes for one when it knows those before."
            " What a payout that can never be mined leaves over is paid in the next part.",
            ("payout: SIGNED -Refused-> REFUSED", "payout: SIGNED -Conflict-> REVERTED",
             "metanode/protocol/payouts/windows.py")),
    Finding("F-41", "Ours, as first written: a payout is signed at one fee.",
            "Fees rise after it was signed, or the daemons demand more than it offers: no miner"
            " ever takes it, and its deposits wait for ever (`payout_one_fee`).",
            "One document holds the payout at several fees, each version with the same coins and"
            " payments. One vote and one run sign all of them; the next is sent when the last is"
            " not mined in time.",
            ("payout: SIGNED -Outbid-> SIGNED", "metanode/custody/payout.py")),
    Finding("F-42", "Ours, for F-17: a node signs only what it can rebuild from its own chain.",
            "A is locked on d1, whose fee was agreed at a block that a reorganisation then removes."
            " d1 can be mined as before, but nobody can rebuild it, and the lock lets nobody sign"
            " anything else of this event.",
            "A document with a certificate was rebuilt by a correct node: it is signed as long as"
            " its coins are there. When they have left the chain for good, the part is closed, and"
            " the next one pays what is left.",
            ("formula certified", "metanode/protocol/payouts/windows.py")),
    Finding("F-43", "Ours, for F-26 and F-38: who spoils a dealing is silent: count words.",
            "X sends its messages to all but B. B gets no further, so all miss B and B alone misses"
            " X: no night ends, and nobody is named (`regroup_no_complaints`). To let X answer"
            " before all is not enough either, if what it answers can be read by B only: X seals"
            " rubbish, and B is put out (`regroup_answer_believed`, 9 steps).",
            "Who lacks a message complains of its sender before all, who shows it to all, sealed to"
            " the one that complained, who opens it before all if it is none. Who lacked a message"
            " of an earlier stage is excused. When T holders saw complaints against a member stay"
            " open in several attempts, or a proof against it, the attempts go on without it the"
            " same night. It is one of the liars, so f falls by one, and its stake brings it in no"
            " more. Refuted and proved by `regroup_complaints`.",
            ("regroup: no_share -Complain-> no_share", "regroup: no_share -Answer-> no_share",
             "regroup: no_share -Open-> no_share", "regroup: no_share -Accuse-> no_share",
             "formula spoilt", "metanode/protocol/reshare/complaints.py")),
    Finding("F-44", "M: each night brings in peers by seniority, and prunes gone and bad ones.",
            "If the word of f holders is enough to prune one, or to bring one in, a cartel of f"
            " holders with candidates at hand prunes a correct holder and seats its own each night:"
            " with n, t, f = 4, 3, 1 it has t seats after 2 nights, though nobody left"
            " (`night_word_of_few`).",
            "Holders are pruned when their stake is spent, and replaced when T holders did not hear"
            " them for several nights; candidates come in when their stake is good and T holders"
            " heard them. By statements alone the cartel never gets a seat more (`night_seats`, for"
            " n = 4 and 5). It gets those that correct holders leave: at one a night, t seats take"
            " t - f nights in each of which a correct holder goes, and a stake for each.",
            ("formula may_enter", "formula may_go", "formula seats_fair",
             "regroup: no_share -Prepare-> prepared", "metanode/protocol/reshare/night.py")),
    Finding("F-45", "Ours, to mend F-38: t holders deal to all; an absent one's part is sealed.",
            "A liar among the dealers seals rubbish for absent A. The others hand over and erase"
            " their old shares; A comes back with a share that fits nothing. With n, t, f = 4, 3, 1"
            " the correct holders have two shares: X has the key in its hand for good"
            " (`night_sealed_blindly`, 5 steps).",
            "So a holder that is silent costs the refresh of a night, as F-38 says, until it is"
            " replaced: payouts go on with the old shares. The mend would hold if everybody could"
            " check what is sealed (`night_sealed_and_checked`).",
            ("formula all_ready", "regroup: active -Fence-> fenced"),
            "Sealed parts that everybody can check (verifiable encryption of the dealt share), and"
            " base transfers pair by pair for a holder that comes back."),
    Finding("F-46", "Ours, as first written for F-32: who works with its share of the epoch before"
            " takes no lock over.",
            "n = 4, X a liar. In attempt a, A, B and X vote for d1, and A releases it; in attempt"
            " b, B, C and X vote for d2, and A and C lock and release it: d2 is signed. A, C and X"
            " hand over to the next epoch, whose members make shares for the one after, in which B"
            " is: B heard of none of it and still works with its share of two epochs ago. X shows B"
            " the certificate for d1; B takes that lock over and releases d1 with its old share, as"
            " if it had never voted for d2: with A and X that signs d1 (`regroup_skips_an_epoch`,"
            " 26 steps). Found by the proof for every n, which did not go through.",
            "Nobody takes a lock over, or begins to work with a new share, while it works with a"
            " share of any earlier epoch; and nobody goes back to an older share. So no event is"
            " signed twice, in whatever epochs, for every n, t, f of each of them: proved by"
            " `regroup_epochs`.",
            ("formula works_before", "formula moved_on", "regroup: prepared -TakeOver-> prepared",
             "regroup: prepared -Activate-> active")),
)
