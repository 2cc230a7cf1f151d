"""A user's own spec: verdicts, exit codes, and where in the file a mistake is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model_checks import __main__ as command
from model_checks.explore import HELP, Walk, explore
from model_checks.models import two_phase_commit
from model_checks.user_spec import instance_of

COMMIT = str(two_phase_commit.__file__)
LAMP = '''"""A lamp for each peer."""
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Enum

LAMP = Enum("Lamp", ("dark", "lit"))
NETWORK = Network(
    name="lamp",
    doc="-",
    honest="",
    crash=False,
    cells=(Cell("lamp", LAMP, ("Peer",), "dark", "memory", "-"),),
    moves=(
        Move("Light(p: Peer)", ("lamp[p] == dark", "count(q for q in Peer if lamp[q] == lit) < T"),
             {"lamp[p]": "lit"}),
    ),
    properties=(
        Property("Dark", "not all(lamp[p] == lit for p in Peer)"),
        Property("Lit", "any(lamp[p] == lit for p in Peer)", "reachable"),
    ),
)
'''
SIZE = ["--sort", "Peer=2", "--const", "T=1"]
TABLE = """from model_checks.system import Network
from spec.language.assembly import assemble
from spec.language.declarations import Cell, Enum, Row, Sort, Table

LAMP = Enum("Lamp", ("dark", "lit"))
PROTOCOL = assemble(
    sorts=(Sort("Peer", "-"),),
    cells=(Cell("lamp", LAMP, ("Peer",), "dark", "memory", "-"),),
    tables=(
        Table("lamp", "lamp[p]", "-", rows=(
            Row("dark", "Light(p: Peer)", "lit", why="-"),
            Row("lit", "Darken(p: Peer)", "dark", "lamp[p] == lit and lamp == lit", why="-"),
        )),
    ),
)
NETWORK = Network(name="lamp", doc="-", honest="", rows=(("lamp", "*"),))
"""

Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Return a function that checks a text and returns exit code and output or message."""

    def run(text: str, *arguments: str) -> tuple[int, str]:
        path = tmp_path / "my_spec.py"
        path.write_text(text, encoding="utf-8")
        code = command.main(["check", str(path), *arguments])
        told = capsys.readouterr()
        return code, (told.out or told.err).replace(str(path), "my_spec.py")

    return run


def test_published_counts_of_the_tutorial(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a file that is explored otherwise than the network of the same text."""
    assert command.main(["check", COMMIT, "--sort", "Manager=3"]) == 0
    told = capsys.readouterr().out
    assert "Consistent (invariant): holds" in told
    assert "holds: 288 distinct, 1,146 generated, depth 11" in told


def test_symmetry_and_records(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches options that are read and not used."""
    options = ["--sort", "Manager=8", "--symmetry", "Manager", "--records", "Manager", "--json"]
    assert command.main(["check", COMMIT, *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["distinct"], told["generated"], told["depth"]) == (1461, 15287, 26)


def test_holds_and_is_violated(check: Check) -> None:
    """Catches an exit code that does not tell one from the other, and a missing trace."""
    code, told = check(LAMP, *SIZE)
    assert (code, "holds: 3 distinct" in told) == (0, True)
    code, told = check(LAMP, "--sort", "Peer=2", "--const", "T=2")
    assert code == 1
    assert "Dark (invariant): VIOLATED" in told
    assert "    2  Light(p=" in told


def test_a_witness_that_is_out_of_reach_is_a_failure(check: Check) -> None:
    """Catches a model in which nothing happens, and which therefore holds."""
    code, told = check(LAMP, "--sort", "Peer=2", "--const", "T=0")
    assert code == 1
    assert "Lit (reachable): NOT REACHED" in told


def test_json(check: Check) -> None:
    """Catches text that no machine can read."""
    code, told = check(LAMP, "--sort", "Peer=2", "--const", "T=2", "--json")
    found = json.loads(told)
    assert code == 1
    assert found["holds"] is False
    assert len(found["violated"]["Dark"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"lamp[p] == dark"', '"lamp[q] == dark"', "13:39: Light: unknown name 'q'"),
        ('"lamp[p] == dark"', '"lamp[p] == none"', "13:34: Light: "),
        ('"memory"', '"attic"', "11:51: cell lamp: kept='attic' is none of"),
        ('"memory", ', "", "11:12: Cell.__init__() missing 1 required positional argument"),
        ("not all(lamp[p]", "not all(lamb[p]", "17:35: Dark: unknown cell 'lamb'"),
        ('"reachable"', '"possible"', "18:"),
        ('for p in Peer)")', 'for p in Peer))")', "17:"),
        ("NETWORK = ", "MODEL = ", "1:1: the file defines no NETWORK"),
        ("NETWORK = Network(", "NETWORK = Network((", ""),
        ("import Cell, Enum", "import Cell, Enums", "3:1: cannot import name 'Enums'"),
        ('Enum("Lamp"', 'Enun("Lamp"', "5:8: name 'Enun' is not defined"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(
    check: Check, old: str, new: str, message: str
) -> None:
    """Catches a traceback, and a message that does not say where."""
    assert old in LAMP
    code, told = check(LAMP.replace(old, new, 1), *SIZE)
    assert code == 2
    assert len(told.splitlines()) == 1
    assert told.startswith(f"model_checks: my_spec.py:{message}")


def test_a_mistake_in_a_row(check: Check) -> None:
    """Catches a message that names another row than the wrong one."""
    code, told = check(TABLE, "--sort", "Peer=2")
    assert code == 2
    assert told.startswith("model_checks: my_spec.py:12:")
    assert "table lamp, row 2" in told
    code, told = check(TABLE.replace(" and lamp == lit", ""), "--sort", "Peer=2")
    assert (code, told.splitlines()[-1].split(",")[0]) == (0, "holds: 4 distinct")


WISH = '"any(lamp[p] == lit for p in Peer)", "reachable"'
EFFECT = '{"lamp[p]": "lit"}'
TWICE = LAMP.replace("Light(p: Peer)", "Light(p: Peer, r: Peer)").replace(
    EFFECT, '{"lamp[p]": "lit", "lamp[r]": "dark"}'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAMP.replace('"Lit"', '"Dark"'), "two properties are named 'Dark'"),
        (LAMP.replace(WISH, '"all(implies(lamp[p] == dark, lamp[p] == lit) for p in Peer)",'
                            ' "always_can"'), "conditional on lamp inside a quantifier"),
        (LAMP.replace(EFFECT, "{}"), "nothing moves"),
        (TWICE, "two effects on lamp"),
    ],
)
def test_a_question_that_would_be_answered_wrongly_is_refused(
    check: Check, text: str, message: str
) -> None:
    """Catches "holds" for what is hidden, for what comes at once, and for what never moves."""
    code, told = check(text, *SIZE)
    assert (code, len(told.splitlines())) == (2, 1)
    assert message in told
    assert told.startswith("model_checks: my_spec.py:1"), "a place in the network"


def test_effects_that_a_condition_keeps_apart_are_no_mistake(check: Check) -> None:
    """Catches a refusal of what has one meaning."""
    code, _ = check(TWICE.replace('("lamp[p] == dark"', '("p != r", "lamp[p] == dark"'), *SIZE)
    assert code == 0


def test_a_wish_may_be_restricted_to_what_is_chosen_once(check: Check) -> None:
    """Catches a refusal of "each honest peer can ...": who is honest never changes."""
    rigid = LAMP.replace('"memory", "-"),', '"memory", "-"),\n        Cell("seen", "bool",'
                         ' ("Peer",), "False", "given", "-"),')
    rigid = rigid.replace("crash=False", 'crash=False, rigid=("seen",)')
    wish = '"all(implies(seen[p] and not seen[p], lamp[p] == lit) for p in Peer)", "always_can"'
    code, _ = check(rigid.replace(WISH, wish).replace("    moves=(", "    moves=(\n        Move("
                    '"Darken(p: Peer)", (), {"lamp[p]": "dark"}, fair=True),'), *SIZE)
    assert code == 0


def test_an_unfair_claim(check: Check) -> None:
    """Catches a liveness claim that holds, or fails, because nothing ever has to happen."""
    unfair = LAMP.replace('"reachable"', '"liveness"')
    code, told = check(unfair, *SIZE)
    assert code == 2
    assert "no row or move is marked fair" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the model needs --sort Peer=..."),
        (["--sort", "Peer=2"], "the model needs --const T=..."),
        (["--sort", "Peer"], "--sort Peer: give NAME=NUMBER"),
        (["--sort", "Peer=0", "--const", "T=1"], "--sort Peer=0: give NAME=NUMBER, at least 1"),
        (["--sort", "Peer=2", "--sort", "Peer=3"], "Peer is given twice"),
        (["--sort", "Pear=2"], "--sort Pear: there is no such sort; known: Peer"),
        (["--sort", "Peer=2", "--const", "Q=2"], "--const Q: there is no such constant"),
        ([*SIZE, "--symmetry", "Pear"], "there is no sort Pear"),
        (["--sort", "Peer=9", "--const", "T=9", "--max-states", "100"],
         "more than 100 states: stopped at depth"),
    ],
)
def test_bad_sizes_are_one_line(check: Check, arguments: list[str], message: str) -> None:
    """Catches a model that is explored at a size nobody asked for."""
    code, told = check(LAMP, *arguments)
    assert code == 2
    assert len(told.splitlines()) == 1
    assert message in told


def test_explore_step_by_step() -> None:
    """Catches a walk that offers a step that is not legal, or hides why one is not."""
    walk = Walk(instance_of(COMMIT, ["Manager=1"], []))
    assert "     - Commit(): false is all(heard_prepared[m] for m in Manager)" in walk.lines()
    for name in ("Prepare(m=0)", "HearPrepared(m=0)", "Commit()", "HearCommit(m=0)"):
        names = [text for text, *_ in walk.choices()]
        walk.take(names.index(name) + 1)
    assert "  * CanCommit is reached" in walk.lines()
    walk.back()
    assert walk.steps[-1].action == "Commit"
    told = walk.lines()
    assert "  decision: undecided -> decided_commit" in told
    assert "     - Commit(): false is decision == undecided (decision is decided_commit)" in told
    with pytest.raises(IndexError):
        walk.take(0)


def test_explore_takes_what_is_typed_and_ends() -> None:
    """Catches a walk that dies of a wrong key, or does not end with its input."""
    answers = iter(["1", "b", "frog", "99", "2"])
    shown: list[str] = []

    def ask(prompt: str) -> str:
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    explore(instance_of(COMMIT, ["Manager=2"], []), ask, shown.extend)
    heads = [line for line in shown if line.startswith("step ")]
    assert heads == ["step 0", "step 1: Abort()", "step 0", "step 1: Prepare(m=0)"]
    assert shown.count(f"'frog': {HELP}") == 1
    assert shown.count(f"'99': {HELP}") == 1


def test_explore_begins_with_the_choice_of_a_first_state(tmp_path: Path) -> None:
    """Catches a walk that cannot begin where several first states are possible."""
    path = tmp_path / "rigid.py"
    path.write_text(LAMP.replace("crash=False,", 'crash=False, rigid=("lamp",),'), "utf-8")
    walk = Walk(instance_of(str(path), ["Peer=2"], ["T=1"]))
    assert len(walk.choices()) == 4
    assert "initial states:" in walk.lines()
    walk.take(2)
    assert walk.states
    walk.back()
    assert not walk.states
