"""The status of an event at one node; a write compares and sets on the expected status.

An event is created once, tried in numbered attempts, and ends in SUCCESS or EXPIRED. An event in
FAILED still takes a late signature, because the others may have made it.

An event expires when so many holders have renounced it that fewer are left than a signature needs
(F-16). A node that has released no share for an event that ran out of time renounces the event
permanently and says so. Only the holders who could have signed are counted: an event that may
expire is signed by the same holders in every epoch.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Definition, Enum, Row, Table

STATUS = Enum("Status", ("UNKNOWN", "PENDING", "IN_PROGRESS", "SUCCESS", "FAILED", "EXPIRED"))

CELLS = (
    Cell("status", STATUS, ("Peer", "Event"), "UNKNOWN", "disk", "where event e stands at p"),
    Cell("announced", "bool", ("Peer", "Event", "Digest"), "False", "network",
         "SignatureFound: the finished signatures, forwarded once by everyone who learns them"),
    Cell("signature_kept", "bool", ("Peer", "Event", "Digest"), "False", "disk",
         "the finished signatures are in p's store"),
    Cell("asked", "bool", ("Peer", "Event"), "False", "disk",
         "p's own operator asked for e; written with what was asked and until when it is tried"),
    Cell("key_made", "bool", ("Event",), "False", "given",
         "the event was about a key: p stored its share, or what was asked for is in force"),
    Cell("event_over", "bool", ("Event",), "False", "given",
         "the event ran out of time: the lifetime of a request is over, or the only attempt of a"
         " key generation or of a regroup; or a request for the key names an epoch that has gone"),
    Cell("renounced", "bool", ("Peer", "Event"), "False", "disk",
         "p never released a share for e, and never will: it takes no part in e any more"),
    Cell("renounced_said", "bool", ("Peer", "Event"), "False", "network",
         "Renounced: that p has renounced e"),
)

DEFINITIONS = (
    Definition("refund_certificate(e: Event)",
               "among(e, count(q for q in Peer if renounced_said[q, e]) >= R)",
               "F-16: at most F of these lie, so fewer than T holders are left that could sign."
               " Only the holders that the request names count, so nobody is counted while other"
               " holders have the key"),
)

_NOTHING_RELEASED = "all(not released[p, e, d] for d in Digest)"
_SETUP = "Setup(p: Peer, e: Event, a: Attempt, d: Digest)"
_SIGNATURE = "Signature(p: Peer, e: Event, d: Digest)"
_LEARNED = {"signature_kept[p, e, d]": "True", "announced[p, e, d]": "True"}

TABLE = Table("event", "status[p, e]", "the status of an event", rows=(
    Row("UNKNOWN", "Create(p: Peer, e: Event)", "PENDING", "kind[e] != unknown_kind",
        why="an event is derived locally, never taken from a coordinator's word (F-17)"),
    Row("PENDING", _SETUP, "IN_PROGRESS",
        ("not event_over[e]", "first_vote(p, e, a, d)", "lock_permits(p, e, a, d)"),
        why="a valid set-up of an attempt that the lock permits"),
    Row("PENDING", _SIGNATURE, "SUCCESS", "signature_valid[e, d]", _LEARNED,
        why="F-15: the others may finish after p gave up; a signature that verifies is taken"),
    Row(("PENDING", "FAILED", "EXPIRED"), "Renounce(p: Peer, e: Event)", "same",
        ("event_over[e]", _NOTHING_RELEASED),
        {"renounced[p, e]": "True", "renounced_said[p, e]": "True"},
        why="F-16: the renunciation is on disk before p announces it; p announces it again to a"
            " peer that was away"),
    Row(("PENDING", "FAILED"), "Expire(p: Peer, e: Event)", "EXPIRED",
        ("event_over[e]", "refund_certificate(e)", _NOTHING_RELEASED),
        why="F-16: without the certificate a refund could follow a payout"),
    Row(("PENDING", "FAILED"), "Lapse(p: Peer, e: Event)", "EXPIRED",
        ("event_over[e]", "kind[e] in (keygen, regroup, key_request)"),
        why="nobody can sign it, so no certificate is needed: a slot or an attempt at new shares"
            " that has passed is never tried again, and would be pending on disk for ever"),
    Row("IN_PROGRESS", "Recover(p: Peer, e: Event)", "PENDING",
        why="a crash or expiry lost the session; the lock is kept, the event is tried again"),
    Row("IN_PROGRESS", _SIGNATURE, "SUCCESS", "signature_valid[e, d]", _LEARNED,
        why="the verified result"),
    Row(("PENDING", "IN_PROGRESS"), "KeyMade(p: Peer, e: Event)", "SUCCESS", "key_made[e]",
        why="a key generation ends in shares, not in a signature; so does a request for a key"),
    Row("IN_PROGRESS", "ProtocolError(p: Peer, e: Event)", "FAILED", _NOTHING_RELEASED,
        why="nothing left this node, so nothing can come of it here"),
    Row("IN_PROGRESS", "ProtocolError(p: Peer, e: Event)", "PENDING",
        f"not ({_NOTHING_RELEASED})",
        why="a share is out: the event must be brought to an end, with the same digest"),
    Row("FAILED", "Retry(p: Peer, e: Event)", "PENDING", "not event_over[e]",
        why="F-35: nothing was released, so another attempt is safe; without it one liar who makes "
            "sessions fail early would strand the event"),
    Row("FAILED", _SIGNATURE, "SUCCESS", "signature_valid[e, d]", _LEARNED,
        why="a verified late signature"),
    Row("SUCCESS", "Announce(p: Peer, e: Event, d: Digest)", "same", "signature_kept[p, e, d]",
        {"announced[p, e, d]": "True"},
        why="a peer that was away is told again"),
    Row(("SUCCESS", "EXPIRED"), _SIGNATURE, "same", why="finished events ignore everything"),
    Row(("SUCCESS", "EXPIRED"), _SETUP, "same", why="finished events ignore everything"),
    Row(("SUCCESS", "EXPIRED"), "Recover(p: Peer, e: Event)", "same",
        why="finished events ignore everything"),
    Row(("SUCCESS", "EXPIRED"), "ProtocolError(p: Peer, e: Event)", "same",
        why="finished events ignore everything"),
    Row(("PENDING", "IN_PROGRESS", "FAILED"), "Ask(p: Peer, e: Event)", "same",
        "kind[e] in (sign, key_request)",
        {"asked[p, e]": "True"},
        why="F-17: each operator asks at their own node; asking again gives the event more time"),
))
