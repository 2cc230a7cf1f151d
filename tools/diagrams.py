"""State diagrams of the tables, in Mermaid, and the one that README.md shows.

``tools/gen`` writes the lifecycle diagram between its two markers in README.md; ``tools/gen
--check`` writes nothing and fails when the diagram there is not what the table says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from spec.language.assembly import Machine
from spec.language.shape import arrows, everywhere
from spec.protocol import PROTOCOL

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- generated: lifecycle -->"
END = "<!-- end -->"
LIFECYCLE = "peer"


class MarkersMissing(Exception):
    """A text has no place for the diagram."""


def mermaid(machine: Machine) -> str:
    """Return a table's state diagram.

    Events between the same two states share an arrow. What may happen in every state without
    leaving it is told in a note, and so is a crash, where the table's state is kept in memory.
    """
    common = everywhere(machine)
    lines = ["stateDiagram-v2", f"    [*] --> {machine.first}"]
    lines += [
        f"    {source} --> {target}: {' / '.join(events)}"
        for (source, target), events in arrows(machine).items()
    ]
    notes = [f"in every state: {', '.join(common)}"] if common else []
    if machine.cell.kept == "memory":
        notes.append(f"a crash, from any state: {machine.first}")
    if notes:
        lines += [f"    note right of {machine.first}", *(f"        {n}" for n in notes)]
        lines.append("    end note")
    return "\n".join(lines)


def with_diagram(text: str, diagram: str) -> str:
    """Return the text with the diagram between the markers; raises :class:`MarkersMissing`."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarkersMissing(f"there is no {BEGIN} … {END} to put the diagram between")
    return f"{before}{BEGIN}\n```mermaid\n{diagram}\n```\n{END}{after}"


def main(arguments: Sequence[str] | None = None, readme: Path = README) -> int:
    """Write or check the diagram; 0 written or current, 1 stale, 2 no place for it."""
    parser = argparse.ArgumentParser(prog="tools/gen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    check = bool(parser.parse_args(arguments).check)
    text = readme.read_text(encoding="utf-8")
    try:
        wanted = with_diagram(text, mermaid(PROTOCOL.machines[LIFECYCLE]))
    except MarkersMissing as missing:
        sys.stderr.write(f"{readme.name}: {missing}\n")
        return 2
    if text == wanted:
        sys.stdout.write(f"{readme.name}: the lifecycle diagram is current\n")
        return 0
    if check:
        sys.stderr.write(f"{readme.name}: the lifecycle diagram is stale; run tools/gen\n")
        return 1
    readme.write_text(wanted, encoding="utf-8")
    sys.stdout.write(f"{readme.name}: the lifecycle diagram was written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
