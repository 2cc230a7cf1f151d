"""Two nodes dial each other at the same moment (F-29): exactly one link must stay.

The link table's handshake rows run as they are, at both ends of both links, with honest hellos and
proofs: what a proof must cover is the matter of the symbolic handshake checks, and of the wire
tests. ``winner`` is the link that the smaller id dialled, chosen once. A link that one end closed
is dead: the other end can only end it.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import Case, Counts, Model, ProofCase
from model_checks.models.shared import promised
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Opt

_LINK_UP = "all(link[p, {l}] == established for p in Peer)"
_LINK_DOWN = "all(link[p, {l}] == closed and hello_sent[p, {l}] for p in Peer)"

NETWORK = Network(
    name="link_duplicates",
    doc="simultaneous dialling: both ends keep the same link",
    honest="",
    crash=False,
    rows=(
        ("link", "closed -Connect-> connected"),
        ("link", "connected -Hello-> challenged"),
        ("link", "challenged -Proof-> challenged"),
        ("link", "challenged -Ready-> established"),
        ("link", "established -Supersede-> closed"),
    ),
    fair=("link.Connect", "link.Hello", "link.Proof", "link.Ready", "link.Supersede"),
    cells=(Cell("winner", Opt("Link"), (), "none", "given", "the smaller id dialled it"),),
    rigid=("winner",),
    assume=("winner != none",),
    given={
        "hello[p, l]": "welcome",
        "proof[p, l]": "proof_good",
        "outranks[p, l, w]": "winner == l and l != w",
    },
    moves=(
        Move(
            "HungUp(p: Peer, q: Peer, l: Link)",
            ("link[p, l] != closed", "link[q, l] == closed", "hello_sent[q, l]"),
            {"link[p, l]": "closed"},
            "the row End, for its first reason: the other end closed the link",
            fair=True,
        ),
    ),
    properties=(
        Property(
            "LinkForms",
            f"any({_LINK_UP.format(l='l')} and all({_LINK_DOWN.format(l='w')} "
            "for w in Link if w != l) for l in Link)",
            "liveness",
            "two nodes that want a link get exactly one",
        ),
        Property(
            "WinnerStays",
            f"all(implies(winner == l and {_LINK_UP.format(l='l')}, "
            "all(after(link[p, l]) == established for p in Peer)) for l in Link)",
            "step",
            "the link that is kept is up for good, so the one that formed stays",
        ),
        *promised("AuthenticatedBeforeUse", "NoSelfLink", "CookieOnce"),
        Property(
            "OtherEndSpoke",
            "all(implies(other_end[p, l] == q, hello_sent[q, l]) "
            "for p in Peer for q in Peer for l in Link)",
            doc="an end answers a hello that was sent",
        ),
        Property(
            "ProofWasGiven",
            "all(implies(other_end[p, l] == q and link_proved[p, l], proof_sent[q, l]) "
            "for p in Peer for q in Peer for l in Link)",
            doc="an end believes a proof that was given",
        ),
        Property(
            "DropsForAnother",
            "all(implies(link[p, l] == established and after(link[p, l]) == closed, "
            "any(q != p and link[q, l] == closed for q in Peer) or "
            "any(w != l and link[p, w] == established for w in Link)) "
            "for p in Peer for l in Link)",
            "step",
            "F-29: a link that is up is dropped only for another one that is up",
        ),
        Property(
            "BothUp", f"all({_LINK_UP.format(l='l')} for l in Link)", "reachable",
            "the duplicate does happen",
        ),
        Property(
            "LoserDropped",
            "any(link[p, l] == closed and hello_sent[p, l] and link[q, l] == established "
            "for p in Peer for q in Peer for l in Link)",
            "reachable",
            "one end drops it first",
        ),
    ),
)

WHOEVER_NOTICES = evolve(
    NETWORK, name="link_whoever_notices", doc="F-29: of two links, whoever notices closes one",
    given={**NETWORK.given, "outranks[p, l, w]": "l != w"},
)

PROVES = ("AuthenticatedBeforeUse", "NoSelfLink", "CookieOnce", "OtherEndSpoke")
"""The invariants that are inductive as they stand; the other one is explored."""

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {"Peer": 2, "Link": 2},
            pinned=Counts(
                distinct=360, generated=890, depth=18, reached={"BothUp": 16, "LoserDropped": 16},
            ),
        ),
        Case(
            WHOEVER_NOTICES, {"Peer": 2, "Link": 2},
            refuted=("LinkForms", "WinnerStays"),
            pinned=Counts(
                distinct=396, generated=970, depth=21, reached={"BothUp": 16, "LoserDropped": 16},
                violated={"LinkForms": 20, "WinnerStays": 16},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, proves=PROVES, obligations=28),),
)
