"""Lemmas without an author: clauses over the cells, kept as long as nothing speaks against them.

1. **Templates.** For some named individuals, the atoms that the cells and the quantified guards
   offer; clauses are disjunctions of a few of them, negated or not.
2. **Filter.** A clause that is false in a reachable state of a small instance is no lemma.
3. **Subsumption.** A clause follows from any clause that is part of it, so it is left out.
4. **Houdini.** What is not inductive together with the rest is dropped, again and again, until all
   that remain are preserved by every action, for every size.

5. **Use.** Of those, the ones stay that the proofs of the targets rest on, directly or not.

What remains is proved, whatever it was guessed from.
"""

from __future__ import annotations

import ast
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import z3
from attrs import define, evolve, field, frozen

from model_checks.engines.induction import Induction, outer
from model_checks.engines.oracle import Instance, Oracle, State
from model_checks.engines.provers import ATTEMPT_STEPS, PROVED, SEED, z3_solver
from model_checks.substitution import bind
from model_checks.system import Action, Checked, Network, Property, System, close
from spec.language.declarations import Enum, Opt
from spec.language.interpreter import evaluate
from spec.language.ir import Node, Quantified, Variable, sort_type

Literal = tuple[str, bool]
"""An atom in the table language, and whether it is meant or its negation."""

WALKS = 60
"""Random runs that add deep states to the first ones of a breadth-first search."""

WALK_STEPS = 40


@frozen
class Templates:
    """What clauses are made of: ``witnesses`` maps names to sorts, ``literals`` bounds a clause."""

    witnesses: Mapping[str, str]
    literals: int = 3

    def atoms(self, system: System) -> tuple[str, ...]:
        """Return the atoms that the cells and the guards with quantifiers offer."""
        found = [atom for name in system.cells for atom in self._of_cell(system, name)]
        for action in system.actions:
            for guard in action.guards:
                if isinstance(guard.formula, Quantified) or "(" in guard.text:
                    found += self._of_guard(system, action, guard.text)
        return tuple(dict.fromkeys(found))

    def _named(self, sort: str) -> list[str]:
        return [name for name, its in self.witnesses.items() if its == sort]

    def _of_cell(self, system: System, name: str) -> Iterator[str]:
        cell = system.cells[name]
        for index in itertools.product(*(self._named(sort) for sort in cell.index)):
            place = f"{name}[{', '.join(index)}]" if index else name
            if isinstance(cell.type, Enum):
                yield from (f"{place} == {value}" for value in cell.type.values)
            elif isinstance(cell.type, Opt):
                yield from (
                    f"{place} == {value}" for value in ("none", *self._named(cell.type.sort))
                )
            else:
                yield place

    def _of_guard(self, system: System, action: Action, text: str) -> Iterator[str]:
        tree = ast.parse(text, mode="eval")
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        free = [name for name in action.parameters if name in used]
        for chosen in itertools.product(*(self._named(action.parameters[name]) for name in free)):
            new = dict(zip(free, chosen, strict=True))
            yield ast.unparse(_Renamed(new).visit(ast.parse(text, mode="eval")))

    def clauses(self, atoms: tuple[str, ...]) -> Iterator[frozenset[Literal]]:
        """Yield the clauses, shorter ones first."""
        for size in range(1, self.literals + 1):
            for chosen in itertools.combinations(atoms, size):
                for signs in itertools.product((True, False), repeat=size):
                    yield frozenset(zip(chosen, signs, strict=True))

    def text(self, clause: frozenset[Literal]) -> str:
        """Return a clause, for all witnesses that it speaks of, in the table language."""
        body = " or ".join(
            f"({atom})" if positive else f"not ({atom})" for atom, positive in sorted(clause)
        )
        used = {n.id for n in ast.walk(ast.parse(body)) if isinstance(n, ast.Name)}
        over = " ".join(f"for {n} in {sort}" for n, sort in self.witnesses.items() if n in used)
        return f"all(({body}) {over})" if over else body

    def formulas(self, network: Network, atoms: Iterable[str]) -> dict[str, Node]:
        """Return the atoms' typed forms, with the witnesses as variables of these names."""
        over = " ".join(f"for {name} in {sort}" for name, sort in self.witnesses.items())
        asked = tuple(Property(atom, f"all(({atom}) {over})") for atom in atoms)
        checked = close(evolve(network, properties=asked)).properties
        found: dict[str, Node] = {}
        for one in checked:
            variables, body = outer(one.formula, len(self.witnesses))
            names = zip(variables, self.witnesses, strict=True)
            new: dict[str, Node] = {
                variable: Variable(sort_type(self.witnesses[name]), name)
                for variable, name in names
            }
            found[one.property.name] = bind(body, new)
        return found


class _Renamed(ast.NodeTransformer):
    def __init__(self, new: Mapping[str, str]) -> None:
        self.new = new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.new.get(node.id, node.id))


@define
class Found:
    """The lemmas, and how many clauses each sieve let through."""

    lemmas: tuple[Property, ...] = ()
    clauses: int = 0
    true_in_samples: int = 0
    not_subsumed: int = 0
    rounds: int = 0
    inductive: int = 0


def find_lemmas(
    network: Network,
    templates: Templates,
    sizes: Mapping[str, int],
    constants: Mapping[str, int],
    targets: tuple[str, ...],
    states: int = 2_000,
) -> Found:
    """Return clauses that prove the target invariants by induction, for every size.

    There are none when the templates do not suffice.
    """
    wanted = tuple(p for p in network.properties if p.name in targets)
    system = close(evolve(network, properties=wanted))
    oracle = Oracle(Instance(system, sizes, constants))
    atoms = templates.atoms(system)
    formulas = templates.formulas(network, atoms)
    masks, full = _truths(oracle, templates.witnesses, formulas, sample(oracle, states))
    found = Found()
    kept: list[frozenset[Literal]] = []
    for clause in templates.clauses(atoms):
        found.clauses += 1
        truth = 0
        for atom, positive in clause:
            truth |= masks[atom] if positive else full ^ masks[atom]
        if truth == full:
            found.true_in_samples += 1
            if not any(shorter <= clause for shorter in kept):
                kept.append(clause)
    found.not_subsumed = len(kept)
    guesses = tuple(
        Property(f"Found{number}", templates.text(clause), "lemma", "found by the lemma finder")
        for number, clause in enumerate(kept, start=1)
    )
    houdini = Houdini(close(evolve(network, properties=(*wanted, *guesses))))
    names = houdini.run()
    found.rounds = houdini.rounds
    found.inductive = len(names)
    used = houdini.used_for(targets) if names.issuperset(targets) else frozenset()
    found.lemmas = tuple(guess for guess in guesses if guess.name in used)
    return found


def sample(oracle: Oracle, states: int, seed: int = SEED) -> list[State]:
    """Return reachable states: the first ones breadth first, and those on some random runs."""
    seen = dict.fromkeys(itertools.islice(oracle.initial(), states))
    queue = list(seen)
    for state in queue:
        if len(seen) >= states:
            break
        for _, after in oracle.steps(state):
            if after not in seen:
                seen[after] = None
                queue.append(after)
    chance = random.Random(seed)
    starts = list(itertools.islice(oracle.initial(), states))
    for _ in range(WALKS if len(seen) >= states else 0):
        state = chance.choice(starts)
        for _ in range(WALK_STEPS):
            following = [after for _, after in oracle.steps(state) if after != state]
            if not following:
                break
            state = chance.choice(following)
            seen[state] = None
    return list(seen)


def _truths(
    oracle: Oracle, witnesses: Mapping[str, str], formulas: Mapping[str, Node], states: list[State]
) -> tuple[dict[str, int], int]:
    """Return for each atom the states and witnesses in which it holds, as bits, and all bits."""
    ranges = [oracle.instance.individuals(sort) for sort in witnesses.values()]
    choices = [dict(zip(witnesses, chosen, strict=True)) for chosen in itertools.product(*ranges)]
    views = [oracle.view(state) for state in states]
    masks: dict[str, int] = {}
    for atom, formula in formulas.items():
        bits = "".join(
            "1" if evaluate(formula, view, chosen) else "0" for view in views for chosen in choices
        )
        masks[atom] = int(bits, 2)
    return masks, (1 << (len(views) * len(choices))) - 1


@define
class Houdini:
    """Drops properties until all that remain are inductive together."""

    system: System
    rounds: int = 0
    _properties: tuple[Checked, ...] = ()
    _solvers: list[tuple[Any, list[Any]]] = field(factory=list)
    _cores: dict[tuple[int, int], frozenset[int]] = field(factory=dict)

    def run(self) -> frozenset[str]:
        """Return the names of the properties that remain."""
        induction = Induction(self.system)
        self._properties = induction.properties
        count = len(induction.properties)
        first = induction.symbols.first()
        goals = [induction.symbols.term(c.formula, {}, first) for c in induction.properties]
        background = induction.symbols.background()
        kept = set(range(count)) - {
            number for number, goal in enumerate(goals) if not _follows(background, goal)
        }
        marks = [z3.Bool(f"property {number}") for number in range(count)]
        self._prepare(induction, marks)
        while True:
            self.rounds += 1
            lost = {number for number in sorted(kept) if not self._preserved(number, kept, marks)}
            if not lost:
                return frozenset(induction.properties[number].property.name for number in kept)
            kept -= lost

    def used_for(self, targets: tuple[str, ...]) -> frozenset[str]:
        """Return the targets and all properties that their proofs rest on, in the end."""
        names = [c.property.name for c in self._properties]
        wanted = [names.index(target) for target in targets]
        for number in wanted:
            for (_, proved), core in self._cores.items():
                if proved == number:
                    wanted += [place for place in core if place not in wanted]
        return frozenset(names[number] for number in wanted)

    def _prepare(self, induction: Induction, marks: list[Any]) -> None:
        """One solver per action; a property is assumed there where its mark is."""
        symbols = induction.symbols
        for action in induction.system.actions:
            scope = symbols.parameters(action)
            after = symbols.after(action, scope)
            guard = symbols.guard(action, scope)
            goals = [symbols.term(c.formula, {}, after) for c in induction.properties]
            solver = z3_solver((*symbols.background(), *guard), ATTEMPT_STEPS, SEED)
            for mark, hypothesis in zip(marks, induction.hypotheses, strict=True):
                solver.add(z3.Implies(mark, hypothesis))
            self._solvers.append((solver, goals))

    def _preserved(self, number: int, kept: set[int], marks: list[Any]) -> bool:
        """Return whether every action preserves the property; what was proved stays proved.

        A proof is good as long as the properties that it used are kept.
        """
        places = {str(marks[place]): place for place in kept}
        for which, (solver, goals) in enumerate(self._solvers):
            core = self._cores.get((which, number))
            if core is not None and core <= kept:
                continue
            solver.push()
            solver.add(z3.Not(goals[number]))
            verdict = solver.check(*(marks[place] for place in sorted(kept)))
            if verdict == z3.unsat:
                used = frozenset(places[str(mark)] for mark in solver.unsat_core())
                self._cores[which, number] = used
            solver.pop()
            if verdict != z3.unsat:
                return False
        return True


def _follows(background: tuple[Any, ...], goal: Any) -> bool:
    return str(z3_solver((*background, z3.Not(goal)), ATTEMPT_STEPS, SEED).check()) == PROVED
