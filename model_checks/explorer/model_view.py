"""A model as the page shows it: every run of it, step by step, on the interpreter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from model_checks import user_spec
from model_checks.console import Unusable
from model_checks.engines.explicit import SearchTooLarge
from model_checks.engines.oracle import Oracle, ReplayError, Result, State, Step
from model_checks.explore import Subject, held_back
from model_checks.explorer.view import (
    Answer,
    Held,
    Refused,
    around,
    meanings,
    row_of,
    tables,
    told_changes,
    whole_number,
)
from model_checks.system import Action
from model_checks.traces import (
    WORLD,
    Trace,
    Traces,
    actor,
    lane_sort,
    length,
    rule_of,
    written,
)
from model_checks.two_states import StepView
from spec.language.declarations import SpecError
from spec.language.interpreter import evaluate
from spec.protocol import PROTOCOL

MAX_STEPS = 2_000
MAX_STARTS = 1_000
MAX_CHOICES = 100_000
"""Choices of parameters of all actions together: each is looked at in each state."""
SHOWN_HELD = 30
"""Choices of one action that are told with their false conjuncts."""


class ModelView:
    """Answers about one instance; runs are named by their first state and their steps."""

    def __init__(self, subject: Subject, max_states: int) -> None:
        self.subject, self.max_states = subject, max_states
        self.instance = subject.instance
        self.system = self.instance.system
        choices = sum(self._size(action) for action in self.system.actions)
        if choices > MAX_CHOICES:
            raise Unusable(
                f"{self.system.name}: {choices:,} choices of parameters, more than "
                f"{MAX_CHOICES:,}: give smaller --sort"
            )
        self.oracle = Oracle(self.instance)
        self.traces = Traces(self.instance)
        self.sort = lane_sort(self.system)
        ours = PROTOCOL.cells.keys() <= self.system.names.cells.keys()
        self.machines = PROTOCOL.machines if ours else {}
        """The tables with the rows' texts; a file's own protocol may have rows of the same name."""
        self.actions = {action.name: action for action in self.system.actions}
        self.known = {
            str(step): step
            for action in self.system.actions
            for step in (Step(action.name, c) for c in self.instance.choices(action))
        }
        self.starts: list[State] = list(itertools.islice(self.oracle.initial(), MAX_STARTS + 1))
        if not self.starts:
            raise Unusable(f"{self.system.name}: no initial state meets what is assumed")
        self.more_starts = len(self.starts) > MAX_STARTS
        del self.starts[MAX_STARTS:]

    def _size(self, action: Action) -> int:
        return math.prod(len(self.instance.individuals(s)) for s in action.parameters.values())

    def about(self) -> Answer:
        """Return the model, its rows, its first states and what is asked of it."""
        numbers = {**self.instance.sizes, **self.instance.constants}
        return {
            "mode": "model",
            "title": self.system.name,
            "doc": self.system.network.doc,
            "size": ", ".join(f"{name} = {number}" for name, number in numbers.items()),
            "starts": [self._start(state) for state in self.starts],
            "more_starts": self.more_starts,
            "rows": {name: self._row(action) for name, action in self.actions.items()},
        }

    def _start(self, state: State) -> str:
        told = ", ".join(self.traces.chosen(state))
        return told or ("False or none everywhere" if self.traces.open else "the only one")

    def _means(self, texts: Iterable[str]) -> list[str]:
        """Return what the names in some texts stand for: formulas, and facts that are given."""
        defined = ((d.signature, d.text) for d in self.system.names.definitions.values())
        return meanings(texts, defined, self.system.network.given.items())

    def _row(self, action: Action) -> Answer:
        rule = rule_of(action, self.machines)
        texts = [guard.text for guard in action.guards]
        if rule is not None:
            asked = rule.row.only_if
            return {
                **row_of(rule), "fair": action.fair,
                "added": [text for text in texts if text not in asked],
                "dropped": [text for text in asked if text not in texts],
                "means": self._means((*texts, *asked)),
            }
        moves = (m for m in self.system.network.moves if m.event.partition("(")[0] == action.name)
        move = next(moves, None) if action.origin == "adversary" else None
        told: Answer = {
            "where": {"adversary": "a move of the network", "crash": "a crash"}.get(
                action.origin, action.origin
            ),
            "moves": "", "event": move.event if move else action.name,
            "guards": texts, "added": [], "dropped": [], "fair": action.fair,
            "effects": [f"{c} := {v}" for c, v in move.then.items()] if move else [],
            "why": move.why if move else "", "means": self._means(texts),
        }
        if action.origin == "crash":
            told["effects"] = sorted({f"{u.cell} goes back to its first value"
                                      for u in action.updates})
            told["why"] = "what is kept in memory is gone"
        return told

    def at(self, question: Mapping[str, Any]) -> Answer:
        """Return a place of a run: ``first``, ``steps`` as text, ``position`` among them.

        ``only`` picks the choices of parameters that are told, by a part of their text.
        """
        first, steps = self._run(question)
        position = whole_number(question, "position", len(steps))
        only = question.get("only", "")
        if not isinstance(only, str) or len(only) > 100:
            raise Refused("only is a part of a step's text")
        try:
            states = self.oracle.replay(self.starts[first], steps)
        except ReplayError as error:
            raise Refused(str(error)) from None
        begin, end = around(position, len(steps))
        state = states[position]
        last = self.traces.changes(states[position - 1], state) if position else ()
        changed = {change.slot: change for change in last}
        held = (
            Held(slot, value, changed.get(slot))
            for slot, value in zip(self.oracle.slots, state, strict=True)
        )
        return {
            "position": position, "total": len(steps), "begin": begin, "lanes": self._lanes(),
            "steps": [
                self._step(number, steps[number], states[number], states[number + 1])
                for number in range(begin, end)
            ],
            "tables": tables(held, self.system.cells),
            "actions": [self._action(action, state, only) for action in self.system.actions],
            "properties": list(self._verdicts(states, position)),
        }

    def _run(self, question: Mapping[str, Any]) -> tuple[int, list[Step]]:
        first = whole_number(question, "first", len(self.starts) - 1)
        steps = question.get("steps", [])
        if not isinstance(steps, list) or len(steps) > MAX_STEPS:
            raise Refused(f"steps is a list of at most {MAX_STEPS:,} steps")
        for text in steps:
            if not isinstance(text, str) or text not in self.known:
                raise Refused(f"{str(text)[:100]!r} is no step of {self.system.name}")
        return first, [self.known[text] for text in steps]

    def _lanes(self) -> list[str]:
        own = [f"{self.sort} {i}" for i in range(self.instance.sizes.get(self.sort, 0))]
        away = any(not actor(action, self.sort) for action in self.system.actions)
        return [*own, *([WORLD] if away or not own else [])]

    def _step(self, number: int, step: Step, before: State, after: State) -> Answer:
        parameter = actor(self.actions[step.action], self.sort)
        return {
            "number": number + 1, "text": str(step), "row": step.action,
            "lane": f"{self.sort} {written(step.parameters[parameter])}" if parameter else WORLD,
            "changes": told_changes(self.traces.changes(before, after)),
        }

    def _action(self, action: Action, state: State, only: str) -> Answer:
        view = self.oracle.view(state)
        held = [
            (str(Step(action.name, chosen)), wrong)
            for chosen, wrong in held_back(self.instance, action, view)
        ]
        away = {text for text, _ in held}
        steps = (str(Step(action.name, chosen)) for chosen in self.instance.choices(action))
        meant = [(text, wrong) for text, wrong in held if only in text]
        return {
            "name": action.name,
            "enabled": [text for text in steps if text not in away and only in text],
            "held": [
                {"text": text, "false": [str(conjunct) for conjunct in wrong]}
                for text, wrong in meant[:SHOWN_HELD]
            ],
            "left": max(0, len(meant) - SHOWN_HELD),
        }

    def _verdicts(self, states: Sequence[State], position: int) -> list[Answer]:
        told: list[Answer] = []
        for checked in self.system.properties:
            kind = checked.property.kind
            says, bad = "speaks of whole runs", False
            if kind in ("invariant", "lemma"):
                bad = not self.oracle.holds(checked, states[position])
                says = "VIOLATED here" if bad else "holds here"
            elif kind == "reachable":
                reached = self.oracle.holds(checked, states[position])
                says = "reached here" if reached else "not here"
            elif kind == "step":
                views = [self.oracle.view(s) for s in states[max(0, position - 1) : position + 1]]
                bad = len(views) == 2 and not evaluate(checked.formula, StepView(*views), {})
                says = "VIOLATED by this step" if bad else "holds of this step"
                says = says if len(views) == 2 else "no step yet"
            told.append({
                "name": checked.property.name, "kind": kind, "says": says, "bad": bad,
                "text": checked.property.text, "doc": checked.property.doc,
            })
        return told

    def checks(self) -> Answer:
        """Run the checks of the model and return every counterexample and every witness."""
        case = self.subject.case
        try:
            if case is not None:
                result = case.run(self.max_states)
            else:
                result, _ = user_spec.run(self.instance, (), "Peer", self.max_states)
        except (SpecError, SearchTooLarge, Unusable) as error:
            raise Refused(str(error)) from None
        return {"summary": self._summary(result), "runs": [
            *(self._told(trace, "counterexample") for trace in self.traces.violated(result)),
            *(self._told(trace, "witness") for trace in self.traces.reached(result)),
        ]}

    def _summary(self, result: Result) -> str:
        whole = "" if result.complete else ", ended with the counterexample that it must find"
        return (
            f"{len(result.violated)} violated, {len(result.reached)} witnesses reached, "
            f"{result.distinct:,} states, depth {result.depth}{whole}"
        )

    def _told(self, trace: Trace, what: str) -> Answer:
        first = tuple(trace.first.values())
        if first not in self.starts:
            self.starts.append(first)
        return {
            "name": trace.name, "kind": trace.kind, "what": what,
            "length": length(len(trace.steps), trace.loop), "first": self.starts.index(first),
            "start": self._start(first),
            "steps": [str(moved.step) for moved in (*trace.steps, *(trace.loop or ()))],
            "loop": len(trace.steps) if trace.loop else None, "end": trace.end,
        }
