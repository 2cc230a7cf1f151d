"""Two jugs, of three and of five gallons: how are four gallons measured?

DieHard.tla by Leslie Lamport, https://github.com/tlaplus/Examples.
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Range

NETWORK = Network(
    name="die_hard",
    doc="two jugs and a tap",
    honest="",
    crash=False,
    cells=(
        Cell("small", Range(0, 3), (), "0", "disk", "gallons in the small jug"),
        Cell("big", Range(0, 5), (), "0", "disk", "gallons in the big jug"),
    ),
    moves=(
        Move("FillSmall()", (), {"small": "3"}),
        Move("FillBig()", (), {"big": "5"}),
        Move("EmptySmall()", (), {"small": "0"}),
        Move("EmptyBig()", (), {"big": "0"}),
        Move("SmallToBig()", (),
             {"big": "min(big + small, 5)", "small": "small - (min(big + small, 5) - big)"},
             "until one is full or the other is empty"),
        Move("BigToSmall()", (),
             {"small": "min(big + small, 3)", "big": "big - (min(big + small, 3) - small)"}),
    ),
    properties=(
        Property("Four", "big == 4", "reachable"),
        Property("NeverStuck", "False", "deadlock"),
    ),
)
