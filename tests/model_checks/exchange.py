"""A network that exchanges two values at once, in cells whose names are words of Promela."""

from __future__ import annotations

from model_checks.engines.oracle import Instance
from model_checks.system import Move, Network, Property, close
from spec.language.declarations import Cell, Sort


def exchange() -> Instance:
    """Return the instance."""
    network = Network(
        name="exchange",
        doc="two cells change places",
        honest="",
        crash=False,
        sorts=(Sort("Seat", "-"),),
        cells=(
            Cell("signed", "bool", ("Seat",), "False", "disk", "-"),
            Cell("run", "bool", ("Seat",), "True", "disk", "-"),
            Cell("spare", "bool", (), "False", "disk", "-"),
        ),
        moves=(Move("Swap(s: Seat)", (), {"signed[s]": "run[s]", "run[s]": "signed[s]"}),),
        properties=(
            Property("Different", "all(signed[s] != run[s] for s in Seat)"),
            Property("Spared", "not spare"),
        ),
    )
    return Instance(close(network), {"Seat": 2}, {})
