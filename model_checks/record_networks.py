"""Tables that no network of ``networks`` runs, each around one record, with facts that come and go.

Nothing is distributed here: a single peer, one of everything else, and every fact that a guard
reads is true or false as the world likes. The properties say of each way into a state which facts
it takes. They are there for the mutants: a conjunct that is lost, turned around or moved shows.
"""

from __future__ import annotations

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
