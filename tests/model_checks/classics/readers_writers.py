"""Readers and writers who queue for one resource.

ReadersWriters.tla by Isaac DeFrain, https://github.com/tlaplus/Examples. A request's place in the
queue is a number, so that what leaves it moves all others up.
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Range, Sort

NEXT = "count(x for x in Actor if to_read[x] > 0) + count(x for x in Actor if to_write[x] > 0) + 1"
MOVE_UP = {
    "to_read[x] for x in Actor if to_read[x] > 0": "to_read[x] - 1",
    "to_write[x] for x in Actor if to_write[x] > 0": "to_write[x] - 1",
}

NETWORK = Network(
    name="readers_writers",
    doc="a queue of requests",
    honest="",
    crash=False,
    sorts=(Sort("Actor", "a reader and writer"),),
    constants=("Places",),
    cells=(
        Cell("to_read", Range(0, "Places"), ("Actor",), "0", "disk", "its place; 0: none"),
        Cell("to_write", Range(0, "Places"), ("Actor",), "0", "disk", "its place; 0: none"),
        Cell("reads", "bool", ("Actor",), "False", "disk", "-"),
        Cell("writes", "bool", ("Actor",), "False", "disk", "-"),
    ),
    moves=(
        Move("TryRead(a: Actor)", ("to_read[a] == 0",), {"to_read[a]": NEXT}, fair=True),
        Move("TryWrite(a: Actor)", ("to_write[a] == 0",), {"to_write[a]": NEXT}, fair=True),
        Move("Read(a: Actor)", ("to_read[a] == 1", "not any(writes[x] for x in Actor)"),
             {"reads[a]": "True", **MOVE_UP}, fair="weak for some a"),
        Move("Write(a: Actor)",
             ("to_write[a] == 1", "not any(reads[x] or writes[x] for x in Actor)"),
             {"writes[a]": "True", **MOVE_UP}, fair="weak for some a"),
        Move("Stop(a: Actor)", ("reads[a] or writes[a]",),
             {"reads[a]": "False", "writes[a]": "writes[a] and reads[a]"},
             fair="weak for some a"),
    ),
    properties=(
        Property("OneWriterAlone",
                 "count(a for a in Actor if writes[a]) <= 1 and"
                 " not (any(reads[a] for a in Actor) and any(writes[a] for a in Actor))"),
        Property("EachReads", "all(leads_to(True, reads[a]) for a in Actor)", "liveness"),
        Property("EachWrites", "all(leads_to(True, writes[a]) for a in Actor)", "liveness"),
        Property("EachStops", "all(leads_to(True, not reads[a] and not writes[a]) for a in Actor)",
                 "liveness"),
        Property("NeverStuck", "False", "deadlock"),
    ),
)
