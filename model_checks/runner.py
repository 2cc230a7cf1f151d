"""Every network with every engine: what is run, and what its outcome means.

A :class:`Verdict` is one line of the table. ``faults`` is what is wrong with it, one line each: a
property that fails, a negative control that is no longer refuted, a number that differs from the
pinned one. No faults: as expected.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from attrs import evolve, field, frozen

from model_checks.cases import Case, Counts
from model_checks.console import Unusable, Watch
from model_checks.engines.arithmetic import CLAIMS
from model_checks.engines.explicit import MAX_STATES, SearchTooLarge
from model_checks.engines.one_step import OneStep
from model_checks.engines.oracle import Instance, Oracle, State, Step, trace_of
from model_checks.models import CASES, CONTROLS, PROOFS
from model_checks.records import RECORDS
from model_checks.traces import Traces
from spec.language.declarations import SpecError

MAX_STUCK_STATES = 2_000
"""States that are looked at to show how far a stuck run comes."""
WORKERS = 2
"""Processes: as many as the smallest machine that this is meant for has cores."""


@frozen
class Verdict:
    """The outcome of one model with one engine; ``counts`` is what a search counted."""

    name: str
    engine: str
    result: str
    faults: tuple[str, ...] = ()
    distinct: int = 0
    generated: int = 0
    depth: int = 0
    seconds: float = 0.0
    traces: Mapping[str, tuple[str, ...]] = field(factory=dict)
    starts: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """What the first state of a trace was chosen to be, where there is a choice."""
    loops: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """What is repeated for ever after the trace of a liveness property; none: nothing happens."""
    farthest: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """How far a run comes that is stuck from its first state on."""
    states: Mapping[str, Any] = field(factory=dict)
    """The first state of each counterexample, and what each of its steps changes."""
    note: str = ""
    counts: Counts | None = None
    shown: tuple[str, ...] = ()
    """The counterexamples as lines to print."""

    @property
    def as_expected(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def row(self) -> tuple[str, ...]:
        """Return the cells of its line in the table."""
        numbers = (self.distinct, self.generated, self.depth)
        shown = (f"{number:,}" if number else "" for number in numbers)
        said = "as expected" if self.as_expected else f"{len(self.faults)} FAULTS"
        return (said, self.result, self.engine, *shown, f"{self.seconds:.1f} s", self.name)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        runs = ("traces", "starts", "loops", "farthest")
        plain = ("name", "engine", "result", "distinct", "generated", "depth", "note")
        return {
            **{name: getattr(self, name) for name in plain}, "expected": self.as_expected,
            "faults": list(self.faults), "seconds": round(self.seconds, 3),
            **{k: {n: list(steps) for n, steps in getattr(self, k).items()} for k in runs},
            "states": dict(self.states),
        }


HEADINGS = ("verdict", "result", "engine", "states", "generated", "depth", "time", "model")


def explore_case(case: Case, max_states: int = MAX_STATES) -> Verdict:
    """Return the verdict of the explicit engine; raises :class:`Unusable` beyond ``max_states``."""
    began = time.perf_counter()
    try:
        result = case.run(max_states, Watch(case.name))
    except SearchTooLarge as error:
        raise Unusable(f"{case.name}: {error}") from None
    runs = Traces(case.instance)
    traces, shown = _written(result.violated), runs.violated(result)
    stuck = (name for name in result.stuck if traces.get(name) == ())
    farthest = {name: _farthest(case.instance, result.starts[name]) for name in stuck}
    wrong = case.faults(result)
    for trace in shown:
        if any(fault.startswith(f"{trace.name} is violated") for fault in wrong):
            wrong += trace.lines()
    states = {trace.name: trace.as_json() for trace in shown}
    for name, steps in farthest.items():
        states[name] = runs.run(name, result.starts[name], steps).as_json()
    return Verdict(
        case.name, "explicit", "refuted" if traces else "holds", tuple(wrong), result.distinct,
        result.generated, result.depth, time.perf_counter() - began, traces,
        {name: tuple(runs.chosen(first)) for name, first in sorted(result.starts.items())},
        _written(result.loops), _written(farthest), states, counts=Counts.of(result),
        shown=tuple(line for trace in shown for line in trace.lines()),
    )


def _written(found: Mapping[str, Sequence[Step]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(str(step) for step in steps) for name, steps in sorted(found.items())}


def _farthest(instance: Instance, first: State) -> list[Step]:
    """Return a run to a state that is as far as any from the first one, as the search finds it."""
    oracle = Oracle(instance)
    parents: dict[State, tuple[State, Step] | None] = {first: None}
    queue = [first]
    for state in queue:
        if len(queue) > MAX_STUCK_STATES:
            break
        for step, after in oracle.steps(state):
            if after not in parents:
                parents[after] = (state, step)
                queue.append(after)
    return trace_of(queue[-1], parents)


def check_record(number: int) -> Verdict:
    """Return the verdict on one table: whether its rows meet what is asked of a record of it."""
    began = time.perf_counter()
    record = RECORDS[number]
    wrong = [line for unmet in OneStep(record).unmet() for line in unmet.lines()]
    return Verdict(
        record.name, "z3", "refuted" if wrong else "holds", tuple(wrong),
        seconds=time.perf_counter() - began, note=f"{record.size} requirements",
    )


def prove(number: int) -> Verdict:
    """Return the verdict of z3 and cvc5 on proof ``number``, for every size."""
    began = time.perf_counter()
    case = PROOFS[number]
    proof = case.induction().prove()
    wrong = [f"not proved: {failure}" for failure in proof.failures]
    if len(proof.findings) != case.obligations:
        wrong.append(f"{len(proof.findings)} obligations, {case.obligations} are expected")
    return Verdict(
        f"{case.name}, every size", "z3, cvc5", "holds" if proof.holds else "not proved",
        tuple(wrong), seconds=time.perf_counter() - began,
        note=f"{len(proof.findings)} obligations",
    )


def break_proof(number: int, *, deep: bool = False) -> Verdict:
    """Return the verdict on negative control ``number``: obligations that must not be provable.

    The fast tier looks at the first of them, which must be refuted by a state of a few peers; the
    deep tier at all obligations: those that are named fail, and no others.
    """
    began = time.perf_counter()
    case = CONTROLS[number]
    wanted = set(case.fails if deep else case.fails[:1])
    induction = case.induction()
    failed = set()
    for obligation in induction.obligations():
        if (deep or obligation.name in wanted) and not induction.answer(
            obligation, second_solver=False, examples=not deep
        ).proved:
            failed.add(obligation.name)
    wrong = [f"{name} does not fail any more" for name in sorted(wanted - failed)]
    wrong += [f"{name} fails too" for name in sorted(failed - wanted)]
    return Verdict(
        f"{case.name}, every size", "z3", "refuted" if failed else "not refuted", tuple(wrong),
        seconds=time.perf_counter() - began, note="; ".join(sorted(failed)),
    )


def judge(number: int) -> Verdict:
    """Return the verdict of both solvers on a claim about thresholds, for every n."""
    began = time.perf_counter()
    claim = CLAIMS[number]
    right = claim.as_expected()
    word = "holds" if claim.holds == right else "refuted"
    return Verdict(
        f"{claim.name}, every n: {claim.doc}", "z3, cvc5", word,
        () if right else (f"{claim.doc}: {word}",), seconds=time.perf_counter() - began,
    )


@frozen
class Selection:
    """What a call of ``check`` asks for."""

    deep: bool = False
    only: str = ""
    max_states: int = MAX_STATES
    workers: int = WORKERS

    def jobs(self) -> list[Job]:
        """Return what is to be run; raises :class:`Unusable` if nothing bears the name."""
        found = [Job("search", n) for n, c in enumerate(CASES) if self.deep or not c.deep]
        found += [Job("record", number) for number in range(len(RECORDS))]
        found += [Job("proof", number) for number in range(len(PROOFS))]
        found += [Job("control", number, self.deep) for number in range(len(CONTROLS))]
        found += [Job("claim", number) for number in range(len(CLAIMS))]
        chosen = [job for job in found if self.only.lower() in job.name.lower()]
        if not chosen:
            raise Unusable(f"no model is named {self.only!r}")
        return [evolve(job, max_states=self.max_states) for job in chosen]


@frozen
class Job:
    """One model with one engine, named by its place in a list, so that any process can run it."""

    kind: str
    number: int
    deep: bool = False
    max_states: int = MAX_STATES

    @property
    def name(self) -> str:
        """What ``--only`` is compared with."""
        lists: Mapping[str, tuple[Any, ...]] = {
            "search": CASES, "record": RECORDS, "proof": PROOFS, "control": CONTROLS,
            "claim": CLAIMS,
        }
        return str(lists[self.kind][self.number].name)

    def run(self) -> Verdict:
        """Run it. A name or a conjunct that is no longer in the tables is a fault of the model."""
        try:
            return self._run()
        except SpecError as error:
            return Verdict(self.name, self.kind, "not assembled", (str(error),))

    def _run(self) -> Verdict:
        if self.kind == "search":
            return explore_case(CASES[self.number], self.max_states)
        if self.kind == "control":
            return break_proof(self.number, deep=self.deep)
        runs = {"record": check_record, "proof": prove, "claim": judge}
        return runs[self.kind](self.number)


def run(selection: Selection) -> Iterator[Verdict]:
    """Yield the verdicts in order, from several processes at once."""
    jobs = selection.jobs()
    workers = min(selection.workers, len(jobs))
    if workers < 2:
        yield from map(Job.run, jobs)
        return
    # Not forked: a fork would copy the solvers' threads in whatever state they are.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(Job.run, jobs)


def fault_lines(verdict: Verdict) -> list[str]:
    """Return what to print below the table about a verdict that is not as expected."""
    return [f"{verdict.name} ({verdict.engine})", *(f"  {fault}" for fault in verdict.faults)]
