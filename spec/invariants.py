"""What must never happen, and what must happen in the end. The names are used everywhere.

A formula, where there is one, is in the table language and is parsed and type-checked against the
protocol here, at import. It speaks of correct nodes: the cells of a Byzantine peer hold whatever it
likes, and ``F`` stands for what it may add. ``N``, ``T`` and ``F`` are those of the key epoch that
signs the attempt in question. A property without a formula says where it is looked at instead: it
is about two states, about bytes, or about a whole run. ``models/NAME.py`` is a model of
``model_checks`` that is asked the property under its name, ``tests/FILE.py::NAME`` a test of the
running code that pins it.
"""

from __future__ import annotations

from attrs import frozen

from spec.language.declarations import SpecError
from spec.language.expressions import Parser
from spec.language.ir import Node
from spec.protocol import PROTOCOL

KINDS = ("invariant", "step", "liveness")


@frozen
class Property:
    """One property: ``kind``, its meaning in a sentence, and a formula or where it is looked at."""

    name: str
    kind: str
    meaning: str
    formula: str = ""
    looked_at: str = ""

    def __attrs_post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SpecError(f"property {self.name}: {self.kind!r} is none of {', '.join(KINDS)}")
        if bool(self.formula) == bool(self.looked_at):
            raise SpecError(f"property {self.name} needs a formula, or where it is looked at")

    def parsed(self) -> Node | None:
        """Return the typed formula, or None; raises :class:`SpecError` naming the property."""
        try:
            return Parser(PROTOCOL.names, {}).parse(self.formula) if self.formula else None
        except SpecError as error:
            raise SpecError(f"property {self.name}: {error}") from None


SAFETY = (
    Property("NoDoubleSign", "invariant",
             "Of one event, at most one digest can gather t shares, F of them from liars, in one"
             " key epoch or in several.",
             formula="all(not ("
                     "among(e, a, count(p for p in Peer if released_in[p, e, a, d]) + F >= T) and "
                     "among(e, b, count(p for p in Peer if released_in[p, e, b, x]) + F >= T)) "
                     "for e in Event for a in Attempt for b in Attempt "
                     "for d in Digest for x in Digest if d != x)"),
    Property("NoDoubleSignLocal", "invariant",
             "A node that released two digests of one event had a certificate for each of them.",
             formula="all(implies(released[p, e, d] and released[p, e, x], "
                     "any(certified(e, a, d) for a in Attempt) and "
                     "any(certified(e, a, x) for a in Attempt)) for p in Peer for e in Event "
                     "for d in Digest for x in Digest if d != x)"),
    Property("CertificateUnique", "invariant",
             "In one attempt of an event at most one digest is certified.",
             formula="all(not (certified(e, a, d) and certified(e, a, x)) for e in Event "
                     "for a in Attempt for d in Digest for x in Digest if d != x)"),
    Property("DurableBeforeSend", "invariant",
             "A vote or a share that has left a node stands in the log on that node's disk.",
             formula="all(implies(vote[p, e, a, d], voted[p, e, a] == d) "
                     "for p in Peer for e in Event for a in Attempt for d in Digest) and "
                     "all(implies(share[p, i], instance_used[p, i]) "
                     "for p in Peer for i in Instance)"),
    Property("NoStepBeforeBegin", "invariant",
             "A session steps only under a lock, with its own digest certified and released.",
             formula="all(implies(session[p, e, a] == stepping and session_digest[p, e, a] == d, "
                     "lock[p, e] != none and released[p, e, d] and certified(e, a, d)) "
                     "for p in Peer for e in Event for a in Attempt for d in Digest)"),
    Property("OneSession", "invariant",
             "A node steps in at most one session of an event at a time.",
             formula="all(not (session[p, e, a] == stepping and session[p, e, b] == stepping) "
                     "for p in Peer for e in Event for a in Attempt for b in Attempt if a != b)"),
    Property("InstanceMatch", "step",
             "A signing message enters only the run that it names.",
             looked_at="tests/protocol/events/test_sessions.py::"
                       "test_an_instance_names_everything_about_its_run; that a name is used once:"
                       " models/session_end.py"),
    Property("NoSlotReuse", "step",
             "One keygen slot, chain nonce or input serves one event.",
             looked_at="tests/custody/test_payout.py::"
                       "test_event_and_checksum_depend_on_everything: an event's id is a hash of"
                       " what it spends"),
    Property("NoPayAndRefund", "invariant",
             "No event is expired, and so refunded, at one node and signed at another.",
             formula="all(not (status[p, e] == EXPIRED and signature_kept[q, e, d]) "
                     "for p in Peer for q in Peer for e in Event for d in Digest)"),
    Property("NoForgedMember", "step",
             "Every member of a session is in the roster, and every vote is signed by its voter.",
             looked_at="tests/misbehaviour/protocol/events/test_votes.py::"
                       "test_certificates_that_are_none"),
    Property("SetAgreement", "step",
             "Nodes that heard the same signing sets choose the same threshold set.",
             looked_at="tests/protocol/rounds/test_threshold_set.py::"
                       "test_the_order_of_the_sets_does_not_matter: a pure function of those sets"),
    Property("BlockNeedsProof", "invariant",
             "A node blocks a peer only on evidence that it has in store.",
             formula="all(implies(standing[p, q] == blocked, block_until[p, q]) "
                     "for p in Peer for q in Peer)"),
    Property("RegroupIgnoresBlocks", "step",
             "No block list decides who is in the next key epoch.",
             looked_at="models/regroup_retry.py (F-26); no other table reads standing"),
    Property("KeyAvailable", "invariant",
             "A node that has locked a key in holds a share of it, and at least t members do.",
             formula="all(implies(key[p, k] == locked_in, key_share[p, k] and "
                     "among(k, count(q for q in Peer if key_share[q, k]) >= T)) "
                     "for p in Peer for k in Key)"),
    Property("LockInAgreement", "invariant",
             "No two nodes lock in different keys.",
             formula="all(not (key[p, k] == locked_in and key[q, j] == locked_in) "
                     "for p in Peer for q in Peer for k in Key for j in Key if k != j)"),
    Property("StatusMonotone", "step",
             "SUCCESS and EXPIRED are final, and no event becomes UNKNOWN again.",
             looked_at="models/event_status.py"),
    Property("AuthenticatedBeforeUse", "invariant",
             "A link carries the protocol only after the other end has proved itself.",
             formula="all(implies(link[p, l] == established, "
                     "link_proved[p, l] and other_end[p, l] != none) "
                     "for p in Peer for l in Link)"),
    Property("NoSelfLink", "invariant",
             "No node gets as far as a proof with itself.",
             formula="all(implies(link[p, l] in (challenged, established), other_end[p, l] != p) "
                     "for p in Peer for l in Link)"),
    Property("CookieOnce", "invariant",
             "When the other end has proved itself, the cookie that asked for the proof is spent.",
             formula="all(implies(link_proved[p, l], cookie_spent[p, l]) "
                     "for p in Peer for l in Link)"),
    Property("PeerBound", "step",
             "A proof convinces on one channel, for one pair of identities, in one role.",
             looked_at="models/handshake_relay.py (F-28): what a proof covers, as data"),
    Property("LimitsHeld", "step",
             "No table, queue, frame or message grows beyond its bound.",
             looked_at="tests/spec/test_messages.py::test_every_field_is_bounded;"
                       " tests/misbehaviour/protocol/wire/test_framing.py::"
                       "test_a_too_long_frame_is_refused_at_its_prefix"),
    Property("SwapExclusive", "step",
             "A swap is paid or refunded, never both.",
             looked_at="models/swap_settlement.py; SAFE-SIGN 6"),
    Property("NoInputTwice", "step",
             "No two signed payouts that can both still be mined spend the same coin.",
             looked_at="models/payout_windows.py; SAFE-SIGN 6"),
    Property("OneVersionMined", "step",
             "Of all versions of all payouts that pay one deposit, at most one is mined.",
             looked_at="models/payout_ends.py; tests/custody/test_payout.py::"
                       "test_all_versions_spend_the_same_coins"),
)
"""What holds in every reachable state, or in every step."""

LIVENESS = tuple(
    Property(name, "liveness", meaning,
             looked_at=f"models/{network}.py, once the network is calm and at least T correct"
                       " nodes stay up")
    for name, network, meaning in (
        ("EventDecides", "event_status", "Every event ends in SUCCESS or EXPIRED."),
        ("CoordinatorRotates", "coordinator_rotation",
         "A silent coordinator is followed by another one."),
        ("SessionEnds", "session_end", "Every session finishes or expires."),
        ("RoundProgress", "cooldown",
         "A round with an eligible transfer in time leads to a payout."),
        ("CooldownLeaves", "cooldown", "No node stays in Cooldown."),
        ("RegroupEnds", "regroup_retry", "A regroup activates the new shares or gives up."),
        ("KeygenEnds", "keygen_lock_in", "A key is locked in."),
        ("LinkForms", "link_duplicates", "Two nodes that want a link get exactly one."),
        ("SuspectClears", "block_list", "A peer that answers again is no longer a suspect."),
        ("SwapSettles", "swap_settlement", "Every confirmed deposit is paid or refunded."),
        ("EveryDepositEnds", "payout_ends",
         "Whatever becomes of one payout, every deposit that stays in the chain is settled."),
    )
)
"""What happens in the end, if nothing goes wrong for long enough."""

PROPERTIES = (*SAFETY, *LIVENESS)
FORMULAS = {each.name: each.parsed() for each in PROPERTIES if each.formula}
"""The typed formulas by name, parsed at import."""
