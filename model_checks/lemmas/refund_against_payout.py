"""Why no event is paid and refunded, for every n: F-16."""

from __future__ import annotations

from model_checks.system import Property

LEMMAS = (
    Property(
        "ExpiredIsCertified",
        "all(implies(status[p, e] == EXPIRED, refund_certificate(e)) for p in Peer for e in Event)",
        "lemma",
        "R statements were there, and statements stay",
    ),
    Property(
        "ShareIsARelease",
        "all(implies(released_in[p, e, a, d], released[p, e, d]) "
        "for p in Peer for e in Event for a in Attempt for d in Digest)",
        "lemma",
        "both are written by one row",
    ),
)
