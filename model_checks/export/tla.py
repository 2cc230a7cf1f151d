"""A network as a TLA+ module, for every number of individuals and every T: TLC and Apalache take it
from there, past one machine and past what the engines here reach.

Cells become variables, rows and moves become actions, definitions are expanded; beside each guard
stands its text in the tables. An ordered sort is a set of numbers, ``None`` lies below all of them.
``always_can`` is no formula of TLA+: such properties are named in a comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from model_checks.export import apalache
from model_checks.export.tla_names import none_of, renamed
from model_checks.substitution import bind, rebuild
from model_checks.system import LIVENESS, TRUE, Action, Checked, System, Update
from model_checks.two_states import AFTER
from spec.language import ir
from spec.language.assembly import children
from spec.language.cells import FIRST_INDEX, bounds
from spec.language.declarations import Cell, Enum, Opt, Range, parse_signature

INDENT = "  "
WIDTH = 98


def module(
    system: System, *, typed: bool = False, sizes: Mapping[str, int] | None = None,
    constants: Mapping[str, int] | None = None,
) -> str:
    """Return the module of a network, named like it.

    With ``typed`` it has the types that Apalache asks for; then, if all numbers are given, it ends
    with an operator that fixes the constants.
    """
    system = renamed(system)
    fixed: list[str] = []
    if typed:
        sorts, numbers = sorts_of(system), constants_of(system)
        nones = {node.type[1] for node in _nodes(system) if isinstance(node, ir.Nothing)}
        nones |= {cell.type.sort for cell in system.cells.values() if isinstance(cell.type, Opt)}
        declared = list(apalache.declarations(system, sorts, numbers, nones))
        system = apalache.with_nones(system)
        known, others = sizes or {}, constants or {}
        if (sorts or numbers) and {*sorts} <= known.keys() and {*numbers} <= others.keys():
            fixed = list(apalache.sizes_fixed(
                system, {name: known[name] for name in sorts},
                {name: others[name] for name in numbers},
            ))
    else:
        declared = _declared(system)
    lines = [
        f"---- MODULE {system.name} ----",
        f"\\* {system.network.doc}",
        "\\* Generated from the tables: change those, not this.",
        "EXTENDS Integers, FiniteSets",
        "",
        *declared,
        "TypeOK ==",
        *_conjuncts(
            f"{name} \\in {_domain(system, cell, typed=typed)}"
            for name, cell in system.cells.items()
        ),
        "",
        "Init ==",
        *_conjuncts(_first(system, typed=typed)),
        *_conjuncts(map(formula, (*system.assumptions, *system.initially))),
        "",
    ]
    for action in system.actions:
        lines += [*_action(system, action, typed=typed), ""]
    lines += ["Next ==", *(f"{INDENT}\\/ {_chosen(each)}" for each in system.actions)]
    lines += ["", "Spec == Init /\\ [][Next]_vars", ""]
    fair = [each for each in system.actions if each.fair]
    if fair:
        lines += ["FairSpec ==", f"{INDENT}/\\ Spec"]
        lines += [f"{INDENT}/\\ {_fairness(each)}" for each in fair] + [""]
    for checked in system.properties:
        if checked.property.kind != "range":  # TypeOK says it
            lines += [*_property(checked), ""]
    lines += [*fixed, "====", ""]
    return "\n".join(apalache.disarmed(lines) if typed else lines)


def _declared(system: System) -> list[str]:
    return [
        f"CONSTANTS {', '.join((*sorts_of(system), *constants_of(system), 'None'))}",
        "VARIABLES",
        *_listed(
            f"{name}{',' if number < len(system.cells) else ''} \\* {cell.kept}: {cell.doc}"
            for number, (name, cell) in enumerate(system.cells.items(), start=1)
        ),
        "",
        f"vars == <<{', '.join(system.cells)}>>",
        "",
        "\\* none lies below every individual of an ordered sort",
        "Rank(x) == IF x = None THEN -1 ELSE x",
        "",
    ]


def configuration(system: System, sizes: Mapping[str, int], constants: Mapping[str, int]) -> str:
    """Return TLC's configuration of a module for individuals and constants of these numbers."""
    spec = "FairSpec" if any(action.fair for action in system.actions) else "Spec"
    lines = [f"SPECIFICATION {spec}", "CHECK_DEADLOCK FALSE", "CONSTANTS", f"{INDENT}None = None"]
    for sort in sorts_of(system):
        ordered = system.names.sorts[sort].ordered
        members = (str(n) if ordered else f"{sort.lower()}{n}" for n in range(sizes[sort]))
        lines.append(f"{INDENT}{sort} = {{{', '.join(members)}}}")
    lines += [f"{INDENT}{name} = {constants[name]}" for name in constants_of(system)]
    lines += ["INVARIANTS", f"{INDENT}TypeOK"]
    lines += _listed(_named(system, "invariant", "lemma", "deadlock"))
    runs = list(_named(system, "step", *LIVENESS))
    if runs:
        lines += ["PROPERTIES", *_listed(runs)]
    return "\n".join((*lines, ""))


def sorts_of(system: System) -> tuple[str, ...]:
    """Return the sorts that a module ranges over, those of quantifiers included."""
    used = set(system.sorts)
    for node in _nodes(system):
        used |= {node.sort} if isinstance(node, ir.Quantified) else set()
    used |= {cell.type.sort for cell in system.cells.values() if isinstance(cell.type, Opt)}
    return tuple(name for name in system.names.sorts if name in used)


def constants_of(system: System) -> tuple[str, ...]:
    """Return the constants that a module needs."""
    used = {node.name for node in _nodes(system) if isinstance(node, ir.Constant)}
    return tuple(name for name in system.names.constants if name in used)


def formula(node: ir.Node) -> str:
    """Return a term or a formula."""
    match node:
        case ir.Literal(value=bool() as truth):
            return "TRUE" if truth else "FALSE"
        case ir.Literal(value=str() as name):
            return f'"{name}"'
        case ir.Literal(value=value):
            return f"({value})" if str(value).startswith("-") else str(value)
        case ir.Nothing():
            return "None"
        case ir.Constant(name=name):
            return name
        case ir.Variable(name=name):
            return _variable(name)
        case ir.Read():
            return _read(node)
        case ir.Not(body=ir.Equal(left=left, right=right)):
            return f"{_inner(left)} # {_inner(right)}"
        case ir.Not(body=body):
            return f"~{_inner(body)}"
        case ir.And(parts=parts):
            return " /\\ ".join(_inner(part) for part in parts)
        case ir.Or(parts=parts):
            return " \\/ ".join(_inner(part) for part in parts)
        case ir.Implies(left=left, right=right):
            return f"{_inner(left)} => {_inner(right)}"
        case ir.LeadsTo(left=left, right=right):
            return f"{_inner(left)} ~> {_inner(right)}"
        case ir.Equal(left=left, right=right):
            return f"{_inner(left)} = {_inner(right)}"
        case ir.Compare(operator=operator, left=left, right=right):
            return f"{_rank(left)} {'=<' if operator == '<=' else operator} {_rank(right)}"
        case ir.Choose(test=test, then=then, otherwise=otherwise):
            return f"IF {formula(test)} THEN {formula(then)} ELSE {formula(otherwise)}"
        case ir.Arithmetic(operator=operator, left=left, right=right):
            return f"{_inner(left)} {operator} {_inner(right)}"
        case ir.Quantified(kind="count", variable=variable, sort=sort, body=body):
            return f"Cardinality({{{_variable(variable)} \\in {sort} : {formula(body)}}})"
        case ir.Quantified():
            over, body = _binder(node)
            return f"{over} : {formula(body)}"
    raise TypeError(f"no TLA+ for {type(node).__name__}")


def simplified(node: ir.Node) -> ir.Node:
    """Return a formula without the parts whose truth a network's stand-ins have settled."""
    node = rebuild(node, simplified)
    match node:
        case ir.Not(body=ir.Literal(value=bool() as truth)):
            return ir.Literal(ir.BOOL, not truth)
        case ir.Equal(left=ir.Literal(value=left), right=ir.Literal(value=right)):
            return ir.Literal(ir.BOOL, left == right)
        case ir.Implies(left=ir.Literal(value=left), right=right):
            return right if left else _TRUE
        case ir.Implies(right=ir.Literal(value=True)):
            return _TRUE
        case ir.And(parts=parts):
            return _joined(ir.And, parts, _TRUE, _FALSE)
        case ir.Or(parts=parts):
            return _joined(ir.Or, parts, _FALSE, _TRUE)
        case ir.Quantified(kind="all", body=ir.Literal(value=True)):
            return _TRUE
        case ir.Quantified(kind="any", body=ir.Literal(value=False)):
            return _FALSE
    return node


def _joined(
    kind: type[ir.And] | type[ir.Or], parts: Iterable[ir.Node], neutral: ir.Node, winner: ir.Node
) -> ir.Node:
    flat: list[ir.Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else (part,)
    left = [part for part in flat if part != neutral]
    if winner in left:
        return winner
    return kind(ir.BOOL, tuple(left)) if len(left) > 1 else (*left, neutral)[0]


def laid_out(node: ir.Node, column: int) -> list[str]:
    """Return a formula as lines that begin at ``column``; long lists become bullets."""
    flat = formula(node)
    if column + len(flat) <= WIDTH:
        return [flat]
    match node:
        case ir.And(parts=parts) | ir.Or(parts=parts):
            bullet = "/\\ " if isinstance(node, ir.And) else "\\/ "
            return [line for p in parts for line in _hung(bullet, laid_out(p, column + 3))]
        case ir.Quantified(kind="all" | "any"):
            over, body = _binder(node)
            return [f"{over} :", *_hung(INDENT, laid_out(body, column + 2), INDENT)]
        case ir.Not(body=body):
            return _closed(_hung("~(", laid_out(body, column + 2)))
        case ir.Implies(left=left, right=right):
            first = _closed(_hung("(", laid_out(left, column + 1)))
            return [*first, *_closed(_hung("=> (", laid_out(right, column + 4)))]
    return [flat]


def _hung(head: str, lines: Sequence[str], hang: str = "") -> list[str]:
    return [head + lines[0], *((hang or " " * len(head)) + line for line in lines[1:])]


def _closed(lines: Sequence[str]) -> list[str]:
    return [*lines[:-1], lines[-1] + ")"]


def _binder(node: ir.Quantified) -> tuple[str, ir.Node]:
    """Return a quantifier together with those of its kind right inside it, and their body."""
    bound: list[str] = []
    body: ir.Node = node
    while isinstance(body, ir.Quantified) and body.kind == node.kind:
        bound.append(f"{_variable(body.variable)} \\in {body.sort}")
        body = body.body
    return f"\\{'A' if node.kind == 'all' else 'E'} {', '.join(bound)}", body


_TRUE, _FALSE = ir.Literal(ir.BOOL, True), ir.Literal(ir.BOOL, False)
_BARE = (ir.Literal, ir.Nothing, ir.Constant, ir.Variable, ir.Read)


def _inner(node: ir.Node) -> str:
    """Return a part of a formula, in parentheses unless it cannot be misread."""
    text = formula(node)
    bare = isinstance(node, _BARE) or (isinstance(node, ir.Quantified) and node.kind == "count")
    return text if bare else f"({text})"


def _rank(node: ir.Node) -> str:
    return f"Rank({formula(node)})" if node.type[0] == "opt" else _inner(node)


def _variable(name: str) -> str:
    # A bound variable carries the depth of its binder behind a quote, which is a prime in TLA+.
    return name.replace("'", "_")


def _read(node: ir.Read) -> str:
    name = node.cell.removeprefix(AFTER)
    prime = "'" if node.cell.startswith(AFTER) else ""
    inside = f"[{', '.join(formula(term) for term in node.index)}]" if node.index else ""
    return f"{name}{prime}{inside}"


def _domain(system: System, cell: Cell, *, typed: bool) -> str:
    if isinstance(cell.type, Range):
        low, high = bounds(system.names, cell)
        values = f"({_inner(low)} .. {_inner(high)})"
    elif isinstance(cell.type, Enum):
        values = "{" + ", ".join(f'"{value}"' for value in cell.type.values) + "}"
    elif cell.type == "bool":
        values = "BOOLEAN"
    elif isinstance(cell.type, Opt):
        none = none_of(cell.type.sort) if typed else "None"
        values = f"({cell.type.sort} \\union {{{none}}})"
    over = " \\X ".join(cell.index)
    return f"[{over} -> {values}]" if cell.index else values


def _binders(cell: Cell) -> str:
    return ", ".join(f"i{number} \\in {sort}" for number, sort in enumerate(cell.index))


def _place(cell: Cell, number: int) -> ir.Node:
    """Return the variable that ``_binders`` gives to an index."""
    return ir.Variable(ir.sort_type(cell.index[number]), f"i{number}")


def _first(system: System, *, typed: bool) -> list[str]:
    """Return where each cell begins; rigid ones anywhere, within the assumptions."""
    found = []
    for name, cell in system.cells.items():
        if name not in system.first:
            found.append(f"{name} \\in {_domain(system, cell, typed=typed)}")
            continue
        value = formula(bind(system.first[name], {FIRST_INDEX(k): _place(cell, k)
                                                  for k in range(len(cell.index))}))
        found.append(f"{name} = " + (f"[{_binders(cell)} |-> {value}]" if cell.index else value))
    return found


def _action(system: System, action: Action, *, typed: bool) -> list[str]:
    lines = [f"\\* {_origin(system, action)}"]
    if typed:
        lines.append(apalache.annotation(apalache.type_of_action(system, action)))
    lines.append(f"{_call(action)} ==")
    for guard in action.guards:
        meant = simplified(guard.formula)
        if meant == _TRUE:
            continue
        bullet = _hung(f"{INDENT}/\\ ", laid_out(meant, 5))
        if any(isinstance(each, ir.Or | ir.Quantified) for each in _parts(meant)):
            lines.append(f"{INDENT}\\* {' '.join(guard.text.split())}")
        lines += bullet
    written: dict[str, list[Update]] = {}
    for update in action.updates:
        written.setdefault(update.cell, []).append(update)
    lines += [
        f"{INDENT}/\\ {name}' = {_after(system.cells[name], updates)}"
        for name, updates in written.items()
    ]
    same = [name for name in system.cells if name not in written]
    if same:
        lines.append(f"{INDENT}/\\ UNCHANGED <<{', '.join(same)}>>")
    return lines


def _origin(system: System, action: Action) -> str:
    """Return the row's name, or why a move is there."""
    for move in system.network.moves:
        if parse_signature(move.event)[0] == action.name.partition("#")[0]:
            return f"a move of the adversary or the world: {move.why}".rstrip(": ")
    return action.origin


def _after(cell: Cell, updates: Sequence[Update]) -> str:
    """Return a cell after updates whose values are read before all of them."""
    if not cell.index:
        return formula(updates[-1].value)
    if not any(update.variables for update in updates):
        changes = ", ".join(f"![{_terms(u)}] = {formula(u.value)}" for u in updates)
        return f"[{cell.name} EXCEPT {changes}]"
    places = [_place(cell, number) for number in range(len(cell.index))]
    value = f"{cell.name}[{', '.join(map(formula, places))}]"
    for update in updates:
        inner: dict[str, ir.Node] = {}
        fixed = []
        for place, term in zip(places, update.index, strict=True):
            if isinstance(term, ir.Variable) and term.name in update.variables.keys() - inner:
                inner[term.name] = place
            else:
                fixed.append(f"{formula(place)} = {_inner(bind(term, inner))}")
        if update.where != TRUE:
            fixed.append(_inner(simplified(bind(update.where, inner))))
        new = formula(bind(update.value, inner))
        here = " /\\ ".join(fixed)
        value = f"IF {here} THEN {new} ELSE {value}" if fixed else new
    return f"[{_binders(cell)} |-> {value}]"


def _terms(update: Update) -> str:
    return ", ".join(formula(term) for term in update.index)


def _call(action: Action) -> str:
    name = action.name.replace(".", "_").replace("#", "_")
    return f"{name}({', '.join(action.parameters)})" if action.parameters else name


def _chosen(action: Action) -> str:
    bound = ", ".join(f"{name} \\in {sort}" for name, sort in action.parameters.items())
    return f"\\E {bound} : {_call(action)}" if bound else _call(action)


def _fairness(action: Action) -> str:
    """Return that an action is fair, for each choice of the parameters that it does not leave open.
    """
    open_to = [f"{name} \\in {action.parameters[name]}" for name in action.some]
    called = f"\\E {', '.join(open_to)} : {_call(action)}" if open_to else _call(action)
    each = {n: sort for n, sort in action.parameters.items() if n not in action.some}
    bound = ", ".join(f"{name} \\in {sort}" for name, sort in each.items())
    kind = f"{'SF' if action.strong else 'WF'}_vars({called})"
    return f"\\A {bound} : {kind}" if bound else kind


def _property(checked: Checked) -> list[str]:
    said = checked.property
    comment = f"\\* {said.kind}{': ' + said.doc if said.doc else ''}"
    meant = simplified(checked.formula)
    lines = laid_out(meant, 4)
    match said.kind:
        case "reachable":
            return [comment, f"Never{said.name} ==", *_listed(_closed(_hung("~(", lines)))]
        case "step":
            whole = _hung("[][", lines)
            return [comment, f"{said.name} ==", *_listed([*whole[:-1], whole[-1] + "]_vars"])]
        case "always_can":
            text = " ".join(said.text.split())
            return [comment, f"\\* {said.name}, which is no formula of TLA+: {text}"]
        case "deadlock":
            allowed = _closed(_hung("\\/ (", laid_out(meant, 6)))
            return [comment, f"{said.name} ==", *_listed(["\\/ ENABLED Next", *allowed])]
        case "infinitely_often" | "eventually_always":
            sign = "[]<>(" if said.kind == "infinitely_often" else "<>[]("
            return [comment, f"{said.name} ==", *_listed(_closed(_hung(sign, lines)))]
        case "liveness" if isinstance(checked.formula, ir.Implies):
            left, right = simplified(checked.formula.left), simplified(checked.formula.right)
            return [comment, f"{said.name} == ({formula(left)}) ~> ({formula(right)})"]
        case "liveness" if any(isinstance(each, ir.LeadsTo) for each in _parts(meant)):
            return [comment, f"{said.name} ==", *_listed(lines)]
        case "liveness":
            return [comment, f"{said.name} ==", *_listed(_closed(_hung("<>(", lines)))]
    return [comment, f"{said.name} ==", *_listed(lines)]


def _named(system: System, *kinds: str) -> list[str]:
    return [c.property.name for c in system.properties if c.property.kind in kinds]


def _listed(lines: Iterable[str]) -> list[str]:
    return [f"{INDENT}{line}" for line in lines]


def _conjuncts(parts: Iterable[str]) -> list[str]:
    return [f"{INDENT}/\\ {part}" for part in parts]


def _nodes(system: System) -> list[ir.Node]:
    """Return every term of a system, with its parts."""
    found: list[ir.Node] = [*system.first.values(), *system.assumptions, *system.initially]
    found += [simplified(checked.formula) for checked in system.properties]
    for action in system.actions:
        found += [simplified(guard.formula) for guard in action.guards]
        for update in action.updates:
            found += [update.value, update.where, *update.index]
    return [part for node in found for part in _parts(node)]


def _parts(node: ir.Node) -> Iterator[ir.Node]:
    """Yield a term and all that is in it."""
    yield node
    for child in children(node):
        yield from _parts(child)
