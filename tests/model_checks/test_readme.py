"""The guide of the model checks: its own example, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_checks import models
from model_checks.__main__ import main

GUIDE = Path(models.__file__).resolve().parent.parent / "README.md"
LINES = GUIDE.read_text(encoding="utf-8")
EXAMPLE, TABLE, LEMMAS = re.findall(r"```python\n(.*?)```", LINES, re.DOTALL)


def told(output: str) -> list[str]:
    """Return what a run says, without how long it took."""
    return [re.sub(r", \d+\.\d+ s$", "", line) for line in output.splitlines()]


def shown(command: str) -> list[list[str]]:
    """Return the output that the guide shows for a command, each time."""
    found = re.findall(rf"```\n\$ {re.escape(command)}\n(.*?)```", LINES, re.DOTALL)
    return [told(text) for text in found]


def test_the_example_gives_what_the_guide_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches an example, or an output, that is no longer the tool's."""
    file = tmp_path / "lock.py"
    file.write_text(EXAMPLE, encoding="utf-8")
    assert main(["check", str(file), "--sort", "Client=3"]) == 0
    assert [told(capsys.readouterr().out)] == shown(
        "python -m model_checks check lock.py --sort Client=3"
    )
    file.write_text(EXAMPLE.replace(', "holds[c]": "False"', ""), encoding="utf-8")
    assert main(["check", str(file), "--sort", "Client=2"]) == 1
    assert [told(capsys.readouterr().out)] == shown(
        "python -m model_checks check lock.py --sort Client=2"
    )


def test_the_proof_gives_what_the_guide_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a lemma of the guide that does not do, and an output that is no longer the tool's."""
    file, outputs = tmp_path / "lock.py", []
    for text, code in ((EXAMPLE, 1), (EXAMPLE + LEMMAS, 0)):
        file.write_text(text, encoding="utf-8")
        assert main(["check", str(file), "--prove"]) == code
        outputs.append(told(capsys.readouterr().out))
    # Which of the clients the small state names is the solver's choice.
    named = {"[0]": "[c]", "[1]": "[c]", "c=0": "c", "c=1": "c"}
    for found in (outputs, pages := shown("python -m model_checks check lock.py --prove")):
        for number, line in enumerate(found[0]):
            for old, new in named.items():
                line = line.replace(old, new)
            found[0][number] = line
    assert outputs == pages


@pytest.mark.parametrize(
    ("old", "new", "violated"),
    [
        ("", "", ""),
        ('fair="strong"', 'fair="weak"', "EachWorks (liveness)"),
        (', "tasks[s] < Most"', ",", "tasks in 0..Most (range)"),
        ('"tasks[s] < Most"', '"tasks[s] < 0"', "NeverStuck (deadlock)"),
    ],
)
def test_the_second_example_holds_or_not_as_the_guide_says(
    old: str, new: str, violated: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a guide whose example says something else than it explains."""
    assert old in TABLE
    file = tmp_path / "table.py"
    file.write_text(TABLE.replace(old, new), encoding="utf-8")
    code = main(["check", str(file)])
    lines = capsys.readouterr().out
    found = [line for line in lines.splitlines() if "VIOLATED" in line]
    assert code == bool(violated)
    assert any(line.startswith(violated) for line in found) == bool(violated)
    if not old:
        assert [told(lines)] == shown("python -m model_checks check table.py")


def test_a_wrong_size_is_refused_as_the_guide_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a size in the file whose mistake has no place, or another than the guide's."""
    monkeypatch.chdir(tmp_path)
    Path("table.py").write_text(TABLE.replace('"Seat": 3', '"Seat": 0'), encoding="utf-8")
    assert main(["check", "table.py"]) == 2
    message = capsys.readouterr().err.removeprefix("model_checks: ").strip()
    assert f"`{message}`" in LINES


def test_a_wrong_name_is_refused_as_the_guide_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a message without its place, or another place than the guide's."""
    monkeypatch.chdir(tmp_path)
    Path("lock.py").write_text(EXAMPLE.replace("any(holds[c]", "any(held[c]"), encoding="utf-8")
    assert main(["check", "lock.py", "--sort", "Client=2"]) == 2
    message = capsys.readouterr().err.removeprefix("model_checks: ").strip()
    assert f"`{message}`" in LINES


@pytest.mark.parametrize("kind", ["--tla", "--promela"])
def test_a_users_own_file_is_exported(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches an export that knows this project's networks only."""
    file = tmp_path / "lock.py"
    file.write_text(EXAMPLE, encoding="utf-8")
    assert main(["export", str(file), kind, "--sort", "Client=2"]) == 0
    assert "lock" in capsys.readouterr().out
    assert main(["export", str(tmp_path / "none.py"), kind]) == 2
    assert "no such file" in capsys.readouterr().err


def test_the_export_for_apalache_begins_as_the_guide_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches an output of the guide that is no longer the tool's."""
    file = tmp_path / "lock.py"
    file.write_text(EXAMPLE, encoding="utf-8")
    command = "export lock.py --tla --apalache --sort Client=2"
    assert main([*command.replace("lock.py", str(file)).split()]) == 0
    (page,) = shown(f"python -m model_checks {command} | head -24")
    assert capsys.readouterr().out.splitlines()[:24] == page


def test_every_module_and_command_of_the_guide_is_there() -> None:
    """Catches a guide that sends its reader to a file or a command that has gone."""
    files = r"`((?:models|engines|records)/\w*(?:\.py)?|\w+\.(?:py|toml))`"
    for name in re.findall(files, LINES):
        if name != "lock.py":
            assert (GUIDE.parent / name).exists(), name
    for name in re.findall(r"^\| `(\w+)` \|", LINES, re.MULTILINE):
        assert (GUIDE.parent / "engines" / f"{name}.py").exists(), name
