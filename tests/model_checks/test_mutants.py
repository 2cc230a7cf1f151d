"""Mutants: all are made, each verdict is given where it is due, and survivors are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from model_checks import mutants as scoring
from model_checks.compared import SMALL, labelled_edges, search_original
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance
from model_checks.models import two_phase_commit
from model_checks.mutants import (
    Fate,
    broken_lock,
    fate_of,
    lines,
    reasons,
    score,
    select,
    stale_reasons,
)
from model_checks.mutations import DROPPED, ORIGINAL, Mutant, mutants
from model_checks.system import Network, close

ALL = tuple(mutants())


def named(text: str) -> Mutant:
    """Return the mutant with this name."""
    return next(mutant for mutant in ALL if mutant.name == text)


def test_every_row_guard_effect_cell_and_definition_is_mutated() -> None:
    """Catches a part of the tables that nothing ever breaks."""
    for table in ORIGINAL.tables:
        for number, row in enumerate(table.rows, start=1):
            mine = [m.name for m in ALL if m.name.startswith(f"{table.name}, row {number} (")]
            assert any(name.endswith("drop the row") for name in mine)
            assert all(any(f"drop {guard!r}" in name for name in mine) for guard in row.only_if)
            assert all(any(f"negate {guard!r}" in name for name in mine) for guard in row.only_if)
            assert all(any(f"drop {cell} := " in name for name in mine) for cell in row.then)
            stays = row.target in ("same", row.source)
            assert any(name.endswith(": stay") for name in mine) != stays
    for cell in ORIGINAL.cells:
        if cell.kept in ("disk", "memory", "network"):
            assert any(m.name.startswith(f"cell {cell.name}: kept") for m in ALL)
    for definition in ORIGINAL.definitions:
        assert any(m.name == f"definition {definition.name}: negate" for m in ALL)


def test_names_are_unique_and_every_mutant_differs() -> None:
    """Catches two mutants of one name, and one that is no change at all."""
    assert len({mutant.name for mutant in ALL}) == len(ALL)
    assert all(mutant.source != ORIGINAL for mutant in ALL)


def test_the_original_is_noticed_by_nothing() -> None:
    """Catches checks that fail whatever they are given."""
    fate = fate_of(Mutant("nothing", "none", ORIGINAL))
    assert (fate.verdict, fate.by) == ("equivalent", "the same steps from every state")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("swap, row 1 (none_yet -Deposit->): drop 'deposit[s] == payable'", "static"),
        ("cell lock: kept disk becomes memory", "record"),
        ("cell voted: kept disk becomes memory", "record"),
        ("cell session: kept memory becomes disk", "record"),
        ("keygen, row 5 (certified_by_all -LockIn->): stay", "static"),
        ("link, row 3 (connected -Hello->): drop the row", "record"),
        ("event, row 15 (SUCCESS -Signature->): not out of EXPIRED", "record"),
        ("ping, row 5 (listed -Ping->): drop 'ping_good[p, q]'", "record"),
        ("peer, row 1 (any -Ping->): drop pinged[p] := True", "static"),
    ],
)
def test_what_must_be_noticed(name: str, verdict: str) -> None:
    """Catches a check that no longer notices what it was built for."""
    assert fate_of(named(name), quick=True).verdict == verdict


@pytest.mark.parametrize(
    "name",
    [
        "cell lock: kept disk becomes memory",
        "session, row 1 (absent -Coordinate->): drop 'coordinates(p, e, a)'",
    ],
)
def test_the_cheap_checks_are_asked_first_in_a_sample(name: str) -> None:
    """Catches a sample that takes as long as the whole, and a score that counts what is cheap."""
    assert fate_of(named(name), quick=True).verdict == "record"
    assert fate_of(named(name)).verdict == "property"


def test_a_change_that_takes_the_only_step_that_must_happen_ends_nothing() -> None:
    """Catches a score of hours that is lost because one network's question has lost its sense."""
    fate = fate_of(named("session, row 12 (created -Expire->): drop the row"))
    assert fate.verdict == "property"


def test_a_change_that_makes_no_difference_is_redundant() -> None:
    """Catches a conjunct that is there twice and counts as one that something needs."""
    tables = list(ORIGINAL.tables)
    place = next(n for n, each in enumerate(tables) if each.name == "swap")
    row, *rest = tables[place].rows
    row = evolve(row, only_if=(*row.only_if, "swap[p, s] != Completed"))
    tables[place] = evolve(tables[place], rows=(row, *rest))
    fate = fate_of(Mutant("twice", DROPPED, evolve(ORIGINAL, tables=tuple(tables))))
    assert fate.verdict == "equivalent"
    _, unexplained = lines([fate], {}, {})
    assert unexplained == ["twice: redundant (the same steps from every state)"]


def test_the_score_has_three_figures() -> None:
    """Catches a headline that counts what a record or a static check notices."""
    where = "event, row 1 (A -B->): drop"
    found = [
        Fate(f"{where} 1", DROPPED, "property", "-"), Fate(f"{where} 2", DROPPED, "record", "-"),
        Fate(f"{where} 3", DROPPED, "static", "-"), Fate(f"{where} 4", DROPPED, "proof", "-"),
        Fate("swap, row 1 (A -B->): drop 5", DROPPED, "record", "-"),
        Fate("cell x: kept", "kept", "equivalent", "-"),
    ]
    figures = (
        "2 (50 %) by property or proof, 1 (25 %) by a static check only, 1 (25 %) by a record only"
    )
    whole = (
        "2 (40 %) by property or proof, 1 (20 %) by a static check only, 2 (40 %) by a record only"
    )
    assert score(found) == [
        f"all changes that change a behaviour: of 5, {whole}",
        f"guards of the safety tables, dropped: of 4, {figures}",
        f"  event: of 4, {figures}",
    ]


def test_a_guard_that_no_promise_misses_needs_a_reason() -> None:
    """Catches a guard of a safety table that only the record of its row says again."""
    guard = Fate("event, row 1 (A -B->): drop x", DROPPED, "record", "event: B is taken only if x")
    other = Fate("swap, row 1 (A -B->): drop x", DROPPED, "record", "-")
    _, unexplained = lines([guard, other], {}, {})
    assert unexplained == [
        f"{guard.name}: no property and no proof misses it (record: {guard.by})"
    ]
    told, unexplained = lines([guard, other], {}, {guard.name: "it saves time only"})
    assert not unexplained
    assert "     1 no promise misses it: it saves time only" in told
    _, unexplained = lines([guard, other], {}, None)
    assert not unexplained  # a sample says nothing about what promises miss


def test_a_reason_that_is_no_longer_needed_is_told() -> None:
    """Catches a reason that stays when a promise begins to miss the guard."""
    name = next(m.name for m in ALL if m.kind == DROPPED)
    found = [Fate(name, DROPPED, "property", "-")]
    assert stale_reasons(found, {}, {name: "x"}) == [f"a promise misses it now: {name}"]
    assert stale_reasons(found, {name: "x"}, None) == [f"it does not survive: {name}"]
    assert stale_reasons([], {}, {"gone": "x"}) == ["there is no such change any more: gone"]


def test_a_dropped_certificate_is_noticed() -> None:
    """Catches a size, of two attempts, at which SAFE-SIGN 4 makes no difference."""
    mutant = next(
        m for m in ALL if m.name.startswith("definition lock_permits: drop 'certified(e, b, d)'")
    )
    assert fate_of(mutant).verdict in ("property", "proof")


@pytest.mark.parametrize("cell", scoring.LOCK)
def test_a_lock_in_memory_is_noticed_by_every_engine(cell: str) -> None:
    """Catches an engine that would let a crash undo SAFE-SIGN 2."""
    assert broken_lock(cell) == []


def test_a_cell_that_is_no_lock_is_not_noticed_by_every_engine() -> None:
    """Catches a control that says yes to everything."""
    assert "search" in broken_lock("round")


def test_labelled_edges() -> None:
    """Catches a number that does not depend on the steps, or depends on their order."""

    def edges(network: Network) -> int:
        search = Explicit(Instance(close(network), {"Manager": 2}, {}), (), "Manager")
        search.explore()
        return labelled_edges(search)

    network = two_phase_commit.NETWORK
    backwards = evolve(network, moves=network.moves[::-1])
    assert edges(network) == edges(backwards)
    renamed = evolve(network.moves[0], event="Hear(m: Manager)")
    assert edges(network) != edges(evolve(network, moves=(renamed, *network.moves[1:])))
    assert edges(network) != edges(evolve(network, moves=network.moves[:-1]))


def test_survivors_are_named_one_by_one() -> None:
    """Catches a reason for a mutant that does not exist, and an empty reason."""
    known = reasons()
    assert known.keys() <= {mutant.name for mutant in ALL}
    assert all(len(why) > 20 for why in known.values())


def test_a_survivor_without_a_reason_is_told() -> None:
    """Catches a gate that lets a new survivor through, or text that is there for nothing."""
    found = [Fate("a", "row", "survived", "-"), Fate("b", "row", "property", "-"),
             Fate("c", "guard", "equivalent", "-"), Fate("d", "row", "survived", "x")]
    told, unexplained = lines(found, {"a": "because of something else"}, {})
    assert unexplained == ["c: redundant (-)", "d: survives (x)"]
    assert "1 of 3 noticed by something, 33 %" in told
    assert "     1 survives: because of something else" in told


def test_no_guard_of_a_row_may_be_explained_away() -> None:
    """Catches a reason that is given for a guard, where the guard should go, or one for another."""
    dropped = {mutant.name for mutant in ALL if mutant.kind == DROPPED}
    assert len(dropped) == sum(len(row.only_if) for t in ORIGINAL.tables for row in t.rows)
    assert not dropped & reasons().keys()
    assert reasons("unseen").keys() <= dropped


def test_the_reasons_are_read_from_a_file(tmp_path: Path) -> None:
    """Catches a reason that is kept for one of its mutants only."""
    path = tmp_path / "survivors.toml"
    path.write_text('[[survivor]]\nwhy = "x"\nmutants = ["a", "b"]\n', encoding="utf-8")
    assert reasons(path=path) == {"a": "x", "b": "x"}
    path.write_text("# nobody survives", encoding="utf-8")
    assert reasons(path=path) == {}


def test_a_sample_is_the_same_for_a_seed_and_always_has_the_locks_and_guards() -> None:
    """Catches a run that cannot be repeated, or that leaves out the control."""
    first, again = select("", 20, 7), select("", 20, 7)
    assert first == again
    assert first != select("", 20, 8)
    assert any(ALL[number].name == "cell lock: kept disk becomes memory" for number in first)
    dropped = {number for number, mutant in enumerate(ALL) if mutant.kind == DROPPED}
    assert not dropped <= set(first)
    assert dropped <= set(select("", 20, 7, guards=True))


@pytest.mark.parametrize("place", range(len(SMALL)), ids=[each.network.name for each in SMALL])
def test_every_network_holds_before_it_is_mutated(place: int) -> None:
    """Catches a network in which a mutant cannot break what is broken already."""
    search, numbers = search_original(place)
    assert search is not None
    assert not numbers.violated
    asked = {p.name for p in SMALL[place].network.properties if p.kind == "reachable"}
    # With two or three peers there are no liars, and nobody who gave up before the others ended.
    small = {"LiarsDecide", "LiarsVoteTwice", "SilentFirst", "LateSignature"}
    assert asked - numbers.reached <= small | set(SMALL[place].unreached)
