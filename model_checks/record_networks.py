"""Tables that no network of ``networks`` runs, each around one record, with facts that come and go.

Nothing is distributed here: a single peer, one of everything else, and every fact that a guard
reads is true or false as the world likes. The properties say of each way into a state which facts
it takes. They are there for the mutants: a conjunct that is lost, turned around or moved shows.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from model_checks.system import Move, Network, Property

_PAIR = "for p in Peer for q in Peer"
_EVENT = "for p in Peer for e in Event"
_SESSION = "for p in Peer for e in Event for a in Attempt"
_STAKE = "stake_unspent[p, q] and stake_enough[p, q] and stake_aged[p, q] and stake_owned[p, q]"
_PING = "ping_fresh[p, q] and ping_proof_valid[p, q]"


def _turns(parameters: str, *facts: str) -> tuple[Move, ...]:
    """Return a move for each fact that makes it true or false."""
    return tuple(
        Move(f"Turn_{fact.partition('[')[0]}({parameters})", (), {fact: f"not {fact}"}, fair=True)
        for fact in facts
    )


def _enters(cell: str, state: str, condition: str, every: str) -> Property:
    """Return: whoever comes into a state met the condition."""
    text = f"all(implies({cell} != {state} and after({cell}) == {state}, {condition}) {every})"
    return Property(f"Into_{state}", text, "step")


def _reaches(cell: str, every: str, *states: str) -> tuple[Property, ...]:
    """Return: from every state of the record there is a way to each of these."""
    return tuple(
        Property(f"Can_{state}", f"all({cell} == {state} {every})", "always_can")
        for state in states
    )


_LISTING = "listing[p, q]"
PEER_LIST = Network(
    name="peer_list",
    doc="one peer in the list of a node: pings, stake, silence",
    rows=(("ping", "*"),),
    honest="",
    crash=False,
    moves=_turns(
        "p: Peer, q: Peer",
        "ping_fresh[p, q]",
        "ping_proof_valid[p, q]",
        "stake_unspent[p, q]",
        "stake_enough[p, q]",
        "stake_aged[p, q]",
        "stake_owned[p, q]",
        "pings_missed[p, q]",
    ),
    properties=(
        _enters(
            _LISTING,
            "listed",
            f"(listing[p, q] == checking and {_STAKE}) or (listing[p, q] == missing and {_PING})",
            _PAIR,
        ),
        _enters(_LISTING, "checking", f"listing[p, q] in (unlisted, refused) and {_PING}", _PAIR),
        _enters(_LISTING, "refused", f"listing[p, q] == checking and not ({_STAKE})", _PAIR),
        _enters(_LISTING, "missing", "listing[p, q] == listed and pings_missed[p, q]", _PAIR),
        *_reaches(_LISTING, _PAIR, "unlisted", "checking", "refused", "listed", "missing"),
        Property(
            "ClearedWherever",
            f"any(listing[p, q] == missing and ping_fresh[p, q] {_PAIR})",
            "reachable",
        ),
    ),
)

_SETTLEMENT = "settlement[p, e]"
PAYOUT = Network(
    name="payout",
    doc="one signed payout on its way to the chain",
    rows=(("payout", "*"),),
    honest="",
    crash=False,
    moves=(
        Move("Sign(p: Peer, e: Event)", (), {"status[p, e]": "SUCCESS"}, fair=True),
        *_turns(
            "e: Event",
            "chain_has_it[e]",
            "chain_final[e]",
            "chain_conflict[e]",
            "left_its_block[e]",
        ),
    ),
    properties=(
        _enters(_SETTLEMENT, "UNSIGNED", "False", _EVENT),
        _enters(
            _SETTLEMENT,
            "SIGNED",
            "(settlement[p, e] == UNSIGNED and status[p, e] == SUCCESS) or "
            "(settlement[p, e] == BROADCAST and not chain_has_it[e])",
            _EVENT,
        ),
        _enters(
            _SETTLEMENT,
            "BROADCAST",
            "settlement[p, e] in (SIGNED, REORGED) and chain_has_it[e]",
            _EVENT,
        ),
        _enters(
            _SETTLEMENT, "COMPLETED", "settlement[p, e] == BROADCAST and chain_final[e]", _EVENT
        ),
        _enters(
            _SETTLEMENT,
            "REORGED",
            "settlement[p, e] in (BROADCAST, COMPLETED) and left_its_block[e]",
            _EVENT,
        ),
        _enters(
            _SETTLEMENT,
            "REVERTED",
            "settlement[p, e] in (SIGNED, BROADCAST, REORGED) and chain_conflict[e]",
            _EVENT,
        ),
        Property(
            "CanComplete",
            f"all(implies(settlement[p, e] != REVERTED, settlement[p, e] == COMPLETED) {_EVENT})",
            "always_can",
        ),
        *(
            Property(f"Reaches_{state}", f"any(settlement[p, e] == {state} {_EVENT})", "reachable")
            for state in ("COMPLETED", "REORGED", "REVERTED")
        ),
    ),
)

ROUND_SESSION = Network(
    name="round_session",
    doc="a session that begins with the certificate of a round",
    rows=(("session", "Certified"), ("session", "Release"), ("session", "Finish")),
    honest="",
    crash=False,
    moves=(
        Move("Sign(p: Peer)", (), {"phase[p]": "Signing"}),
        Move("Rest(p: Peer)", (), {"phase[p]": "Cooldown"}),
        Move("Vote(p: Peer, e: Event, a: Attempt, d: Digest)", (), {"vote[p, e, a, d]": "True"}),
        Move(
            "Lock(p: Peer, e: Event, a: Attempt, d: Digest)",
            (),
            {"lock[p, e]": "d", "lock_attempt[p, e]": "a"},
        ),
        *_turns("p: Peer, e: Event, a: Attempt", "is_member[p, e, a]"),
        *_turns("e: Event, d: Digest", "result_valid[e, d]"),
    ),
    properties=(
        _enters(
            "session[p, e, a]",
            "begun",
            "session[p, e, a] == absent and phase[p] == Signing and is_member[p, e, a] and "
            "lock_attempt[p, e] == a and any(lock[p, e] == d and certified(e, a, d) and "
            "after(session_digest[p, e, a]) == d for d in Digest)",
            _SESSION,
        ),
        _enters(
            "session[p, e, a]",
            "finished",
            "session[p, e, a] == stepping and "
            "any(session_digest[p, e, a] == d and result_valid[e, d] for d in Digest)",
            _SESSION,
        ),
        _enters("session[p, e, a]", "stepping", "session[p, e, a] == begun", _SESSION),
        Property("Finishes", f"any(session[p, e, a] == finished {_SESSION})", "reachable"),
    ),
)

_HEARD = "heard[p, q, r]"
_ROUND = "for p in Peer for q in Peer for r in Attempt"
HEARD_IN_A_ROUND = Network(
    name="heard_in_a_round",
    doc="what one peer is heard to say in one round",
    rows=(("round", "*"),),
    honest="",
    crash=False,
    moves=(
        Move("Propose(p: Peer, r: Attempt, d: Digest)", (), {"proposed[p, r, d]": "True"}),
        *_turns("p: Peer, q: Peer", "in_roster[p, q]"),
        *_turns(
            "p: Peer, q: Peer, r: Attempt",
            "id_hash_matches[p, q, r]",
            "share_proof_valid[p, q, r]",
            "set_large_enough[p, q, r]",
            "two_bodies[p, q, r]",
        ),
    ),
    properties=(
        _enters(
            _HEARD,
            "heard_proposal",
            "heard[p, q, r] == silent and in_roster[p, q] and after(proposal_of[p, q, r]) != none",
            _ROUND,
        ),
        _enters(
            _HEARD,
            "accepted",
            "heard[p, q, r] == heard_proposal and id_hash_matches[p, q, r] and "
            "share_proof_valid[p, q, r] and "
            "any(proposal_of[p, q, r] == d and proposed[p, r, d] for d in Digest)",
            _ROUND,
        ),
        _enters(
            _HEARD, "in_view", "heard[p, q, r] == accepted and set_large_enough[p, q, r]", _ROUND
        ),
        _enters(_HEARD, "equivocated", "two_bodies[p, q, r]", _ROUND),
        *_reaches(_HEARD, _ROUND, "equivocated"),
        Property("InView", f"any(heard[p, q, r] == in_view {_ROUND})", "reachable"),
    ),
)

_OPEN = ("created", "acked", "begun", "stepping")
_CAUSE = "(peer_fault[e, a] or session_idle[e, a])"
SESSION_ENDS = Network(
    name="session_ends",
    doc="how a session ends without a result: faults, silence, messages that come too late",
    rows=(("session", "Abort"), ("session", "Step"), ("session", "Expire")),
    honest="",
    crash=False,
    moves=(
        *(
            Move(
                f"Be_{state}(p: Peer, e: Event, a: Attempt)",
                ("session[p, e, a] == absent",),
                {"session[p, e, a]": state},
            )
            for state in (*_OPEN, "finished")
        ),
        *_turns("e: Event, a: Attempt", "peer_fault[e, a]", "session_idle[e, a]"),
    ),
    properties=(
        _enters(
            "session[p, e, a]",
            "expired",
            f"session[p, e, a] in ({', '.join(_OPEN)}) and {_CAUSE}",
            _SESSION,
        ),
        *(
            Property(
                f"Stays_{state}",
                f"all(implies(session[p, e, a] == {state}, after(session[p, e, a]) == {state}) "
                f"{_SESSION})",
                "step",
            )
            for state in ("finished", "expired")
        ),
        Property(
            "CanEnd",
            f"all(implies(session[p, e, a] in ({', '.join(_OPEN)}), session[p, e, a] == expired) "
            f"{_SESSION})",
            "always_can",
        ),
    ),
)


@frozen
class RecordCase:
    """A network at one size, with its pinned states, steps and depth."""

    network: Network
    sizes: Mapping[str, int]
    constants: Mapping[str, int]
    counts: tuple[int, int, int]

    @property
    def name(self) -> str:
        """The network's name."""
        return f"{self.network.name}, one record"


CASES = (
    RecordCase(PEER_LIST, {"Peer": 1}, {}, (640, 5281, 18)),
    RecordCase(PAYOUT, {"Peer": 1, "Event": 1}, {}, (112, 649, 11)),
    RecordCase(
        ROUND_SESSION,
        {"Peer": 1, "Event": 1, "Attempt": 2, "Digest": 2, "Instance": 1},
        {"T": 1},
        (26368, 375297, 21),
    ),
    RecordCase(HEARD_IN_A_ROUND, {"Peer": 1, "Attempt": 1, "Digest": 2}, {}, (1024, 7713, 15)),
    RecordCase(SESSION_ENDS, {"Peer": 1, "Event": 1, "Attempt": 1}, {}, (28, 93, 5)),
)
"""What ``check`` explores: every property holds, every witness is reached, no number changes."""
