"""Cache coherence with the states modified, exclusive, shared, invalid, over an atomic bus.

After Papamarcos and Patel, "A low-overhead coherence solution" (1984). Of the data only one thing
is kept: who has the newest.
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Enum, Sort

LINE = Enum("Line", ("invalid", "shared", "exclusive", "modified"))
OTHERS_VALID = "any(line[d] != invalid for d in Cache if d != c)"

NETWORK = Network(
    name="mesi",
    doc="caches of one line",
    honest="",
    crash=False,
    sorts=(Sort("Cache", "a cache"),),
    cells=(
        Cell("line", LINE, ("Cache",), "invalid", "disk", "the state of the line"),
        Cell("newest", "bool", ("Cache",), "False", "disk", "it holds what was written last"),
        Cell("stored", "bool", (), "True", "disk", "memory holds what was written last"),
    ),
    moves=(
        Move("ReadAlone(c: Cache)", ("line[c] == invalid", f"not {OTHERS_VALID}"),
             {"line[c]": "exclusive", "newest[c]": "stored"}, "from memory"),
        Move("ReadShared(c: Cache, d: Cache)",
             ("line[c] == invalid", "c != d", "line[d] != invalid"),
             {"line[c]": "shared", "newest[c]": "newest[d]",
              "stored": "newest[d] if line[d] == modified else stored",
              "line[x] for x in Cache if x != c and line[x] != invalid": "shared"},
             "from another cache, which writes back what it has modified"),
        Move("Write(c: Cache)", (),
             {"line[c]": "modified", "newest[c]": "True", "stored": "False",
              "line[d] for d in Cache if d != c": "invalid",
              "newest[d] for d in Cache if d != c": "False"},
             "the bus invalidates all others"),
        Move("Evict(c: Cache)", ("line[c] != invalid",),
             {"line[c]": "invalid", "newest[c]": "False",
              "stored": "newest[c] if line[c] == modified else stored"}),
    ),
    properties=(
        Property("OneOwner",
                 "all(implies(line[c] in (exclusive, modified), line[d] == invalid)"
                 " for c in Cache for d in Cache if c != d)"),
        Property("ReadsNewest", "all(implies(line[c] != invalid, newest[c]) for c in Cache)"),
        Property("NothingLost", "stored or any(newest[c] for c in Cache)"),
    ),
)
