"""Leader election of Raft: one leader a term, at most.

After Ongaro and Ousterhout, "In search of an understandable consensus algorithm" (2014), section
5.2; a request for a vote and its answer are one step, which may come late or never.
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Enum, Opt, Range, Sort

ROLE = Enum("Role", ("follower", "candidate", "leader"))

NETWORK = Network(
    name="raft_election",
    doc="who leads",
    honest="",
    crash=False,
    sorts=(Sort("Server", "one of a majority"),),
    constants=("Terms", "Majority"),
    cells=(
        Cell("term", Range(0, "Terms"), ("Server",), "0", "disk", "-"),
        Cell("role", ROLE, ("Server",), "follower", "disk", "-"),
        Cell("vote", Opt("Server"), ("Server",), "none", "disk", "in its term"),
        Cell("granted", "bool", ("Server", "Server"), "False", "disk", "to the first, in its term"),
    ),
    moves=(
        Move("TimeOut(s: Server)", ("role[s] != leader", "term[s] < Terms"),
             {"term[s]": "term[s] + 1", "role[s]": "candidate", "vote[s]": "s",
              "granted[s, t] for t in Server": "t == s"}, fair=True),
        Move("Vote(s: Server, c: Server)",
             ("s != c", "role[c] == candidate",
              "term[c] > term[s] or (term[c] == term[s] and vote[s] in (none, c))"),
             {"role[s]": "(follower if term[c] > term[s] else role[s])", "term[s]": "term[c]",
              "vote[s]": "c", "granted[c, s]": "True",
              "granted[s, t] for t in Server": "granted[s, t] and term[c] == term[s]"}),
        Move("Lead(s: Server)",
             ("role[s] == candidate", "count(t for t in Server if granted[s, t]) >= Majority"),
             {"role[s]": "leader"}, fair=True),
        Move("Hear(s: Server, c: Server)", ("term[c] > term[s]",),
             {"term[s]": "term[c]", "vote[s]": "none", "role[s]": "follower",
              "granted[s, t] for t in Server": "False"}, "any message of a newer term"),
        Move("Restart(s: Server)", (),
             {"role[s]": "follower", "granted[s, t] for t in Server": "False"},
             "term and vote are on disk"),
    ),
    properties=(
        Property("OneLeaderATerm",
                 "all(implies(role[s] == leader and role[t] == leader and term[s] == term[t],"
                 " s == t) for s in Server for t in Server)"),
        Property("Elected", "any(role[s] == leader for s in Server)", "reachable"),
    ),
)
