"""The formulas for every size say, of a finite state, what the interpreter says of it."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
import z3

from model_checks.engines.oracle import Instance, Oracle, State
from model_checks.engines.provers import ask_z3, contradict
from model_checks.engines.symbolic import SymbolicState, Symbols
from model_checks.models import keygen_lock_in, signing, signing_variants, two_phase_commit
from model_checks.system import Action, Network, System, close
from spec.language.declarations import SpecError
from spec.language.interpreter import evaluate
from spec.language.ir import BOOL, INT, Compare, Literal, Node
from tests.model_checks.classics import alternating_bit, bakery, ewd998, mesi

SIZES = {"Peer": 3, "Event": 1, "Attempt": 2, "Digest": 2, "Instance": 1, "Manager": 3, "Key": 1}
SIZES |= {"Node": 3, "Cache": 3, "Datum": 2, "Process": 3}
CONSTANTS = {"N": 3, "T": 2, "F": 1, "R": 3, "Most": 3, "Sum": 5}
SAMPLES = 12


class Structure:
    """A finite state as a model of its system's symbols; z3 terms are evaluated by enumeration."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.oracle = Oracle(Instance(system, SIZES, CONSTANTS))
        self.symbols = Symbols(system)
        self.scope: dict[str, Any] = {}
        self.state: State = ()

    def universe(self, sort: str) -> list[Any]:
        """Return the individuals of a sort: of quorums, all subsets that are large enough."""
        if sort in SIZES:
            return list(range(SIZES[sort]))
        for family in self.symbols.quorums.families.values():
            if family.sort.name() == sort:
                members = range(SIZES[family.individuals])
                return [
                    frozenset(chosen)
                    for count in range(max(0, family.least.value(CONSTANTS)), len(members) + 1)
                    for chosen in itertools.combinations(members, count)
                ]
        raise KeyError(sort)

    def value(self, term: Any, bound: tuple[Any, ...] = ()) -> Any:
        """Return what a term is in this state; ``bound`` are the bound variables, last first."""
        if z3.is_var(term):
            return bound[z3.get_var_index(term)]
        if z3.is_quantifier(term):
            ranges = [self.universe(term.var_sort(k).name()) for k in range(term.num_vars())]
            bodies = (
                self.value(term.body(), (*reversed(chosen), *bound))
                for chosen in itertools.product(*ranges)
            )
            return all(bodies) if term.is_forall() else any(bodies)
        if z3.is_int_value(term):
            return term.as_long()
        arguments = [self.value(term.arg(k), bound) for k in range(term.num_args())]
        name, kind = term.decl().name(), term.decl().kind()
        logic: dict[int, Callable[[], Any]] = {
            z3.Z3_OP_TRUE: lambda: True,
            z3.Z3_OP_FALSE: lambda: False,
            z3.Z3_OP_NOT: lambda: not arguments[0],
            z3.Z3_OP_AND: lambda: all(arguments),
            z3.Z3_OP_OR: lambda: any(arguments),
            z3.Z3_OP_IMPLIES: lambda: not arguments[0] or arguments[1],
            z3.Z3_OP_EQ: lambda: arguments[0] == arguments[1],
            z3.Z3_OP_DISTINCT: lambda: len({*arguments}) == len(arguments),
            z3.Z3_OP_ITE: lambda: arguments[1] if arguments[0] else arguments[2],
            z3.Z3_OP_DT_IS: lambda: arguments[0] is not None,
            z3.Z3_OP_ADD: lambda: sum(arguments),
            z3.Z3_OP_SUB: lambda: arguments[0] - arguments[1],
            z3.Z3_OP_LE: lambda: arguments[0] <= arguments[1],
            z3.Z3_OP_GE: lambda: arguments[0] >= arguments[1],
            z3.Z3_OP_LT: lambda: arguments[0] < arguments[1],
            z3.Z3_OP_GT: lambda: arguments[0] > arguments[1],
        }
        return logic[kind]() if kind in logic else self.apply(name, arguments)

    def apply(self, name: str, arguments: list[Any]) -> Any:
        """Return the value of a function of the system, or of a data type."""
        if name in self.scope:
            return self.scope[name]
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name.startswith(("some_", "the_")):
            return arguments[0]
        if name.startswith("no_"):
            return None
        if name.startswith("below_"):
            # The value of ``none`` is asked for, and does not matter, where ``none`` is compared.
            return None not in arguments and arguments[0] < arguments[1]
        if name.startswith("is_"):
            return True
        if name.startswith("in_"):
            return arguments[0] in arguments[1]
        if name in self.system.cells:
            return self.state[self.oracle.places[name, tuple(arguments)]]
        return name  # a value of an enum

    def unnamed(self) -> SymbolicState:
        """Return the state before in a guise in which counts are written out."""
        return {name: functools.partial(f) for name, f in self.symbols.before.items()}


def states(oracle: Oracle, chance: random.Random) -> list[State]:
    """Return random states, reachable or not, within the assumptions."""
    found: list[State] = []
    while len(found) < SAMPLES:
        state = tuple(
            chance.choice(oracle.instance.values(oracle.instance.system.cells[name]))
            for name, _ in oracle.slots
        )
        if all(evaluate(f, oracle.view(state), {}) for f in oracle.instance.system.assumptions):
            found.append(state)
    return found


Question = tuple[str, Node, Action | None, dict[str, int]]


def questions(system: System, chance: random.Random) -> list[Question]:
    """Return every guard, with random parameters, and every property of a state."""
    found: list[Question] = [
        (c.property.name, c.formula, None, {})
        for c in system.properties
        if c.property.kind in ("invariant", "lemma", "reachable")
    ]
    for action in system.actions:
        for guard in action.guards:
            chosen = {n: chance.randrange(SIZES[s]) for n, s in action.parameters.items()}
            found.append((f"{action.name}: {guard.text}", guard.formula, action, chosen))
    return found


@pytest.mark.parametrize(
    ("network", "number"),
    [
        (two_phase_commit.NETWORK, 12), (signing.NETWORK, 29), (ewd998.NETWORK, 15),
        (alternating_bit.NETWORK, 16), (bakery.NETWORK, 15),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_formulas_agree_with_the_interpreter_on_random_states(
    network: Network, number: int
) -> None:
    """Catches a node of the language, or a threshold, that the provers read differently."""
    chance = random.Random(11)
    structure = Structure(close(network))
    symbols = structure.symbols
    asked = questions(structure.system, chance)
    assert len(asked) == number
    seen = set()
    for state in states(structure.oracle, chance):
        structure.state = state
        view = structure.oracle.view(structure.state)
        for name, formula, action, chosen in asked:
            scope = symbols.parameters(action) if action else {}
            structure.scope = {str(scope[n]): value for n, value in chosen.items()}
            term = symbols.term(formula, scope, structure.unnamed())
            expected = bool(evaluate(formula, view, chosen))
            assert structure.value(term) == expected, name
            seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize("network", [signing.NETWORK, keygen_lock_in.NETWORK], ids=lambda n: n.name)
def test_a_named_count_says_the_same_as_the_count(network: Network) -> None:
    """Catches a name for a count that assumes more than it says, or less."""
    structure = Structure(close(network))
    symbols = structure.symbols
    named = 0
    for _, formula, action, _ in questions(structure.system, random.Random(1)):
        scope = symbols.parameters(action) if action else {}
        short = symbols.term(formula, scope, symbols.before)
        long = symbols.term(formula, scope, structure.unnamed())
        if action is None or short.eq(long):
            continue
        named += 1
        assert contradict([*symbols.quorums.meanings(), short != long]), str(short)
    assert named


@pytest.mark.parametrize(
    "network",
    [signing_variants.LOCK_IN_MEMORY, ewd998.NETWORK, mesi.NETWORK, alternating_bit.NETWORK,
     bakery.NETWORK],
    ids=lambda network: network.name,
)
def test_an_action_writes_what_the_interpreter_writes(network: Network) -> None:
    """Catches a post-state that writes another place, a number that is read as something else, an
    effect on all that forgets one, or what a crash takes away.
    """
    chance = random.Random(12)
    structure = Structure(close(network))
    symbols, oracle = structure.symbols, structure.oracle
    if network.crash:
        assert "Crash" in {a.name for a in structure.system.actions}
    for state in states(oracle, chance):
        structure.state = state
        for action in structure.system.actions:
            chosen = {n: chance.randrange(SIZES[s]) for n, s in action.parameters.items()}
            scope = symbols.parameters(action)
            structure.scope = {str(scope[n]): value for n, value in chosen.items()}
            after = symbols.after(action, scope)
            written = oracle.apply(action, chosen, oracle.view(structure.state))
            for (name, index), value in zip(oracle.slots, written, strict=True):
                sorts = structure.system.cells[name].index
                places = [z3.Const(f"place {k}", symbols.sorts[s]) for k, s in enumerate(sorts)]
                structure.scope |= {f"place {k}": i for k, i in enumerate(index)}
                assert structure.value(after[name](*places)) == value, (action.name, name, index)


def test_what_has_no_meaning_for_every_size_is_refused() -> None:
    """Catches a number that is silently read as something else."""
    symbols = Symbols(close(two_phase_commit.NETWORK))
    with pytest.raises(SpecError, match="no meaning for every size"):
        symbols.term(Node(BOOL), {}, symbols.before)
    more = Compare(BOOL, ">", Literal(INT, 3), Literal(INT, 2))
    assert ask_z3([z3.Not(symbols.term(more, {}, symbols.before))]).verdict == "unsat"
