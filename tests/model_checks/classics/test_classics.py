"""Protocols that everybody knows, written in this language: counts that are published, or TLC's.

``PUBLISHED``: the manifest of https://github.com/tlaplus/Examples gives distinct states, generated
states and depth. ``TLC``: distinct states and depth that TLC counted, built from the source at
https://github.com/tlaplus/tlaplus in November 2026, with one worker: on the original module where
there is one (Paxos with three acceptors and two values), otherwise on the module that ``export
--tla`` writes. The lengths of counterexamples are those of TLC on the exported modules.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from model_checks.engines.check import check
from model_checks.engines.oracle import Instance, Oracle
from model_checks.system import Network, close
from tests.model_checks.classics import (
    alternating_bit,
    bakery,
    chandy_misra,
    die_hard,
    dining_philosophers,
    ewd998,
    mesi,
    paxos,
    peterson,
    planted,
    raft_election,
    readers_writers,
)

PUBLISHED, TLC_ORIGINAL, TLC_EXPORT = "published", "TLC, original module", "TLC, our module"
SMALL = 20_000
"""States up to which the interpreter searches as well."""

Size = Mapping[str, int]
COUNTS = [
    (die_hard.NETWORK, {}, {}, TLC_ORIGINAL, (16, 97, 8)),
    (peterson.NETWORK, {"Process": 2}, {}, PUBLISHED, (42, 77, 11)),
    (chandy_misra.NETWORK, {"Philosopher": 5}, {}, PUBLISHED, (67, 336, 29)),
    (readers_writers.NETWORK, {"Actor": 3}, {"Places": 6}, PUBLISHED, (21_527, 59_674, 13)),
    # Published are 1,392 generated states, of which some exceed the bound of the channels.
    (alternating_bit.NETWORK, {"Datum": 2}, {}, PUBLISHED, (240, 1_204, 10)),
    (ewd998.NETWORK, {"Node": 3}, {"Most": 1, "Sum": 3}, TLC_ORIGINAL, (19_474, 81_162, 25)),
    (ewd998.NETWORK, {"Node": 3}, {"Most": 3, "Sum": 9}, TLC_ORIGINAL, (1_520_618, 8_900_621, 59)),
    (paxos.NETWORK, {"Acceptor": 3, "Value": 2, "Ballot": 2}, {}, TLC_ORIGINAL,
     (3_921, 22_995, 17)),
    (bakery.NETWORK, {"Process": 2}, {"Most": 3}, TLC_EXPORT, (98, 181, 21)),
    (bakery.NETWORK, {"Process": 3}, {"Most": 3}, TLC_EXPORT, (1_759, 5_110, 29)),
    (mesi.NETWORK, {"Cache": 3}, {}, TLC_EXPORT, (14, 88, 4)),
    (raft_election.NETWORK, {"Server": 3}, {"Terms": 2, "Majority": 2}, TLC_EXPORT,
     (1_037, 7_471, 10)),
    (dining_philosophers.NETWORK, {"Philosopher": 3}, {}, TLC_EXPORT, (14, 28, 4)),
    (dining_philosophers.LEFT_HANDER, {"Philosopher": 3}, {}, TLC_EXPORT, (12, 23, 4)),
]
"""Network, sizes, constants, where the numbers come from: distinct, generated, depth."""

BUGS = [
    (planted.SPILLS, {}, {}, "big in 0..5", 3),
    (planted.LATE_FLAG, {"Process": 2}, {}, "Exclusive", 8),
    (dining_philosophers.NETWORK, {"Philosopher": 3}, {}, "NeverStuck", 3),
    (dining_philosophers.NETWORK, {"Philosopher": 4}, {}, "NeverStuck", 4),
    (planted.WRITES_BESIDE_READERS, {"Actor": 3}, {"Places": 6}, "OneWriterAlone", 4),
    (planted.IMPATIENT, {"Datum": 2}, {}, "AcknowledgedIsReceived", 3),
    (planted.DOES_NOT_LOOK, {"Process": 2}, {"Most": 3}, "Exclusive", 10),
    (planted.STAYS_WHITE, {"Node": 3}, {"Most": 1, "Sum": 3}, "Detection", 8),
    (planted.ANY_VALUE, {"Acceptor": 3, "Value": 2, "Ballot": 2}, {}, "Agreement", 12),
    (planted.NO_INVALIDATION, {"Cache": 3}, {}, "OneOwner", 2),
    (planted.STALE_MEMORY, {"Cache": 3}, {}, "ReadsNewest", 2),
    (planted.VOTE_IN_MEMORY, {"Server": 3}, {"Terms": 2, "Majority": 2}, "OneLeaderATerm", 7),
]
"""Broken network, sizes, constants, what notices it, after how many steps."""

STARVED = [
    (planted.NEVER_DIRTY, {"Philosopher": 5}, "NobodyStarves", 9),
    (planted.LOSES_FOR_EVER, {"Datum": 2}, "EachArrives", 5),
    (dining_philosophers.NETWORK, {"Philosopher": 3}, "EachEats", 3),
]
"""Broken network, sizes, what never comes, and the steps of the run that shows it, loop included.
TLC finds these too; its runs have 8, 10 and 3 steps."""


def of(network: Network, sizes: Size, constants: Size) -> Instance:
    """Return the network at a size."""
    return Instance(close(network), sizes, constants)


@pytest.mark.parametrize(
    ("network", "sizes", "constants", "source", "counts"), COUNTS,
    ids=[f"{n.name} {' '.join(map(str, {**s, **c}.values()))}" for n, s, c, *_ in COUNTS],
)
def test_counts(
    network: Network, sizes: Size, constants: Size, source: str, counts: tuple[int, int, int]
) -> None:
    """Catches a language, or an engine, that means something else than TLA+ and TLC do."""
    instance = of(network, sizes, constants)
    result = check(instance)
    assert (result.distinct, result.generated, result.depth) == counts, source
    assert set(result.fired) == {action.name for action in instance.system.actions}
    assert all(result.fired.values()), "every move is made"
    deadlocks = network is dining_philosophers.NETWORK
    assert set(result.violated) == ({"NeverStuck", "EachEats"} if deadlocks else set())
    wanted = {p.name for p in network.properties if p.kind == "reachable"}
    assert set(result.reached) == wanted
    if result.distinct <= SMALL:
        slow = Oracle(instance).explore()
        assert (slow.distinct, slow.generated, slow.depth, slow.fired) == (*counts, result.fired)
        assert {n: len(s) for n, s in slow.reached.items()} == {
            n: len(s) for n, s in result.reached.items()
        }


def test_four_gallons_take_six_steps() -> None:
    """Catches another solution than the film's, which is the shortest."""
    result = check(of(die_hard.NETWORK, {}, {}))
    assert [step.action for step in result.reached["Four"]] == [
        "FillBig", "BigToSmall", "EmptySmall", "BigToSmall", "FillBig", "BigToSmall",
    ]


@pytest.mark.parametrize(
    ("network", "sizes", "constants", "name", "steps"), BUGS,
    ids=[f"{n.name} {name} {steps}" for n, *_, name, steps in BUGS],
)
def test_planted_bugs(
    network: Network, sizes: Size, constants: Size, name: str, steps: int
) -> None:
    """Catches a bug that is missed, or shown on a detour."""
    assert len(check(of(network, sizes, constants), until=(name,)).violated[name]) == steps


@pytest.mark.parametrize(
    ("network", "sizes", "name", "steps"), STARVED, ids=[n.name for n, *_ in STARVED]
)
def test_planted_bugs_of_liveness(network: Network, sizes: Size, name: str, steps: int) -> None:
    """Catches a run that starves somebody and is not found, or is told at length."""
    result = check(of(network, sizes, {}))
    assert len(result.violated[name]) + len(result.loops[name]) == steps
    assert not {"Exclusive", "NoNeighboursEat", "ReceivedIsSent"} & result.violated.keys()


@pytest.mark.parametrize(
    ("network", "sizes", "constants", "sorts"),
    [
        (mesi.NETWORK, {"Cache": 3}, {}, ("Cache",)),
        (planted.STALE_MEMORY, {"Cache": 3}, {}, ("Cache",)),
        (paxos.NETWORK, {"Acceptor": 3, "Value": 2, "Ballot": 2}, {}, ("Acceptor", "Value")),
        (planted.ANY_VALUE, {"Acceptor": 3, "Value": 2, "Ballot": 2}, {}, ("Acceptor", "Value")),
        (planted.WRITES_BESIDE_READERS, {"Actor": 3}, {"Places": 6}, ("Actor",)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_symmetry_keeps_the_verdicts(
    network: Network, sizes: Size, constants: Size, sorts: tuple[str, ...]
) -> None:
    """Catches an effect on all, or a number, that orbits do not respect."""
    instance = of(network, sizes, constants)
    full, orbits = check(instance), check(instance, sorts, sorts[0])
    assert orbits.distinct < full.distinct
    assert orbits.depth == full.depth
    for found in ("violated", "reached"):
        lengths = [{n: len(s) for n, s in getattr(each, found).items()} for each in (full, orbits)]
        assert lengths[0] == lengths[1]
