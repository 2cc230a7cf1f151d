"""Philosophers who take the left fork, then the right one; and how one left-hander saves them.

After Dijkstra, "Hierarchical ordering of sequential processes" (1971).
"""

from attrs import evolve

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition, Enum, Opt, Sort

MOOD = Enum("Mood", ("thinking", "waiting", "eating"))
RING = Definition(
    "next_to(p: Philosopher, q: Philosopher)",
    "(p < q and not any(p < r and r < q for r in Philosopher))"
    " or all(q <= r and r <= p for r in Philosopher)",
    "q sits at the right of p",
)
FIRST = Definition("is_first(p: Philosopher)", "all(p <= q for q in Philosopher)", "-")


def take(event: str, mine: str, mood: str, then: str, who: str) -> Move:
    """Return a move that takes a fork: ``fork[p]`` lies at the left of p, ``fork[q]`` right."""
    return Move(
        f"{event}(p: Philosopher, q: Philosopher)",
        ("next_to(p, q)", f"mood[p] == {mood}", f"{mine} == none", who),
        {mine: "p", "mood[p]": then},
        fair="strong",
    )


NETWORK = Network(
    name="dining_philosophers",
    doc="everybody takes the left fork first",
    honest="",
    crash=False,
    sorts=(Sort("Philosopher", "one at the table", ordered=True),),
    cells=(
        Cell("fork", Opt("Philosopher"), ("Philosopher",), "none", "disk", "who has it"),
        Cell("mood", MOOD, ("Philosopher",), "thinking", "disk", "what p does"),
    ),
    definitions=(RING, FIRST),
    moves=(
        take("TakeLeft", "fork[p]", "thinking", "waiting", "True"),
        take("TakeRight", "fork[q]", "waiting", "eating", "True"),
        Move("PutDown(p: Philosopher, q: Philosopher)",
             ("next_to(p, q)", "p != q", "mood[p] == eating"),
             {"fork[p]": "none", "fork[q]": "none", "mood[p]": "thinking"}, fair=True),
    ),
    properties=(
        Property("NeverStuck", "False", "deadlock"),
        Property("NoNeighboursEat",
                 "all(not (mood[p] == eating and mood[q] == eating)"
                 " for p in Philosopher for q in Philosopher if next_to(p, q) and p != q)"),
        Property("EachEats", "all(leads_to(True, mood[p] == eating) for p in Philosopher)",
                 "liveness"),
    ),
)

LEFT_HANDER = evolve(
    NETWORK,
    name="dining_left_hander",
    doc="the first one takes the right fork first",
    moves=(
        take("TakeLeft", "fork[p]", "thinking", "waiting", "not is_first(p)"),
        take("TakeRight", "fork[q]", "waiting", "eating", "not is_first(p)"),
        take("FirstTakesRight", "fork[q]", "thinking", "waiting", "is_first(p)"),
        take("FirstTakesLeft", "fork[p]", "waiting", "eating", "is_first(p)"),
        NETWORK.moves[2],
    ),
)
