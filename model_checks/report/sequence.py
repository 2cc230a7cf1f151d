"""A counterexample as a sequence diagram: a lane for each peer, a box for each step.

Which lane a step belongs to, which row it is, and what its guard asks other peers for, is read
from the network that the counterexample was found in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from attrs import frozen

from model_checks.cases import Case
from model_checks.models import CASES
from model_checks.report.markup import Html, anchor, element
from model_checks.report.results import Run
from model_checks.report.state_chart import row_anchor
from model_checks.system import Action, System, close
from model_checks.traces import WORLD, actor, lane_sort, rule_of
from spec.language.assembly import children
from spec.language.ir import And, Choose, Implies, Node, Not, Or, Quantified, Read, Variable
from spec.protocol import PROTOCOL

LEFT = 132
LANE = 180
BOX = 152
BOX_HEIGHT = 34
STEP = 46
TOP = 44
_STEP = re.compile(r"([\w.#]+)\((.*)\)")


@frozen
class Occurrence:
    """One step of a trace: the action, its parameters as written, and its lane."""

    number: int
    action: Action
    values: Mapping[str, str]
    lane: str
    own: str
    """The parameter that the lane tells, or "" when the world acts."""

    @property
    def shown(self) -> str:
        """The parameters that the lane does not tell."""
        return ", ".join(f"{k}={v}" for k, v in self.values.items() if k != self.own)


@cache
def searched(model: str) -> Case | None:
    """Return the case of a search by its name."""
    return next((case for case in CASES if case.name == model), None)


@cache
def system_of(model: str) -> System | None:
    """Return the system that a search of this name explored."""
    case = searched(model)
    return close(case.network) if case is not None else None


def occurrences(system: System, steps: Sequence[str]) -> list[Occurrence]:
    """Return the steps of a trace, each with its action; steps that it does not know are left out.

    Steps are written as :class:`model_checks.engines.oracle.Step` writes them.
    """
    actions = {action.name: action for action in system.actions}
    found, sort = [], lane_sort(system)
    for number, text in enumerate(steps, start=1):
        match = _STEP.fullmatch(text)
        if match is None or match[1] not in actions:
            continue
        pairs = (part.partition("=") for part in match[2].split(",") if part.strip())
        values = {name.strip(): value.strip() for name, _, value in pairs}
        action = actions[match[1]]
        own = actor(action, sort)
        lane = f"peer {values[own]}" if own in values else WORLD
        found.append(Occurrence(number, action, values, lane, own))
    return found


def by_liar(action: Action, own: str) -> bool:
    """Whether a move is for liars only: its guard asks that the peer ``own`` who acts is faulty."""
    return any(
        read.cell == "faulty" and [getattr(i, "name", "") for i in read.index] == [own]
        for guard in action.guards for read in _asked(guard.formula)
    )


def seen_by(found: Sequence[Occurrence]) -> Iterator[tuple[Occurrence, Occurrence]]:
    """Yield pairs of steps of two peers: the later one's guard asks for what the earlier one wrote.

    Each peer asks once. Steps that speak of different events, attempts or digests do not count.
    """
    told: set[tuple[int, str]] = set()
    for later in found:
        for earlier in found[: found.index(later)]:
            key = (earlier.number, later.lane)
            if WORLD in (earlier.lane, later.lane) or earlier.lane == later.lane or key in told:
                continue
            if _same_subject(earlier, later) and _asks_for(later, earlier):
                told.add(key)
                yield earlier, later


def _same_subject(one: Occurrence, other: Occurrence) -> bool:
    def subject(step: Occurrence) -> dict[str, str]:
        peers = step.action.parameters.get(step.own, "")
        return {k: v for k, v in step.values.items() if step.action.parameters[k] != peers}

    mine, theirs = subject(one), subject(other)
    return all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())


def _asks_for(later: Occurrence, earlier: Occurrence) -> bool:
    reads = [read for guard in later.action.guards for read in _asked(guard.formula)]
    for update in earlier.action.updates:
        wrote = [_value(node, earlier) for node in update.index]
        for read in reads:
            if read.cell == update.cell and all(
                a is None or b is None or a == b
                for a, b in zip(wrote, (_value(node, later) for node in read.index), strict=True)
            ):
                return True
    return False


def _value(node: Node | None, step: Occurrence) -> str | None:
    """Return the individual that an index stands for in a step; None: any, as far as is seen."""
    return step.values.get(node.name) if isinstance(node, Variable) else None


def _asked(node: Node) -> list[Read]:
    """Return what a guard cannot do without: none of an alternative, and nothing that is denied."""
    match node:
        case And(parts=parts):
            return [read for part in parts for read in _asked(part)]
        case Quantified(kind="all", body=body):
            return _asked(body)
        case Or() | Implies() | Not() | Choose():
            return []
    return _reads(node)


def _reads(node: Node) -> list[Read]:
    own = [node] if isinstance(node, Read) else []
    return own + [read for child in children(node) for read in _reads(child)]


def diagram(model: str, run: Run, title: str) -> Html:
    """Return the diagram of a counterexample as an inline SVG; a frame is around what is repeated.

    A plain list, if the network has not all of the steps any more: the results are of another day.
    """
    steps = (*run.steps, *run.loop)
    system, case = system_of(model), searched(model)
    found = [] if system is None else occurrences(system, steps)
    if system is None or case is None or len(found) < len(steps):
        return element("ol", *(element("li", element("code", step)) for step in steps))
    peers = case.sizes.get(lane_sort(system), 0)
    lanes = [f"peer {number}" for number in range(peers)]
    if any(step.lane == WORLD for step in found):
        lanes.append(WORLD)
    at = {lane: LEFT + LANE * number + BOX // 2 for number, lane in enumerate(lanes)}
    height = {step.number: TOP + STEP * place + 24 for place, step in enumerate(found)}
    whole, width = TOP + STEP * len(found) + 10, LEFT + LANE * len(lanes)
    names = _names(lanes, found, run.start)
    parts = [_lane(at[lane], names[lane], whole) for lane in lanes]
    if run.loop:
        top = height[len(run.steps) + 1] - STEP // 2
        parts.append(_frame(top, width - 2, STEP * len(run.loop)))
    for earlier, later in seen_by(found):
        parts.append(
            _arrow(at[earlier.lane], height[earlier.number], at[later.lane], height[later.number])
        )
    parts += [_box(step, at[step.lane], height[step.number], case) for step in found]
    return element(
        "svg", *parts, width=width, height=whole, viewBox=f"0 0 {width} {whole}", role="group",
        aria_label=title,
    )


def _names(
    lanes: Sequence[str], found: Sequence[Occurrence], start: Sequence[str]
) -> dict[str, str]:
    """Return what to write above each lane: who lies, and who is faulty from the start."""
    liars = {step.lane for step in found if by_liar(step.action, step.own)}
    names = {lane: f"{lane} (liar)" if lane in liars else lane for lane in lanes}
    for number, lane in enumerate(lanes):
        if f"faulty[{number}]" in start and lane not in liars:
            names[lane] = f"{lane} (faulty)"
    return names


def _lane(x: int, lane: str, height: int) -> Html:
    return element(
        "g",
        element("line", x1=x, y1=30, x2=x, y2=height, class_="lane"),
        element("text", lane, x=x, y=20, text_anchor="middle", class_="head"),
    )


def _frame(top: int, width: int, height: int) -> Html:
    return element("rect", x=1, y=top, width=width, height=height, rx=6, class_="loop")


def _arrow(start: int, top: int, end: int, bottom: int) -> Html:
    """Return an arrow from the side of a box to the side of a later one."""
    sign = 1 if end > start else -1
    x1, x2, y2 = start + sign * BOX // 2, end - sign * BOX // 2, bottom - 6
    tip = f"{x2},{y2} {x2 - 7 * sign},{y2 - 6} {x2 - 8 * sign},{y2 + 1}"
    return element(
        "g",
        element("line", x1=x1, y1=top + 6, x2=x2, y2=y2, class_="seen"),
        element("polygon", points=tip, class_="seen-tip"),
    )


def _box(step: Occurrence, x: int, y: int, case: Case) -> Html:
    rule = rule_of(step.action, PROTOCOL.machines)
    if rule is not None:
        where, target, why = f"{rule.table} row {rule.number}", row_anchor(rule), rule.row.why
        kind = "box"
    elif step.action.origin == "crash":
        where, target, why = "a crash", "crash", "what is kept in memory is gone"
        kind = "box world"
    else:
        where, target = "a move", anchor("move", case.network.name, step.action.name)
        why = next((m.why for m in case.network.moves if m.event.startswith(step.action.name)), "")
        kind = "box liar" if by_liar(step.action, step.own) else "box world"
    name = element("text", step.action.name, x=x, y=y - 2, text_anchor="middle")
    values = element("text", step.shown, x=x, y=y + 11, text_anchor="middle", class_="small")
    label = element("text", f"{step.number}. {where}", x=4, y=y + 4)
    return element(
        "g",
        element("rect", x=x - BOX // 2, y=y - 17, width=BOX, height=BOX_HEIGHT, rx=4, class_=kind),
        element("a", element("title", why), label, name, href=f"#{target}"),
        values,
    )
