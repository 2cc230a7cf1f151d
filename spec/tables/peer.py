"""The lifecycle of a node: what it is doing now. Pings run in every state.

At a shared boundary the nightly regroup goes before keygen, and keygen before signing. A regroup
makes new shares while the old ones sign on; its phase is the time in which they are handed over. A
crash takes a node to Idle from anywhere, because its phase is kept in memory. ``r`` is the number
of a round; the round is the attempt of the event that it tries to settle.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Definition, Enum, Opt, Row, Table

PHASE = Enum("Phase", ("Idle", "Keygen", "Proposing", "SetBuilding", "ThresholdSet", "Signing",
                       "Cooldown", "Regroup"))

CELLS = (
    Cell("phase", PHASE, ("Peer",), "Idle", "memory", "what p is doing"),
    Cell("round", Opt("Attempt"), ("Peer",), "none", "memory", "the last round that p entered"),
    Cell("pinged", "bool", ("Peer",), "False", "network", "Ping"),
    Cell("kept_alive", "bool", ("Peer",), "False", "network", "Keepalive"),
    Cell("published", "bool", ("Peer",), "False", "network", "Publish: a deposit seen unconfirmed"),
    Cell("confirm_asked", "bool", ("Peer",), "False", "network",
         "ConfirmReq: what p lacks of open events, or only whether a peer is alive"),
    Cell("confirm_answered", "bool", ("Peer",), "False", "network",
         "ConfirmAck: votes as their voters signed them, for who asked p"),
    Cell("offered", "bool", ("Peer", "Attempt"), "False", "network",
         "Offer: the transfers that p can validate, and the lock it holds"),
    Cell("proposed", "bool", ("Peer", "Attempt", "Digest"), "False", "network", "Proposal"),
    Cell("set_sent", "bool", ("Peer", "Attempt"), "False", "network", "SigningSet"),
    Cell("keygen_open", "bool", ("Peer",), "False", "given",
         "clock: a keygen slot begins and now < keygen_until, or no key is certified yet; by "
         "command: an operator's request is open and no key is certified"),
    Cell("began_in_round", "bool", ("Peer", "Attempt"), "False", "given",
         "clock: p was started in round r, and may have spoken in it before a crash"),
    Cell("transfer_eligible", "bool", ("Peer",), "False", "given",
         "chain: at least one transfer can be paid, or a locked payout can be tried again"),
    Cell("regroup_near", "bool", ("Peer",), "False", "given", "clock: within the regroup margin"),
    Cell("deadline_passed", "bool", ("Peer",), "False", "given",
         "clock: this phase's share is over"),
    Cell("in_threshold_set", "bool", ("Peer", "Peer", "Attempt"), "False", "given",
         "the signing sets that p has heard give a set of exactly T holders who all see each other,"
         " and q is in it"),
    Cell("votes_conflict", "bool", ("Peer", "Attempt"), "False", "given",
         "a member of the threshold set signed another checksum"),
    Cell("signature_valid", "bool", ("Event", "Digest"), "False", "given",
         "computed: the signatures of this document verify under the key, in two libraries"),
)

DEFINITIONS = (
    Definition("threshold_set_known(p: Peer, r: Attempt)",
               "count(q for q in Peer if in_threshold_set[p, q, r]) >= T",
               "the signing sets have settled who signs"),
)

TABLE = Table("peer", "phase[p]", "the lifecycle of a node", rows=(
    # pings, keepalives and deposit sightings, in every state
    Row("any", "Ping(p: Peer)", "same", then={"pinged[p]": "True"},
        why="every ping period: state, stake and proof of the share"),
    Row("any", "Keepalive(p: Peer)", "same", then={"kept_alive[p]": "True"},
        why="peers find each other through eight endpoints at a time"),
    Row("any", "Publish(p: Peer)", "same", then={"published[p]": "True"},
        why="a deposit counts when it was seen before it was confirmed, so sightings are shared"),
    Row("any", "ConfirmReq(p: Peer)", "same", then={"confirm_asked[p]": "True"},
        why="a lost message is asked for, and a newly linked peer must show that it is alive"),
    Row("any", "ConfirmAck(p: Peer)", "same", then={"confirm_answered[p]": "True"},
        why="p shows what others have signed, and claims nothing itself"),

    # key generation
    Row("Idle", "KeygenTick(p: Peer)", "Keygen",
        ("keygen_open[p]", "not any(key[p, k] == locked_in for k in Key)"),
        why="keygen replaces signing until a key is locked in"),
    Row("Keygen", "KeygenOver(p: Peer)", "Idle",
        why="certified, failed or timed out: the keygen table knows which; a new slot may begin"),

    # a signing round
    Row("Idle", "Offer(p: Peer, r: Attempt)", "Idle",
        ("holds_epoch(p)", "transfer_eligible[p]", "not regroup_near[p]",
         "not offered[p, r]", "not began_in_round[p, r]", "round[p] < r"),
        {"offered[p, r]": "True"},
        why="peers exchange what they can validate, so that they can agree on one candidate"),
    Row("Idle", "RoundTick(p: Peer, r: Attempt, d: Digest)", "Proposing",
        ("offered[p, r]", "transfer_eligible[p]", "round[p] < r"),
        {"round[p]": "r", "proposed[p, r, d]": "True"},
        why="one proposal per peer and round, for the candidate rebuilt here"),
    Row("Proposing", "Matched(p: Peer, r: Attempt)", "SetBuilding",
        ("round[p] == r", "count(q for q in Peer if heard[p, q, r] in (accepted, in_view)) >= T"),
        {"set_sent[p, r]": "True"},
        why="t proposals equal p's own: p tells the others which ones it accepted"),
    Row("SetBuilding", "SetFound(p: Peer, e: Event, r: Attempt, d: Digest)", "ThresholdSet",
        ("round[p] == r", "threshold_set_known(p, r)", "in_threshold_set[p, p, r]",
         "proposed[p, r, d]", "status[p, e] == IN_PROGRESS", "works(p, e, r)",
         "first_vote(p, e, r, d)", "lock_permits(p, e, r, d)"),
        {"voted[p, e, r]": "d", "vote[p, e, r, d]": "True"},
        why="the checksum of the threshold set is p's vote: flushed, then sent"),
    Row("SetBuilding", "SetElsewhere(p: Peer, r: Attempt)", "Cooldown",
        ("round[p] == r", "threshold_set_known(p, r)", "not in_threshold_set[p, p, r]"),
        why="t others sign; p waits for the signature they announce"),
    Row("ThresholdSet", "Certified(p: Peer, e: Event, r: Attempt, d: Digest)", "Signing",
        ("round[p] == r", "voted[p, e, r] == d", "works(p, e, r)", "may_lock(p, e, r, d)"),
        {"lock[p, e]": "d", "lock_attempt[p, e]": "r"},
        why="t equal checksums: persist the lock, then sign"),
    Row("ThresholdSet", "Mismatch(p: Peer, r: Attempt)", "Cooldown",
        ("round[p] == r", "votes_conflict[p, r]"),
        why="F-06: a mismatch ends the round and blocks nobody: one liar could empty every set"),
    Row("Signing", "Signed(p: Peer, e: Event, d: Digest)", "Cooldown",
        ("lock[p, e] == d", "signature_valid[e, d]"),
        why="the event table has stored and announced the signature; rest until the next round"),
    Row(("Proposing", "SetBuilding", "ThresholdSet"), "Deadline(p: Peer)", "Cooldown",
        "deadline_passed[p]",
        why="the round ends without a certificate; nothing was released"),
    Row("Signing", "Deadline(p: Peer)", "Cooldown", "deadline_passed[p]",
        why="a member fell silent; the lock stays and only its digest may be tried again"),
    Row("Cooldown", "NextRound(p: Peer, r: Attempt)", "Idle", "round[p] < r",
        why="a peer takes part once per round"),

    # handing the key over
    Row(("Idle", "Cooldown"), "HandingOver(p: Peer)", "Regroup", "hands_over(p)",
        why="F-24: p's old share signs no more and its new one does not yet: no round begins"),
    Row("Regroup", "RegroupOver(p: Peer)", "Idle", "not hands_over(p)",
        why="the new share works, or p is no holder any more"),
))
