"""From text to typed form: every construct, every type error, and whose variable a name is."""

from __future__ import annotations

import pytest

from spec.language.assembly import Protocol, children
from spec.language.declarations import Definition, SpecError
from spec.language.expressions import SCOPES
from spec.language.ir import (
    BOOL,
    INT,
    Among,
    And,
    Arithmetic,
    Choose,
    Compare,
    Constant,
    Equal,
    Implies,
    Literal,
    Node,
    Not,
    Nothing,
    Or,
    Quantified,
    Read,
    Type,
    Variable,
    enum_type,
    opt_type,
    sort_type,
)
from spec.protocol import PROTOCOL
from tests.spec.support import NAMES, Dictionary, build, parse, value_of

P = Variable(sort_type("Peer"), "p")
RAIN = Read(BOOL, "rain", ())
LIGHT = Read(enum_type("Light"), "light", (P,))
RED = Literal(enum_type("Light"), "red")
LOCK = Read(opt_type("Digest"), "lock", (P,))


@pytest.mark.parametrize(
    ("text", "kind", "node"),
    [
        ("True", BOOL, Literal(BOOL, True)),
        ("rain", BOOL, RAIN),
        ("2", INT, Literal(INT, 2)),
        ("T", INT, Constant(INT, "T")),
        ("none", opt_type("Digest"), Nothing(opt_type("Digest"))),
        ("red", enum_type("Light"), RED),
        ("p", sort_type("Peer"), P),
        ("p", opt_type("Peer"), Variable(opt_type("Peer"), "p")),
        ("lock[p]", opt_type("Digest"), LOCK),
        ("not rain", BOOL, Not(BOOL, RAIN)),
        ("rain and True", BOOL, And(BOOL, (RAIN, Literal(BOOL, True)))),
        ("rain or True", BOOL, Or(BOOL, (RAIN, Literal(BOOL, True)))),
        ("implies(rain, rain)", BOOL, Implies(BOOL, RAIN, RAIN)),
        ("light[p] == red", BOOL, Equal(BOOL, LIGHT, RED)),
        ("light[p] != red", BOOL, Not(BOOL, Equal(BOOL, LIGHT, RED))),
        ("light[p] in (red,)", BOOL, Or(BOOL, (Equal(BOOL, LIGHT, RED),))),
        ("light[p] not in (red,)", BOOL, Not(BOOL, Or(BOOL, (Equal(BOOL, LIGHT, RED),)))),
        ("lock[p] == none", BOOL, Equal(BOOL, LOCK, Nothing(opt_type("Digest")))),
        ("none == lock[p]", BOOL, Equal(BOOL, Nothing(opt_type("Digest")), LOCK)),
        ("1 + T", INT, Arithmetic(INT, "+", Literal(INT, 1), Constant(INT, "T"))),
        ("N - F", INT, Arithmetic(INT, "-", Constant(INT, "N"), Constant(INT, "F"))),
        ("1 < 2", BOOL, Compare(BOOL, "<", Literal(INT, 1), Literal(INT, 2))),
        ("N >= T", BOOL, Compare(BOOL, ">=", Constant(INT, "N"), Constant(INT, "T"))),
        ("1 if rain else 2", INT, Choose(INT, RAIN, Literal(INT, 1), Literal(INT, 2))),
    ],
)
def test_each_construct_has_its_form(text: str, kind: Type, node: Node) -> None:
    """Catches a construct that is read as another one, or loses a part."""
    assert parse(text, kind, p="Peer") == node


def test_quantifiers_have_their_form() -> None:
    """Catches a condition that joins `all` by `and`, or `any` by `implies`."""
    variable = Variable(sort_type("Digest"), "d'0")
    vote = Read(BOOL, "vote", (P, variable))
    rain = Read(BOOL, "rain", ())
    assert parse("all(rain for d in Digest if vote[p, d])", p="Peer") == Quantified(
        BOOL, "all", "d'0", "Digest", Implies(BOOL, vote, rain)
    )
    assert parse("any(rain for d in Digest if vote[p, d])", p="Peer") == Quantified(
        BOOL, "any", "d'0", "Digest", And(BOOL, (vote, rain))
    )
    assert parse("count(d for d in Digest if vote[p, d])", INT, p="Peer") == Quantified(
        INT, "count", "d'0", "Digest", vote
    )


SCOPE = {"e": "Event", "a": "Attempt", "h": "Epoch", "k": "Key", "p": "Peer"}


def test_among_names_whose_holders_are_meant() -> None:
    """Catches a count by the holders and the threshold of another epoch (F-19)."""
    names = {sort: name for name, sort in SCOPE.items()}
    for sorts in SCOPES:
        index = ", ".join(names[sort] for sort in sorts)
        node = parse(f"among({index}, N >= T)", names=PROTOCOL.names, **SCOPE)
        terms = tuple(Variable(sort_type(SCOPE[name]), name) for name in index.split(", "))
        counted = Compare(BOOL, ">=", Constant(INT, "N"), Constant(INT, "T"))
        assert node == Among(BOOL, sorts, terms, counted)
        assert children(node) == (*terms, counted)
    for text in ("among(N >= T)", "among(a, e, N >= T)", "among(p, True)",
                 "among(lock[p, e], True)", "among(1, True)"):
        with pytest.raises(SpecError, match="among takes Event, Attempt or .*Epoch or Key, then a"):
            parse(text, names=PROTOCOL.names, **SCOPE)
    with pytest.raises(SpecError, match="'N' has type int, bool is needed"):
        parse("among(h, N)", names=PROTOCOL.names, **SCOPE)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        # names
        ("sun", "unknown name 'sun'"),
        ("lok[p]", "unknown cell 'lok'"),
        ("voted_four(d)", "is not in the table language"),
        # indices
        ("lock", "cell lock takes 1 indices, 0 given"),
        ("vote[p]", "cell vote takes 2 indices, 1 given"),
        ("lock[d] == d", r"lock\[...\]: d is not a Peer"),
        ("vote[d, p]", r"vote\[...\]: d is not a Peer"),
        ("lock[none] == d", r"lock\[...\]: none is not a Peer"),
        # types
        ("lock[p]", "has type optional Digest, bool is needed"),
        ("not lock[p]", "has type optional Digest, bool is needed"),
        ("rain and 1", "'1' has type int, bool is needed"),
        ("1 or rain", "'1' has type int, bool is needed"),
        ("implies(rain, red)", "'red' has type Light, bool is needed"),
        ("light[p] == p", "compares Light with Peer"),
        ("lock[p] == p", "compares optional Digest with Peer"),
        ("lock[p] == last[p]", "compares optional Digest with optional Attempt"),
        ("red == 1", "compares Light with int"),
        ("none == none", "compares optional"),
        ("none == red", "compares"),
        ("light[p] in (red, p)", "compares Light with Peer"),
        ("light[p] in red", "write x in"),
        ("1 + rain == 2", "'rain' has type bool, int is needed"),
        ("(1 if rain else red) == 1", "compares int with Light"),
        ("1 if 2 else 3", "'2' has type int, bool is needed"),
        # order
        ("p < p", "Peer has no order"),
        ("lock[p] < d", "optional Digest has no order"),
        ("red < green", "Light has no order"),
        ("rain < rain", "bool has no order"),
        ("d is d", "has no order"),
        # quantifiers
        ("all(rain for d in Documents)", "Documents is not a sort"),
        ("all(rain for d in (1, 2))", "write for x in Sort"),
        ("all(rain for a, b in Digest)", "write for x in Sort"),
        ("all(rain for d in Digest for d in Digest)", "d is bound twice"),
        ("any(rain for p in Peer)", "p is bound twice"),
        ("all(1 for x in Peer)", "'1' has type int, bool is needed"),
        ("count(x for x in Peer) == 1", "write count"),
        ("count(rain for x in Peer if rain) == 1", "write count"),
        ("count(x for x in Peer for y in Peer if rain) == 1", "write count"),
        ("count(p for x in Peer if vote[x, d]) == 1", "write count"),
        ("any(vote[rain, d] for rain in Peer)", "rain hides another name"),
        ("all(vote[p, red] for red in Digest)", "red hides another name"),
        ("all(vote[p, T] for T in Digest)", "T hides another name"),
        ("all(rain)", "is not in the table language"),
        # definitions
        ("voted_for()", "voted_for takes 1 arguments"),
        ("voted_for(d, d)", "voted_for takes 1 arguments"),
        ("voted_for(p)", "voted_for: p is not a Digest"),
        ("voted_for(lock[p])", r"voted_for: lock\[p\] is not a Digest"),
        # no other Python
        ("rain.real", "is not in the table language"),
        ("rain(1)", "is not in the table language"),
        ("voted_for(d=d)", "is not in the table language"),
        ("1 < 2 < 3", "is not in the table language"),
        ("2 * 3 == 6", "is not in the table language"),
        ("-T < 0", "is not in the table language"),
        ("'red' == red", "is not in the table language"),
        ("1.5 < 2", "is not in the table language"),
        ("[rain]", "is not in the table language"),
        ("lambda: rain", "is not in the table language"),
        ("(rain := True)", "is not in the table language"),
        ("rain and", "is not an expression"),
        ("rain; rain", "is not an expression"),
        ("", "is not an expression"),
    ],
)
def test_what_has_no_meaning_is_refused(text: str, complaint: str) -> None:
    """Catches a mistake in a guard that would be read as something else."""
    with pytest.raises(SpecError, match=complaint):
        parse(text, p="Peer", d="Digest")


@pytest.mark.parametrize("text", ["__import__('os')", "(1).__class__", "open(rain)", "f'{rain}'"])
def test_nothing_is_ever_executed(text: str) -> None:
    """Catches a parser that reaches Python's own names."""
    with pytest.raises(SpecError):
        parse(text)


def test_references_are_cells() -> None:
    """Catches an effect on something that is no cell."""
    from spec.language.expressions import Parser

    parser = Parser(NAMES, {"p": P})
    cell, index = parser.parse_reference("lock[p]")
    assert (cell.name, index) == ("lock", (P,))
    for text in ("1", "p", "not rain", "none"):
        with pytest.raises(SpecError, match="is not a reference to a cell"):
            parser.parse_reference(text)
    with pytest.raises(SpecError, match="is not an expression"):
        parser.parse_reference("lock[")


def capturing() -> Protocol:
    """Return a protocol whose definitions use the names that their callers use as well."""
    return build(
        definitions=(
            Definition("shared(d: Digest)", "any(vote[p, d] for p in Peer)", "binds p"),
            Definition("lonely(p: Peer)", "all(not vote[p, d] for d in Digest)", "binds d"),
            Definition("all_shared(p: Peer)", "all(shared(d) for d in Digest if vote[p, d])", ""),
        )
    )


def test_expanding_a_definition_captures_nothing() -> None:
    """Catches a definition whose own variable swallows the argument of the same name.

    ``shared(d)`` binds p inside. If that p and the caller's p were one, ``shared`` under a
    quantifier over p would ask whether p itself voted.
    """
    view = Dictionary(capturing(), {("vote", (1, 7)): True}, {"Peer": (1, 2), "Digest": (7, 8)})
    assert value_of("all(shared(d) for p in Peer)", view, environment={"d": 7}, d="Digest")
    assert not value_of("any(shared(d) for p in Peer)", view, environment={"d": 8}, d="Digest")
    # the row's own p is 2, who did not vote; the p of the definition ranges over everyone
    assert value_of("shared(d)", view, environment={"p": 2, "d": 7}, p="Peer", d="Digest")
    assert value_of("lonely(p)", view, environment={"p": 2, "d": 7}, p="Peer", d="Digest")
    assert not value_of("lonely(p)", view, environment={"p": 1}, p="Peer")
    assert value_of("all_shared(p)", view, environment={"p": 1}, p="Peer")


def test_definitions_under_quantifiers_get_fresh_variables() -> None:
    """Catches two binders with one name in the typed form, which any engine would confuse."""
    node = parse(
        "all(shared(d) and lonely(p) for p in Peer for d in Digest)", names=capturing().names
    )

    def binders(node: Node, above: tuple[str, ...]) -> None:
        if isinstance(node, Quantified):
            assert node.variable not in above
            above = (*above, node.variable)
        for child in children(node):
            binders(child, above)

    binders(node, ())


def test_a_definition_sees_its_parameters_only() -> None:
    """Catches a definition that reads a variable of whoever calls it."""
    with pytest.raises(SpecError, match="definition leaky: unknown name 'p'"):
        build(definitions=(Definition("leaky(d: Digest)", "vote[p, d]", ""),))
