"""The link table: how two nodes prove to each other who they are before anything else is said.

A link is one connection, seen from both of its ends; ``p`` is the end that acts, ``q`` the other.
Each end sends a hello with a fresh cookie, answers the other's hello with a proof, and says ready
once it has checked the other's proof. Frames of the protocol flow only when the link is
established.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Opt, Row, Table

HELLO = Enum("HelloVerdict", ("welcome", "old_version", "wrong_network", "own_nonce",
                              "other_identity"))
PROOF = Enum("ProofVerdict", ("proof_good", "proof_late", "proof_bad"))
LINK_STATE = Enum("LinkState", ("closed", "connected", "challenged", "established"))

_END = ("Peer", "Link")
CELLS = (
    Cell("link", LINK_STATE, _END, "closed", "memory", "the link at this end"),
    Cell("other_end", Opt("Peer"), _END, "none", "memory", "the other end's claimed identity"),
    Cell("link_proved", "bool", _END, "False", "memory", "the other end's proof has held"),
    Cell("cookie_spent", "bool", _END, "False", "memory", "this end's cookie was answered"),
    Cell("hello_sent", "bool", _END, "False", "network", "Hello: version, network, id and cookie"),
    Cell("proof_sent", "bool", _END, "False", "network",
         "Proof: signature over version, role, network, ids, cookies, salt, both channel keys"),
    Cell("ready_sent", "bool", _END, "False", "network", "Ready: the other end's proof has held"),
    Cell("hello", HELLO, _END, "other_identity", "given",
         "the hello at hand: of another version; of another network; with our own cookie; of an"
         " identity that did not sign the key of the channel's other end (the first that applies);"
         " or none of these"),
    Cell("proof", PROOF, _END, "proof_bad", "given",
         "the proof at hand: it came later than our cookie allows; it does not verify against the"
         " claimed identity and all that this end knows of the link; or it holds"),
    Cell("link_silent", "bool", _END, "False", "given",
         "clock: the handshake takes longer than a cookie lives, or no frame came for the idle"
         " timeout"),
    Cell("outranks", "bool", ("Peer", "Link", "Link"), "False", "given",
         "the smaller id dialled the first and not the second; or this end dialled both, and the"
         " first is newer (the dialling end decides, so that the two cannot decide differently)"),
)

_HELLO = "Hello(p: Peer, q: Peer, l: Link)"
_PROOF = "Proof(p: Peer, q: Peer, l: Link)"
_READY = "Ready(p: Peer, q: Peer, l: Link)"
_UP = ("connected", "challenged", "established")

TABLE = Table("link", "link[p, l]", "one connection, as one of its ends sees it", rows=(
    Row("closed", "Connect(p: Peer, l: Link)", "connected", "not hello_sent[p, l]",
        {"hello_sent[p, l]": "True"},
        why="both ends speak at once; a link that was closed is never opened again"),

    # the other end's hello
    Row("connected", _HELLO, "challenged",
        ("hello[p, l] == welcome", "q != p", "hello_sent[q, l]"),
        {"other_end[p, l]": "q", "proof_sent[p, l]": "True"},
        why="F-28: a cookie is answered only for the identity that owns this channel's key"),
    Row("connected", _HELLO, "closed", "hello[p, l] == old_version",
        why="old version: there is one, and no fallback that an attacker could ask for"),
    Row("connected", _HELLO, "closed", "hello[p, l] == wrong_network",
        why="wrong network: the peer belongs to another one"),
    Row("connected", _HELLO, "closed",
        ("hello[p, l] not in (old_version, wrong_network)", "q == p"),
        why="own id: the node has dialled itself, or somebody claims to be it"),
    Row("connected", _HELLO, "closed",
        ("hello[p, l] == own_nonce", "q != p"),
        why="own nonce: our cookie came back, so the answer would be our own proof"),
    Row("connected", _HELLO, "closed",
        ("hello[p, l] == other_identity", "q != p"),
        why="other identity: the channel belongs to another key than the hello names (F-28)"),
    Row(("challenged", "established"), _HELLO, "closed",
        why="second query: one cookie a link, so no second answer can be asked for"),

    # the other end's proof: the cookie is spent by any answer, good or bad
    Row("challenged", _PROOF, "same",
        ("not cookie_spent[p, l]", "other_end[p, l] == q", "proof[p, l] == proof_good",
         "proof_sent[q, l]"),
        {"cookie_spent[p, l]": "True", "link_proved[p, l]": "True", "ready_sent[p, l]": "True"},
        why="the other end has proved itself, and is told so: its channel does not tell it"),
    Row("challenged", _PROOF, "closed", ("not cookie_spent[p, l]", "other_end[p, l] != q"),
        {"cookie_spent[p, l]": "True"},
        why="bad signature: the proof is another identity's than the hello named"),
    Row("challenged", _PROOF, "closed",
        ("not cookie_spent[p, l]", "other_end[p, l] == q", "proof[p, l] == proof_late"),
        {"cookie_spent[p, l]": "True"},
        why="late answer: after the cookie's lifetime it may be a stored one"),
    Row("challenged", _PROOF, "closed",
        ("not cookie_spent[p, l]", "other_end[p, l] == q", "proof[p, l] == proof_bad"),
        {"cookie_spent[p, l]": "True"},
        why="bad signature: it does not prove the identity that the hello named"),
    Row("challenged", _PROOF, "closed", "cookie_spent[p, l]",
        why="second answer: a cookie takes one answer, or the other end could go on guessing"),
    Row(("connected", "established"), _PROOF, "closed",
        why="out of turn: nothing was asked, or it was answered already"),

    # the other end accepts our proof
    Row("challenged", _READY, "established",
        ("link_proved[p, l]", "other_end[p, l] == q", "ready_sent[q, l]"),
        why="both sides proved: nothing of the protocol is read before this"),
    Row("challenged", _READY, "closed", "not link_proved[p, l]",
        why="out of turn: the other end has not proved itself"),
    Row("challenged", _READY, "closed", ("link_proved[p, l]", "other_end[p, l] != q"),
        why="other identity: it is not the one that has proved itself"),
    Row(("connected", "established"), _READY, "closed",
        why="out of turn: the handshake is not there yet, or is over"),

    # ends
    Row(_UP, "Garbage(p: Peer, l: Link)", "closed",
        why="malformed: an empty, oversized or undecodable frame"),
    Row(("connected", "challenged"), "Overdue(p: Peer, l: Link)", "closed",
        "link_silent[p, l]",
        why="timeout: a half-open link must not keep its place"),
    Row("established", "Quiet(p: Peer, l: Link)", "closed", "link_silent[p, l]",
        why="idle: a dead connection is noticed by its silence only; the peer is dialled anew"),
    Row("established", "Supersede(p: Peer, l: Link, w: Link)", "closed",
        ("link[p, w] == established", "other_end[p, w] == other_end[p, l]", "outranks[p, w, l]"),
        why="duplicate: F-29, both ends keep the link that the smaller id dialled, and drop the"
            " other one only when it is up"),
    Row(_UP, "End(p: Peer, l: Link)", "closed",
        why="ended: the other end hung up, or this node has a reason of its own"),
))
