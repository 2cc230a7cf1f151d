"""Philosophers who hand each other clean forks, and never starve.

DiningPhilosophers.tla by Jeff Hemphill, https://github.com/tlaplus/Examples.
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition, Enum, Opt
from tests.model_checks.classics.dining_philosophers import FIRST, RING
from tests.model_checks.classics.dining_philosophers import NETWORK as TABLE

AT = Enum("At", ("looking", "eats", "thinks"))
SECOND = Definition(
    "is_second(p: Philosopher)", "any(is_first(q) and next_to(q, p) for q in Philosopher)", "-"
)
GIVES_LEFT = "(holder[p] == p and not clean[p])"
GIVES_RIGHT = f"(not {GIVES_LEFT} and holder[q] == p and not clean[q])"
CAN_EAT = "(holder[p] == p and holder[q] == p and clean[p] and clean[q])"

NETWORK = Network(
    name="chandy_misra",
    doc="forks are handed on clean; eating makes them dirty",
    honest="",
    crash=False,
    sorts=TABLE.sorts,
    cells=(
        Cell("holder", Opt("Philosopher"), ("Philosopher",), "any", "disk", "of the left fork"),
        Cell("clean", "bool", ("Philosopher",), "False", "disk", "it was not eaten with"),
        Cell("hungry", "bool", ("Philosopher",), "True", "disk", "-"),
        Cell("at", AT, ("Philosopher",), "looking", "disk", "where p's program stands"),
    ),
    definitions=(RING, FIRST, SECOND),
    initially=(
        "all(holder[p] == p for p in Philosopher if not is_second(p))",
        (
            "all(implies(is_second(p) and is_first(q), holder[p] == q)"
            " for p in Philosopher for q in Philosopher)"
        ),
    ),
    moves=(
        Move("Look(o: Philosopher, p: Philosopher, q: Philosopher)",
             ("next_to(o, p)", "next_to(p, q)", "p != q", "at[p] == looking"),
             {
                 "holder[p]": f"(o if {GIVES_LEFT} else holder[p])",
                 "clean[p]": f"clean[p] or {GIVES_LEFT}",
                 "holder[q]": f"(q if {GIVES_RIGHT} else holder[q])",
                 "clean[q]": f"clean[q] or {GIVES_RIGHT}",
                 "at[p]": f"((eats if {CAN_EAT} else looking) if hungry[p] else thinks)",
             }, fair=True),
        Move("Think(p: Philosopher)", ("at[p] == thinks",),
             {"hungry[p]": "True", "at[p]": "looking"}, fair=True),
        Move("Eat(p: Philosopher, q: Philosopher)", ("next_to(p, q)", "p != q", "at[p] == eats"),
             {"hungry[p]": "False", "clean[p]": "False", "clean[q]": "False",
              "at[p]": "looking"}, fair=True),
    ),
    properties=(
        Property("NoNeighboursEat",
                 "all(not (at[p] == eats and at[q] == eats)"
                 " for p in Philosopher for q in Philosopher if next_to(p, q) and p != q)"),
        Property("NobodyStarves", "all(leads_to(True, not hungry[p]) for p in Philosopher)",
                 "liveness"),
        Property("NeverStuck", "False", "deadlock"),
    ),
)
