"""The pinned numbers: what is compared, what is written, what a change looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve, fields

from model_checks.cases import Counts, Model, update
from model_checks.engines.explicit import Explicit
from model_checks.models import CASES, CONTROLS, MODELS, PROOFS, swap_settlement
from spec.parameters import quorum_fault
from spec.protocol import PROTOCOL

CASE = next(c for c in CASES if c.network.name == "swap_other_coins")
COMMIT = CASES[0]


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Model, Model]:
    """Two models whose files may be written."""
    found = []
    for model in (MODELS[0], swap_settlement.MODEL):
        file = tmp_path / model.file.name
        file.write_text(model.file.read_text(encoding="utf-8"), encoding="utf-8")
        found.append(evolve(model, file=file))
    return found[0], found[1]


@pytest.mark.parametrize("key", [each.name for each in fields(Counts)])
def test_every_number_is_compared(key: str) -> None:
    """Catches a number that nobody pins."""
    result = CASE.run()
    assert CASE.faults(result) == []
    wrong = {"Wrong": 7} if key in ("reached", "violated", "stuck") else 7
    (fault,) = evolve(CASE, pinned=evolve(CASE.pinned, **{key: wrong})).faults(result)
    assert fault.startswith(f"{key} is ")
    assert fault.endswith(f", pinned is {wrong}")


def test_the_tutorials_numbers_are_the_published_ones() -> None:
    """Catches numbers of another search."""
    counts = Counts.of(COMMIT.run())
    assert (counts.distinct, counts.generated, counts.depth) == (288, 1146, 11)


def test_update_writes_and_shows_the_change(copied: tuple[Model, Model]) -> None:
    """Catches a change that is written without being shown, or shown without being written."""
    pinned = {case.name: case.pinned for case in CASES}
    assert update(copied, pinned) == []
    changed = {**pinned, COMMIT.name: evolve(COMMIT.pinned, depth=12, reached={"CanAbort": 4})}
    shown = update(copied, changed)
    assert [line.strip() for line in shown if line[0] in "+-"] == [
        "--- two_phase_commit.py",
        "+++ two_phase_commit.py",
        ('-                distinct=288, generated=1146, depth=11, reached={"CanAbort": 3,'
        ' "CanCommit": 10},'),
        '+                distinct=288, generated=1146, depth=12, reached={"CanAbort": 4},',
    ]
    # The file is read again: a second change stands on the first one.
    cases = [evolve(c, pinned=changed[c.name]) for c in copied[0].cases]
    again = evolve(copied[0], cases=tuple(cases))
    assert update((again,), changed) == []
    assert update((again,), pinned)
    assert copied[0].file.read_text(encoding="utf-8") == MODELS[0].file.read_text(encoding="utf-8")


def test_a_file_in_another_order_is_not_written(copied: tuple[Model, Model]) -> None:
    """Catches numbers that are written to another case than their own."""
    model = evolve(copied[1], cases=copied[1].cases[::-1])
    with pytest.raises(ValueError, match=r"swap_settlement\.py: the numbers do not stand in"):
        model.updated({CASE.name: Counts()})


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.file.stem)
def test_every_number_in_the_tree_stands_as_update_writes_it(model: Model) -> None:
    """Catches a literal that the next update would write in another way."""
    zeros = {case.name: Counts() for case in model.cases}
    model.updated({})
    text = model.updated(zeros)
    for case in model.cases:
        assert case.pinned.text(12) in model.file.read_text(encoding="utf-8")
        assert case.pinned.text(12) not in text


def test_every_file_of_models_is_in_the_list() -> None:
    """Catches a subject that nothing runs, and two cases of one name."""
    folder = MODELS[0].file.parent
    files = {file.stem for file in folder.glob("*.py")} - {"__init__", "shared"}
    assert {model.file.stem for model in MODELS} == files
    for each in (CASES, PROOFS, CONTROLS):
        names = [case.name for case in each]
        assert len(set(names)) == len(names)


WITHOUT_A_LIAR = {"coordinator_rotation", "regroup_retry"}
"""Networks explored at (3, 1, 2) only, which a node refuses: with four holders they are too large.
The second is proved for every size, but for its liveness."""


def test_what_must_hold_is_asked_at_sizes_that_a_node_starts_with() -> None:
    """Catches evidence from a network that could not exist: SAFE-SIGN 1 refuses it."""
    for case in CASES:
        numbers = [case.constants.get(name) for name in "NTF"]
        n, t, f = (number or 0 for number in numbers)
        if None not in numbers and not case.refuted and case.network.name not in WITHOUT_A_LIAR:
            assert quorum_fault(n, t, f) is None, case.name


def test_every_row_runs_in_a_network_that_must_hold() -> None:
    """Catches a row that no network has: nothing that is asked of a network is asked of it."""
    held = [case.network for case in CASES if not case.refuted]
    run = {
        rule.name for network in held for table, event in network.rows
        for rule in PROTOCOL.machines[table].rules
        if event in ("*", rule.event, rule.name.removeprefix(f"{table}: "))
    }
    assert not {rule.name for m in PROTOCOL.machines.values() for rule in m.rules} - run


NEVER_TAKEN = {
    "payout: COMPLETED -Reorg-> REORGED": "what is final stays in these networks",
    "regroup: prepared -Erase-> erased": "it takes three epochs: `regroup_epochs` proves it",
}
"""The rows that no network of this tier ever takes, with the reason."""


def test_every_row_is_taken_in_some_network_that_must_hold() -> None:
    """Catches a row that stands in networks and can never run there: they say nothing of it."""
    rows, taken = set[str](), set[str]()
    for case in CASES:
        if case.refuted or case.deep or case.pinned.distinct > 2_000_000:
            continue
        origins = {
            action.name: action.origin for action in case.instance.system.actions
            if action.origin not in ("adversary", "crash")
        }
        rows |= set(origins.values())
        if set(origins.values()) <= taken:
            continue
        result = Explicit(case.instance, case.symmetry, case.records).explore(2_100_000)
        taken |= {origins[n] for n, count in result.fired.items() if count and n in origins}
    assert rows - taken == set(NEVER_TAKEN)
