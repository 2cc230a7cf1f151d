"""One attempt of an event as a session: from SETUP or from a round's certificate to the result.

Two ways lead to ``begun``, and both need a certificate: a coordinator's SETUP, ACK and BEGIN, or
the equal checksums of a signing round. A session lives in memory: none survives a restart.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Opt, Row, Table

SESSION = Enum("Session", ("absent", "created", "acked", "begun", "stepping", "finished",
                           "expired"))

_KEY = ("Peer", "Event", "Attempt")
CELLS = (
    Cell("session", SESSION, _KEY, "absent", "memory", "attempt a of event e, at p"),
    Cell("session_digest", Opt("Digest"), _KEY, "none", "memory", "what this session would sign"),
    Cell("setup_sent", "bool", (*_KEY, "Digest"), "False", "network",
         "Setup: H(setup) is in each vote"),
    Cell("begin_sent", "bool", (*_KEY, "Digest"), "False", "network",
         "Begin: with the certificate"),
    Cell("stepped", "bool", _KEY, "False", "network", "Step: later messages of the session"),
    Cell("is_coordinator", "bool", ("Peer", "Attempt"), "False", "given",
         "p = roster[(epoch + attempt) mod n] (F-20, F-21)"),
    Cell("from_coordinator", "bool", ("Event", "Attempt"), "False", "given",
         "the message is signed by this attempt's coordinator, within the grace window"),
    Cell("members_valid", "bool", ("Event", "Attempt"), "False", "given",
         "members are distinct, sorted, of this epoch's roster, and include p (F-18)"),
    Cell("digest_rebuilt", "bool", ("Event", "Digest"), "False", "given",
         "p built the same document from its own view (F-17)"),
    Cell("is_member", "bool", ("Peer", "Event", "Attempt"), "False", "given",
         "p's vote is in the certificate"),
    Cell("result_valid", "bool", ("Event", "Digest"), "False", "given",
         "computed: the session's result verifies"),
    Cell("session_idle", "bool", ("Event", "Attempt"), "False", "given",
         "clock: idle for too long"),
    Cell("peer_fault", "bool", ("Event", "Attempt"), "False", "given",
         "the cryptography aborted, with or without a culprit"),
)

_P = "p: Peer, e: Event, a: Attempt"
_LOCK = {"lock[p, e]": "d", "lock_attempt[p, e]": "a"}
_OPEN = ("created", "acked", "begun", "stepping")
_OVER = ("finished", "expired")

TABLE = Table("session", "session[p, e, a]", "one attempt of an event", rows=(
    Row("absent", f"Coordinate({_P}, d: Digest)", "created",
        ("is_coordinator[p, a]", "status[p, e] == PENDING", "digest_rebuilt[e, d]"),
        {"session_digest[p, e, a]": "d", "setup_sent[p, e, a, d]": "True"},
        why="this attempt's coordinator asks all eligible members, not a fixed few (F-22)"),
    Row("absent", f"Setup({_P}, d: Digest)", "created",
        ("from_coordinator[e, a]", "members_valid[e, a]", "digest_rebuilt[e, d]",
         "status[p, e] == PENDING", "not is_coordinator[p, a]"),
        {"session_digest[p, e, a]": "d"},
        why="a set-up is a request: the document is rebuilt here, or refused"),
    Row("created", f"Ack({_P}, d: Digest)", "acked",
        ("session_digest[p, e, a] == d", "status[p, e] == IN_PROGRESS", "works(p, e, a)",
         "first_vote(p, e, a, d)", "lock_permits(p, e, a, d)"),
        {"voted[p, e, a]": "d", "vote[p, e, a, d]": "True"},
        why="the vote is durable before the ACK leaves"),
    Row("acked", f"Convene({_P}, d: Digest)", "begun",
        ("is_coordinator[p, a]", "session_digest[p, e, a] == d", "works(p, e, a)",
         "may_lock(p, e, a, d)"),
        {**_LOCK, "begin_sent[p, e, a, d]": "True"},
        why="BEGIN names t of the voters, others in each attempt (F-34), and carries their votes"),
    Row("acked", f"Begin({_P}, d: Digest)", "begun",
        ("from_coordinator[e, a]", "session_digest[p, e, a] == d", "is_member[p, e, a]",
         "not is_coordinator[p, a]", "works(p, e, a)", "may_lock(p, e, a, d)"), _LOCK,
        why="only the certificate begins a session; the lock is durable before the first step"),
    Row("acked", f"NotChosen({_P})", "expired",
        ("from_coordinator[e, a]", "not is_member[p, e, a]"),
        why="exactly t sign; the others wait for the signature"),
    Row("absent", f"Certified({_P}, d: Digest)", "begun",
        ("phase[p] == Signing", "lock[p, e] == d", "lock_attempt[p, e] == a", "is_member[p, e, a]",
         "certified(e, a, d)"),
        {"session_digest[p, e, a]": "d"},
        why="a round's checksums are the other way to a certificate"),
    Row("begun", f"Release({_P}, d: Digest, i: Instance)", "stepping",
        ("session_digest[p, e, a] == d", "lock[p, e] == d", "lock_attempt[p, e] == a",
         "is_member[p, e, a]", "works(p, e, a)", "not instance_used[p, i]",
         "not any(session[p, e, b] == stepping for b in Attempt if b != a)"),
        {"released[p, e, d]": "True", "instance_used[p, i]": "True", "share[p, e, d]": "True",
         "released_in[p, e, a, d]": "True"},
        why="the release point: recorded and flushed, then the first signing message leaves"),
    Row("stepping", f"Step({_P})", "stepping", then={"stepped[p, e, a]": "True"},
        why="later rounds of the same run"),
    Row("stepping", f"Finish({_P}, d: Digest)", "finished",
        ("session_digest[p, e, a] == d", "result_valid[e, d]"),
        why="a result is verified before anyone hears of it"),
    Row(_OPEN, f"Expire({_P})", "expired", "session_idle[e, a]",
        why="silence ends a session; the event table decides what comes next"),
    Row(_OPEN, f"Abort({_P})", "expired", "peer_fault[e, a]",
        why="cheating ends a session; blame is recorded where it can be proved"),
    Row(("created", "acked", "begun"), f"Supersede({_P}, b: Attempt)", "expired", "a < b",
        why="F-20: a higher attempt takes over while nothing was released"),
    Row(_OVER, f"Step({_P})", "same", why="finished and expired sessions ignore everything"),
    Row(_OVER, f"Expire({_P})", "same", why="finished and expired sessions ignore everything"),
    Row(_OVER, f"Abort({_P})", "same", why="finished and expired sessions ignore everything"),
))
