"""A member who relays (F-28): liars with identities of their own, between correct peers.

The link table's rows run at every end of a correct peer; for all rows that refuse a message and
close the link stands ``End``, which may do so at any time. A liar dials several peers at once and
is dialled by them. It hears whatever is said, takes cookies and proofs from one link to another,
names whom it likes, and signs what it likes, as itself only. Two things are out of its reach: the
signature of a correct peer on something that this peer did not sign, and a channel between two
correct peers, which carries what its ends put in.

What a proof says is data, made of symbols: a cookie is known by the end that made it, a channel key
by its owner. ``PROOF`` lists the fields. ``proof_holds`` is then no assumption but a question: is
there a proof of that peer, on any link, that says what this end expects? Tag, version and network
are the same in all proofs here; that they are signed and looked at is pinned by the wire tests.

Certificates say nothing in ``NETWORK``: a hello may name anybody, and the proof alone has to do. In
``CERTIFICATES`` it is the other way round. So each of the two is enough without the other, and a
field of the proof is shown to matter by taking it away together with what would make up for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from model_checks.cases import Case, Counts, Model, ProofCase
from model_checks.models.shared import promised
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition, Opt

PROOF: Mapping[str, str] = {
    "ids": "other_end[q, m] == p",
    "role": "(dials[m] == q and listens[l] == p or listens[m] == q and dials[l] == p)",
    "cookie asked": "heard(q, m, p, l)",
    "cookie of the signer": "heard(p, l, q, m)",
    "channel keys": "joined(q, p, m) and joined(p, q, l)",
}
"""What q signed on its link m, as p checks it on its link l, field by field. Whose proof it is
needs no field: the signature says so."""

_TAKEN = (
    ("link", "Connect"),
    ("link", "connected -Hello-> challenged"),
    ("link", "challenged -Proof-> challenged"),
    ("link", "challenged -Ready-> established"),
)

_OWN_COOKIE = "(passed_of[l] == p and passed_at[l] == l)"
_AT_THE_END = "any(joined(p, q, l) and (named[l] == q or not faulty[q]) for q in Peer)"
_SAYS = "says(p: Peer, l: Link, q: Peer, m: Link)"


def _says(*fields: str) -> Definition:
    text = " and ".join(PROOF[name] for name in fields)
    return Definition(_SAYS, text, "what q signed on m says what p expects on l")


_DEFINITIONS = (
    Definition("at(p: Peer, l: Link)", "dials[l] == p or listens[l] == p", "p is an end of l"),
    Definition(
        "joined(p: Peer, q: Peer, l: Link)",
        "dials[l] == p and listens[l] == q or dials[l] == q and listens[l] == p",
        "l's channel has the keys of p and q",
    ),
    Definition(
        "heard(p: Peer, l: Link, q: Peer, m: Link)",
        "joined(p, q, l) and not faulty[q] and l == m or passed_of[l] == q and passed_at[l] == m",
        "the hello that p hears on l has the cookie that q made for m",
    ),
)

_PROVED = "link[p, l] == established and other_end[p, l] == q and not faulty[p] and not faulty[q]"
_EACH = "for p in Peer for q in Peer for l in Link"

NETWORK = Network(
    name="handshake_relay",
    doc="a liar between correct peers; the proof alone tells who is who",
    rows=(*_TAKEN, ("link", "End")),
    honest="not faulty[p] and at(p, l)",
    crash=False,  # a link is gone with its node, and is never opened again
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p says anything, and signs as itself"),
        Cell("dials", Opt("Peer"), ("Link",), "none", "given", "who dialled l"),
        Cell("listens", Opt("Peer"), ("Link",), "none", "given", "whom it reached"),
        Cell("named", Opt("Peer"), ("Link",), "none", "network", "whom a liar's hello names"),
        Cell("passed_of", Opt("Peer"), ("Link",), "none", "network", "whose cookie is in it"),
        Cell("passed_at", Opt("Link"), ("Link",), "none", "network", "and for which link"),
    ),
    rigid=("faulty", "dials", "listens"),
    assume=(
        "count(p for p in Peer if faulty[p]) <= F",
        "all(dials[l] != none and listens[l] != none and dials[l] != listens[l] for l in Link)",
        "all(any(at(p, l) and not faulty[p] for p in Peer) for l in Link)",
    ),
    given={
        "hello[p, l]": f"own_nonce if {_OWN_COOKIE} else welcome",
        "proof[p, l]": "proof_good if any(other_end[p, l] == q and (faulty[q] or "
        "any(proof_sent[q, m] and at(q, m) and says(p, l, q, m) for m in Link)) for q in Peer) "
        "else proof_bad",
    },
    definitions=(*_DEFINITIONS, _says(*PROOF)),
    moves=(
        Move(
            "Lie(x: Peer, y: Peer, l: Link, c: Peer, m: Link)",
            ("faulty[x]", "at(x, l)", "named[l] == none",
             "c == x and m == l or not faulty[c] and at(c, m) and hello_sent[c, m]"),
            {"named[l]": "y", "passed_of[l]": "c", "passed_at[l]": "m"},
            "its hello on l: any name, its own cookie or one that it has heard",
        ),
        Move(
            "GoOn(y: Peer, l: Link)",
            ("named[l] == y", "faulty[y] or not at(y, l)"),
            {"hello_sent[y, l]": "True", "proof_sent[y, l]": "True", "ready_sent[y, l]": "True"},
            "and what belongs to it: any proof that it has or can sign, and a ready",
        ),
    ),
    properties=(
        Property(
            "PeerBound",
            f"all(implies({_PROVED}, joined(p, q, l) and other_end[q, l] == p and "
            f"link_proved[q, l]) {_EACH})",
            doc="who is linked with a correct peer has it at the other end of this very channel, "
            "and is linked, or about to be, from there",
        ),
        Property(
            "PeerMeant",
            f"all(implies({_PROVED}, any(at(q, m) and other_end[q, m] == p and proof_sent[q, m] "
            f"for m in Link)) {_EACH})",
            doc="a correct peer that is taken for the other end did prove itself to this one",
        ),
        *promised("AuthenticatedBeforeUse", "NoSelfLink", "CookieOnce"),
        Property(
            "CookieProvesOnce",
            "all(implies(not link_proved[p, l] and after(link_proved[p, l]), "
            "not cookie_spent[p, l]) for p in Peer for l in Link)",
            "step",
            "a cookie that was answered once proves nobody",
        ),
        Property("CanLink", f"any({_PROVED} {_EACH})", "reachable", "correct peers do link"),
        Property(
            "LiarLinks",
            "any(link[p, l] == established and other_end[p, l] == q and faulty[q] "
            f"{_EACH})",
            "reachable",
            "the adversary's power: it is a member, and may be linked as itself",
        ),
        Property(
            "LiarNames",
            "any(link[p, l] == challenged and other_end[p, l] == q and not faulty[q] and "
            f"not at(q, l) {_EACH})",
            "reachable",
            "the adversary's power: it gets a proof for the name of another",
        ),
    ),
)

CERTIFICATES = evolve(
    NETWORK,
    name="handshake_certificates",
    doc="the proof covers the cookie only, but identities sign the keys of their channels",
    given={
        **NETWORK.given,
        "hello[p, l]": f"own_nonce if {_OWN_COOKIE} else "
        f"welcome if {_AT_THE_END} else other_identity",
    },
    definitions=(*_DEFINITIONS, _says("cookie asked")),
    properties=tuple(p for p in NETWORK.properties if p.name != "LiarNames"),
)
COOKIE_ONLY = evolve(
    NETWORK,
    name="handshake_cookie_only",
    doc="F-28: the published proof, a signature over the cookie: X hands A's proof on to B",
    definitions=(*_DEFINITIONS, _says("cookie asked")),
)
WITHOUT_IDS = evolve(
    NETWORK,
    name="handshake_without_ids",
    doc="F-28: without ids and keys: A proves itself to X, and B takes X for A",
    definitions=(*_DEFINITIONS, _says("role", "cookie asked", "cookie of the signer")),
)
WITHOUT_KEYS = evolve(
    NETWORK,
    name="handshake_without_keys",
    doc="F-28: without channel keys: A and B mean each other, and X is in between",
    definitions=(*_DEFINITIONS, _says("ids", "role", "cookie asked", "cookie of the signer")),
)
REFLECTED = evolve(
    NETWORK,
    name="handshake_reflected",
    doc="a node that knows neither its own id nor its own cookie: on one link, the role tells",
    without=(("link.Hello", "q != p"),),
    given={**NETWORK.given, "hello[p, l]": "welcome"},
    definitions=WITHOUT_KEYS.definitions,
    properties=tuple(p for p in NETWORK.properties if p.name != "NoSelfLink"),
)
WITHOUT_ROLE = evolve(
    REFLECTED,
    name="handshake_without_role",
    doc="F-28: nor is the role signed: a node takes its own proof for another's",
    definitions=(*_DEFINITIONS, _says("ids", "cookie asked", "cookie of the signer")),
)
COOKIE_TWICE = evolve(
    NETWORK,
    name="handshake_cookie_twice",
    doc="F-28: a bad answer leaves the cookie open: to guesses, and to a later answer",
    without=(("link.Proof", "not cookie_spent[p, l]"),),
    moves=(
        *NETWORK.moves,
        Move(
            "Guess(p: Peer, l: Link)",
            ("not faulty[p]", "link[p, l] == challenged", "proof[p, l] != proof_good"),
            {"cookie_spent[p, l]": "True"},
            "a bad answer; the link stays",
        ),
    ),
)

_EACH_END = "for p in Peer for l in Link"
_CORRECT = "not faulty[p] and at(p, l)"

LEMMAS = (
    Property(
        "ReadyWasProved",
        f"all(implies({_CORRECT} and ready_sent[p, l], link_proved[p, l]) {_EACH_END})",
        "lemma",
        "a correct peer is ready when the other end has proved itself",
    ),
    Property(
        "ProvedIsAtTheOtherEnd",
        "all(implies(not faulty[p] and not faulty[q] and link_proved[p, l] and "
        "other_end[p, l] == q, joined(p, q, l) and other_end[q, l] == p and proof_sent[q, l]) "
        "for p in Peer for q in Peer for l in Link)",
        "lemma",
        "the proof that held was made for this channel",
    ),
    Property(
        "UpIsProved",
        f"all(implies(link[p, l] == established, link_proved[p, l] and {_CORRECT}) {_EACH_END})",
        "lemma",
        "only rows establish, and they run at a correct peer's own ends",
    ),
    Property(
        "UpSaidHello",
        f"all(implies(link[p, l] != closed, {_CORRECT} and hello_sent[p, l]) {_EACH_END})",
        "lemma",
        "a link that was closed is never opened again",
    ),
    Property(
        "CorrectChannel",
        "all(implies(joined(p, q, l) and not faulty[p] and not faulty[q], "
        "passed_of[l] == none and passed_at[l] == none) "
        "for p in Peer for q in Peer for l in Link)",
        "lemma",
        "between correct peers no liar has a say",
    ),
    Property(
        "AnsweredOnce",
        f"all(implies({_CORRECT} and (link_proved[p, l] or other_end[p, l] != none), "
        "other_end[p, l] != none and proof_sent[p, l] and hello_sent[p, l] and "
        f"link[p, l] != connected) {_EACH_END})",
        "lemma",
        "one hello is answered a link, and what was answered stays",
    ),
)
"""Why nobody is taken for a correct peer, for every number of peers, liars and links: F-28.

A correct peer signs one proof a link, after the hello that it answered, and what it signed never
changes. A proof that names the keys of both ends was made for this very channel.
"""

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {"Peer": 3, "Link": 2}, {"F": 1},
            pinned=Counts(
                distinct=340992, generated=1280112, depth=17, reached={"CanLink": 7, "LiarLinks":
                6, "LiarNames": 4},
            ),
        ),
        Case(
            CERTIFICATES, {"Peer": 3, "Link": 2}, {"F": 1},
            deep=True,
            pinned=Counts(
                distinct=311616, generated=1166256, depth=17, reached={"CanLink": 7, "LiarLinks":
                6},
            ),
        ),
        Case(
            NETWORK, {"Peer": 4, "Link": 2}, {"F": 2},
            deep=True,
            pinned=Counts(
                distinct=5393280, generated=20928072, depth=17, reached={"CanLink": 7, "LiarLinks":
                6, "LiarNames": 4},
            ),
        ),
        Case(
            REFLECTED, {"Peer": 3, "Link": 1}, {"F": 1},
            pinned=Counts(
                distinct=1512, generated=2928, depth=9, reached={"CanLink": 7, "LiarLinks": 6,
                "LiarNames": 4},
            ),
        ),
        Case(
            COOKIE_ONLY, {"Peer": 3, "Link": 2}, {"F": 1},
            refuted=("PeerBound", "PeerMeant"), whole=False,
            pinned=Counts(
                distinct=286200, generated=1005984, depth=11, reached={"CanLink": 7, "LiarLinks":
                6, "LiarNames": 4}, violated={"PeerBound": 10, "PeerMeant": 10},
            ),
        ),
        Case(
            WITHOUT_IDS, {"Peer": 3, "Link": 2}, {"F": 1},
            refuted=("PeerBound", "PeerMeant"), whole=False,
            pinned=Counts(
                distinct=285540, generated=1004808, depth=11, reached={"CanLink": 7, "LiarLinks":
                6, "LiarNames": 4}, violated={"PeerBound": 10, "PeerMeant": 10},
            ),
        ),
        Case(
            WITHOUT_KEYS, {"Peer": 3, "Link": 2}, {"F": 1},
            refuted=("PeerBound",), whole=False,
            pinned=Counts(
                distinct=285420, generated=1004592, depth=11, reached={"CanLink": 7, "LiarLinks":
                6, "LiarNames": 4}, violated={"PeerBound": 10},
            ),
        ),
        Case(
            WITHOUT_ROLE, {"Peer": 3, "Link": 1}, {"F": 1},
            refuted=("PeerBound",), whole=False,
            pinned=Counts(
                distinct=1368, generated=2364, depth=6, reached={"CanLink": 5, "LiarNames": 4},
                violated={"PeerBound": 5},
            ),
        ),
        Case(
            COOKIE_TWICE, {"Peer": 3, "Link": 2}, {"F": 1},
            refuted=("CookieProvesOnce",), whole=False,
            pinned=Counts(
                distinct=130800, generated=379872, depth=7, reached={"LiarLinks": 6, "LiarNames":
                4}, violated={"CookieProvesOnce": 6},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, LEMMAS, obligations=110, findings=("F-28",)),),
)
