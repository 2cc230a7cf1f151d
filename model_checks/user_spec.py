"""A user's own spec: a Python file that defines ``NETWORK``, checked like the networks here.

``NETWORK`` is a :class:`~model_checks.system.Network`. Rows come from the tables of this protocol,
or from the file's own ``PROTOCOL``, if it assembles one. How many individuals each sort has, and
the constants, come from the command line, and where that says nothing from the file (``said.py``).
Whatever is wrong with the file is one message with file, line and column.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import evolve, frozen

from model_checks.cases import ProofCase
from model_checks.console import Unusable, Watch
from model_checks.engines.check import check
from model_checks.engines.explicit import SearchTooLarge
from model_checks.engines.oracle import Instance, Result
from model_checks.questions import check_moves
from model_checks.said import Said, said_by
from model_checks.system import Network, System, close
from model_checks.traces import Traces
from model_checks.vacuity import Unasked, unasked, with_conditions
from spec.language.assembly import Protocol, children
from spec.language.declarations import Opt, SpecError
from spec.language.ir import Constant, Node

SAID_AS = {"--sort": "SIZES", "--const": "CONSTANTS"}
"""Where the file says what an option says."""
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")


@frozen
class Spec:
    """A file's network, closed, and what the file says beside it."""

    file: Path
    network: Network
    protocol: Protocol | None
    system: System
    said: Said

    def with_lemmas(self, assume: Iterable[str] = ()) -> System:
        """Return the network with the file's lemmas, and with more that is assumed; raises
        SpecError."""
        network = evolve(self.network, assume=(*self.network.assume, *assume))
        return ProofCase(network, self.said.lemmas).system(self.protocol)

    def numbers(
        self, sorts: Iterable[str], constants: Iterable[str]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Return the sizes and the constants that are given, or else the file's; raises
        :class:`Unusable`."""
        sizes, numbers = _numbers(sorts, "--sort", 1), _numbers(constants, "--const", 0)
        _check_known("--sort", "sort", sizes, tuple(self.system.names.sorts))
        _check_known("--const", "constant", numbers, self.system.names.constants)
        return {**self.said.sizes, **sizes}, {**self.said.constants, **numbers}

    def instance(self, sorts: Iterable[str], constants: Iterable[str]) -> Instance:
        """Return the model at the size that is given, or else at the file's; raises
        :class:`Unusable`, also for a number that is missing."""
        sizes, numbers = self.numbers(sorts, constants)
        _check_given("--sort", sizes, used_sorts(self.system))
        _check_given("--const", numbers, used_constants(self.system))
        return Instance(self.system, sizes, numbers)


def instance_of(path: str, sorts: Iterable[str], constants: Iterable[str]) -> Instance:
    """Return the model of a file at the given size; raises :class:`Unusable`."""
    return spec_of(Path(path)).instance(sorts, constants)


def spec_of(file: Path) -> Spec:
    """Return what a file holds, its ``NETWORK`` closed; raises :class:`Unusable`."""
    if not file.is_file():
        raise Unusable(f"{file}: no such file")
    try:
        module = _load(file)
        network, protocol = getattr(module, "NETWORK", None), getattr(module, "PROTOCOL", None)
        if not isinstance(network, Network):
            raise Unusable(f"{file}:1:1: the file defines no NETWORK of model_checks.system")
        if protocol is not None and not isinstance(protocol, Protocol):
            raise Unusable(f"{file}:1:1: PROTOCOL is not what assembly.assemble returns")
        system = close(network, protocol)
        check_moves(system)
        return Spec(file, network, protocol, system, said_by(file, module, system.names))
    except SyntaxError as error:
        raise Unusable(f"{file}:{error.lineno}:{error.offset}: {error.msg}") from None
    except SpecError as error:
        raise Unusable(placed(file, error)) from None


def placed(file: Path, error: SpecError) -> str:
    """Return a message about a file with the place that it is about."""
    line, column = place_of(file.read_text(encoding="utf-8"), str(error))
    return f"{file}:{line}:{column}: {error}"


def _load(file: Path) -> ModuleType:
    """Run the file as a module of its own; an error in its own code names its line."""
    spec = importlib.util.spec_from_file_location("user_spec_file", file)
    if spec is None or spec.loader is None:
        raise Unusable(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (SpecError, SyntaxError):
        raise
    except Exception as error:  # noqa: BLE001 - the user's own code, which may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).resolve() == file.resolve()]
        line, column = (own[-1].lineno, (own[-1].colno or 0) + 1) if own else (1, 1)
        raise Unusable(f"{file}:{line}:{column}: {error}") from None
    finally:
        del sys.modules[spec.name]
    return module


def place_of(source: str, message: str) -> tuple[int, int]:
    """Return line and column, from 1, of what a message is about.

    A message names the table's row, the property or the event first, and quotes the text last. The
    innermost call that holds both is meant; failing that, wherever the quoted text stands.
    """
    tree = ast.parse(source)
    quoted = [one or other for one, other in _QUOTED.findall(message)]
    words = [*quoted, *re.findall(r"\w+", message.split(": ")[-1])[::-1]]
    for region in _regions(tree, message):
        for text in words:
            for constant in _texts(region):
                found = _within(source, constant, text)
                if found is not None:
                    return found
        if not isinstance(region, ast.Module):
            return getattr(region, "lineno", 1), getattr(region, "col_offset", 0) + 1
    return 1, 1


def _regions(tree: ast.Module, message: str) -> Iterator[ast.AST]:
    """Yield where to look: the call that the message names, then the whole file."""
    row = re.search(r"table (\w+), row (\d+)", message)
    if row is not None:
        for table in _calls(tree, "Table"):
            rows = _calls(table, "Row")
            if _first_text(table) == row[1] and len(rows) >= int(row[2]):
                yield rows[int(row[2]) - 1]
    names = set(re.findall(r"\w+", message.partition(": ")[0]))
    for kind in ("Property", "Move", "Cell", "Definition", "Sort"):
        for call in _calls(tree, kind):
            if (_first_text(call) or "").partition("(")[0] in names:
                yield call
    yield tree


def _calls(tree: ast.AST, name: str) -> list[ast.Call]:
    found = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _first_text(call: ast.Call) -> str | None:
    values = [*call.args[:1], *(k.value for k in call.keywords if k.arg in ("name", "event"))]
    first = values[0] if values else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _texts(region: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(region):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node


def _within(source: str, constant: ast.Constant, text: str) -> tuple[int, int] | None:
    """Return where a whole word or text stands inside a string of the file."""
    pattern = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
    lines = source.splitlines()
    for number in range(constant.lineno, (constant.end_lineno or constant.lineno) + 1):
        begin = constant.col_offset if number == constant.lineno else 0
        end = constant.end_col_offset if number == constant.end_lineno else None
        found = pattern.search(lines[number - 1][:end], begin)
        if found is not None:
            return number, found.start() + 1
    return None


def used_sorts(system: System) -> tuple[str, ...]:
    """Return the sorts that need a size: of indices, parameters, values and quantifiers."""
    used = set(system.sorts)
    used |= {c.type.sort for c in system.cells.values() if isinstance(c.type, Opt)}
    used |= {getattr(node, "sort", "") for node in _formulas(system)}
    return tuple(name for name in system.names.sorts if name in used)


def used_constants(system: System) -> tuple[str, ...]:
    """Return the constants that some formula names."""
    used = {node.name for node in _formulas(system) if isinstance(node, Constant)}
    return tuple(name for name in system.names.constants if name in used)


def _formulas(system: System) -> Iterator[Node]:
    waiting: list[Node] = [*system.assumptions, *system.initially, *system.first.values()]
    waiting += [checked.formula for checked in system.properties]
    waiting += [guard.formula for action in system.actions for guard in action.guards]
    updates = [update for action in system.actions for update in action.updates]
    waiting += [node for update in updates for node in (update.value, update.where)]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += children(node)


def _numbers(given: Iterable[str], option: str, least: int) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for text in given:
        name, equals, number = text.partition("=")
        if not equals or not number.isdecimal() or int(number) < least:
            raise Unusable(f"{option} {text}: give NAME=NUMBER, at least {least}")
        if name in numbers:
            raise Unusable(f"{option} {text}: {name} is given twice")
        numbers[name] = int(number)
    return numbers


def _check_known(
    option: str, what: str, given: Iterable[str], known: tuple[str, ...]
) -> None:
    for name in given:
        if name not in known:
            raise Unusable(f"{option} {name}: there is no such {what}; known: {', '.join(known)}")


def _check_given(option: str, given: Mapping[str, int], used: tuple[str, ...]) -> None:
    missing = [name for name in used if name not in given]
    if missing:
        shown = " ".join(f"{option} {name}=..." for name in missing)
        raise Unusable(f"the model needs {shown}, or {SAID_AS[option]} in the file")


def run(
    instance: Instance, symmetry: tuple[str, ...], records: str, max_states: int
) -> tuple[Result, Unasked]:
    """Return what the explicit engine finds, and what it was never asked.

    Raises :class:`Unusable` for what it cannot do.
    """
    asked = with_conditions(instance)
    try:
        result = check(asked, symmetry, records, max_states, Watch(instance.system.name))
        return result, unasked(instance, result)
    except (SpecError, SearchTooLarge) as error:
        raise Unusable(f"{instance.system.name}: {error}") from None


def unreached(instance: Instance, result: Result) -> list[str]:
    """Return the witnesses that no state reaches."""
    wanted = [c.property.name for c in instance.system.properties if c.property.kind == "reachable"]
    return [name for name in wanted if name not in result.reached]


def holds(instance: Instance, result: Result, left: Unasked) -> bool:
    """Return whether all that was asked holds, and all was asked."""
    missing = unreached(instance, result) or left.never_taken or left.vacuous
    return not (result.violated or missing)


def summary(instance: Instance, result: Result, left: Unasked) -> list[str]:
    """Return the verdict, each property's line and the counts."""
    told = []
    for checked in instance.system.properties:
        name, kind = checked.property.name, checked.property.kind
        if kind == "reachable":
            steps = result.reached.get(name)
            word = "NOT REACHED" if steps is None else f"reached in {len(steps)} steps"
        else:
            word = "VIOLATED" if name in result.violated else "holds"
        told.append(f"{name} ({kind}): {word}")
    told += left.lines()
    word = "holds" if holds(instance, result, left) else "VIOLATED"
    if word != "holds" and not result.violated and not unreached(instance, result):
        word = "holds, but not all was asked"
    counts = f"{result.distinct:,} distinct, {result.generated:,} generated, depth {result.depth}"
    return [*told, f"{word}: {counts}, {result.seconds:.2f} s"]


def as_json(instance: Instance, result: Result, left: Unasked) -> dict[str, Any]:
    """Return the same for machines, with the states of every run that was found."""
    traces = Traces(instance)
    runs = {"violated": traces.violated(result), "reached": traces.reached(result)}
    return {
        "name": instance.system.name,
        "holds": holds(instance, result, left),
        "never_taken": list(left.never_taken),
        "vacuous": list(left.vacuous),
        "steps": result.fired,
        **{name: getattr(result, name) for name in ("distinct", "generated", "depth")},
        "seconds": round(result.seconds, 3),
        **{
            kind: {n: [str(step) for step in steps] for n, steps in getattr(result, kind).items()}
            for kind in ("violated", "loops", "reached")
        },
        "unreached": unreached(instance, result),
        "states": {kind: {t.name: t.as_json() for t in found} for kind, found in runs.items()},
    }
