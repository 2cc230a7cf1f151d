"""One attempt of an event as a session: it begins under a certificate, steps under a lock of its
own digest, and when it is over it hears everything and does nothing.
"""

from __future__ import annotations

from model_checks.records.record import Record
from model_checks.records.safe_sign import certificate, first_vote, lock_permits, may_lock, works

_SESSION = "session[p, e, a]"
_OPEN = f"{_SESSION} in (created, acked, begun, stepping)"
_OVER = f"{_SESSION} in (finished, expired)"
_MINE_TO_LEAD = "coordinator[e, a] == p"
_MINE = "session_digest[p, e, a] == d"
_LOCKED = "lock[p, e] == d and lock_attempt[p, e] == a"
_LOCKS = "after(lock[p, e]) == d and after(lock_attempt[p, e]) == a"


def _led(said: str) -> str:
    """What the attempt's coordinator has said of the digest; what others say counts for nothing."""
    return f"not all({said}[x, e, a, d] == False or coordinator[e, a] != x for x in Peer)"


SESSION = Record(
    table="session",
    taken={
        "Coordinate": f"{_SESSION} == absent and {_MINE_TO_LEAD} and status[p, e] == PENDING "
        "and digest_rebuilt[e, d]",
        "Setup": f"{_SESSION} == absent and not {_MINE_TO_LEAD} and {_led('setup_sent')} "
        "and members_valid[e, a] and status[p, e] == PENDING and digest_rebuilt[e, d]",
        "Ack": f"{_SESSION} == created and {_MINE} and status[p, e] == IN_PROGRESS "
        f"and {works()} and {first_vote()} and {lock_permits()}",
        "Convene": f"{_SESSION} == acked and {_MINE} and {_MINE_TO_LEAD} and {works()} "
        f"and {may_lock()}",
        "TellBegin": f"{_SESSION} in (begun, stepping, finished) and begin_sent[p, e, a, d]",
        "Begin": f"{_SESSION} == acked and {_MINE} and not {_MINE_TO_LEAD} "
        f"and {_led('begin_sent')} and is_member[p, e, a] and {works()} and {may_lock()}",
        "NotChosen": f"{_SESSION} == acked and {_MINE} and {_led('begin_sent')} "
        "and not is_member[p, e, a]",
        "Certified": f"{_SESSION} == absent and phase[p] == Signing and {_LOCKED} "
        f"and is_member[p, e, a] and {certificate()}",
        "Release": f"{_SESSION} == begun and {_MINE} and {_LOCKED} and is_member[p, e, a] "
        f"and {works()} and not instance_used[p, i] "
        "and all(session[p, e, b] != stepping for b in Attempt if b != a)",
        "Step": f"({_SESSION} == stepping and instance_used[p, i]) or {_OVER}",
        "Finish": f"{_SESSION} == stepping and {_MINE} and run[e, a] == verified",
        "Expire": f"({_OPEN} and run[e, a] == silent_run) or {_OVER}",
        "Abort": f"({_OPEN} and run[e, a] == faulty) or {_OVER}",
        "Supersede": f"{_OPEN} and {_SESSION} != stepping and a < b",
    },
    then={
        "Coordinate": f"after({_SESSION}) == created and after(session_digest[p, e, a]) == d "
        "and after(setup_sent[p, e, a, d])",
        "Setup": f"after({_SESSION}) == created and after(session_digest[p, e, a]) == d",
        "Ack": f"after({_SESSION}) == acked and after(voted[p, e, a]) == d "
        "and after(vote[p, e, a, d])",
        "Convene": f"after({_SESSION}) == begun and {_LOCKS} and after(begin_sent[p, e, a, d])",
        "TellBegin": f"after({_SESSION}) == {_SESSION} and after(begin_sent[p, e, a, d])",
        "Begin": f"after({_SESSION}) == begun and {_LOCKS}",
        "NotChosen": f"after({_SESSION}) == expired",
        "Certified": f"after({_SESSION}) == begun and after(session_digest[p, e, a]) == d",
        "Release": f"after({_SESSION}) == stepping and after(released[p, e, d]) "
        "and after(instance_used[p, i]) and after(share[p, i]) "
        "and after(released_in[p, e, a, d])",
        "Step": f"{_OVER} or (after({_SESSION}) == stepping and after(stepped[p, i]))",
        "Finish": f"after({_SESSION}) == finished",
        "Expire": f"{_OVER} or after({_SESSION}) == expired",
        "Abort": f"{_OVER} or after({_SESSION}) == expired",
        "Supersede": f"after({_SESSION}) == expired",
    },
    steps={
        "OverIsOver": f"implies({_OVER}, after({_SESSION}) == {_SESSION})",
        "StepsAreReleased": f"implies({_SESSION} != stepping and after({_SESSION}) == stepping, "
        "any(session_digest[p, e, a] == d and after(released[p, e, d]) for d in Digest))",
        "BegunIsLocked": f"implies({_SESSION} != begun and after({_SESSION}) == begun, "
        "any(after(session_digest[p, e, a]) == d and after(lock[p, e]) == d for d in Digest))",
        "OneDigest": f"implies({_SESSION} != absent, "
        "after(session_digest[p, e, a]) == session_digest[p, e, a])",
        "ReleasedForGood": "all(implies(released[p, e, d], after(released[p, e, d])) "
        "for d in Digest)",
    },
    crash=f"all(after({_SESSION}) == absent and after(session_digest[p, e, a]) == none "
    "for e in Event for a in Attempt) "
    "and all(after(instance_used[p, i]) == instance_used[p, i] for i in Instance) "
    "and all(after(released[p, e, d]) == released[p, e, d] for e in Event for d in Digest) "
    "and all(after(voted[p, e, a]) == voted[p, e, a] for e in Event for a in Attempt)",
    first=f"all({_SESSION} == absent and session_digest[p, e, a] == none "
    "and lock[p, e] == none and voted[p, e, a] == none for e in Event for a in Attempt) "
    "and all(not instance_used[p, i] for i in Instance)",
)
