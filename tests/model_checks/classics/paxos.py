"""Single-decree Paxos of three acceptors, two of which are a quorum.

Paxos.tla by Leslie Lamport, https://github.com/tlaplus/Examples. An acceptor promises each ballot
at most once, and each ballot proposes one value at most: so messages are cells by their names.
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Opt, Sort

SAFE = (
    "any(promised[x, b] and promised[y, b]"
    " and ((old_ballot[x, b] == none and old_ballot[y, b] == none)"
    " or (old_value[x, b] == v and old_ballot[x, b] >= old_ballot[y, b]))"
    " for x in Acceptor for y in Acceptor if x != y)"
)

NETWORK = Network(
    name="paxos",
    doc="agreement on one value",
    honest="",
    crash=False,
    sorts=(Sort("Acceptor", "who votes"), Sort("Value", "what is voted for"),
           Sort("Ballot", "a round", ordered=True)),
    cells=(
        Cell("asked", "bool", ("Ballot",), "False", "network", "message 1a"),
        Cell("promised", "bool", ("Acceptor", "Ballot"), "False", "network", "message 1b"),
        Cell("old_ballot", Opt("Ballot"), ("Acceptor", "Ballot"), "none", "disk", "its ballot"),
        Cell("old_value", Opt("Value"), ("Acceptor", "Ballot"), "none", "disk", "its value"),
        Cell("proposed", Opt("Value"), ("Ballot",), "none", "disk", "message 2a"),
        Cell("accepted", "bool", ("Acceptor", "Ballot"), "False", "network", "message 2b"),
        Cell("highest", Opt("Ballot"), ("Acceptor",), "none", "disk", "the highest it heard of"),
        Cell("voted_in", Opt("Ballot"), ("Acceptor",), "none", "disk", "the highest it voted in"),
        Cell("voted_for", Opt("Value"), ("Acceptor",), "none", "disk", "and for what"),
    ),
    moves=(
        Move("Phase1a(b: Ballot)", (), {"asked[b]": "True"}),
        Move("Phase1b(a: Acceptor, b: Ballot)", ("asked[b]", "b > highest[a]"),
             {"highest[a]": "b", "promised[a, b]": "True", "old_ballot[a, b]": "voted_in[a]",
              "old_value[a, b]": "voted_for[a]"}),
        Move("Phase2a(b: Ballot, v: Value)", ("proposed[b] == none", SAFE), {"proposed[b]": "v"}),
        Move("Phase2b(a: Acceptor, b: Ballot, v: Value)", ("proposed[b] == v", "b >= highest[a]"),
             {"highest[a]": "b", "voted_in[a]": "b", "voted_for[a]": "v",
              "accepted[a, b]": "True"}),
    ),
    properties=(
        Property(
            "Agreement",
            "all(implies(count(a for a in Acceptor if accepted[a, b]) >= 2"
            " and count(a for a in Acceptor if accepted[a, c]) >= 2,"
            " proposed[b] == proposed[c]) for b in Ballot for c in Ballot)",
        ),
        Property("Chosen", "any(count(a for a in Acceptor if accepted[a, b]) >= 2"
                           " for b in Ballot)", "reachable"),
    ),
)
