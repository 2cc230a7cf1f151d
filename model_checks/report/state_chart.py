"""A chart of one table: a lane for each state, an arrow for each pair of states, its events on it.

Lanes and arrows never cross a label, however many rows a table has. States stand in the order in
which rows first lead to them.
"""

from __future__ import annotations

from model_checks.report.markup import Html, anchor, element
from spec.language.assembly import Machine, Rule
from spec.language.shape import everywhere

LANE = 146
BOX = 134
LINE = 15
TOP = 46
MARGIN = 12


def row_anchor(rule: Rule) -> str:
    """Return the id of the row that a rule comes from."""
    return anchor("row", rule.table, str(rule.number))


def states_in_order(machine: Machine) -> list[str]:
    """Return the states, those that fewer rows lead to first; unreachable ones come last."""
    order = [machine.first]
    for state in order:
        for rule in machine.rules:
            if rule.source == state and rule.target not in order:
                order.append(rule.target)
    return order + [state for state in machine.states if state not in order]


def chart(machine: Machine) -> Html:
    """Return the chart as an inline SVG."""
    states = states_in_order(machine)
    at = {state: MARGIN + LANE * number + BOX // 2 for number, state in enumerate(states)}
    skipped = everywhere(machine)
    arrows: dict[tuple[str, str], dict[str, list[Rule]]] = {}
    for source in states:
        for rule in machine.rules:
            if rule.source == source and rule.event not in skipped:
                events = arrows.setdefault((source, rule.target), {})
                events.setdefault(rule.event, []).append(rule)
    y, drawn = TOP, []
    for (source, target), events in arrows.items():
        y += LINE * len(events) + 8
        drawn.append(_arrow(at[source], at[target], y, list(events.values())))
    height, width = y + 16, MARGIN * 2 + LANE * (len(states) - 1) + BOX + LANE // 2
    lanes = [_lane(at[state], state, height, state == machine.first) for state in states]
    return element(
        "svg", *lanes, *drawn, width=width, height=height, viewBox=f"0 0 {width} {height}",
        role="group", aria_label=f"the states of {machine.table.name}",
    )


def _lane(x: int, state: str, height: int, first: bool) -> Html:
    return element(
        "g",
        element("line", x1=x, y1=34, x2=x, y2=height, class_="lane"),
        element(
            "rect", x=x - BOX // 2, y=6, width=BOX, height=28, rx=6,
            class_="box first" if first else "box",
        ),
        element("text", state, x=x, y=24, text_anchor="middle", class_="head"),
    )


def _arrow(start: int, end: int, y: int, events: list[list[Rule]]) -> Html:
    """Return an arrow at height ``y`` with its events above it; a loop goes out and comes back."""
    if start == end:
        path, tip, middle = f"M{start} {y - 8} h26 v8 h-26", start, start + 34
        labels, placed, back = _labels(events, middle, y - 1, "start"), 1, True
    else:
        sign = 1 if end > start else -1
        path, tip, middle = f"M{start} {y} H{end}", end, start + sign * LANE // 2
        labels, placed, back = _labels(events, middle, y - 5, "middle"), sign, False
    away = 8 if back else -8 * placed
    points = f"{tip},{y} {tip + away},{y - 4} {tip + away},{y + 4}"
    return element(
        "g", element("path", d=path, class_="arrow"),
        element("polygon", points=points, class_="tip"), *labels,
    )


def _labels(events: list[list[Rule]], x: int, bottom: int, side: str) -> list[Html]:
    """Return the names of the events, each a link to its first row; the title tells all of them."""
    written = []
    for number, rules in enumerate(reversed(events)):
        text = element("text", rules[0].event, x=x, y=bottom - LINE * number, text_anchor=side)
        title = element("title", "; ".join(f"row {rule.number}: {rule.row.why}" for rule in rules))
        written.append(element("a", title, text, href=f"#{row_anchor(rules[0])}"))
    return written
