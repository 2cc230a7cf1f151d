"""Assembling refuses every mistake in a table, and names the table and the row."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve

from spec.language.assembly import assemble, cells_read, children
from spec.language.declarations import Cell, Definition, Enum, Opt, Row, Sort, SpecError, Table
from spec.language.ir import Node, Quantified
from tests.spec.support import CELLS, OTHER, ROW, SORTS, build, parse

WHERE = r"^table lamp, row 2 \(red –Try.* dark\): "


def row(
    event: str = "Try(p: Peer)",
    only_if: tuple[str, ...] = (),
    then: Mapping[str, str] | None = None,
    why: str = "to test",
) -> Row:
    """Return a row for the second place of the table."""
    return Row("red", event, "dark", only_if, then or {}, why)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        # guards
        (row(only_if=("lok[p] == none",)), "unknown cell 'lok'"),
        (row(only_if=("rain", "not rian")), "unknown name 'rian'"),
        (row(only_if=("light[p] == rde",)), "unknown name 'rde'"),
        (row("Try(p: Peer, d: Digest)", ("vote[d, p]",)), r"vote\[...\]: d is not a Peer"),
        (row(only_if=("secret[p]",)), r"'secret\[p\]' reads the ghost cell secret"),
        (row("Try(p: Peer, q: Peer)", ("rain or not secret[q]",)), "reads the ghost cell secret"),
        (row(only_if=("lock[p]",)), "has type optional Digest, bool is needed"),
        (row(only_if=("rain and",)), "is not an expression"),
        # effects
        (row(then={"rain": "True"}), "rain is a given fact: no row may write it"),
        (
            row(then={"other_light[p]": "red"}),
            r"other_light\[p\] is the state of table other: only its rows move it",
        ),
        (row(then={"light[p]": "red"}), r"light\[p\] is the state of table lamp"),
        (row(then={"lock[p]": "none", "lock[ p ]": "none"}), "two effects write one cell"),
        (row(then={"lokc[p]": "none"}), "unknown cell 'lokc'"),
        (row(then={"p": "none"}), "is not a reference to a cell"),
        (row("Try(p: Peer, q: Peer)", then={"lock[p]": "q"}), "'q' has type Peer"),
        (
            row("Try(p: Peer, d: Digest)", then={"vote[p, d]": "False"}),
            "what was sent stays sent, so a network cell only becomes True",
        ),
        (row("Try(p: Peer, d: Digest)", then={"vote[p, d]": "rain"}), "only becomes True"),
        # events
        (row("Try(q: Peer)"), r"event Try needs the parameter p: Peer of light\[p\]"),
        (row("Try(p: Digest)"), "event Try needs the parameter p: Peer"),
        (row("Try(p: Peer, d: Document)"), "parameter d: Document is not a sort"),
        (row("Try(p: Peer, rain: Digest)"), "parameter rain hides another name"),
        (row("Try(p: Peer, red: Digest)"), "parameter red hides another name"),
        (row("Try(p: Peer, T: Digest)"), "parameter T hides another name"),
        (row("Try"), "not of the form Name"),
        # reasons
        (row(why=""), "the row does not say why"),
        (row(why="  "), "the row does not say why"),
    ],
)
def test_a_mistake_in_a_row_is_refused_with_its_place(bad: Row, complaint: str) -> None:
    """Catches a typo that would only show when the row runs, or never."""
    with pytest.raises(SpecError, match=WHERE + ".*" + complaint):
        build(ROW, bad)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (evolve(ROW, source="rde"), r"table lamp, row 1 .*: 'rde' is not a state of Light"),
        (evolve(ROW, source=("red", "gren")), r"table lamp, row 1 .*: 'gren' is not a state"),
        (evolve(ROW, target="gren"), r"table lamp, row 1 .*: 'gren' is not a state of Light"),
    ],
)
def test_unknown_states_are_refused(bad: Row, complaint: str) -> None:
    """Catches a row that starts or ends nowhere."""
    with pytest.raises(SpecError, match=complaint):
        build(bad)


def test_an_event_has_one_signature() -> None:
    """Catches two rows that speak of two events under one name."""
    second = Row("green", "Go(p: Peer, d: Digest)", "dark", why="to test")
    with pytest.raises(SpecError, match="row 2 .* event Go has another signature"):
        build(ROW, second)


def test_typo_in_a_guard_of_a_real_table_is_refused() -> None:
    """Catches a protocol that would start with a guard nobody understands."""
    from spec import protocol
    from spec.names import SORTS as REAL
    from spec.tables import session

    rows = list(session.TABLE.rows)
    place = next(i for i, r in enumerate(rows) if r.event.startswith("Release"))
    rows[place] = evolve(rows[place], only_if=("lock[p, e] = d",))
    tables = [m.TABLE for m in protocol.MODULES if m is not session]
    with pytest.raises(SpecError, match=rf"table session, row {place + 1} \(begun –Release\(.*"):
        assemble(
            sorts=REAL,
            cells=protocol.PROTOCOL.cells.values(),
            tables=[*tables, evolve(session.TABLE, rows=tuple(rows))],
            definitions=protocol.PROTOCOL.names.definitions.values(),
            constants=protocol.CONSTANTS,
        )


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        (Cell("a", "bool", ("Pear",), "False", "disk", ""), "cell a: index Pear is not a sort"),
        (Cell("a", Opt("Pear"), (), "none", "disk", ""), "cell a: Pear is not a sort"),
        (Cell("a", "int", (), "0", "disk", ""), "cell a: unknown type 'int'"),
        (Cell("a", "bool", (), "none", "disk", ""), "cell a, first value: .* bool is needed"),
        (Cell("a", "bool", (), "Flase", "disk", ""), "cell a, first value: unknown name 'Flase'"),
        (Cell("a", Enum("Light", ("x",)), (), "x", "disk", ""), "enum Light is declared twice"),
        (Cell("a", Enum("E", ("x", "rain")), (), "x", "disk", ""), "enum value rain .* already"),
        (Cell("a", Enum("E", ("x", "Peer")), (), "x", "disk", ""), "enum value Peer .* already"),
        (Cell("rain", "bool", ("Peer",), "False", "given", ""), "cell rain is declared twice"),
    ],
)
def test_a_mistake_in_a_cell_is_refused(cell: Cell, complaint: str) -> None:
    """Catches a cell that no engine could hold."""
    with pytest.raises(SpecError, match=complaint):
        build(cells=(*CELLS, cell))


@pytest.mark.parametrize(
    ("definition", "complaint"),
    [
        (Definition("a(p: Pear)", "True", ""), "parameter p: Pear is not a sort"),
        (Definition("a(rain: Peer)", "True", ""), "parameter rain hides another name"),
        (Definition("a(p: Peer)", "lock[p]", ""), "definition a: .* bool is needed"),
        (Definition("a()", "unheard", ""), "definition a: unknown name 'unheard'"),
    ],
)
def test_a_mistake_in_a_definition_is_refused(definition: Definition, complaint: str) -> None:
    """Catches a formula that is wrong although nobody uses it yet."""
    with pytest.raises(SpecError, match=complaint):
        build(definitions=(definition,))


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("lock[p]", r"table lamp: lock\[p\] is not a cell of an enum type"),
        ("lamp[p]", r"table lamp: lamp\[p\] is not a cell of an enum type"),
        ("light", "table lamp: light takes 1 indices"),
        ("light[p, d]", "table lamp: light takes 1 indices"),
        ("other_light[p]", "two tables share one state cell"),
    ],
)
def test_a_table_has_a_state_cell_of_its_own(cell: str, complaint: str) -> None:
    """Catches two tables that would move each other's state."""
    with pytest.raises(SpecError, match=complaint):
        build(cell=cell)


def test_names_are_declared_once() -> None:
    """Catches a second sort that silently replaces the first; the very same one is fine."""
    build(sorts=(*SORTS, SORTS[0]))
    with pytest.raises(SpecError, match="sort Peer is declared twice"):
        build(sorts=(*SORTS, Sort("Peer", "another thing")))


def test_rows_become_rules() -> None:
    """Catches a row for many states that loses one, and `same` that leads elsewhere."""
    protocol = build(
        Row("any", "Stay(p: Peer)", "same", why="to test"),
        Row(("red", "green"), "Off(p: Peer, d: Digest)", "dark", "rain", {"lock[p]": "d"}, "why"),
    )
    machine = protocol.machines["lamp"]
    stay = [(r.source, r.target) for r in machine.rules if r.event == "Stay"]
    assert stay == [("red", "red"), ("green", "green"), ("dark", "dark")]
    off = machine.rules_for("green", "Off")
    assert [(r.number, r.name) for r in off] == [(2, "lamp: green -Off-> dark")]
    assert off[0].guards[0].text == "rain"
    assert [(e.cell.name, e.cell.kept) for e in off[0].effects] == [("lock", "disk")]
    assert machine.rules_for("dark", "Off") == ()
    assert machine.rules_for("red", "Nothing") == ()
    assert machine.first == "red"
    assert machine.subject == ("p",)
    assert machine.signatures["Off"] == {"p": "Peer", "d": "Digest"}


def test_what_a_crash_forgets_follows_from_where_cells_are_kept() -> None:
    """Catches a list of lost cells kept by hand: one word in a cell must move it."""
    assert {c.name for c in build().lost_in_a_crash()} == {"light", "other_light"}
    moved = [evolve(c, kept="memory") if c.name == "lock" else c for c in CELLS]
    assert {c.name for c in build(cells=moved).lost_in_a_crash()} == {
        "light",
        "other_light",
        "lock",
    }


def test_cells_read_looks_everywhere() -> None:
    """Catches a ghost that hides inside an index, a condition or a branch."""
    for text in (
        "secret[p]",
        "not secret[p]",
        "rain and secret[p]",
        "rain or secret[p]",
        "implies(rain, secret[p])",
        "implies(secret[p], rain)",
        "secret[p] == rain",
        "(rain if secret[p] else rain)",
        "(secret[p] if rain else rain)",
        "(rain if rain else secret[p])",
        "any(secret[q] for q in Peer)",
        "count(q for q in Peer if secret[q]) + 1 >= T",
        "secret[p] in (rain, True)",
    ):
        assert "secret" in cells_read(parse(text, p="Peer")), text


def test_children_are_all_the_parts() -> None:
    """Catches a walker that skips a part of a node."""

    def size(node: Node) -> int:
        return 1 + sum(size(child) for child in children(node))

    assert size(parse("implies(rain, not rain)")) == 4
    assert size(parse("all(vote[p, d] or rain for p in Peer for d in Digest)")) == 7
    assert size(parse("(lock[p] if rain else lock[p]) == none", p="Peer")) == 8
    assert isinstance(parse("all(rain for d in Digest)"), Quantified)


def test_tables_are_found_by_name() -> None:
    """Catches an assembly that loses a table or a cell."""
    protocol = build()
    assert set(protocol.machines) == {"lamp", "other"}
    assert protocol.machines["other"].table is OTHER
    assert isinstance(protocol.machines["lamp"].table, Table)
    assert set(protocol.cells) == {cell.name for cell in CELLS}
