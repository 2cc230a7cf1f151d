"""A refund must never follow a payout (F-16): one event, one payout, liars who say anything.

A node that renounces the event has released nothing, and neither votes, locks nor releases for it
any more, whatever crashes. R such statements are the refund certificate, with which a node lets the
event expire. The payout exists as soon as T shares are out. Liars sign both.

R = n - t + 1 + f is enough: R holders, less f liars, leave fewer than t - f correct ones who can
still release. One statement less is refuted, and so is the source's rule, under which a node that
released nothing itself gives up on its own.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, ProofCase, one_event, quorum
from model_checks.models.shared import ANYBODY_ASKS, IN_FORCE, ONE_PAYOUT, promised
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell
from spec.protocol import PROTOCOL

_CERTIFICATE = PROTOCOL.names.definitions["refund_certificate"]
STATUS_MONOTONE = Property(
    "StatusMonotone",
    "all(implies(status[p, e] in (SUCCESS, EXPIRED), after(status[p, e]) == status[p, e]) and "
    "implies(status[p, e] != UNKNOWN, after(status[p, e]) != UNKNOWN) "
    "for p in Peer for e in Event)",
    "step",
    "SUCCESS and EXPIRED are final, and no event becomes UNKNOWN again",
)

NETWORK = Network(
    name="refund_against_payout",
    doc="expiry needs R signed statements; the payout needs T shares",
    rows=(
        ("session", "Ack"),
        ("session", "Begin"),
        ("session", "Release"),
        ("event", "Create"),
        ("event", "Setup"),
        ("event", "Recover"),
        ("event", "Signature"),
        ("event", "ProtocolError"),
        ("event", "Retry"),
        ("event", "Renounce"),
        ("event", "Expire"),
    ),
    untracked=("session",),
    cells=(Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),),
    rigid=("faulty",),
    assume=("count(p for p in Peer if faulty[p]) <= F",),
    given={
        "session[p, e, a]": "absent",
        "coordinator[e, a]": "none",
        "is_member[p, e, a]": "True",
        "instance_used[p, i]": "False",
        "kind[e]": "payout",
        "vote[q, e, a, d]": "faulty[q] or voted[q, e, a] == d",
        "signature_valid[e, d]": "any(count(q for q in Peer if faulty[q] or "
        "released_in[q, e, a, d]) >= T for a in Attempt)",
        "renounced_said[q, e]": "faulty[q] or renounced[q, e]",
    },
    without=tuple(
        (f"session.{event}", "session_digest[p, e, a] == d")
        for event in ("Ack", "Begin", "Release")
    ),
    definitions=(IN_FORCE, ONE_PAYOUT, *ANYBODY_ASKS),
    moves=(
        Move(
            "TimeRunsOut(e: Event)", ("not event_over[e]",), {"event_over[e]": "True"},
            "the deadline of the event, at any time",
        ),
    ),
    properties=(
        *promised("NoPayAndRefund"),
        Property(
            "PayableNeverRefunded",
            "all(not (status[p, e] == EXPIRED and signature_valid[e, d]) "
            "for p in Peer for e in Event for d in Digest)",
            doc="no event is refunded at a correct node while its payout can be signed",
        ),
        Property(
            "RenouncedNeverReleases",
            "all(implies(renounced[p, e], not any(released[p, e, d] for d in Digest)) "
            "for p in Peer for e in Event)",
            doc="a correct node's statement stays true",
        ),
        STATUS_MONOTONE,
        Property(
            "CanRefund", "any(status[p, e] == EXPIRED for p in Peer for e in Event)", "reachable",
            "a refund does happen",
        ),
        Property(
            "CanPay", "any(status[p, e] == SUCCESS for p in Peer for e in Event)", "reachable",
            "so does a payout",
        ),
        Property(
            "LiarsPay",
            "any(signature_valid[e, d] and count(p for p in Peer if released[p, e, d]) < T "
            "for e in Event for d in Digest)",
            "reachable",
            "the adversary's power: its shares complete a payout",
        ),
        Property(
            "LiarsRefund",
            "any(refund_certificate(e) and count(p for p in Peer if renounced[p, e]) < R "
            "for e in Event)",
            "reachable",
            "the adversary's power: its statements complete a refund",
        ),
    ),
)

OWN_WORD = evolve(
    NETWORK,
    name="refund_on_own_word",
    doc="F-16: a node that released nothing itself lets the event expire",
    definitions=(*NETWORK.definitions, evolve(_CERTIFICATE, text="True")),
    properties=tuple(p for p in NETWORK.properties if not p.name.startswith("Liars")),
)

LEMMAS = (
    Property(
        "ExpiredIsCertified",
        "all(implies(status[p, e] == EXPIRED, refund_certificate(e)) for p in Peer for e in Event)",
        "lemma",
        "R statements were there, and statements stay",
    ),
    Property(
        "KeptIsSigned",
        "all(implies(signature_kept[p, e, d], signature_valid[e, d]) "
        "for p in Peer for e in Event for d in Digest)",
        "lemma",
        "a node takes a signature that verifies, and shares stay out",
    ),
    Property(
        "ShareIsARelease",
        "all(implies(released_in[p, e, a, d], released[p, e, d]) "
        "for p in Peer for e in Event for a in Attempt for d in Digest)",
        "lemma",
        "both are written by one row",
    ),
)
"""Why no event is paid and refunded, for every n: F-16."""

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, one_event(4), quorum(4, 1, 3) | {"R": 3}, EACH_PEER,
            pinned=Counts(
                distinct=21083, generated=176954, depth=30, reached={"CanPay": 11, "CanRefund": 6,
                "LiarsPay": 10, "LiarsRefund": 5},
            ),
        ),
        Case(
            NETWORK, one_event(5), quorum(5, 1, 4) | {"R": 3}, EACH_PEER,
            deep=True,
            pinned=Counts(
                distinct=100281, generated=1021489, depth=37, reached={"CanPay": 16, "CanRefund":
                6, "LiarsPay": 15, "LiarsRefund": 5},
            ),
        ),
        Case(
            NETWORK, one_event(4), quorum(4, 1, 3) | {"R": 2}, EACH_PEER,
            refuted=("NoPayAndRefund",), whole=False, findings=("F-16",),
            pinned=Counts(
                distinct=6264, generated=36311, depth=16, reached={"CanPay": 11, "CanRefund": 4,
                "LiarsPay": 10, "LiarsRefund": 3}, violated={"NoPayAndRefund": 15,
                "PayableNeverRefunded": 14},
            ),
        ),
        Case(
            NETWORK, one_event(5), quorum(5, 1, 4) | {"R": 2}, EACH_PEER,
            refuted=("NoPayAndRefund",), whole=False, findings=("F-16",),
            pinned=Counts(
                distinct=31391, generated=240157, depth=21, reached={"CanPay": 16, "CanRefund": 4,
                "LiarsPay": 15, "LiarsRefund": 3}, violated={"NoPayAndRefund": 20,
                "PayableNeverRefunded": 19},
            ),
        ),
        Case(
            OWN_WORD, one_event(4), quorum(4, 1, 3) | {"R": 3}, EACH_PEER,
            refuted=("NoPayAndRefund",), whole=False,
            pinned=Counts(
                distinct=5562, generated=31309, depth=15, reached={"CanPay": 11, "CanRefund": 3},
                violated={"NoPayAndRefund": 14, "PayableNeverRefunded": 13},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, LEMMAS, obligations=114, findings=("F-16",)),),
    controls=(
        ProofCase(
            OWN_WORD, LEMMAS,
            fails=(
                "PayableNeverRefunded / session.Release",
                "PayableNeverRefunded / event.Expire",
                "PayableNeverRefunded / event.Expire#2",
                "NoPayAndRefund / event.Expire",
                "NoPayAndRefund / event.Expire#2",
            ),
        ),
    ),
)
