"""Step through a model by hand: which actions are enabled, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from model_checks.engines.oracle import Instance, Oracle, State, Step
from spec.language.interpreter import evaluate

HELP = "a number takes that step, b goes back, q ends"


class Walk:
    """One run, built step by step on the interpreter."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.oracle = Oracle(instance)
        self.starts = tuple(self.oracle.initial())
        self.states: list[State] = [self.starts[0]] if len(self.starts) == 1 else []
        self.steps: list[Step] = []

    def choices(self) -> list[tuple[str, State, Step | None]]:
        """Return what can be done next: an initial state, or an enabled step and where it leads."""
        if not self.states:
            return [(", ".join(self.cells(state)) or "-", state, None) for state in self.starts]
        return [(str(step), after, step) for step, after in self.oracle.steps(self.states[-1])]

    def take(self, number: int) -> None:
        """Do the choice of this number, from 1; raises IndexError where there is none."""
        if number < 1:
            raise IndexError(number)
        _, after, step = self.choices()[number - 1]
        self.states.append(after)
        if step is not None:
            self.steps.append(step)

    def back(self) -> None:
        """Undo the last choice."""
        if self.steps:
            self.steps.pop()
            self.states.pop()
        elif len(self.starts) > 1:
            self.states.clear()

    def cells(self, state: State) -> Iterator[str]:
        """Yield the cells that are not at their first value."""
        for (name, index), value in zip(self.oracle.slots, state, strict=True):
            chosen = name not in self.instance.system.first
            if value != (False if chosen else self.instance.first(name, index)):
                place = f"[{', '.join(map(str, index))}]" if index else ""
                yield f"{name}{place} = {value!r}"

    def disabled(self) -> Iterator[str]:
        """Yield each action that is not enabled, with the first conjunct that is false."""
        if not self.states:
            return
        view = self.oracle.view(self.states[-1])
        for action in self.instance.system.actions:
            for chosen in self.instance.choices(action):
                for guard in action.guards:
                    if not evaluate(guard.formula, view, chosen):
                        yield f"{Step(action.name, chosen)}: false is {guard.text}"
                        break

    def verdicts(self) -> Iterator[str]:
        """Yield the properties of this state that do not hold, and the witnesses that do."""
        for checked in self.instance.system.properties:
            kind, name = checked.property.kind, checked.property.name
            if not self.states or kind not in ("invariant", "lemma", "reachable"):
                continue
            if self.oracle.holds(checked, self.states[-1]) == (kind == "reachable"):
                yield f"{name} is {'reached' if kind == 'reachable' else 'VIOLATED'}"

    def lines(self) -> list[str]:
        """Return what to show of where the run stands."""
        told = [f"step {len(self.steps)}" + (f": {self.steps[-1]}" if self.steps else "")]
        if self.states:
            told += [f"  {cell}" for cell in self.cells(self.states[-1])]
        told += [f"  * {verdict}" for verdict in self.verdicts()]
        told += ["not enabled:", *(f"     - {text}" for text in self.disabled())]
        told.append("enabled:" if self.states else "initial states:")
        told += [f"  {n:>3}  {text}" for n, (text, *_) in enumerate(self.choices(), start=1)]
        return told


def explore(
    instance: Instance, ask: Callable[[str], str], tell: Callable[[list[str]], None]
) -> None:
    """Let somebody walk through a model until they end it, or the input ends."""
    walk = Walk(instance)
    tell(walk.lines())
    while True:
        try:
            answer = ask("> ").strip()
        except EOFError:
            return
        if answer == "q":
            return
        try:
            if answer == "b":
                walk.back()
            else:
                walk.take(int(answer))
        except (ValueError, IndexError):
            tell([f"{answer!r}: {HELP}"])
            continue
        tell(walk.lines())
