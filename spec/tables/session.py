"""One attempt of an event as a session: from SETUP or from a round's certificate to the result.

Two ways lead to ``begun``, and both need a certificate: a coordinator's SETUP, ACK and BEGIN, or
the equal checksums of a signing round. A session lives in memory: none survives a restart.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Definition, Enum, Opt, Row, Table

SESSION = Enum("Session", ("absent", "created", "acked", "begun", "stepping", "finished",
                           "expired"))

RUN = Enum("Run", ("going", "silent_run", "faulty", "verified"))

_KEY = ("Peer", "Event", "Attempt")
CELLS = (
    Cell("session", SESSION, _KEY, "absent", "memory", "attempt a of event e, at p"),
    Cell("session_digest", Opt("Digest"), _KEY, "none", "memory", "what this session would sign"),
    Cell("setup_sent", "bool", (*_KEY, "Digest"), "False", "network",
         "Setup: H(setup) is in each vote"),
    Cell("begin_sent", "bool", (*_KEY, "Digest"), "False", "network",
         "Begin: with the certificate"),
    Cell("stepped", "bool", ("Peer", "Instance"), "False", "network",
         "Step: later messages of the run"),
    Cell("coordinator", Opt("Peer"), ("Event", "Attempt"), "none", "given",
         "members[(epoch + attempt) mod n] of the attempt (F-20, F-21); none if p sees no such"
         " attempt"),
    Cell("members_valid", "bool", ("Event", "Attempt"), "False", "given",
         "members are distinct, sorted, of this epoch's roster, and include p (F-18)"),
    Cell("digest_rebuilt", "bool", ("Event", "Digest"), "False", "given",
         "p built the same document from its own view (F-17)"),
    Cell("is_member", "bool", ("Peer", "Event", "Attempt"), "False", "given",
         "p's vote is in the certificate"),
    Cell("run", RUN, ("Event", "Attempt"), "going", "given",
         "what has become of the run: silent for too long or beyond its time, aborted with or"
         " without a culprit, or ended with a result that verifies"),
)

DEFINITIONS = (
    Definition("coordinates(p: Peer, e: Event, a: Attempt)", "coordinator[e, a] == p",
               "p is this attempt's coordinator, and nobody else is"),
    Definition("asked_for(e: Event, a: Attempt, d: Digest)",
               "among(e, a, any(coordinates(q, e, a) and setup_sent[q, e, a, d] for q in Peer))",
               "this attempt's coordinator has asked for d"),
    Definition("convened(e: Event, a: Attempt, d: Digest)",
               "among(e, a, any(coordinates(q, e, a) and begin_sent[q, e, a, d] for q in Peer))",
               "this attempt's coordinator has shown a certificate for d"),
)

_P = "p: Peer, e: Event, a: Attempt"
_LOCK = {"lock[p, e]": "d", "lock_attempt[p, e]": "a"}
_OPEN = ("created", "acked", "begun", "stepping")
_OVER = ("finished", "expired")

TABLE = Table("session", "session[p, e, a]", "one attempt of an event", rows=(
    Row("absent", f"Coordinate({_P}, d: Digest)", "created",
        ("coordinates(p, e, a)", "status[p, e] == PENDING", "digest_rebuilt[e, d]"),
        {"session_digest[p, e, a]": "d", "setup_sent[p, e, a, d]": "True"},
        why="this attempt's coordinator asks all eligible members, not a fixed few (F-22)"),
    Row("absent", f"Setup({_P}, d: Digest)", "created",
        ("asked_for(e, a, d)", "members_valid[e, a]", "digest_rebuilt[e, d]",
         "status[p, e] == PENDING", "not coordinates(p, e, a)"),
        {"session_digest[p, e, a]": "d"},
        why="a set-up is a request: the document is rebuilt here, or refused"),
    Row("created", f"Ack({_P}, d: Digest)", "acked",
        ("session_digest[p, e, a] == d", "status[p, e] == IN_PROGRESS", "works(p, e, a)",
         "first_vote(p, e, a, d)", "lock_permits(p, e, a, d)"),
        {"voted[p, e, a]": "d", "vote[p, e, a, d]": "True"},
        why="the vote is durable before the ACK leaves"),
    Row("acked", f"Convene({_P}, d: Digest)", "begun",
        ("coordinates(p, e, a)", "session_digest[p, e, a] == d", "works(p, e, a)",
         "may_lock(p, e, a, d)"),
        {**_LOCK, "begin_sent[p, e, a, d]": "True"},
        why="BEGIN names t of the voters, others in each attempt (F-34), and carries their votes"),
    Row(("begun", "stepping", "finished"), f"TellBegin({_P}, d: Digest)", "same",
        "begin_sent[p, e, a, d]", {"begin_sent[p, e, a, d]": "True"},
        why="a member that asks for the certificate did not hear BEGIN; it is told the same again"),
    Row("acked", f"Begin({_P}, d: Digest)", "begun",
        ("convened(e, a, d)", "session_digest[p, e, a] == d", "is_member[p, e, a]",
         "not coordinates(p, e, a)", "works(p, e, a)", "may_lock(p, e, a, d)"), _LOCK,
        why="only the certificate begins a session; the lock is durable before the first step"),
    Row("acked", f"NotChosen({_P}, d: Digest)", "expired",
        ("convened(e, a, d)", "session_digest[p, e, a] == d", "not is_member[p, e, a]"),
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
        {"released[p, e, d]": "True", "instance_used[p, i]": "True", "share[p, i]": "True",
         "released_in[p, e, a, d]": "True"},
        why="the release point: recorded and flushed, then the first signing message leaves"),
    Row("stepping", f"Step({_P}, i: Instance)", "stepping", "instance_used[p, i]",
        {"stepped[p, i]": "True"},
        why="later rounds of the same run"),
    Row("stepping", f"Finish({_P}, d: Digest)", "finished",
        ("session_digest[p, e, a] == d", "run[e, a] == verified"),
        why="a result is verified before anyone hears of it"),
    Row(_OPEN, f"Expire({_P})", "expired", "run[e, a] == silent_run",
        why="silence ends a session; the event table decides what comes next"),
    Row(_OPEN, f"Abort({_P})", "expired", "run[e, a] == faulty",
        why="cheating ends a session; blame is recorded where it can be proved"),
    Row(("created", "acked", "begun"), f"Supersede({_P}, b: Attempt)", "expired", "a < b",
        why="F-20: a higher attempt takes over while nothing was released"),
    Row(_OVER, f"Step({_P}, i: Instance)", "same",
        why="finished and expired sessions ignore everything"),
    Row(_OVER, f"Expire({_P})", "same", why="finished and expired sessions ignore everything"),
    Row(_OVER, f"Abort({_P})", "same", why="finished and expired sessions ignore everything"),
))
