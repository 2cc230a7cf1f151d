"""The checks of the tables see each kind of slip, and the command line tells of it."""

from __future__ import annotations

import pytest
from attrs import evolve

from model_checks import __main__ as command
from model_checks.disjoint import example_of_both
from model_checks.tables import (
    cells_idle,
    check_protocol,
    check_table,
    network_read_negatively,
    pairs,
    reasons_missing,
    rules_overlapping,
    states_unlisted,
    states_unreachable,
    values_unused,
)
from spec.language.assembly import Protocol
from spec.language.declarations import Cell, Enum, Row
from spec.protocol import PROTOCOL
from tests.spec.support import CELLS, build


def row(source: str, target: str, *only_if: str, event: str = "Go(p: Peer, d: Digest)") -> Row:
    """Return a row with a reason."""
    return Row(source, event, target, only_if, why="to test")


def overlaps(*rows: Row) -> list[str]:
    """Return the overlapping rules of a table with these rows."""
    protocol = build(*rows)
    return rules_overlapping(protocol, protocol.machines["lamp"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rain", "not rain"),
        ("lock[p] == none", "lock[p] == d"),
        ("lock[p] in (none, d)", "lock[p] not in (d, none)"),
        ("other_light[p] == red", "other_light[p] == green"),
        ("other_light[p] in (red, green)", "other_light[p] == dark"),
        ("last[p] == none", "none < last[p]"),
        ("last[p] < none", "True"),
        ("other_light[p] not in (red, green, dark)", "True"),
        ("voted_for(d)", "not voted_for(d)"),
        ("not (rain and voted_for(d))", "rain and voted_for(d)"),
        ("implies(rain, voted_for(d))", "rain and not voted_for(d)"),
        ("count(q for q in Peer if vote[q, d]) >= T", "count(q for q in Peer if vote[q, d]) < T"),
        ("count(q for q in Peer if vote[q, d]) >= T + 1",
         "count(q for q in Peer if vote[q, d]) <= T - 1"),
        ("light[p] == green", "True"),
        ("(lock[p] if rain else none) == d", "lock[p] == none"),
    ],
)
def test_rules_that_exclude_each_other(one: str, other: str) -> None:
    """Catches a proof that is too weak for guards as the tables have them."""
    assert overlaps(row("red", "green", one), row("red", "dark", other)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("True", "True"),
        ("rain", "True"),
        ("rain", "lock[p] == none"),
        ("lock[p] in (none, d)", "lock[p] == d"),
        ("lock[p] != none", "lock[p] != d"),
        ("other_light[p] != red", "other_light[p] != green"),
        ("voted_for(d)", "only(d)"),
        ("count(x for x in Peer if vote[x, d]) >= T", "count(x for x in Peer if vote[x, d]) <= T"),
        ("last[p] == none", "last[q] != none"),
        ("vote[p, d]", "not vote[q, d]"),
        ("light[p] == red", "light[q] == dark"),
    ],
)
def test_rules_that_may_both_run(one: str, other: str) -> None:
    """Catches a proof of what is not so; the example names the cells."""
    event = "Go(p: Peer, q: Peer, d: Digest)"
    (fault,) = overlaps(
        row("red", "green", one, event=event), row("red", "dark", other, event=event)
    )
    assert fault.startswith("lamp: Go in red: rows 1 and 2 may both run, when ")
    assert "light(variable p) = 0" in fault


def test_rules_of_other_pairs_are_not_compared() -> None:
    """Catches a report about rows that never meet."""
    assert overlaps(row("red", "green"), row("green", "dark"),
                    row("red", "dark", event="Stop(p: Peer)")) == []


def test_a_pair_that_is_too_hard_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a prover that gives up and is taken to have agreed."""
    import z3

    monkeypatch.setattr(z3.Solver, "check", lambda self: z3.unknown)
    protocol = build(row("red", "green", "rain"), row("red", "dark", "not rain"))
    machine = protocol.machines["lamp"]
    assert example_of_both(protocol, machine, *machine.rules) == "z3 gave up"


def test_states_that_are_not_there() -> None:
    """Catches a state that no row names, and one that no way leads to."""
    alone = build(row("red", "green"))
    assert states_unlisted(alone.machines["lamp"]) == ["lamp: no row names dark"]
    assert states_unreachable(alone.machines["lamp"]) == ["lamp: dark is unreachable"]
    circle = build(row("red", "same"), row("green", "dark"), row("dark", "green"))
    assert states_unlisted(circle.machines["lamp"]) == []
    assert states_unreachable(circle.machines["lamp"]) == [
        "lamp: green is unreachable",
        "lamp: dark is unreachable",
    ]
    everywhere = build(row("any", "same"))
    assert states_unlisted(everywhere.machines["lamp"]) == [
        "lamp: no row names green",
        "lamp: no row names dark",
    ]


def test_pairs_are_all_of_them() -> None:
    """Catches a table that is called total although pairs were not looked at."""
    machine = build(row("red", "green"), row("green", "dark", event="Stop(p: Peer)")).machines[
        "lamp"
    ]
    assert list(pairs(machine)) == [
        ("red", "Go", True), ("red", "Stop", False),
        ("green", "Go", False), ("green", "Stop", True),
        ("dark", "Go", False), ("dark", "Stop", False),
    ]
    assert check_table(build(), build().machines["lamp"]).undefined == 2


def test_reasons() -> None:
    """Catches a row without a reason, were the assembly to let it pass."""
    machine = build(row("red", "green")).machines["lamp"]
    (rule,) = machine.rules
    mute = evolve(machine, rules=(evolve(rule, row=evolve(rule.row, why=" ")),))
    assert reasons_missing(machine) == []
    assert reasons_missing(mute) == ["lamp: red -Go-> green: no reason"]


@pytest.mark.parametrize(
    ("guard", "late"),
    [
        ("vote[q, d]", False),
        ("not vote[q, d]", True),
        ("not vote[p, d]", False),
        ("not not vote[q, d]", False),
        ("implies(vote[q, d], rain)", True),
        ("implies(rain, vote[q, d])", False),
        ("rain or not vote[q, d]", True),
        ("rain and vote[q, d]", False),
        ("all(vote[x, d] for x in Peer)", False),
        ("not any(vote[x, d] for x in Peer)", True),
        ("voted_for(d)", False),
        ("only(d)", True),
        ("count(x for x in Peer if vote[x, d]) < T", True),
        ("count(x for x in Peer if vote[x, d]) > T", False),
        ("T <= count(x for x in Peer if vote[x, d])", False),
        ("T >= count(x for x in Peer if vote[x, d])", True),
        ("vote[q, d] == rain", True),
        ("(rain if vote[q, d] else rain)", True),
        ("(vote[q, d] if rain else rain)", False),
        ("(not vote[q, d] if rain else rain)", True),
        ("vote[q, d] in (True,)", True),
    ],
)
def test_guards_that_a_late_view_may_betray(guard: str, late: bool) -> None:
    """Catches a guard that is sound in the network and unsound at a node that has not heard all."""
    protocol = build(row("red", "green", guard, event="Go(p: Peer, q: Peer, d: Digest)"))
    found = network_read_negatively(protocol, protocol.machines["lamp"])
    assert bool(found) == late
    if late:
        assert found == [f"lamp: red -Go-> green: {guard!r} needs others not to have sent vote"]


def test_cells_without_a_part() -> None:
    """Catches a fact that is asked for nothing, a message nobody sends, a record nobody writes."""
    assert cells_idle(build()) == [
        "cell lock: no row writes it",
        "cell last: no row writes it",
        "cell vote: no row sends it",
        "cell rain: given, but no row reads it",
        "cell secret: no row writes it",
    ]
    busy = build(
        Row("red", "Go(p: Peer, d: Digest)", "green",
            then={"lock[p]": "lock[p] if rain else none", "last[p]": "none", "vote[p, d]": "True",
                  "secret[p]": "True"}, why="to test")
    )
    assert cells_idle(busy) == []


def test_values_without_a_use() -> None:
    """Catches a verdict that no row ever gives."""
    mood = Cell("mood", Enum("Mood", ("calm", "cross", "glad", "sad")), ("Peer",), "calm",
                "memory", "")
    protocol = build(
        Row("red", "Go(p: Peer)", "green", "mood[p] == cross", {"mood[p]": "glad"}, why="to test"),
        cells=(*CELLS, mood),
    )
    assert values_unused(protocol) == ["enum Mood: sad is never used"]
    assert values_unused(build()) == []


def faulty() -> Protocol:
    """Return a protocol with one overlap and one idle fact."""
    return build(row("red", "green"), row("red", "dark"))


def test_a_report_adds_up() -> None:
    """Catches a fault that is found and then lost on the way to the reader."""
    reports, faults = check_protocol(faulty())
    lamp = reports[0]
    assert (lamp.table, lamp.states, lamp.rows, lamp.events, lamp.undefined) == (
        "lamp", 3, 2, 1, 2,
    )
    assert len(lamp.faults) == 1
    assert lamp.verdict == "1 faults"
    assert reports[1].verdict == "well formed"
    assert "cell rain: given, but no row reads it" in faults


def test_the_command_says_one_line_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a command that prints nothing, or ends well whatever it found."""
    assert command.main(["check", "--tables"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["table", "states", "rows", "events", "undefined", "verdict"]
    assert [line.split()[0] for line in printed[1:]] == list(PROTOCOL.machines)
    assert all(line.endswith("well formed") for line in printed[1:])


def test_the_command_fails_on_faults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches an exit code 0 for tables that are not well formed."""
    monkeypatch.setattr(command, "PROTOCOL", faulty())
    assert command.main(["check", "--tables"]) == 1
    printed = capsys.readouterr().out
    assert "may both run" in printed
    assert "1 faults" in printed
    assert "cell rain: given" in printed


@pytest.mark.parametrize("arguments", [[], ["chek"]])
def test_misuse_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a misspelt command that passes for a good result."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m model_checks" in capsys.readouterr().err
