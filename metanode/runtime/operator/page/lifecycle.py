"""The picture of the lifecycle, as SVG: made from the table, so that it cannot tell another story.

The states stand below each other in the order in which the table declares them. What leads on to
the next one is an arrow between the two, what skips some goes down at the right, and what leads
back goes up at the left; each arrow has a lane of its own. The page lights the state of a node.
"""

from __future__ import annotations

from html import escape
from typing import Final

from attrs import frozen

from spec.language.assembly import Machine
from spec.language.shape import arrows, everywhere

WIDTH: Final = 172
HEIGHT: Final = 32
STEP: Final = 62
LANE: Final = 15
MARGIN: Final = 10


@frozen
class _Arrow:
    source: str
    target: str
    events: list[str]


def picture(machine: Machine) -> str:
    """Return the SVG of a table; states have the id ``state-NAME``, arrows name their source."""
    place = {state: number for number, state in enumerate(machine.states)}
    found = [_Arrow(*ends, events) for ends, events in arrows(machine).items()]
    next_ = [a for a in found if place[a.target] - place[a.source] == 1]
    down = sorted(
        (a for a in found if place[a.target] - place[a.source] > 1),
        key=lambda a: (place[a.target] - place[a.source], place[a.source]),
    )
    up = sorted(
        (a for a in found if place[a.target] < place[a.source]),
        key=lambda a: (place[a.source] - place[a.target], place[a.source]),
    )
    loops = [a for a in found if a.source == a.target]
    left = MARGIN + LANE * (len(up) + 1)
    right = left + WIDTH
    width, height = right + LANE * (len(down) + 1) + MARGIN, STEP * len(place) - STEP + HEIGHT + 8
    top = {state: 4 + STEP * number for state, number in place.items()}
    ports = _Ports(top)
    drawn = [
        *(_straight(a, left + WIDTH // 3, top) for a in next_),
        *(_lane(a, right, right + LANE * (n + 1), ports, "right") for n, a in enumerate(down)),
        *(_lane(a, left, left - LANE * (n + 1), ports, "left") for n, a in enumerate(up)),
    ]
    boxes = [
        _box(state, left, top[state], [e for a in loops if a.source == state for e in a.events])
        for state in machine.states
    ]
    return (
        f'<svg id="lifecycle" role="img" aria-labelledby="lifecycle-now" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">{"".join((*drawn, *boxes))}</svg>'
    )


def notes(machine: Machine) -> str:
    """Return in a sentence what the picture does not draw."""
    told = f"In every state: {', '.join(everywhere(machine))}."
    if machine.cell.kept == "memory":
        told += f" A crash leads to {machine.first} from any state."
    return escape(told)


class _Ports:
    """Places at the sides of the boxes, so that no two arrows end at one point."""

    def __init__(self, top: dict[str, int]) -> None:
        self.top = top
        self.used: dict[tuple[str, str], int] = {}

    def at(self, state: str, side: str) -> int:
        """Return the height of the next free place."""
        number = self.used.get((state, side), 0)
        self.used[state, side] = number + 1
        return self.top[state] + 5 + 6 * number % (HEIGHT - 4)


def _arrow(arrow: _Arrow, path: str, points: str, label: str = "") -> str:
    title = escape(f"{' / '.join(arrow.events)}: {arrow.source} to {arrow.target}")
    return (
        f'<g class="arrow" data-from="{escape(arrow.source)}" data-to="{escape(arrow.target)}" '
        f'data-events="{escape(" / ".join(arrow.events))}"><title>{title}</title>'
        f'<path d="{path}"/><polygon points="{points}"/>{label}</g>'
    )


def _straight(arrow: _Arrow, x: int, top: dict[str, int]) -> str:
    start, end = top[arrow.source] + HEIGHT, top[arrow.target]
    events, middle = escape(" / ".join(arrow.events)), (start + end) // 2
    label = f'<text x="{x + 8}" y="{middle + 4}">{events}</text>'
    return _arrow(
        arrow, f"M{x} {start}V{end}", f"{x},{end} {x - 4},{end - 7} {x + 4},{end - 7}", label
    )


def _lane(arrow: _Arrow, side: int, lane: int, ports: _Ports, name: str) -> str:
    start, end = ports.at(arrow.source, name), ports.at(arrow.target, name)
    away = 7 if lane > side else -7
    points = f"{side},{end} {side + away},{end - 4} {side + away},{end + 4}"
    return _arrow(arrow, f"M{side} {start}H{lane}V{end}H{side}", points)


def _box(state: str, x: int, y: int, loops: list[str]) -> str:
    stays = f"<title>stays: {escape(' / '.join(loops))}</title>" if loops else ""
    return (
        f'<g class="state" id="state-{escape(state)}" data-loops="{escape(" / ".join(loops))}">'
        f'{stays}<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        f'<text class="name" x="{x + 12}" y="{y + 21}">{escape(state)}</text>'
        f'<text class="count" x="{x + WIDTH - 12}" y="{y + 21}" text-anchor="end"></text></g>'
    )
