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

from model_checks import sequences
from model_checks.fairness import CALM, NOT_CALM, calmed, fairness
from model_checks.pruning import cone, named_apart, prune
from model_checks.questions import check_questions
from model_checks.ranges import in_range
from model_checks.substitution import Places, bind, places_of
from model_checks.two_states import later_text, with_later
from spec.language.assembly import Effect, Guard, Machine, Protocol, Rule, cells_read
from spec.language.cells import FIRST_INDEX, first_value
from spec.language.declarations import (
    Cell,
    Definition,
    Enum,
    Range,
    Seq,
    Sort,
    SpecError,
    check_texts,
    parse_signature,
    texts,
)
from spec.language.expressions import Names, Parser, cell_type, needed
from spec.language.ir import (
    BOOL,
    And,
    Equal,
    Implies,
    Literal,
    Node,
    Quantified,
    Read,
    Variable,
    sort_type,
)

LIVENESS = ("liveness", "infinitely_often", "eventually_always")
KINDS = ("invariant", "lemma", "reachable", "step", "always_can", *LIVENESS, "deadlock")
CHOSEN = "any"
"""The first value of a cell that begins anywhere within its network's ``initially``."""
TRUE = Literal(BOOL, True)


@frozen
class Move:
    """An action of the adversary or of the world: nobody's row.

    ``then`` maps a place to its new value, read before the move: ``x[p]``, or all the places of
    ``x[q] for q in Peer if q != p``, where the value may speak of ``q`` too. ``fair`` is ``weak``
    (True for short: the move is not put off for ever while it stays possible) or ``strong`` (nor
    while it becomes possible again and again), for each choice of the parameters by itself; or
    ``weak for some q``, ``strong for some q``: whatever the choice of ``q``.
    """

    event: str
    only_if: tuple[str, ...] = field(default=(), converter=texts)
    then: Mapping[str, str] = field(factory=dict)
    why: str = ""
    fair: bool | str = False

    def __attrs_post_init__(self) -> None:
        check_texts(self.event, (*self.only_if, *self.then, *self.then.values(), self.why))


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
    infinitely_often  every fair run comes to such a state again and again
    eventually_always every fair run comes to where it holds, and goes on to hold for ever
    deadlock          every state has a step, except those in which it holds: ``False`` for none

    Of ``implies(a, b)`` always_can and liveness ask that ``b`` can, or will, follow whenever ``a``.
    ``leads_to(a, b)`` says the same of liveness, and may stand inside ``all(... for p in Peer)``:
    it is then asked for each ``p`` by itself.
    """

    name: str
    text: str
    kind: str = "invariant"
    doc: str = ""
    of_correct: bool = False
    """Whether the text speaks of correct peers without saying so, as ``spec/invariants.py`` does:
    where a network has liars, they are left out of each of its own quantifiers."""

    def __attrs_post_init__(self) -> None:
        check_texts(f"property {self.name}", (self.text, self.kind, self.doc))


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
    beginning, within ``assume``; ``initially`` is what holds in the first states, which cells that
    begin with ``any`` value are chosen for. The states of ``untracked`` tables are left out: their
    rows may run at any time, which only adds behaviour, so what is safe then is safe. ``without``
    drops conjuncts, and ``definitions`` and ``kept`` replace the protocol's: for variants that must
    fail.
    ``fair`` names rows, such as ``link.Proof``, that are not put off for ever while they stay
    possible, or ``strong link.Proof``, also where they become possible again and again.
    ``disturbances`` names rows, moves and ``Crash`` that happen as often as they like, until it is
    calm: what comes in the end comes if nothing goes wrong for long enough.
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
    assume: tuple[str, ...] = field(default=(), converter=texts)
    initially: tuple[str, ...] = field(default=(), converter=texts)
    properties: tuple[Property, ...] = ()
    untracked: tuple[str, ...] = ()
    without: tuple[tuple[str, str], ...] = ()
    kept: Mapping[str, str] = field(factory=dict)
    fair: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    populations: tuple[str, ...] = ()


@frozen
class Update:
    """``cell[index] := value`` for every choice of the ``variables`` with ``where``: each of them
    is an index, so that no two choices write one place.
    """

    cell: str
    index: tuple[Node, ...]
    value: Node
    variables: Mapping[str, str] = field(factory=dict)
    where: Node = TRUE


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
    strong: bool = False
    """Whether it is fair also while it is not possible all the time."""
    some: tuple[str, ...] = ()
    """The parameters that fairness leaves open: whatever their choice, the action is taken."""


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
    """By cell, over its indices as ``FIRST_INDEX`` names them; cells that are chosen have none."""
    actions: tuple[Action, ...]
    assumptions: tuple[Node, ...]
    properties: tuple[Checked, ...]
    initially: tuple[Node, ...] = ()

    @property
    def name(self) -> str:
        """The network's name."""
        return self.network.name

    @property
    def ranges(self) -> Mapping[str, str]:
        """The name of the property that a cell's number stays in its range, by cell."""
        found = (c for c in self.properties if c.property.kind == "range")
        return {cell: c.property.name for c in found for cell in cells_read(c.formula)}

    @property
    def sorts(self) -> tuple[str, ...]:
        """The sorts that cells, parameters and quantifiers range over, in order of declaration."""
        used = {s for c in self.cells.values() for s in c.index}
        used |= {s for a in self.actions for s in a.parameters.values()}
        return tuple(name for name in self.names.sorts if name in used)


_BECOMES_CALM = Move("Calm()", (NOT_CALM,), {CALM.name: "True"}, CALM.doc, fair=True)
_STANDING: dict[int, tuple[Network, System]] = {}
"""The systems of the protocol as it stands, by the ids of their networks, which are kept here."""


def close(network: Network, protocol: Protocol | None = None) -> System:
    """Return the system of a network; raises :class:`SpecError` naming what is wrong.

    Without another protocol it is that of the protocol as it stands, made once.
    """
    if protocol is not None:
        return _closed(network, protocol)
    known = _STANDING.get(id(network))
    if known is None:
        from spec.protocol import PROTOCOL

        known = _STANDING[id(network)] = (network, _closed(network, PROTOCOL))
    return known[1]


def _closed(network: Network, protocol: Protocol) -> System:
    if network.disturbances:
        moves = (*network.moves, _BECOMES_CALM)
        network = evolve(network, cells=(*network.cells, CALM), moves=moves)
    names = _names(network, protocol)
    places = places_of(network, names)
    rules = list(_rules(network, protocol.machines))
    for event, text in network.without:
        named = (rule for rule in rules if event == f"{rule.table}.{rule.event}")
        if not any(text in {guard.text for guard in rule.guards} for rule in named):
            raise SpecError(f"network {network.name}: {event} has no conjunct {text!r}")
    known = {f"{rule.table}.{rule.event}" for rule in rules}
    for event in network.fair:
        if event.removeprefix("strong ") not in known:
            raise SpecError(f"network {network.name}: fair names {event!r}, which is no row of it")
    actions = [_action(rule, network, names, places) for rule in rules]
    actions += [_move(move, names, places) for move in network.moves]
    properties = tuple(_property(p, names, places) for p in network.properties)
    assumptions = tuple(_parse(names, {}, text, places, "assume") for text in network.assume)
    initially = tuple(_parse(names, {}, text, places, "initially") for text in network.initially)
    check_questions(network, actions, properties)
    ranged = {name for name, cell in names.cells.items() if isinstance(cell.type, Range)}
    asked = {update.cell for action in actions for update in action.updates} & ranged
    kept = cone(actions, properties, (*assumptions, *initially), asked | set(network.rigid))
    cells = {name: cell for name, cell in names.cells.items() if name in kept}
    actions = [prune(action, kept) for action in actions]
    if network.crash:
        actions.append(_crash(network, names, cells, places))
    actions = list(calmed(network, actions))
    first = {
        name: first_value(names, cell) for name, cell in cells.items()
        if name not in network.rigid and cell.first != CHOSEN
    }
    stuck = any(checked.property.kind == "deadlock" for checked in properties)
    useful = [action for action in actions if action.updates or stuck]
    ranges = (in_range(names, cells[name]) for name in cells if name in ranged)
    inside = tuple(Checked(Property(n, text, "range"), formula) for n, text, formula in ranges)
    return System(
        network, names, cells, frozenset(network.rigid) & set(cells), first, named_apart(useful),
        assumptions, (*properties, *inside), initially,
    )


def _names(network: Network, protocol: Protocol) -> Names:
    cells = {**protocol.cells, **{cell.name: cell for cell in network.cells}}
    for cell in network.cells:
        if isinstance(cell.type, Seq):
            cells.update((part.name, part) for part in sequences.parts(cell))
    for name, kept in network.kept.items():
        cells[name] = evolve(cells[name], kept=kept)
    sorts = {**protocol.names.sorts, **{sort.name: sort for sort in network.sorts}}
    # The network's own enums come first: what it calls "prepared" is what its text means by it.
    types = (cell.type for cell in (*network.cells, *cells.values()))
    own: dict[str, Enum] = {}
    for cell in network.cells:
        kind = cell.type.of if isinstance(cell.type, Seq) else cell.type
        if isinstance(kind, Enum) and own.setdefault(kind.name, kind) != kind:
            raise SpecError(f"cell {cell.name}: another enum is named {kind.name!r} too")
    enums = {kind.name: kind for kind in types if isinstance(kind, Enum)}
    definitions = {**protocol.names.definitions, **{d.name: d for d in network.definitions}}
    constants = tuple(dict.fromkeys((*protocol.names.constants, *network.constants)))
    return Names(sorts, enums, cells, definitions, constants)


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


def _action(rule: Rule, network: Network, names: Names, places: Places) -> Action:
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
    strong = f"strong {name}" in network.fair
    fair = rule.row.fair or strong or name in network.fair
    return Action(name, rule.parameters, tuple(guards), updates, fair, rule.name, strong)


def _move(move: Move, names: Names, places: Places) -> Action:
    event, parameters = parse_signature(move.event)
    scope: dict[str, Node] = {p: Variable(sort_type(s), p) for p, s in parameters.items()}
    guards = tuple(Guard(text, _parse(names, scope, text, places, event)) for text in move.only_if)
    updates = []
    for target, text in move.then.items():
        try:
            new, needs = _written(Parser(names, scope), target, text, places)
        except SpecError as error:
            raise SpecError(f"{event}: {error}") from None
        updates += new
        guards += tuple(Guard(f"what {text!r} reads is there", node) for node in needs)
    fair, strong, some = fairness(event, parameters, move.fair)
    return Action(event, parameters, guards, tuple(updates), fair, "adversary", strong, some)


def _written(
    parser: Parser, target: str, text: str, places: Places
) -> tuple[list[Update], list[Node]]:
    """Return an effect as updates of plain cells, and what must hold so that it has a meaning."""
    found = parser.parse_places(target)
    if isinstance(found.cell.type, Seq):
        values, needs = sequences.written(found, text)
    else:
        value = found.inner.parse(text, cell_type(found.cell))
        values, needs = [(found.cell, value)], needed(value)
    named = {term.name for term in found.index if isinstance(term, Variable)}
    for variable in found.variables:
        if variable not in named:
            shown = variable.partition("'")[0]
            raise SpecError(f"{target!r}: {shown} is no index, so one place is written many times")
    where = places.close(And(BOOL, found.conditions) if found.conditions else TRUE)
    for variable, sort in found.variables.items():
        needs = tuple(
            Quantified(BOOL, "all", variable, sort, Implies(BOOL, where, need)) for need in needs
        )
    return [
        Update(cell.name, found.index, places.close(value), found.variables, where)
        for cell, value in values
    ], [places.close(need) for need in needs]


def _crash(network: Network, names: Names, cells: Mapping[str, Cell], places: Places) -> Action:
    scope: dict[str, Node] = {"p": Variable(sort_type("Peer"), "p")}
    guards: tuple[Guard, ...] = ()
    if network.honest:
        guards = (Guard(network.honest, _parse(names, scope, network.honest, places, "Crash")),)
    lost = [c for c in cells.values() if c.kept == "memory" and c.index[:1] == ("Peer",)]
    updates = tuple(_forgotten(names, cell, scope["p"]) for cell in lost)
    return Action("Crash", {"p": "Peer"}, guards, updates, False, "crash")


def _forgotten(names: Names, cell: Cell, peer: Node) -> Update:
    """Return what a crash of a peer makes of a cell: its first value at every other index."""
    if cell.first == CHOSEN:
        raise SpecError(
            f"cell {cell.name}: a crash brings back the first value, which is {CHOSEN!r}: keep the"
            " cell on disk, or give it a value"
        )
    others = {FIRST_INDEX(k): sort for k, sort in enumerate(cell.index) if k}
    index = (peer, *(Variable(sort_type(sort), name) for name, sort in others.items()))
    value = bind(first_value(names, cell), {FIRST_INDEX(0): peer})
    return Update(cell.name, index, value, others)


def _property(prop: Property, names: Names, places: Places) -> Checked:
    if prop.kind not in KINDS:
        raise SpecError(f"property {prop.name}: kind {prop.kind!r} is none of {', '.join(KINDS)}")
    text = _of_correct(prop.text) if prop.of_correct and "faulty" in names.cells else prop.text
    if prop.kind == "step":
        text = later_text(prop.name, text)
        return Checked(prop, _parse(with_later(names), {}, text, places, prop.name))
    temporal = prop.kind == "liveness"
    return Checked(prop, _parse(names, {}, text, places, prop.name, temporal=temporal))


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


def _parse(
    names: Names, scope: Mapping[str, Node], text: str, places: Places, where: str,
    *, temporal: bool = False,
) -> Node:
    try:
        return places.close(Parser(names, scope, temporal=temporal).parse(text))
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None
