"""Peterson's mutual exclusion of two processes.

Peterson.tla by Jarod Differdange, https://github.com/tlaplus/Examples (locks_auxiliary_vars).
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Enum, Opt, Sort

PLACE = Enum("Place", ("idle", "raises", "yields", "waits", "critical", "leaves"))

NETWORK = Network(
    name="peterson",
    doc="two processes, a flag each, and a turn",
    honest="",
    crash=False,
    sorts=(Sort("Process", "one of two", ordered=True),),
    cells=(
        Cell("at", PLACE, ("Process",), "idle", "disk", "where its program stands"),
        Cell("flag", "bool", ("Process",), "False", "disk", "it wants to enter"),
        Cell("turn", Opt("Process"), (), "any", "disk", "who goes first if both want to"),
    ),
    initially=("turn != none", "all(turn <= p for p in Process)"),
    moves=(
        Move("Want(p: Process)", ("at[p] == idle",), {"at[p]": "raises"}, "or never"),
        Move("Raise(p: Process)", ("at[p] == raises",), {"flag[p]": "True", "at[p]": "yields"},
             fair=True),
        Move("Yield(p: Process, other: Process)", ("at[p] == yields", "p != other"),
             {"turn": "other", "at[p]": "waits"}, fair=True),
        Move("Enter(p: Process, other: Process)",
             ("at[p] == waits", "p != other", "not flag[other] or turn == p"),
             {"at[p]": "critical"}, fair=True),
        Move("Finish(p: Process)", ("at[p] == critical",), {"at[p]": "leaves"}, fair=True),
        Move("Leave(p: Process)", ("at[p] == leaves",), {"flag[p]": "False", "at[p]": "idle"},
             fair=True),
    ),
    properties=(
        Property("Exclusive", "count(p for p in Process if at[p] in (critical, leaves)) <= 1"),
        Property("Served", "all(leads_to(at[p] == raises, at[p] == critical) for p in Process)",
                 "liveness"),
        Property("NeverStuck", "False", "deadlock"),
    ),
)
