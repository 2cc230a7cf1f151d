"""What nodes say without becoming another: each is said for its reason, and changes nobody's state.

Pings, keepalives, questions and answers; confirmations and the name of a key, finished signatures,
attendance and shown proofs. Other networks leave these rows out, because no rule of theirs reads
what is said here.
"""

from __future__ import annotations

from model_checks.cases import Case, Counts, Model, one_event, quorum
from model_checks.system import Move, Network, Property
from spec.tables.peer import PHASE

_SPOKEN = ("pinged", "kept_alive", "published", "confirm_asked", "confirm_answered")
_ALL_SAID = " and ".join(f"{cell}[p]" for cell in _SPOKEN)

PEERS = Network(
    name="peer_announcements",
    doc="pings, keepalives, news, questions and answers, in any phase",
    honest="",
    rows=tuple(
        ("peer", event) for event in ("Ping", "Keepalive", "Publish", "ConfirmReq", "ConfirmAck")
    ),
    moves=tuple(
        Move(f"Enter{phase}(p: Peer)", (f"phase[p] != {phase}",), {"phase[p]": phase},
             "whatever else the node does")
        for phase in PHASE.values if phase != "Idle"
    ),
    properties=(
        Property(
            "SpeakingMovesNobody",
            "all(implies("
            + " or ".join(f"{cell}[p] != after({cell}[p])" for cell in _SPOKEN)
            + ", phase[p] == after(phase[p])) for p in Peer)",
            "step",
            "what a node says of itself does not change what it is doing",
        ),
        Property(
            "OnlyTheSpeakerSpeaks",
            "all(implies(q != p and ("
            + " or ".join(f"{cell}[p] != after({cell}[p])" for cell in _SPOKEN)
            + "), "
            + " and ".join(f"{cell}[q] == after({cell}[q])" for cell in _SPOKEN)
            + ") for p in Peer for q in Peer)",
            "step",
            "nobody speaks for another one",
        ),
        Property(
            "EverythingIsSaid", f"any({_ALL_SAID} and phase[p] == Cooldown for p in Peer)",
            "reachable",
        ),
    ),
)

KEYS = Network(
    name="key_announcements",
    doc="confirmations that are shown, and the name of a key",
    honest="",
    rows=(("keygen", "*"),),
    given={
        "phase[p]": "Keygen",
        "keygen_certificate[p, k]": "True",
        "same_roster[p, k]": "True",
        "share_verified[p, k]": "True",
        "before_lock_in[p]": "True",
    },
    moves=(
        Move("SignLockIn(k: Key)", ("not lock_in_valid[k]",), {"lock_in_valid[k]": "True"},
             "its holders sign the key's name"),
    ),
    properties=(
        Property(
            "ShownIsStored",
            "all(implies(confirmations_shown[p, k], key_share[p, k]) for p in Peer for k in Key)",
            doc="who shows the members' confirmations has its own share on disk",
        ),
        Property(
            "ConfirmsOwnShare",
            "all(implies(confirmed[p, k], key_share[p, k]) for p in Peer for k in Key)",
            doc="a confirmation stands for a share on disk",
        ),
        Property(
            "AnnouncedIsLockedIn",
            "all(implies(key_announced[p, k], key[p, k] == locked_in and lock_in_valid[k]) "
            "for p in Peer for k in Key)",
            doc="a key is announced when it has signed its own name, and never given up",
        ),
        Property(
            "AnnouncedAgain",
            "any(key_announced[p, k] and confirmations_shown[p, k] for p in Peer for k in Key)",
            "reachable",
        ),
    ),
)

EVENTS = Network(
    name="event_announcements",
    doc="finished signatures that are told again",
    honest="",
    rows=(
        ("event", "Create"), ("event", "Signature"), ("event", "Announce"), ("event", "Recover"),
    ),
    crash=True,
    rigid=("kind",),
    moves=(
        Move("Verify(e: Event, d: Digest)", ("not signature_valid[e, d]",),
             {"signature_valid[e, d]": "True"}, "others have signed d"),
    ),
    properties=(
        Property(
            "AnnouncedIsKept",
            "all(implies(announced[p, e, d], signature_kept[p, e, d] and status[p, e] == SUCCESS) "
            "for p in Peer for e in Event for d in Digest)",
            doc="a node announces what it has on disk, of events that have ended well",
        ),
        Property("CanAnnounce", "any(announced[p, e, d] for p in Peer for e in Event "
                 "for d in Digest)", "reachable"),
    ),
)

NIGHTS = Network(
    name="night_announcements",
    doc="attendance that is told again, and proofs that held",
    honest="",
    rows=(("regroup", "Attest"), ("regroup", "AttestAgain"), ("regroup", "ShowProof")),
    given={"follows[h, g]": "g < h"},
    rigid=("holding", "proof_held"),
    kept={"holding": "given"},
    moves=(
        Move("NightBegins(n: Attempt)", ("not night_begun[n]",), {"night_begun[n]": "True"},
             "the clock"),
    ),
    properties=(
        Property(
            "AttendedIsWritten",
            "all(implies(attended[p, n], attested[p, n] and night_begun[n]) "
            "for p in Peer for n in Attempt)",
            doc="what a holder says of a night is on its disk first, and of a night that has begun",
        ),
        Property(
            "ProofHeld",
            "all(implies(proof_shown[p, q, h], proof_held[p, q, h] and not first_epoch(h)) "
            "for p in Peer for q in Peer for h in Epoch)",
            doc="a holder passes on proofs that held, of a night's new shares",
        ),
        Property(
            "CanTell", "any(attended[p, n] and proof_shown[p, q, h] for p in Peer for q in Peer "
            "for n in Attempt for h in Epoch)", "reachable",
        ),
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            PEERS, {"Peer": 2}, quorum(2, 0, 2), ("Peer",),
            pinned=Counts(
                distinct=32896, generated=797729, depth=13, reached={"EverythingIsSaid": 6},
            ),
        ),
        Case(
            KEYS, {"Peer": 2, "Key": 2}, quorum(2, 0, 2), ("Peer",),
            pinned=Counts(
                distinct=5200, generated=34891, depth=21, reached={"AnnouncedAgain": 8},
            ),
        ),
        Case(
            EVENTS, one_event(2, 1, 2), quorum(2, 0, 2), ("Peer",),
            pinned=Counts(
                distinct=179, generated=502, depth=7, reached={"CanAnnounce": 3},
            ),
        ),
        Case(
            NIGHTS, {"Peer": 1, "Attempt": 1, "Epoch": 2}, quorum(1, 0, 1),
            pinned=Counts(
                distinct=354, generated=606, depth=4, reached={"CanTell": 3},
            ),
        ),
    ),
)
