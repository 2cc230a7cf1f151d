"""Mutants: all are made, each verdict is given where it is due, and survivors are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from model_checks import mutants as scoring
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance
from model_checks.mutants import Fate, broken_lock, fate_of, labelled_edges, lines, reasons, select
from model_checks.mutations import ORIGINAL, Mutant, mutants
from model_checks.networks import two_phase_commit
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
            assert any(name.endswith(": stay") for name in mine) == (row.target != "same")
    for cell in ORIGINAL.cells:
        if cell.kept in ("disk", "memory", "network"):
            assert any(m.name.startswith(f"cell {cell.name}: kept") for m in ALL)
    for definition in ORIGINAL.definitions:
        assert named(f"definition {definition.name}: negate")


def test_names_are_unique_and_every_mutant_differs() -> None:
    """Catches two mutants of one name, and one that is no change at all."""
    assert len({mutant.name for mutant in ALL}) == len(ALL)
    assert all(mutant.source != ORIGINAL for mutant in ALL)


def test_the_original_is_noticed_by_nothing() -> None:
    """Catches checks that fail whatever they are given."""
    fate = fate_of(Mutant("nothing", "none", ORIGINAL))
    assert (fate.verdict, fate.by) == ("survived", "no network runs it")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("swap, row 1 ", "property"),
        ("cell lock: kept disk becomes memory", "property"),
        ("cell voted: kept disk becomes memory", "property"),
        ("keygen, row 5 (certified_by_all -LockIn->): go to abandoned", "property"),
        ("event, row 10 (FAILED -Retry->): drop the row", "property"),
    ],
)
def test_what_must_be_noticed(name: str, verdict: str) -> None:
    """Catches a model that no longer notices what it was built for."""
    mutant = next(m for m in ALL if m.name.startswith(name))
    assert fate_of(mutant).verdict in (verdict, "static")


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
    """Catches a gate that lets a new survivor through."""
    found = [Fate("a", "row", "survived", "-"), Fate("b", "row", "property", "-"),
             Fate("c", "guard", "equivalent", "-"), Fate("d", "row", "survived", "x")]  # fmt: skip
    told, unexplained = lines(found, {"a": "because of something else"})
    assert unexplained == ["d (x)"]
    assert "1 of 3 noticed, 33 %" in told
    assert "     1 survive: because of something else" in told


def test_the_reasons_are_read_from_a_file(tmp_path: Path) -> None:
    """Catches a reason that is kept for one of its mutants only."""
    path = tmp_path / "survivors.toml"
    path.write_text('[[survivor]]\nwhy = "x"\nmutants = ["a", "b"]\n', encoding="utf-8")
    assert reasons(path) == {"a": "x", "b": "x"}


def test_a_sample_is_the_same_for_a_seed_and_always_has_the_locks() -> None:
    """Catches a run that cannot be repeated, or that leaves out the control."""
    first, again = select("", 20, 7), select("", 20, 7)
    assert first == again
    assert first != select("", 20, 8)
    assert any(ALL[number].name == "cell lock: kept disk becomes memory" for number in first)


@pytest.mark.parametrize(
    "place", range(len(scoring.SMALL)), ids=[each[0].name for each in scoring.SMALL]
)
def test_every_network_holds_before_it_is_mutated(place: int) -> None:
    """Catches a network in which a mutant cannot break what is broken already."""
    search, numbers = scoring._search_original(place)
    assert search is not None
    assert not numbers.violated
    asked = {p.name for p in scoring.SMALL[place][0].properties if p.kind == "reachable"}
    # With two or three peers there are no liars, and nobody who gave up before the others ended.
    small = {"LiarsDecide", "LiarsVoteTwice", "SilentFirst", "LateSignature"}
    assert asked - numbers.reached <= small
