"""A planted bug for each classic: one move that is a little wrong, and what must be noticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import evolve

from model_checks.system import Move, Network
from spec.language.declarations import parse_signature
from tests.model_checks.classics import (
    alternating_bit,
    bakery,
    chandy_misra,
    die_hard,
    ewd998,
    mesi,
    paxos,
    peterson,
    raft_election,
    readers_writers,
)


def replaced(network: Network, event: str, change: Callable[[Move], Move]) -> Network:
    """Return the network with one move changed."""
    moves = tuple(
        change(move) if parse_signature(move.event)[0] == event else move
        for move in network.moves
    )
    assert moves != network.moves
    return evolve(network, name=f"{network.name}_broken", moves=moves)


def effects(network: Network, event: str, then: Mapping[str, str]) -> Network:
    """Return the network with other effects of a move."""
    return replaced(network, event, lambda move: evolve(move, then={**move.then, **then}))


def without(network: Network, event: str, *places: str) -> Network:
    """Return the network without the effects of a move on these places."""
    return replaced(
        network, event,
        lambda move: evolve(move, then={k: v for k, v in move.then.items() if k not in places}),
    )


def unguarded(network: Network, event: str, conjunct: str, instead: str = "True") -> Network:
    """Return the network with a conjunct of a move's guard dropped, or another one instead."""
    return replaced(
        network, event,
        lambda move: evolve(
            move, only_if=tuple(instead if each == conjunct else each for each in move.only_if)
        ),
    )


SPILLS = effects(die_hard.NETWORK, "SmallToBig", {"big": "big + small", "small": "0"})
"""The big jug is never full."""
LATE_FLAG = evolve(
    effects(
        effects(
            effects(peterson.NETWORK, "Want", {"at[p]": "yields"}), "Yield", {"at[p]": "raises"}
        ),
        "Raise", {"at[p]": "waits"},
    ),
    name="peterson_late_flag",
)
"""The turn is given away before the flag is raised."""
NEVER_DIRTY = without(chandy_misra.NETWORK, "Eat", "clean[p]", "clean[q]")
"""Forks stay clean, so that nobody has to hand them on."""
WRITES_BESIDE_READERS = unguarded(
    readers_writers.NETWORK, "Write", "not any(reads[x] or writes[x] for x in Actor)",
    "not any(writes[x] for x in Actor)",
)
"""A writer does not wait for the readers."""
IMPATIENT = unguarded(alternating_bit.NETWORK, "SendNew", "sent_ack == sent_bit")
"""The sender does not wait for the acknowledgement."""
LOSES_FOR_EVER = replaced(alternating_bit.NETWORK, "Receive", lambda m: evolve(m, fair="weak"))
"""The channel may lose every message."""
DOES_NOT_LOOK = unguarded(bakery.NETWORK, "Ask", "does[q] not in (looks, takes)")
"""A customer does not wait for who is just taking a number."""
STAYS_WHITE = without(ewd998.NETWORK, "Receive", "colour[n]")
"""A node that receives a message does not become black."""
ANY_VALUE = unguarded(
    paxos.NETWORK, "Phase2a", paxos.SAFE,
    "count(a for a in Acceptor if promised[a, b]) >= 2",
)
"""A ballot proposes what it likes, whatever its quorum has voted for."""
NO_INVALIDATION = without(mesi.NETWORK, "Write", "line[d] for d in Cache if d != c")
"""A write leaves the line in the other caches."""
STALE_MEMORY = effects(mesi.NETWORK, "ReadShared", {"newest[c]": "stored"})
"""A line is read from memory although another cache has modified it."""
VOTE_IN_MEMORY = effects(raft_election.NETWORK, "Restart", {"vote[s]": "none"})
"""A server forgets whom it voted for."""
