"""The diagrams say what the tables say, and the one in README.md is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec.language.declarations import Row
from spec.protocol import PROTOCOL
from tests.spec.support import build
from tools.diagrams import (
    BEGIN,
    END,
    LIFECYCLE,
    README,
    MarkersMissing,
    main,
    mermaid,
    with_diagram,
)


def test_a_diagram_has_every_arrow_and_no_other() -> None:
    """Catches an arrow that is lost, and events that happen everywhere drawn as loops."""
    machine = build(
        Row("red", "Go(p: Peer)", "green", why="to test"),
        Row("red", "Run(p: Peer)", "green", "rain", why="to test"),
        Row("red", "Go2(p: Peer)", "red", why="to test"),
        Row(("green", "dark"), "Stop(p: Peer)", "red", why="to test"),
        Row("any", "Ping(p: Peer)", "same", why="to test"),
    ).machines["lamp"]
    assert mermaid(machine) == "\n".join(
        [
            "stateDiagram-v2",
            "    [*] --> red",
            "    red --> green: Go / Run",
            "    red --> red: Go2",
            "    green --> red: Stop",
            "    dark --> red: Stop",
            "    note right of red",
            "        in every state: Ping",
            "        a crash, from any state: red",
            "    end note",
        ]
    )


def test_a_state_on_disk_survives_a_crash() -> None:
    """Catches a note about a crash where the table's cell is on disk."""
    assert "crash" not in mermaid(PROTOCOL.machines["event"])
    assert "a crash, from any state: Idle" in mermaid(PROTOCOL.machines[LIFECYCLE])


@pytest.mark.parametrize("machine", PROTOCOL.machines.values(), ids=lambda m: m.table.name)
def test_every_table_can_be_drawn(machine: object) -> None:
    """Catches a rule that the picture does not show."""
    picture = mermaid(machine)  # type: ignore[arg-type]  # the values are machines
    told = picture.replace(",", " ").replace(":", " ").split()
    for rule in machine.rules:  # type: ignore[attr-defined]  # the values are machines
        assert rule.event in told
        assert rule.source in told
        assert rule.target in told


def test_the_diagram_goes_between_the_markers() -> None:
    """Catches a writer that eats the text around its place."""
    text = f"# Title\n\n{BEGIN}\nold\n{END}\n\nMore.\n"
    written = with_diagram(text, "new")
    assert written == f"# Title\n\n{BEGIN}\n```mermaid\nnew\n```\n{END}\n\nMore.\n"
    assert with_diagram(written, "new") == written
    for broken in ("# Title\n", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"):
        with pytest.raises(MarkersMissing):
            with_diagram(broken, "new")


def test_writing_and_checking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a check that writes, a stale diagram that passes, and a missing place untold."""
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n")
    for arguments in ([], ["--check"]):
        assert main(arguments, readme) == 2
        assert f"README.md: there is no {BEGIN}" in capsys.readouterr().err
    assert readme.read_text() == "# Title\n"

    stale = f"# Title\n{BEGIN}\nold\n{END}\n"
    readme.write_text(stale)
    assert main(["--check"], readme) == 1
    assert "stale" in capsys.readouterr().err
    assert readme.read_text() == stale

    assert main([], readme) == 0
    assert mermaid(PROTOCOL.machines[LIFECYCLE]) in readme.read_text()
    assert main(["--check"], readme) == 0
    assert "current" in capsys.readouterr().out


def test_the_readme_shows_the_table_as_it_is() -> None:
    """Catches a table that was changed without `tools/gen`."""
    if BEGIN not in README.read_text(encoding="utf-8"):
        pytest.skip("README.md has no place for the diagram")
    assert main(["--check"]) == 0
