"""What ``python -m model_checks check --json`` and ``mutants --json`` wrote, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from model_checks.console import Unusable
from model_checks.traces import length, written


@frozen
class Run:
    """A counterexample: steps, and what is repeated for ever after them; ``told`` says how."""

    told: str
    start: tuple[str, ...]
    steps: tuple[str, ...]
    loop: tuple[str, ...] = ()
    changes: tuple[tuple[str, ...], ...] = ()
    """What each step and then each of the loop has changed; empty where the results do not say."""
    end: str = ""


@frozen
class Model:
    """One model with one engine, and what came of it; ``traces`` are the counterexamples."""

    name: str
    engine: str
    result: str
    expected: bool
    distinct: int = 0
    generated: int = 0
    depth: int = 0
    seconds: float = 0.0
    faults: tuple[str, ...] = ()
    traces: Mapping[str, tuple[str, ...]] = field(factory=dict)
    starts: Mapping[str, tuple[str, ...]] = field(factory=dict)
    loops: Mapping[str, tuple[str, ...]] = field(factory=dict)
    farthest: Mapping[str, tuple[str, ...]] = field(factory=dict)
    changes: Mapping[str, tuple[tuple[str, ...], ...]] = field(factory=dict)
    """What each step of a counterexample, or of how far a run comes, has changed."""
    ends: Mapping[str, str] = field(factory=dict)
    """What the last state of a counterexample has to do with its property, where that is hidden."""
    note: str = ""

    @property
    def is_search(self) -> bool:
        """Whether the states were visited, one by one."""
        return self.engine == "explicit"

    def run(self, name: str) -> Run | None:
        """Return the counterexample of a property; None if there is none to show."""
        steps, start = self.traces.get(name, ()), self.starts.get(name, ())
        changes, end = self.changes.get(name, ()), self.ends.get(name, "")
        if name in self.loops:
            loop = self.loops[name]
            return Run(f": {length(len(steps), loop)}", start, steps, loop, changes, end)
        if steps:
            return Run(f" in {length(len(steps), None)}", start, steps, (), changes, end)
        if name in self.farthest:
            return Run(" from the first state on", start, self.farthest[name], (), changes, end)
        return None


@frozen
class Results:
    """All models of a run."""

    holds: bool
    models: tuple[Model, ...]


@frozen
class Mutant:
    """One change of the tables, and whether something noticed it; ``by`` is what did,
    or why nothing could.

    ``unexplained`` is a survivor for which nobody gave a reason.
    """

    name: str
    kind: str
    verdict: str
    by: str
    unexplained: bool = False
    twice: bool = False
    """Whether networks or proofs notice it as well as the record that did first."""


def models(found: Any, where: str) -> Results:
    """Return the results in the parsed JSON of ``check``; raises :class:`Unusable`."""
    try:
        return Results(bool(found["holds"]), tuple(_model(each) for each in found["models"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unusable(
            f"{where}: not the output of check --json ({type(error).__name__}: {error})"
        ) from None


def _model(found: Mapping[str, Any]) -> Model:
    plain: dict[str, Any] = {n: str(found[n]) for n in ("name", "engine", "result", "note")}
    plain |= {name: int(found[name]) for name in ("distinct", "generated", "depth")}
    plain |= {name: _runs(found.get(name, {})) for name in ("starts", "loops", "farthest")}
    states = found.get("states", {})
    ends = {str(name): str(run.get("end", "")) for name, run in states.items()}
    return Model(
        **plain, ends=ends, traces=_runs(found["traces"]), changes=_changes(states),
        expected=bool(found["expected"]), seconds=float(found["seconds"]),
        faults=tuple(str(line) for line in found["faults"]),
    )


def _changes(found: Mapping[str, Any]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return what each step changed, as text; raises what a file of another shape raises."""
    return {
        str(name): tuple(
            tuple(
                f"{cell}: {written(before)} -> {written(after)}"
                for cell, (before, after) in changed.items()
            )
            for changed in states["changed"]
        )
        for name, states in found.items()
    }


def _runs(found: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {str(name): tuple(str(step) for step in steps) for name, steps in found.items()}


def mutants(found: Any, where: str) -> tuple[Mutant, ...]:
    """Return the mutants in the parsed JSON of ``mutants``; raises :class:`Unusable`."""
    try:
        # They are listed with what was tried in brackets behind the name.
        unexplained = {str(line) for line in found["unexplained"]}
        return tuple(
            Mutant(
                str(each["name"]), str(each["kind"]), str(each["verdict"]), str(each["by"]),
                f"{each['name']} ({each['by']})" in unexplained, bool(each.get("twice")),
            )
            for each in found["mutants"]
        )
    except (KeyError, TypeError) as error:
        raise Unusable(
            f"{where}: not the output of mutants --json ({type(error).__name__}: {error})"
        ) from None


def parsed(path: Path) -> Any:
    """Return the JSON in a file; raises :class:`Unusable` naming the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Unusable(f"{path}: no JSON: {error}") from None
