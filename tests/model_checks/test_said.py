"""What a user's file says of its own size: used where the command line is silent, and checked."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model_checks.__main__ import main
from model_checks.export import main as export
from tests.model_checks.test_user_spec import LAMP

SAYS = 'SIZES = {"Peer": 3}\nCONSTANTS = {"T": 2}\nSYMMETRY = ("Peer",)\n'
FIRST = len(LAMP.splitlines()) + 1
"""The line of what is added to the file."""

Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Check:
    """Return a function that checks the lamps and some lines more: exit code, output, message."""
    monkeypatch.chdir(tmp_path)

    def run(said: str, *arguments: str) -> tuple[int, str]:
        Path("lamp.py").write_text(LAMP + said, encoding="utf-8")
        code = main([arguments[0] if arguments else "check", "lamp.py", *arguments[1:]])
        told = capsys.readouterr()
        return code, told.out or told.err

    return run


def distinct(told: str) -> int:
    """Return the states that a check has counted."""
    return int(json.loads(told)["distinct"])


def test_the_command_line_wins_over_the_file(check: Check) -> None:
    """Catches a size in the file that is not used, or one that the command line cannot change."""
    code, told = check(SAYS, "check", "--json")
    assert (code, distinct(told)) == (0, 3), "three lamps, two may be lit: one state for an orbit"
    _, told = check(SAYS, "check", "--json", "--symmetry", "none")
    assert distinct(told) == 7
    _, told = check(SAYS, "check", "--json", "--symmetry", "none", "--const", "T=1")
    assert distinct(told) == 4
    _, told = check(SAYS, "check", "--json", "--symmetry", "none", "--sort", "Peer=2")
    assert distinct(told) == 4


def test_half_of_it_may_stand_in_the_file(check: Check) -> None:
    """Catches a constant that is asked for though it is given, and a message that hides the way."""
    assert check('SIZES = {"Peer": 2}\n', "check", "--const", "T=1")[0] == 0
    code, told = check('SIZES = {"Peer": 2}\n')
    assert (code, told) == (
        2, "model_checks: the model needs --const T=..., or CONSTANTS in the file\n"
    )


def test_exploring_and_exporting_go_by_the_file(
    check: Check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a command that asks for what the file says, or does not let it be changed."""
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    code, told = check(SAYS, "explore")
    assert (code, "Light(p=2)" in told) == (0, True)
    assert export(["lamp.py", "--configuration"]) == 0
    assert "  Peer = {peer0, peer1, peer2}\n  T = 2\n" in capsys.readouterr().out
    assert export(["lamp.py", "--promela", "--sort", "Peer=1"]) == 0
    assert "/* lamp, Peer = 1, T = 2:" in capsys.readouterr().out
    assert export(["lamp.py", "--promela", "--sort", "Pear=1"]) == 2
    assert capsys.readouterr().err.startswith("'Pear=1': there is no Pear; known: Peer,")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('SIZES = {"Pear": 3}', "0:10: SIZES: there is no sort 'Pear'; known: Peer,"),
        ('SIZES = {"Peer": 0}', "0:18: SIZES: Peer is 0: give a whole number, at least 1"),
        ('SIZES = {"Peer": "3"}', "0:18: SIZES: Peer is '3': give"),
        ('SIZES = {"Peer": True}', "0:18: SIZES: Peer is True: give"),
        ('SIZES = {"Peer": 2, "Peer": 3}', "0:21: SIZES: 'Peer' is given twice"),
        ('SIZES = {3: 2}', "0:10: SIZES: there is no sort 3; known: Peer,"),
        ('SIZES = ("Peer", 3)', "0:9: SIZES: write the numbers by name, such as SIZES = {"),
        ('SIZES = {\n    "Peer":\n        -1,\n}', "2:9: SIZES: Peer is -1: give"),
        ('SIZES = dict(Peer=0)', "0:9: SIZES: Peer is 0: give"),
        ('SIZES: dict[str, int] = {"Peer": 0}', "0:34: SIZES: Peer is 0: give"),
        ('CONSTANTS = {"Most": 3}', "0:14: CONSTANTS: there is no constant 'Most'; known: N, T"),
        ('CONSTANTS = {"T": -3}', "0:19: CONSTANTS: T is -3: give a whole number, at least 0"),
        ('SYMMETRY = ("Peer")', "0:13: SYMMETRY: write a tuple of sorts, such as ('Peer',)"),
        ('SYMMETRY = ("Pear",)', "0:13: SYMMETRY: there is no sort 'Pear'; known: Peer,"),
        ('SYMMETRY = ("Attempt",)', "0:13: SYMMETRY: Attempt is ordered"),
        ('SYMMETRY = ("Peer", "Peer")', "0:21: SYMMETRY: 'Peer' is given twice"),
        ('LEMMAS = Property("Dim", "True", "lemma")', "0:10: LEMMAS: write a tuple of properties"),
        ('LEMMAS = ("True",)', "0:11: LEMMAS: 'True' is no Property"),
        ('LEMMAS = (Property("Dim", "True"),)', "0:11: LEMMAS: Dim is of kind 'invariant'"),
        ("SIZES = 1 / 0", "0:9: division by zero"),
    ],
)
def test_a_mistake_in_it_is_one_line_with_its_place(
    check: Check, said: str, message: str
) -> None:
    """Catches a traceback, a place that is another one, and a size that is taken to be right."""
    code, told = check(f"{said}\n", "check", "--sort", "Peer=2", "--const", "T=1")
    line, _, rest = message.partition(":")
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith(f"model_checks: lamp.py:{FIRST + int(line)}:{rest}")
