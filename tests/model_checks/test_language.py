"""What a spec of one's own may say: numbers, all individuals at once, first values by choice, ends.

Engines are compared on random systems elsewhere; here it is what a text means, and what is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from model_checks.engines.check import check
from model_checks.engines.explicit import Explicit
from model_checks.engines.induction import Induction, chosen
from model_checks.engines.oracle import Instance, Oracle, Result
from model_checks.system import Move, Network, Property, close
from spec.language.assembly import assemble
from spec.language.declarations import (
    Cell,
    Enum,
    Opt,
    Range,
    Row,
    Sort,
    SpecError,
    Table,
)
from tests.model_checks.counter import COUNTER, run


def steps(result: Result, name: str) -> list[str]:
    """Return a counterexample as text."""
    return [str(step) for step in result.violated[name]]


# --- numbers -------------------------------------------------------------------------------------


def test_a_step_out_of_its_range_is_an_error_that_names_cell_and_step() -> None:
    """Catches a number that wraps round, or a search that goes on from a state that is none."""
    result = run(COUNTER)
    assert steps(result, "Low") == ["Up(c=0)"] * 2
    ups = steps(result, "count_of in -1..Most")
    assert len(ups) == 3
    assert {ups[0], ups[2]} in ({"Up(c=0)"}, {"Up(c=1)"}, {"Up(c=0)", "Down(c=1)"},
                                {"Up(c=1)", "Down(c=0)"})
    assert "total in 0..Most + 1" not in result.violated
    orbits = Explicit(
        Instance(close(COUNTER), {"Client": 2}, {"Most": 2}), ("Client",), "Client"
    ).explore()
    assert {n: len(s) for n, s in orbits.violated.items()} == {
        n: len(s) for n, s in result.violated.items()
    }
    assert orbits.distinct < result.distinct


def test_a_guard_keeps_a_number_in_its_range() -> None:
    """Catches an error where no step leaves the range, and a negative number that is read wrong."""
    moves = (
        Move("Up(c: Client)", ("count_of[c] < Most", "total <= Most"),
             {"count_of[c]": "count_of[c] + 1", "total": "total + 1"}),
        Move("Down(c: Client)", ("count_of[c] >= 0", "total > 0"),
             {"count_of[c]": "count_of[c] - 1", "total": "max(total - 1, 0)"}),
    )
    result = run(COUNTER, moves=moves, properties=(
        Property("Sum", "all(implies(c != d, total == count_of[c] + count_of[d])"
                        " for c in Client for d in Client)"),
        Property("Below", "any(count_of[c] == 0 - 1 for c in Client)", "reachable"),
        Property("ByOne", "after(total) - total in (1, 0 - 1)", "step"),
    ))
    assert not result.violated
    assert len(result.reached["Below"]) == 2


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Cell("total", Range(1, 3), (), "0", "disk", "-"), "first value 0 is not in its range"),
        (Cell("total", Range("Most", 1), (), "1", "disk", "-"), "no range from 2 to 1"),
        (Cell("total", Range(0, "Mots"), (), "0", "disk", "-"), "unknown name 'Mots'"),
        (Cell("total", Range(0, "total"), (), "0", "disk", "-"), "unknown name 'total'"),
        (Cell("total", Range(0, 1), (), "False", "disk", "-"), "first value: .* int is needed"),
    ],
)
def test_a_range_that_is_none_is_refused(cell: Cell, message: str) -> None:
    """Catches a traceback, or a cell that begins where it can never be."""
    with pytest.raises(SpecError, match=message):
        run(COUNTER, cells=(COUNTER.cells[0], cell))


@pytest.mark.parametrize(("low", "high"), [(2, 1), (0, 5000), (-5000, "Most")])
def test_a_range_of_plain_numbers_is_refused_where_it_stands(low: int, high: int | str) -> None:
    """Catches a mistake that is told without its place in the file."""
    with pytest.raises(SpecError, match="cell total: there is no range from"):
        Cell("total", Range(low, high), (), "0", "disk", "-")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Move("Go()", (lambda: True,)),
        lambda: Move("Go()", (), {"total": 1}),
        lambda: Property("P", lambda: True),
        lambda: Cell("total", Range(0, 1), (), 0, "disk", "-"),
    ],
)
def test_what_is_no_text_is_refused(make: Callable[[], object]) -> None:
    """Catches a traceback for a number, or a function, where a text belongs."""
    with pytest.raises(SpecError, match="is not a text: write it in quotes"):
        make()


def test_numbers_are_proved_for_every_size() -> None:
    """Catches a prover that takes a range for granted, or a number for something else."""
    system = close(evolve(COUNTER, assume=("Most >= 0",), moves=(
        Move("Up(c: Client)", ("count_of[c] < Most", "total <= Most"),
             {"count_of[c]": "count_of[c] + 1", "total": "total + 1"}),
    ), properties=(Property("NoLess", "all(count_of[c] >= 0 for c in Client)"),)))
    names = [c.property.name for c in chosen(system)]
    assert names == ["NoLess", "count_of in -1..Most", "total in 0..Most + 1"]
    unsaid = Induction(close(evolve(COUNTER, moves=()))).prove(second_solver=False)
    assert not unsaid.holds, "without the assumption there may be no number in the range"
    proof = Induction(system).prove(examples=False)
    assert proof.holds, [str(f) for f in proof.failures]
    wrong = Induction(close(evolve(COUNTER, assume=("Most >= 0",), properties=(
        Property("NoLess", "all(count_of[c] >= 0 for c in Client)"),
    )))).prove(second_solver=False)
    failed = {f.obligation for f in wrong.failures}
    assert failed == {"NoLess / Down", "count_of in -1..Most / Up"}
    assert all(f.example is not None for f in wrong.failures)


def test_what_holds_initially_is_known_to_the_provers() -> None:
    """Catches a proof that begins in a state which is none."""
    system = close(evolve(
        COUNTER, cells=(Cell("total", Range(0, 9), (), "any", "disk", "-"),),
        initially=("total > 3",), moves=(Move("Up()", ("total < 9",), {"total": "total + 1"}),),
        properties=(Property("Over", "total > 3"),),
    ))
    assert Induction(system).prove().holds
    unsaid = Induction(close(evolve(system.network, initially=()))).prove(second_solver=False)
    assert [f.obligation for f in unsaid.failures] == ["Over / initial"]


def test_a_count_beside_a_number_is_refused_by_the_provers() -> None:
    """Catches a comparison that is read as if the cell were a constant."""
    text = "count(c for c in Client if count_of[c] > 0) <= total"
    system = close(evolve(COUNTER, properties=(Property("Few", text),)))
    with pytest.raises(SpecError, match="a count beside a cell's number"):
        Induction(system).prove()


def test_a_move_that_always_leaves_the_range_is_one_error() -> None:
    """Catches a value that no cell can hold, and that is packed nevertheless."""
    result = run(COUNTER, moves=(Move("Jump()", (), {"total": "-64"}),))
    assert {n: len(s) for n, s in result.violated.items()} == {"total in 0..Most + 1": 1}


def test_what_is_not_written_does_not_leave_its_range() -> None:
    """Catches an error for a place that the condition of an effect leaves out."""
    add = Move("Add()", ("total > 0 or all(count_of[c] < Most for c in Client)",),
               {"count_of[d] for d in Client if total == 0": "count_of[d] + 1"})
    rise = Move("Rise()", ("total == 0",), {"total": "total + 1"})
    result = run(COUNTER, moves=(add, rise), properties=(
        Property("Full", "total > 0 and all(count_of[c] == Most for c in Client)", "reachable"),
    ))
    assert not result.violated
    assert len(result.reached["Full"]) == 3


def test_a_difference_may_leave_the_range_at_either_end() -> None:
    """Catches a bound of a difference that is too narrow, so that nobody looks."""
    cells = (Cell("one", Range(0, 3), (), "any", "disk", "-"),
             Cell("two", Range(0, 3), (), "any", "disk", "-"))
    less = Move("Less()", ("one < two",), {"one": "one - two"})
    more = Move("More()", ("one > two",), {"two": "one - two + one"})
    for move, name in ((less, "one in 0..3"), (more, "two in 0..3")):
        result = run(COUNTER, cells=cells, moves=(move,), properties=())
        assert {n: len(s) for n, s in result.violated.items()} == {name: 1}


# --- all individuals -----------------------------------------------------------------------------

MARKS = evolve(
    COUNTER,
    cells=(
        Cell("mark", "bool", ("Client",), "False", "disk", "-"),
        Cell("friend", "bool", ("Client", "Client"), "for c, d: c == d", "disk", "-"),
    ),
    moves=(),
    properties=(),
)


def test_all_are_written_at_once() -> None:
    """Catches an effect that reads what it has just written, or one that writes the exception."""
    result = run(
        MARKS, clients=3,
        moves=(
            Move("Set(c: Client)", ("not any(mark[d] for d in Client)",), {"mark[c]": "True"}),
            Move("Turn(c: Client)", ("mark[c]",),
                 {"mark[d] for d in Client if d != c": "not mark[c] or not mark[d]",
                  "friend[d, c] for d in Client": "mark[d] or friend[c, d]"}),
        ),
        properties=(
            Property("Swapped", "all(mark[c] for c in Client)", "reachable"),
            Property("Kept", "all(implies(mark[c], after(mark[c])) for c in Client)", "step"),
            Property("Friends", "all(friend[c, c] for c in Client)"),
        ),
    )
    assert len(result.reached["Swapped"]) == 2
    assert len(result.violated["Kept"]) == 3
    assert "Friends" not in result.violated


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ({"mark[d] for d in Client": "True", "mark[c]": "False"}, "two effects on mark"),
        ({"mark[c] for d in Client": "True"}, "d is no index"),
        ({"mark[d] for d in Clients": "True"}, "Clients is not a sort"),
        ({"mark[d] for c in Client": "True"}, "c is bound twice"),
        ({"mark[d] for d in": "True"}, "is not an expression"),
        ({"mark[d] for d in Client if e": "True"}, "unknown name 'e'"),
        ({"mark[d] for d in Client": "d"}, "bool is needed"),
    ],
)
def test_an_effect_on_all_that_has_no_meaning_is_refused(
    effects: dict[str, str], message: str
) -> None:
    """Catches an effect of which one part undoes another, and a traceback."""
    with pytest.raises(SpecError, match=message):
        run(MARKS, moves=(Move("Set(c: Client)", (), effects),))


# --- first values --------------------------------------------------------------------------------


def firsts(*cells: Cell, initially: tuple[str, ...] = ()) -> Oracle:
    """Return the oracle of cells that a property reads."""
    places = [f"{cell.name}[{', '.join('x' for _ in cell.index)}]" for cell in cells]
    text = " or ".join(f"{place} == {place}" for place in places)
    network = evolve(
        COUNTER, cells=cells, initially=initially,
        moves=(Move("Set(x: Turn)", (), {f"{cells[0].name}[x]": f"{cells[0].name}[x]"}),),
        properties=(Property("P", f"all({text} for x in Turn)"),),
    )
    return Oracle(Instance(close(network), {"Turn": 3}, {"Most": 2}))


def test_first_values_are_chosen_within_what_is_said() -> None:
    """Catches a choice that leaves out a value, or takes one that is not allowed."""
    cell = Cell("level", Range(0, 2), ("Turn",), "any", "disk", "-")
    assert len(list(firsts(cell).initial())) == 27
    rising = ("all(implies(x < y, level[x] <= level[y]) for x in Turn for y in Turn)",)
    oracle = firsts(cell, initially=rising)
    assert len(list(oracle.initial())) == 10
    assert all(oracle.is_initial(state) for state in oracle.initial())
    assert not oracle.is_initial((2, 1, 0))


def test_what_is_said_of_first_values_keeps_them_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a choice of each cell's value before any of them is ruled out, and a wait for hours.
    """
    monkeypatch.setattr("model_checks.engines.oracle.MOST_FIRST_STATES", 30)
    one, two = (Cell(name, Range(0, 2), ("Turn",), "any", "disk", "-") for name in ("one", "two"))
    zero = "all(one[x] == 0 for x in Turn)"
    assert len(list(firsts(one, two, initially=(zero,)).initial())) == 27
    with pytest.raises(SpecError, match="cell two: more than 30 choices of the first values"):
        list(firsts(one, two).initial())


def test_first_values_may_depend_on_the_index() -> None:
    """Catches an index that is taken for another one."""
    cell = Cell("head", "bool", ("Turn",), "for x: all(x <= y for y in Turn)", "disk", "-")
    (state,) = firsts(cell).initial()
    assert state == (True, False, False)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Cell("head", "bool", ("Turn",), "for x, y: x == y", "disk", "-"), "does not name its ind"),
        (Cell("head", "bool", ("Turn",), "for x: head[x]", "disk", "-"), "unknown cell 'head'"),
        (Cell("head", "bool", ("Turn",), "for x: z", "disk", "-"), "unknown name 'z'"),
    ],
)
def test_a_first_value_that_is_none_is_refused(cell: Cell, message: str) -> None:
    """Catches a traceback."""
    with pytest.raises(SpecError, match=message):
        firsts(cell)


def test_no_first_state_is_refused() -> None:
    """Catches a network that holds because nothing ever begins."""
    with pytest.raises(SpecError, match="no state may be the first one"):
        run(COUNTER, initially=("total > 0",))


def test_a_crash_needs_one_first_value() -> None:
    """Catches a crash that leaves a chosen value alone, which no crash does."""
    cell = Cell("heard", "bool", ("Peer",), "any", "memory", "-")
    with pytest.raises(SpecError, match="cell heard: a crash brings back the first value"):
        close(evolve(COUNTER, cells=(cell,), crash=True, moves=(),
                     properties=(Property("P", "all(heard[p] for p in Peer)"),)))


# --- ends ----------------------------------------------------------------------------------------


def test_a_state_without_a_step() -> None:
    """Catches a deadlock that is missed, an end that is allowed, and a step that changes nothing
    and is none.
    """
    up = Move("Up(c: Client)", ("total < Most",), {"total": "total + 1"})
    stuck = Property("NeverStuck", "False", "deadlock")
    ends = Property("EndsFull", "total == Most", "deadlock")
    result = run(COUNTER, moves=(up,), properties=(stuck, ends))
    assert len(steps(result, "NeverStuck")) == 2
    assert "EndsFull" not in result.violated
    idle = Move("Idle()", ("total == Most",))
    assert not run(COUNTER, moves=(up, idle), properties=(stuck, ends)).violated


def test_how_often_each_move_was_made() -> None:
    """Catches a move that never comes and is not told from the others."""
    up = Move("Up(c: Client)", ("total < Most",), {"total": "total + 1"})
    never = Move("Never()", ("total > Most",), {"total": "0"})
    result = run(COUNTER, moves=(up, never), properties=(Property("P", "total >= 0"),))
    assert result.fired == {"Up": 4, "Never": 0}


# --- enums ---------------------------------------------------------------------------------------

ONE, OTHER = Enum("One", ("off", "on")), Enum("Other", ("on", "off", "broken"))


def two_enums(value: str) -> Result:
    """Check cells of two enums that share their values' names."""
    return run(
        COUNTER,
        cells=(Cell("one", ONE, (), "on", "disk", "-"),
               Cell("other", OTHER, (), "on", "disk", "-")),
        moves=(Move("Go()", ("one == on", "off != other"),
                    {"other": value, "one": "off if other == on else on"}),),
        properties=(Property("Never", "other in (on, broken)"),),
    )


def test_enums_may_share_the_names_of_values() -> None:
    """Catches a value that is taken for that of the other enum."""
    assert steps(two_enums("off"), "Never") == ["Go()"]
    assert steps(two_enums("(off if one == on else broken)"), "Never") == ["Go()"]
    assert not two_enums("broken").violated


def test_two_enums_of_one_name_are_refused() -> None:
    """Catches an enum that silently has another one's values."""
    cells = (Cell("one", ONE, (), "on", "disk", "-"),
             Cell("two", evolve(OTHER, name="One"), (), "on", "disk", "-"))
    with pytest.raises(SpecError, match="cell two: another enum is named 'One' too"):
        run(COUNTER, cells=cells, moves=(), properties=())


# --- runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("leads_to(total == 0, total == 1)", "invariant"),
        ("not leads_to(total == 0, total == 1)", "liveness"),
        ("any(leads_to(count_of[c] == 0, total == 1) for c in Client)", "liveness"),
        ("implies(total == 0, leads_to(total == 0, total == 1))", "liveness"),
        ("leads_to(total == 0, leads_to(total == 0, total == 1))", "liveness"),
        ("leads_to(total == 0, total == 1)", "infinitely_often"),
    ],
)
def test_leads_to_stands_outermost(text: str, kind: str) -> None:
    """Catches a formula about runs that is looked at in one state."""
    with pytest.raises(SpecError, match="leads_to speaks of runs"):
        close(evolve(COUNTER, properties=(Property("P", text, kind),)))


LIGHT = Enum("Light", ("red", "green"))
LIGHTS = assemble(
    sorts=(Sort("Peer", "-"),),
    cells=(Cell("light", LIGHT, ("Peer",), "red", "disk", "-"),),
    tables=(
        Table("light", "light[p]", "-", rows=(
            Row("red", "Go(p: Peer)", "green", "all(light[q] == red for q in Peer)", why="-"),
            Row("green", "Stop(p: Peer)", "red", why="-"),
        )),
    ),
)


@pytest.mark.parametrize(
    ("fair", "starved"), [("light.Go", True), ("strong light.Go", False)]
)
def test_rows_may_be_strongly_fair(fair: str, starved: bool) -> None:
    """Catches a row whose fairness is always weak."""
    network = Network(
        name="lights", doc="-", honest="", crash=False, rows=(("light", "*"),),
        fair=(fair, "light.Stop"), properties=(
            Property("Each", "all(leads_to(True, light[p] == green) for p in Peer)", "liveness"),
        ),
    )
    result = check(Instance(close(network, LIGHTS), {"Peer": 2}, {}))
    assert bool(result.violated) == starved
    with pytest.raises(SpecError, match="fair names 'strong light.Run', which is no row of it"):
        close(evolve(network, fair=("strong light.Run",)), LIGHTS)


@pytest.mark.parametrize("fair", ["week", "weak for some d", "strong for c", "weak for some"])
def test_fairness_that_is_none_is_refused(fair: str) -> None:
    """Catches fairness that is silently left out."""
    with pytest.raises(SpecError, match=r"Up: fair="):
        close(evolve(COUNTER, moves=(evolve(COUNTER.moves[0], fair=fair),)))


def held_up(fair: bool | str, give: bool | str = True) -> Result:
    """Check a lock that two clients want, of whom each gives it back."""
    return run(
        COUNTER,
        cells=(Cell("holder", Opt("Client"), (), "none", "disk", "-"),),
        moves=(
            Move("Take(c: Client)", ("holder == none",), {"holder": "c"}, fair=fair),
            Move("Give(c: Client)", ("holder == c",), {"holder": "none"}, fair=give),
        ),
        properties=(
            Property("Each", "all(leads_to(True, holder == c) for c in Client)", "liveness"),
            Property("Some", "holder != none", "infinitely_often"),
            Property("Rests", "holder == none", "eventually_always"),
        ),
    )


def test_strong_fairness_serves_who_is_possible_again_and_again() -> None:
    """Catches strong fairness that is weak, and fairness of some one that is of each."""
    weak, strong, some = held_up("weak"), held_up("strong"), held_up("strong for some c")
    assert set(weak.violated) == {"Each", "Rests"}
    assert set(strong.violated) == {"Rests"}
    assert set(some.violated) == {"Each", "Rests"}
    assert set(held_up(False).violated) == {"Each", "Some", "Rests"}
    assert [str(step) for step in weak.loops["Each"]] in (
        ["Take(c=1)", "Give(c=1)"], ["Take(c=0)", "Give(c=0)"],
    )
    assert weak.about["Each"] in ({"c": 0}, {"c": 1})


