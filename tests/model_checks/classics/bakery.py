"""Lamport's bakery, with numbers up to a bound: who would need a higher one goes away.

After Leslie Lamport, "A new solution of Dijkstra's concurrent programming problem" (1974). Looking
for the highest number and taking the next one are two steps; the others are asked one by one.
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Enum, Range, Sort

DOES = Enum("Does", ("nothing", "looks", "takes", "waits", "serves"))
BEFORE = "(number[p] < number[q] or (number[p] == number[q] and p < q))"

NETWORK = Network(
    name="bakery",
    doc="numbers at a bakery",
    honest="",
    crash=False,
    sorts=(Sort("Process", "a customer", ordered=True),),
    constants=("Most",),
    cells=(
        Cell("does", DOES, ("Process",), "nothing", "disk", "-"),
        Cell("number", Range(0, "Most"), ("Process",), "0", "disk", "0: none"),
        Cell("seen", Range(0, "Most"), ("Process",), "0", "disk", "the highest number there was"),
        Cell("passed", "bool", ("Process", "Process"), "False", "disk", "q lets p in"),
    ),
    moves=(
        Move("Come(p: Process)", ("does[p] == nothing",), {"does[p]": "looks"}),
        Move("Look(p: Process, m: Process)",
             ("does[p] == looks", "all(number[q] <= number[m] for q in Process)",
              "number[m] < Most"),
             {"does[p]": "takes", "seen[p]": "number[m]"}, fair="weak for some m"),
        Move("Take(p: Process)", ("does[p] == takes",),
             {"does[p]": "waits", "number[p]": "seen[p] + 1", "seen[p]": "0"}, fair=True),
        Move("GoAway(p: Process)", ("does[p] == looks", "any(number[q] == Most for q in Process)"),
             {"does[p]": "nothing"}, fair=True),
        Move("Ask(p: Process, q: Process)",
             ("does[p] == waits", "p != q", "does[q] not in (looks, takes)",
              f"number[q] == 0 or {BEFORE}"),
             {"passed[p, q]": "True"}, fair="strong"),
        Move("Enter(p: Process)",
             ("does[p] == waits", "all(passed[p, q] for q in Process if q != p)"),
             {"does[p]": "serves"}, fair=True),
        Move("Leave(p: Process)", ("does[p] == serves",),
             {"does[p]": "nothing", "number[p]": "0", "passed[p, q] for q in Process": "False"},
             fair=True),
    ),
    properties=(
        Property("Exclusive", "count(p for p in Process if does[p] == serves) <= 1"),
        Property("Served", "all(leads_to(does[p] == waits, does[p] == serves) for p in Process)",
                 "liveness"),
        Property("NeverStuck", "False", "deadlock"),
    ),
)
