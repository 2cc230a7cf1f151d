"""A small network that counts, to be changed by tests, and both engines that search at once."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from model_checks.engines.check import check
from model_checks.engines.oracle import Instance, Oracle, Result
from model_checks.system import LIVENESS, Move, Network, Property, close
from spec.language.declarations import Cell, Range, Sort

COUNTER = Network(
    name="counter",
    doc="-",
    honest="",
    crash=False,
    sorts=(Sort("Client", "-"), Sort("Turn", "-", ordered=True)),
    constants=("Most",),
    cells=(
        Cell("count_of", Range(-1, "Most"), ("Client",), "0", "disk", "-"),
        Cell("total", Range(0, "Most + 1"), (), "0", "disk", "-"),
    ),
    moves=(
        Move("Up(c: Client)", ("total <= Most",), {"count_of[c]": "count_of[c] + 1",
                                                   "total": "total + 1"}),
        Move("Down(c: Client)", ("total > 0",), {"count_of[c]": "count_of[c] - 1",
                                                 "total": "total - 1"}),
    ),
    properties=(Property("Low", "total < Most"),),
)


def run(network: Network, clients: int = 2, most: int = 2, **changes: Any) -> Result:
    """Check a network with both engines that search; they must agree."""
    instance = Instance(
        close(evolve(network, **changes)), {"Client": clients, "Turn": 3}, {"Most": most}
    )
    fast, slow = check(instance, records="Client"), Oracle(instance).explore()
    assert (fast.distinct, fast.generated, fast.depth, fast.fired) == (
        slow.distinct, slow.generated, slow.depth, slow.fired
    )
    lengths = {name: len(steps) for name, steps in fast.violated.items()}
    plain = {c.property.name for c in instance.system.properties
             if c.property.kind not in LIVENESS}
    assert {n: k for n, k in lengths.items() if n in plain} == {
        name: len(steps) for name, steps in slow.violated.items()
    }
    return fast
