"""From the tables to a closed transition system: the peers, the adversary and the environment
together.

A :class:`Network` names the rows of the protocol that take part, says what stands in for the facts
that a node is given (``given``), and adds the moves of the adversary and of the world. ``close``
turns it into a :class:`System`: actions over cells, parsed and type-checked, that every engine
reads. Rows keep their text: whoever changes a row changes the system.

Cells that no guard and no property reads drop out, with the effects on them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from attrs import evolve, field, frozen

from model_checks.questions import check_questions
from model_checks.substitution import Meant, Scopes, StandIns, populated, substitute
from model_checks.two_states import AFTER, later_text, with_later
from spec.language.assembly import Effect, Guard, Machine, Protocol, Rule, cells_read
from spec.language.declarations import (
    Cell,
    Definition,
    Enum,
    Sort,
    SpecError,
    parse_signature,
    texts,
)
from spec.language.expressions import Names, Parser, cell_type
from spec.language.ir import BOOL, INT, Equal, Literal, Node, Read, Variable, sort_type

KINDS = ("invariant", "lemma", "reachable", "step", "always_can", "liveness")


@frozen
class Move:
    """An action of the adversary or of the world: nobody's row."""

    event: str
    only_if: tuple[str, ...] = field(default=(), converter=texts)
    then: Mapping[str, str] = field(factory=dict)
    why: str = ""
    fair: bool = False


@frozen
class Property:
    """What must hold. Kinds:

    invariant, lemma  in every state
    reachable         in some state: a witness
    step              in every step; ``after(x[i])`` is the value of ``x[i]`` after it
    always_can        every state has a way to a state in which it holds; ways consist of rows and
                      of moves marked fair, so that nobody needs a liar's help or a crash
    liveness          every fair run comes to a state in which it holds; fair runs do not put off
                      for ever a row or move that is marked fair and stays possible

    Of ``implies(a, b)`` the last two kinds ask that ``b`` can, or will, follow whenever ``a``.
    """

    name: str
    text: str
    kind: str = "invariant"
    doc: str = ""
    of_correct: bool = False
    """Whether the text speaks of correct peers without saying so, as ``spec/invariants.py`` does:
    where a network has liars, they are left out of each of its own quantifiers."""


@frozen
class Scope:
    """Whom ``among`` names: ``index`` such as ``k: Epoch``, and the peers q that ``members`` asks
    for, with the numbers that hold there, each as a formula over the index. Where they depend on
    something else, ``chosen`` names it, such as ``h: Epoch``, and ``where`` says which one it is.
    """

    index: str
    members: str
    numbers: Mapping[str, str] = field(factory=dict)
    chosen: str = ""
    where: str = ""


@frozen(kw_only=True)
class Network:
    """Which rows run, with whom, and what is asked of them.

    ``rows`` are (table, event) pairs, or (table, "*"), or (table, "state -Event-> state") for rows
    out of one state; ``honest`` is the conjunct that every row of
    a peer gets ("" for none); ``given`` maps a reference such as ``is_member[p, e, a]`` to the
    formula or value that stands in for it; ``rigid`` names cells that are chosen once, at the
    beginning, within ``assume``. The states of ``untracked`` tables are left out: their rows may
    run at any time, which only adds behaviour, so what is safe then is safe. ``without`` drops
    conjuncts, and ``definitions`` and ``kept`` replace the protocol's: for variants that must fail.
    ``fair`` names rows, such as ``link.Proof``, that are not put off for ever: for liveness.
    ``scopes`` say whom ``among`` names; without one all peers are one population.
    ``populations`` names rigid cells such as ``roster_has[q, h]``: of each h it holds of N peers,
    and N, T and F are numbers of h, within SAFE-SIGN 1. So proofs for every size are about epochs
    of different sizes.
    """

    name: str
    doc: str
    rows: tuple[tuple[str, str], ...] = ()
    honest: str = "not faulty[p]"
    given: Mapping[str, str] = field(factory=dict)
    cells: tuple[Cell, ...] = ()
    definitions: tuple[Definition, ...] = ()
    sorts: tuple[Sort, ...] = ()
    constants: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()
    crash: bool = True
    rigid: tuple[str, ...] = ()
    assume: tuple[str, ...] = ()
    properties: tuple[Property, ...] = ()
    untracked: tuple[str, ...] = ()
    without: tuple[tuple[str, str], ...] = ()
    kept: Mapping[str, str] = field(factory=dict)
    fair: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    populations: tuple[str, ...] = ()


@frozen
class Update:
    """``cell[index] := value``; an index of None stands for every individual (a crash)."""

    cell: str
    index: tuple[Node | None, ...]
    value: Node


@frozen
class Action:
    """One kind of step, for every choice of its parameters."""

    name: str
    parameters: Mapping[str, str]
    guards: tuple[Guard, ...]
    updates: tuple[Update, ...]
    fair: bool
    origin: str
    """The row's name, ``adversary`` or ``crash``."""


@frozen
class Checked:
    """A property with its formula."""

    property: Property
    formula: Node


@frozen
class System:
    """A closed transition system over the cells that matter."""

    network: Network
    names: Names
    cells: Mapping[str, Cell]
    rigid: frozenset[str]
    first: Mapping[str, Node]
    actions: tuple[Action, ...]
    assumptions: tuple[Node, ...]
    properties: tuple[Checked, ...]

    @property
    def name(self) -> str:
        """The network's name."""
        return self.network.name

    @property
    def sorts(self) -> tuple[str, ...]:
        """The sorts that cells, parameters and quantifiers range over, in order of declaration."""
        used = {s for c in self.cells.values() for s in c.index}
        used |= {s for a in self.actions for s in a.parameters.values()}
        return tuple(name for name in self.names.sorts if name in used)


_STANDING: dict[int, System] = {}
"""The systems of the protocol as it stands, by their networks, which they keep: the ids stay."""


def close(network: Network, protocol: Protocol | None = None) -> System:
    """Return the system of a network; raises :class:`SpecError` naming what is wrong.

    Without another protocol it is that of the protocol as it stands, made once.
    """
    if protocol is not None:
        return _closed(network, protocol)
    known = _STANDING.get(id(network))
    if known is None:
        from spec.protocol import PROTOCOL

        known = _STANDING[id(network)] = _closed(network, PROTOCOL)
    return known


def _closed(network: Network, protocol: Protocol) -> System:
    names = _names(network, protocol)
    places = _places(network, names)
    rules = list(_rules(network, protocol.machines))
    for event, text in network.without:
        named = (rule for rule in rules if event == f"{rule.table}.{rule.event}")
        if not any(text in {guard.text for guard in rule.guards} for rule in named):
            raise SpecError(f"network {network.name}: {event} has no conjunct {text!r}")
    actions = [_action(rule, network, names, places) for rule in rules]
    actions += [_move(move, names, places) for move in network.moves]
    properties = tuple(_property(p, names, places) for p in network.properties)
    assumptions = tuple(_parse(names, {}, text, places, "assume") for text in network.assume)
    check_questions(network, actions, properties)
    kept = _cone(actions, properties, assumptions, network.rigid)
    cells = {name: cell for name, cell in names.cells.items() if name in kept}
    actions = [_prune(action, kept) for action in actions]
    if network.crash:
        actions.append(_crash(network, names, cells, places))
    first = {
        name: Parser(names, {}).parse(cell.first, cell_type(cell))
        for name, cell in cells.items()
        if name not in network.rigid
    }
    return System(
        network, names, cells, frozenset(network.rigid) & set(cells), first, _named_apart(actions),
        assumptions, properties,
    )


def _names(network: Network, protocol: Protocol) -> Names:
    cells = {**protocol.cells, **{cell.name: cell for cell in network.cells}}
    for name, kept in network.kept.items():
        cells[name] = evolve(cells[name], kept=kept)
    sorts = {**protocol.names.sorts, **{sort.name: sort for sort in network.sorts}}
    # The network's own enums come first: what it calls "prepared" is what its text means by it.
    types = (cell.type for cell in (*network.cells, *cells.values()))
    enums = {kind.name: kind for kind in types if isinstance(kind, Enum)}
    definitions = {**protocol.names.definitions, **{d.name: d for d in network.definitions}}
    constants = tuple(dict.fromkeys((*protocol.names.constants, *network.constants)))
    return Names(sorts, enums, cells, definitions, constants)


@frozen
class _Places:
    """What stands in the place of what a network leaves open."""

    scopes: Scopes
    stand_ins: StandIns

    def close(self, node: Node) -> Node:
        """Return a formula as the engines read it."""
        return substitute(populated(node, self.scopes), self.stand_ins)


def _places(network: Network, names: Names) -> _Places:
    scopes = dict(_meant(scope, network, names) for scope in network.scopes)
    found: dict[str, tuple[tuple[str, ...], Node]] = {}
    places = _Places(scopes, found)
    for reference, text in network.given.items():
        name, _, inside = reference.partition("[")
        variables = tuple(part.strip() for part in inside.rstrip("]").split(",") if part.strip())
        cell = names.cells.get(name.strip())
        if cell is None or len(variables) != len(cell.index):
            raise SpecError(f"network {network.name}: {reference!r} is not a cell with its indices")
        scope = {v: Variable(sort_type(s), v) for v, s in zip(variables, cell.index, strict=True)}
        try:
            formula = Parser(names, scope).parse(text, cell_type(cell))
        except SpecError as error:
            raise SpecError(f"network {network.name}, given {reference}: {error}") from None
        found[cell.name] = (variables, places.close(formula))
    for name, (_, formula) in found.items():
        for other in cells_read(formula) & found.keys():
            raise SpecError(f"network {network.name}: given {name} reads {other}: put it below")
    return places


def _meant(scope: Scope, network: Network, names: Names) -> tuple[tuple[str, ...], Meant]:
    _, parameters = parse_signature(f"among({scope.index})")
    _, chosen = parse_signature(f"among({scope.chosen})")
    index = {name: Variable(sort_type(sort), name) for name, sort in parameters.items()}
    known = {**index, **{name: Variable(sort_type(sort), name) for name, sort in chosen.items()}}
    peer = {"q": Variable(sort_type("Peer"), "q")}
    try:
        members = Parser(names, {**known, **peer}).parse(scope.members)
        numbers = {n: Parser(names, known).parse(t, INT) for n, t in scope.numbers.items()}
        where = Parser(names, known).parse(scope.where) if scope.where else None
    except SpecError as error:
        raise SpecError(f"network {network.name}, scope {scope.index}: {error}") from None
    which = next(iter(chosen.items()), None)
    return tuple(parameters.values()), Meant(tuple(index), "q", members, numbers, which, where)


def _rules(network: Network, machines: Mapping[str, Machine]) -> Iterable[Rule]:
    for table, event in network.rows:
        if table not in machines:
            raise SpecError(f"network {network.name}: there is no table {table}")
        rules = machines[table].rules
        chosen = [r for r in rules if event in ("*", r.event, r.name.removeprefix(f"{table}: "))]
        if not chosen:
            raise SpecError(f"network {network.name}: table {table} has no event {event}")
        for rule in chosen:
            machine = machines[table]
            state = Read(
                cell_type(machine.cell),
                machine.cell.name,
                tuple(
                    Variable(sort_type(s), v)
                    for v, s in zip(machine.subject, machine.cell.index, strict=True)
                ),
            )
            if table in network.untracked:
                yield rule
                continue
            source = Guard(
                f"{table} is {rule.source}", Equal(BOOL, state, Literal(state.type, rule.source))
            )
            effects = rule.effects
            if rule.target != rule.source:
                effects = (
                    Effect(machine.cell, state.index, Literal(state.type, rule.target)), *effects
                )
            yield evolve(rule, guards=(source, *rule.guards), effects=effects)


def _action(rule: Rule, network: Network, names: Names, places: _Places) -> Action:
    scope = {p: Variable(sort_type(s), p) for p, s in rule.parameters.items()}
    dropped = {text for event, text in network.without if event == f"{rule.table}.{rule.event}"}
    guards = []
    for guard in (g for g in rule.guards if g.text not in dropped):
        # Parsed anew, because a variant may have definitions of its own.
        row = guard.text in rule.row.only_if
        formula = Parser(names, scope).parse(guard.text) if row else guard.formula
        guards.append(Guard(guard.text, places.close(formula)))
    if network.honest and "p" in rule.parameters:
        guards.insert(0, Guard(network.honest, Parser(names, scope).parse(network.honest)))
    guards = [g for g in guards if g.formula != Literal(BOOL, True)]
    updates = tuple(
        Update(e.cell.name, e.index, places.close(e.value)) for e in rule.effects
        if e.cell.name not in places.stand_ins
    )
    name = f"{rule.table}.{rule.event}"
    fair = rule.row.fair or name in network.fair
    return Action(name, rule.parameters, tuple(guards), updates, fair, rule.name)


def _move(move: Move, names: Names, places: _Places) -> Action:
    event, parameters = parse_signature(move.event)
    scope: dict[str, Node] = {p: Variable(sort_type(s), p) for p, s in parameters.items()}
    guards = tuple(Guard(text, _parse(names, scope, text, places, event)) for text in move.only_if)
    updates = []
    for target, text in move.then.items():
        cell, index = Parser(names, scope).parse_reference(target)
        value = places.close(Parser(names, scope).parse(text, cell_type(cell)))
        updates.append(Update(cell.name, index, value))
    return Action(event, parameters, guards, tuple(updates), move.fair, "adversary")


def _crash(network: Network, names: Names, cells: Mapping[str, Cell], places: _Places) -> Action:
    scope: dict[str, Node] = {"p": Variable(sort_type("Peer"), "p")}
    guards: tuple[Guard, ...] = ()
    if network.honest:
        guards = (Guard(network.honest, _parse(names, scope, network.honest, places, "Crash")),)
    updates = tuple(
        Update(
            cell.name,
            (scope["p"], *(None for _ in cell.index[1:])),
            Parser(names, {}).parse(cell.first, cell_type(cell)),
        )
        for cell in cells.values()
        if cell.kept == "memory" and cell.index[:1] == ("Peer",)
    )
    return Action("Crash", {"p": "Peer"}, guards, updates, False, "crash")


def _property(prop: Property, names: Names, places: _Places) -> Checked:
    if prop.kind not in KINDS:
        raise SpecError(f"property {prop.name}: kind {prop.kind!r} is none of {', '.join(KINDS)}")
    text = _of_correct(prop.text) if prop.of_correct and "faulty" in names.cells else prop.text
    if prop.kind == "step":
        text = later_text(prop.name, text)
        return Checked(prop, _parse(with_later(names), {}, text, places, prop.name))
    return Checked(prop, _parse(names, {}, text, places, prop.name))


def _of_correct(text: str) -> str:
    """Return the text with its own quantifiers over peers restricted to those who do not lie.

    Definitions stay as they are: what liars have signed counts in a certificate.
    """
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.comprehension) and ast.unparse(node.iter) == "Peer":
            honest = ast.parse(f"not faulty[{ast.unparse(node.target)}]", mode="eval")
            node.ifs.insert(0, honest.body)
    return ast.unparse(tree)


def _parse(names: Names, scope: Mapping[str, Node], text: str, places: _Places, where: str) -> Node:
    try:
        return places.close(Parser(names, scope).parse(text))
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def _cone(
    actions: list[Action], properties: Iterable[Checked], assumptions: Iterable[Node],
    rigid: Iterable[str],
) -> set[str]:
    """Return the cells that something reads; reads of a dropped cell's effects do not count."""
    kept = {
        cell.removeprefix(AFTER) for checked in properties for cell in cells_read(checked.formula)
    }
    kept |= {cell for formula in assumptions for cell in cells_read(formula)} | set(rigid)
    kept |= {cell for a in actions for g in a.guards for cell in cells_read(g.formula)}
    while True:
        more = {
            cell for a in actions for u in a.updates if u.cell in kept
            for node in (u.value, *(i for i in u.index if i)) for cell in cells_read(node)
        }
        if more <= kept:
            return kept
        kept |= more


def _prune(action: Action, kept: set[str]) -> Action:
    return evolve(action, updates=tuple(u for u in action.updates if u.cell in kept))


def _named_apart(actions: list[Action]) -> tuple[Action, ...]:
    """Return actions that change something, with distinct names: rows of one event get a number."""
    useful = [a for a in actions if a.updates]
    counts: dict[str, int] = {}
    result = []
    for action in useful:
        counts[action.name] = counts.get(action.name, 0) + 1
        number = counts[action.name]
        result.append(action if number == 1 else evolve(action, name=f"{action.name}#{number}"))
    return tuple(result)
