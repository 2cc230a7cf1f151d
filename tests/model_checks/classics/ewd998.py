"""Safra's detection of termination on a ring (EWD 998).

EWD998.tla by Stephan Merz and Markus Kuppe, https://github.com/tlaplus/Examples, with its state
constraint as guards: no node counts above ``Most``, and no more than so many messages wait at one;
``Sum`` bounds the token's count.
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition, Enum, Opt, Range, Sort

COLOUR = Enum("Colour", ("white", "black"))

NETWORK = Network(
    name="ewd998",
    doc="a token goes round and counts messages",
    honest="",
    crash=False,
    sorts=(Sort("Node", "on a ring", ordered=True),),
    constants=("Most", "Sum"),
    cells=(
        Cell("active", "bool", ("Node",), "any", "disk", "it works"),
        Cell("colour", COLOUR, ("Node",), "any", "disk", "black: it received since the token came"),
        Cell("counter", Range("0 - Most - Most", "Most"), ("Node",), "0", "disk", "sent, less got"),
        Cell("pending", Range(0, "Most"), ("Node",), "0", "disk", "messages on their way to it"),
        Cell("at", Opt("Node"), (), "any", "disk", "who has the token"),
        Cell("sum", Range("0 - Sum - Sum", "Sum"), (), "0", "disk", "the token's count"),
        Cell("tint", COLOUR, (), "black", "disk", "the token's colour"),
    ),
    definitions=(
        Definition("is_first(n: Node)", "all(n <= m for m in Node)", "it begins each round"),
        Definition("is_last(n: Node)", "all(m <= n for m in Node)", "-"),
        Definition("before(m: Node, n: Node)",
                   "m < n and not any(m < k and k < n for k in Node)", "m is the one below n"),
        Definition("is_at_first()", "any(is_first(n) and at == n for n in Node)", "-"),
        Definition("is_over()", "all(not active[n] and pending[n] == 0 for n in Node)", "-"),
        Definition(
            "is_known()",
            "tint == white and any(is_first(n) and at == n and colour[n] == white"
            " and not active[n] and sum + counter[n] == 0 for n in Node)",
            "what the first node takes for the end",
        ),
    ),
    initially=("at != none",),
    moves=(
        Move("Begin(n: Node, m: Node)",
             ("is_first(n)", "is_last(m)", "at == n",
              "tint == black or colour[n] == black or sum + counter[n] > 0"),
             {"at": "m", "sum": "0", "tint": "white", "colour[n]": "white"}, fair=True),
        Move("Pass(n: Node, m: Node)",
             ("before(m, n)", "at == n", "not active[n]", "sum + counter[n] <= Sum"),
             {"at": "m", "sum": "sum + counter[n]",
              "tint": "(black if colour[n] == black else tint)", "colour[n]": "white"}, fair=True),
        Move("Send(n: Node, m: Node)",
             ("active[n]", "n != m", "counter[n] < Most", "pending[m] < Most"),
             {"counter[n]": "counter[n] + 1", "pending[m]": "pending[m] + 1"}),
        Move("Receive(n: Node)", ("pending[n] > 0",),
             {"pending[n]": "pending[n] - 1", "counter[n]": "counter[n] - 1",
              "colour[n]": "black", "active[n]": "True"}),
        Move("Rest(n: Node)", ("active[n]",), {"active[n]": "False"}),
    ),
    properties=(
        Property("Detection", "implies(is_known(), is_over())"),
        Property("Detected", "leads_to(is_over(), is_known())", "liveness"),
        Property("NeverStuck", "is_known()", "deadlock"),
    ),
)
