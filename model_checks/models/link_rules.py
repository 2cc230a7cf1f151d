"""A handshake at both of its ends, whatever is said in it: good answers, bad, late and out of turn.

The whole link table runs. What a hello and a proof are worth is chosen once for each end; frames
come in any order, twice, or not at all, and either end may fall silent or hang up at any time. What
a proof must cover is the matter of ``handshake_relay``, and two links at once of
``link_duplicates``.
"""

from __future__ import annotations

from model_checks.cases import Case, Counts, Model
from model_checks.models.shared import promised
from model_checks.system import Move, Network, Property

_ENDS = "for p in Peer for l in Link"

NETWORK = Network(
    name="link_rules",
    doc="one connection, each rule with its promise",
    honest="",
    rows=(("link", "*"),),
    crash=False,  # a crash ends a connection at both ends, which is one of the ends of the table
    rigid=("hello", "proof"),
    given={"outranks[p, l, w]": "False"},
    moves=(
        Move("FallSilent(p: Peer, l: Link)", ("not link_silent[p, l]",),
             {"link_silent[p, l]": "True"}, "clock"),
    ),
    properties=(
        *promised("AuthenticatedBeforeUse", "NoSelfLink", "CookieOnce"),
        Property(
            "AnswersTheWelcome",
            "all(implies(proof_sent[p, l] or other_end[p, l] != none, hello[p, l] == welcome) "
            f"{_ENDS})",
            doc="F-28: no proof for another version, network or identity, or for our own cookie",
        ),
        Property(
            "AnswersWhoSpoke",
            f"all(implies(other_end[p, l] == q, hello_sent[q, l]) {_ENDS} for q in Peer)",
            doc="an end answers a hello that was sent",
        ),
        Property(
            "ProvedByItsProof",
            "all(implies(link_proved[p, l], proof[p, l] == proof_good and "
            f"any(other_end[p, l] == q and proof_sent[q, l] for q in Peer)) {_ENDS})",
            doc="an end believes a proof that holds, from whom it has answered",
        ),
        Property(
            "BadAnswerEnds",
            "all(implies(cookie_spent[p, l] and not link_proved[p, l], link[p, l] == closed) "
            f"{_ENDS})",
            doc="a cookie takes one answer: one that does not hold ends the link",
        ),
        Property(
            "BothProved",
            "all(implies(link[p, l] == established and other_end[p, l] == q, ready_sent[q, l]) "
            f"{_ENDS} for q in Peer)",
            doc="frames of the protocol flow when both ends have accepted each other",
        ),
        Property(
            "ClosedForGood",
            "all(implies(link[p, l] == closed and hello_sent[p, l], "
            f"after(link[p, l]) == closed) {_ENDS})",
            "step",
            "a link that was closed is never opened again",
        ),
        Property(
            "CanEstablish", f"all(link[p, l] == established {_ENDS})", "reachable",
        ),
        Property(
            "CanFail", f"any(cookie_spent[p, l] and link[p, l] == closed {_ENDS})", "reachable",
        ),
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {"Peer": 2, "Link": 1},
            pinned=Counts(
                distinct=10764, generated=80181, depth=11, reached={"CanEstablish": 8, "CanFail":
                4},
            ),
        ),
    ),
)
