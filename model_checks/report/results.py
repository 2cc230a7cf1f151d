"""What ``python -m model_checks check --json`` and ``mutants --json`` wrote, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from model_checks.console import Unusable


@frozen
class Run:
    """A counterexample: steps, and what is repeated for ever after them; ``told`` says how."""

    told: str
    start: tuple[str, ...]
    steps: tuple[str, ...]
    loop: tuple[str, ...] = ()


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
    note: str = ""

    @property
    def is_search(self) -> bool:
        """Whether the states were visited, one by one."""
        return self.engine == "explicit"

    def run(self, name: str) -> Run | None:
        """Return the counterexample of a property; None if there is none to show."""
        steps, start = self.traces.get(name, ()), self.starts.get(name, ())
        if name in self.loops:
            loop = self.loops[name]
            end = f"then {len(loop)} for ever" if loop else "then nothing has to happen"
            return Run(f": {_steps(steps)}, {end}", start, steps, loop)
        if steps:
            return Run(f" in {_steps(steps)}", start, steps)
        if name in self.farthest:
            far = self.farthest[name]
            return Run(" from the first state on", start, far)
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


def _steps(steps: Sequence[str]) -> str:
    return "1 step" if len(steps) == 1 else f"{len(steps)} steps"


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
    return Model(
        **plain, traces=_runs(found["traces"]), expected=bool(found["expected"]),
        seconds=float(found["seconds"]), faults=tuple(str(line) for line in found["faults"]),
    )


def _runs(found: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {str(name): tuple(str(step) for step in steps) for name, steps in found.items()}


def mutants(found: Any, where: str) -> tuple[Mutant, ...]:
    """Return the mutants in the parsed JSON of ``mutants``; raises :class:`Unusable`."""
    keys = ("name", "kind", "verdict", "by")
    try:
        # They are listed with what was tried in brackets behind the name.
        unexplained = {str(line) for line in found["unexplained"]}
        rows = [tuple(str(each[key]) for key in keys) for each in found["mutants"]]
        return tuple(
            Mutant(name, kind, verdict, by, f"{name} ({by})" in unexplained)
            for name, kind, verdict, by in rows
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
