"""The meaning of formulas and rows, by truth tables and small domains."""

from __future__ import annotations

from itertools import product

import pytest

from spec.language.declarations import Cell, Row
from spec.language.interpreter import Change, enabled, evaluate, first_false, outcome
from spec.language.ir import BOOL, INT, Node, enum_type, opt_type
from tests.spec.support import Dictionary, build, value_of

BITS = build(
    cells=(
        Cell("light", build().cells["light"].type, ("Peer",), "red", "memory", ""),
        Cell("other_light", build().cells["light"].type, ("Peer",), "red", "memory", ""),
        *(Cell(name, "bool", (), "False", "memory", "") for name in "abc"),
    ),
    definitions=(),
)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("not a", lambda a, b, c: not a),
        ("a and b and c", lambda a, b, c: a and b and c),
        ("a or b or c", lambda a, b, c: a or b or c),
        ("implies(a, b)", lambda a, b, c: (not a) or b),
        ("a == b", lambda a, b, c: a == b),
        ("a != b", lambda a, b, c: a != b),
        ("a in (b, c)", lambda a, b, c: a in (b, c)),
        ("a not in (b, c)", lambda a, b, c: a not in (b, c)),
        ("b if a else c", lambda a, b, c: b if a else c),
        ("not a and b or c", lambda a, b, c: ((not a) and b) or c),
    ],
)
def test_truth_tables(text: str, meaning: object) -> None:
    """Catches a connective that means another one, and a wrong precedence."""
    for bits in product((False, True), repeat=3):
        view = Dictionary(BITS, {(n, ()): v for n, v in zip("abc", bits, strict=True)})
        assert value_of(text, view) is meaning(*bits)  # type: ignore[operator]  # a lambda above


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("all(vote[p, x] for x in Digest)", True),
        ("any(vote[p, x] for x in Digest)", False),
        ("count(x for x in Digest if vote[p, x]) == 0", True),
        ("all(False for x in Digest)", True),
        ("any(True for x in Digest)", False),
        ("voted_for(d)", False),
    ],
)
def test_quantifiers_over_nobody(text: str, value: bool) -> None:
    """Catches `all` that is false, or `any` that is true, when there is nobody to ask."""
    view = Dictionary(build())
    assert value_of(text, view, environment={"p": 1, "d": 2}, p="Peer", d="Digest") is value


def test_quantifiers_over_somebody() -> None:
    """Catches a quantifier that looks at the first individual only."""
    votes = {("vote", (peer, 7)): True for peer in (1, 2, 3)}
    view = Dictionary(
        build(), {**votes, ("vote", (1, 8)): True}, {"Peer": (1, 2, 3, 4), "Digest": (7, 8)}
    )
    assert value_of(
        "count(p for p in Peer if vote[p, d]) == 3", view, environment={"d": 7}, d="Digest"
    )
    assert value_of("voted_for(d)", view, environment={"d": 7}, d="Digest")
    assert not value_of("voted_for(d)", view, environment={"d": 8}, d="Digest")
    assert value_of("only(d)", view, environment={"d": 7}, d="Digest")
    assert not value_of("only(d)", view, environment={"d": 8}, d="Digest")
    assert value_of("all(any(vote[p, d] for p in Peer) for d in Digest)", view)
    assert not value_of("any(all(vote[p, d] for p in Peer) for d in Digest)", view)
    assert value_of(
        "any(vote[p, d] and vote[p, x] for p in Peer for d in Digest for x in Digest if d != x)",
        view,
    )


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_none_is_below_everything(operator: str) -> None:
    """Catches an order in which `none` is above attempt 0, or not comparable."""
    meaning = {"<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__}[operator]
    for left, right in product((None, 0, 1, 7), repeat=2):
        view = Dictionary(build(), {("last", (1,)): left, ("last", (2,)): right})
        rank = {None: -1}
        expected = meaning(rank.get(left, left), rank.get(right, right))
        text = f"last[p] {operator} last[q]"
        assert value_of(text, view, environment={"p": 1, "q": 2}, p="Peer", q="Peer") is expected


def test_numbers() -> None:
    """Catches plus for minus."""
    view = Dictionary(build())
    assert value_of("N - F", view, INT) == 3
    assert value_of("N + F - 1", view, INT) == 4
    assert value_of("2 if rain else T", view, INT) == 3


def test_other_values() -> None:
    """Catches a literal or `none` that evaluates to its name."""
    view = Dictionary(build(), {("lock", (1,)): 9})
    assert value_of("none", view, opt_type("Digest")) is None
    assert value_of("dark", view, enum_type("Light")) == "dark"
    assert value_of("lock[p] == d", view, environment={"p": 1, "d": 9}, p="Peer", d="Digest")
    assert value_of("lock[p] != none", view, environment={"p": 1}, p="Peer")


def test_what_has_no_order_or_no_meaning_is_an_error() -> None:
    """Catches a silent answer about digests, or about a node of an engine that is not ours."""
    view = Dictionary(build(), {("last", (1,)): b"x"})
    with pytest.raises(TypeError, match="have no order"):
        value_of("last[p] < last[p]", view, environment={"p": 1}, p="Peer")
    with pytest.raises(TypeError, match="no meaning for Node"):
        evaluate(Node(BOOL), view, {})


RACE = build(
    Row(
        "red",
        "Go(p: Peer, d: Digest)",
        "green",
        ("rain", "lock[p] in (none, d)"),
        {"lock[p]": "d", "last[p]": "none", "vote[p, d]": "True"},
        why="to test",
    ),
    Row("red", "Go(p: Peer, d: Digest)", "dark", "not rain", why="to test"),
)


def test_enabled_outcome_and_the_first_false_conjunct() -> None:
    """Catches a row that runs with a false guard, and a conjunct that is blamed for another."""
    machine, here = RACE.machines["lamp"], {"p": 1, "d": 7}
    wet = Dictionary(RACE, {("rain", ()): True})
    (rule,) = enabled(machine, "red", "Go", wet, here)
    assert rule.target == "green"
    assert first_false(rule, wet, here) is None
    dry = Dictionary(RACE)
    assert [r.target for r in enabled(machine, "red", "Go", dry, here)] == ["dark"]
    assert first_false(rule, dry, here).text == "rain"
    taken = Dictionary(RACE, {("rain", ()): True, ("lock", (1,)): 8})
    assert enabled(machine, "red", "Go", taken, here) == ()
    assert first_false(rule, taken, here).text == "lock[p] in (none, d)"
    assert enabled(machine, "green", "Go", wet, here) == ()


def test_effects_are_computed_before_any_of_them() -> None:
    """Catches an effect that sees what another effect of its row has just written."""
    swap = build(
        Row(
            "red",
            "Swap(p: Peer, q: Peer)",
            "green",
            (),
            {"lock[p]": "lock[q]", "lock[q]": "lock[p]"},
            why="to test",
        )
    )
    view = Dictionary(swap, {("lock", (1,)): 7, ("lock", (2,)): 8})
    (rule,) = swap.machines["lamp"].rules
    assert outcome(rule, view, {"p": 1, "q": 2}) == (
        Change("lock", "disk", (1,), 7, 8),
        Change("lock", "disk", (2,), 8, 7),
    )
    assert view.values == {("lock", (1,)): 7, ("lock", (2,)): 8}


class Unknown(Dictionary):
    """A view that knows none of those whom an index names."""

    def among(self, sorts: tuple[str, ...], index: tuple[object, ...]) -> None:
        """Return nobody."""
        return None


def test_nothing_holds_among_those_whom_nobody_knows() -> None:
    """Catches a formula about all members of an epoch that holds because none is known."""
    view = Unknown(BITS)
    assert value_of("among(k, True)", view, environment={"k": 1}, k="Epoch") is False
