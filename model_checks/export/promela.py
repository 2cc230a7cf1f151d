"""An instance of a network as a Promela model, and SPIN's verdict on it.

One process takes one ground action after the other, each in a ``d_step``; a never claim looks at
the invariants between them. SPIN counts one state more than the other engines: the one before the
initial state is chosen.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from model_checks.engines import ground
from model_checks.engines.ground import Formula, Ground, GroundAction
from model_checks.engines.oracle import Instance, Oracle

RESERVED = frozenset(
    [
        "active", "assert", "atomic", "bit", "bool", "break", "byte", "c_code", "c_decl", "c_expr",
        "c_state", "c_track", "chan", "d_step", "D_proctype", "do", "else", "empty", "enabled",
        "eval", "false", "fi", "full", "get_priority", "goto", "hidden", "if", "in", "init",
        "inline", "int", "len", "ltl", "mtype", "nempty", "never", "nfull", "notrace", "np_", "od",
        "of", "pc_value", "pid", "pmltl", "priority", "printf", "printm", "proctype", "provided",
        "return", "run", "select", "set_priority", "short", "show", "signed", "skip", "STDIN",
        "timeout", "trace", "true", "typedef", "unless", "unsigned", "xr", "xs", "auto", "case",
        "char", "const", "continue", "default", "double", "enum", "extern", "float", "for", "long",
        "register", "sizeof", "static", "struct", "switch", "union", "void", "volatile", "while",
    ]
)
"""Words of Promela, and of C, into which SPIN turns a model."""
CHOSEN = "initial_state_chosen"
"""No invariant is asked for before."""
BYTE = 256
INVARIANTS = ("invariant", "lemma", "deadlock")
DEPTH = 2_000_000
"""Steps of a run, at most; SPIN says when a run is longer."""
_COMPILER = ("gcc", "-w", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=4096")


class SpinMissing(Exception):
    """``spin`` or a C compiler is not installed."""


@frozen
class SpinResult:
    """SPIN's count of states, the one before the initial ones included, and its verdict.

    ``seconds`` is the time of the search, without that of the compiler.
    """

    states: int
    violated: bool
    complete: bool
    seconds: float


def model(instance: Instance, properties: Sequence[str] | None = None) -> str:
    """Return the model; of ``properties`` only those named are asserted, None: all invariants."""
    return _Printer(Ground(instance)).text(properties)


def missing() -> str:
    """Return what to say where SPIN cannot be run; empty: it can."""
    lacking = [name for name in ("spin", "gcc") if shutil.which(name) is None]
    return f"{' and '.join(lacking)} not installed: apt-get install spin gcc" if lacking else ""


def verify(
    text: str, directory: Path, *, few_states: bool = False, seconds: float = 50
) -> SpinResult:
    """Run SPIN on a model in an empty directory; raises :class:`SpinMissing`.

    With ``few_states`` it is compiled faster and runs slower, and needs less memory.
    """
    if missing():
        raise SpinMissing(missing())
    (directory / "model.pml").write_text(text, encoding="ascii")
    # -o2: what is never read stays in the state
    for command in (
        ("spin", "-a", "-o2", "model.pml"),
        (*_COMPILER, "-O0" if few_states else "-O2", "-o", "pan", "pan.c"),
    ):
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=seconds)
    command = ("./pan", f"-m{DEPTH}", "-E", "-w18" if few_states else "-w24")
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=directory, check=False, capture_output=True, text=True, timeout=seconds
    )
    took = time.perf_counter() - began
    errors = re.search(r"errors: (\d+)", done.stdout)
    states = re.search(r"([\d.e+]+) states, stored", done.stdout)
    if errors is None or states is None:
        raise RuntimeError(f"spin says nothing: {done.stdout[-500:]}{done.stderr[-500:]}")
    violated = int(errors[1]) > 0
    complete = not violated and "max search depth too small" not in done.stdout
    return SpinResult(int(float(states[1])), violated, complete, took)


@frozen
class _Printer:
    """Prints formulas over slots; every value is the small number that ``ground`` gives it."""

    model: Ground

    def text(self, properties: Sequence[str] | None) -> str:
        instance = self.model.instance
        sizes = ", ".join(f"{n} = {v}" for n, v in (*instance.sizes.items(),
                                                     *instance.constants.items()))
        asserted = [
            checked for checked in instance.system.properties if checked.property.kind in INVARIANTS
            and (properties is None or checked.property.name in properties)
        ]
        lines = [f"/* {instance.system.name}, {sizes}: generated from the tables */"]
        lines += self._declarations()
        lines += ["active proctype system() {", "  if"]
        for state in Oracle(instance).initial():
            numbers = self.model.encode(state)
            given = [f"{self.slot(k)} = {value};" for k, value in enumerate(numbers) if value]
            lines.append(f"  :: d_step {{ {' '.join((*given, f'{CHOSEN} = 1;'))} }}")
        lines += ["  fi;", "end:", "  do"]
        lines += [self._action(action) for action in self.model.actions]
        lines += ["  od", "}"]
        wrong = [
            f"!({self.formula(self.model.property(each))})" + (
                f" && !({self._any_step()})" if each.property.kind == "deadlock" else ""
            )
            for each in asserted
        ]
        names = [each.property.name for each in asserted]
        for cell, name in instance.system.ranges.items():
            if properties is None or name in properties:
                escapes = [a.escapes[cell] for a in self.model.actions if cell in a.escapes]
                wrong += [self._joined(" || ", escapes)] if escapes else []
                names += [name] if escapes else []
        if wrong:
            lines += ["never { /* ends, which is an error, where an invariant fails */", "  do"]
            for condition, name in zip(wrong, names, strict=True):
                lines.append(f"  :: {CHOSEN} && {condition} -> break /* {name} */")
            lines += ["  :: else", "  od", "}"]
        return "\n".join((*lines, ""))

    def slot(self, number: int) -> str:
        """Return a slot as a place in its cell's array."""
        name, index = self.model.slots[number]
        cell = self.model.instance.system.cells[name]
        place = 0
        for individual, sort in zip(index, cell.index, strict=True):
            if not isinstance(individual, int):
                raise TypeError(f"{individual!r} is not an individual")
            place = place * self.model.instance.sizes[sort] + individual
        return f"{_name(name)}[{place}]" if index else _name(name)

    def formula(self, node: Formula) -> str:
        """Return a formula as an expression."""
        match node:
            case ground.Number(value=value):
                return str(value)
            case ground.Slot(number=number):
                return self.slot(number)
            case ground.Negation(body=body):
                return f"!({self.formula(body)})"
            case ground.Conjunction(parts=parts):
                return self._joined(" && ", parts)
            case ground.Disjunction(parts=parts):
                return self._joined(" || ", parts)
            case ground.Equality(left=left, right=right):
                return f"({self.formula(left)} == {self.formula(right)})"
            case ground.Order(operator=operator, left=left, right=right):
                return f"({self.formula(left)} {operator} {self.formula(right)})"
            case ground.Sum(operator=operator, left=left, right=right):
                return f"({self.formula(left)} {operator} {self.formula(right)})"
            case ground.Conditional(test=test, then=then, otherwise=otherwise):
                chosen = f"{self.formula(then)} : {self.formula(otherwise)}"
                return f"({self.formula(test)} -> {chosen})"
            case ground.Count(parts=parts, extra=extra):
                counted = [f"({self.formula(part)})" for part in parts]  # each is 0 or 1
                return f"({' + '.join((*counted, str(extra)))})"
        raise TypeError(f"no Promela for {type(node).__name__}")

    def _any_step(self) -> str:
        """Return where some action is possible, also where it leaves a range."""
        steps = [each for a in self.model.actions for each in (a.guard, *a.escapes.values())]
        return self._joined(" || ", steps) if steps else "false"

    def _joined(self, sign: str, parts: Sequence[Formula]) -> str:
        return f"({sign.join(self.formula(part) for part in parts)})"

    def _declarations(self) -> list[str]:
        system = self.model.instance.system
        lines = [f"bit {CHOSEN};"]
        for name, cell in system.cells.items():
            values = len(self.model.instance.values(cell))
            kind = "bit" if values == 2 else "byte" if values <= BYTE else "int"
            places = math.prod(self.model.instance.sizes[sort] for sort in cell.index)
            lines.append(f"{kind} {_name(name)}{f'[{places}]' if cell.index else ''};")
        spare = max((len(action.updates) for action in self.model.actions), default=0)
        return [*lines, *(f"hidden int after_{number};" for number in range(spare))]

    def _action(self, action: GroundAction) -> str:
        """Return an action; what reads a slot that the action writes is computed before."""
        written, early, late = set(action.updates), [], []
        for number, (target, value) in enumerate(action.updates.items()):
            if _slots(value) & (written - {target}):
                early.append(f"after_{number} = {self.formula(value)};")
                late.append(f"{self.slot(target)} = after_{number};")
            else:
                late.append(f"{self.slot(target)} = {self.formula(value)};")
        chosen = ", ".join(f"{name} = {value!s}" for name, value in action.chosen.items())
        does = " ".join((*early, *late)) or "skip;"
        step = f"{self.formula(action.guard)} -> {does}"
        return f"  :: d_step {{ {step} }} /* {action.name} {chosen} */"


def _slots(formula: Formula) -> set[int]:
    if isinstance(formula, ground.Slot):
        return {formula.number}
    found: set[int] = set()
    for name in ("body", "left", "right", "test", "then", "otherwise"):
        part = getattr(formula, name, None)
        if isinstance(part, Formula):
            found |= _slots(part)
    for part in getattr(formula, "parts", ()):
        found |= _slots(part)
    return found


def _name(cell: str) -> str:
    return f"{cell}_" if cell in RESERVED else cell.replace(".", "__")
