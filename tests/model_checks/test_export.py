"""TLA+ and Promela: the kept modules are current, and what is printed can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_checks.export import golden_files, main, promela, tla
from model_checks.export.tla_names import RESERVED, renamed
from model_checks.models import NETWORKS, signing, signing_variants
from model_checks.system import Move, Network, Property, close
from spec.language import ir
from spec.language.assembly import children
from spec.language.declarations import Cell, Enum, Opt, Range, Seq, Sort
from tests.model_checks.classics import die_hard
from tests.model_checks.exchange import exchange


def small(peers: int, attempts: int, digests: int) -> dict[str, int]:
    """Return sizes of one event."""
    return {"Peer": peers, "Event": 1, "Attempt": attempts, "Digest": digests, "Instance": 1}


# --- TLA+ ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "text"), golden_files().items(), ids=lambda each: None)
def test_the_kept_modules_are_current(path: Path, text: str) -> None:
    """Catches a change of the tables that nobody has looked at: run --golden and read the diff."""
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_module_is_well_formed(name: str, typed: bool) -> None:
    """Catches a name that is not declared, a parenthesis left open, a quote in a variable."""
    system = close(NETWORKS[name])
    text = tla.module(system, typed=typed)
    code = "\n".join(line.partition("\\*")[0] for line in text.splitlines())
    code = re.sub(r'"\w*"', "", code)
    for left, right in ("()", "[]", "{}"):
        assert code.count(left) == code.count(right)
    assert code.count("<<") == code.count(">>")
    declared = set(re.findall(r"^(\w+)(?:\([\w, ]*\))? ==", code, re.MULTILINE))
    declared |= set(re.findall(r"(\w+) \\in", code)) | {*system.cells, "x", "vars"}
    declared |= set() if typed else {"None"}
    declared |= {*tla.sorts_of(system), *tla.constants_of(system)}
    for action in system.actions:
        declared |= set(action.parameters)
    body = code.partition("vars ==")[2]
    used = set(re.findall(r"(?<![\\\w])[A-Za-z]\w*", body))
    language = [
        "Cardinality",
        "TRUE",
        "FALSE",
        "BOOLEAN",
        "IF",
        "THEN",
        "ELSE",
        "EXCEPT",
        "UNCHANGED",
        "SF_vars",
        "WF_vars",
        "_vars",
    ]
    assert used - declared - set(language) == set()
    assert not re.search(r"^\d", name)


def test_bullets_are_aligned() -> None:
    """Catches a list whose bullets stand in different columns, which TLA+ reads as two lists."""
    text = tla.module(close(signing.NETWORK))
    begin = text.index("  /\\ \\/ lock[p, e] = None\n")
    block = text[begin:].splitlines()[:6]
    assert [line.index("\\/") for line in block[:3]] == [5, 5, 5]
    assert [line.index("/\\") for line in block[3:6]] == [10, 10, 10]


def test_a_crash_resets_the_memory_of_one_peer() -> None:
    """Catches a crash that leaves memory alone, or empties everybody's."""
    text = tla.module(close(signing_variants.LOCK_IN_MEMORY))
    assert (
        "  /\\ lock' = [i0 \\in Peer, i1 \\in Event |-> IF i0 = p THEN None ELSE lock[i0, i1]]"
        in text
    )


def test_fair_rows_and_liveness() -> None:
    """Catches fairness that is lost, and a goal that is asked of every state."""
    network = Network(
        name="toggle",
        doc="a lamp",
        honest="",
        crash=False,
        sorts=(Sort("Lamp", "-"),),
        cells=(Cell("lit", "bool", ("Lamp",), "False", "disk", "-"),),
        moves=(Move("Light(l: Lamp)", ("not lit[l]",), {"lit[l]": "True"}, "a hand", fair=True),),
        properties=(Property("AllLit", "all(lit[l] for l in Lamp)", "liveness"),),
    )
    text = tla.module(close(network))
    assert "FairSpec ==\n  /\\ Spec\n  /\\ \\A l \\in Lamp : WF_vars(Light(l))\n" in text
    assert "AllLit ==\n  <>(\\A l_0 \\in Lamp : lit[l_0])\n" in text


def nodes(node: ir.Node) -> Iterator[ir.Node]:
    """Yield a formula and all that is in it."""
    yield node
    for child in children(node):
        yield from nodes(child)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_name_stands_for_one_thing(name: str) -> None:
    """Catches a bound variable that hides another name, which TLC's parser refuses."""
    system = renamed(close(NETWORKS[name]))
    taken = {*RESERVED, *system.cells, *system.names.sorts, *system.names.constants}
    formulas = [(c.formula, set[str]()) for c in system.properties]
    for action in system.actions:
        formulas += [(guard.formula, set(action.parameters)) for guard in action.guards]
        formulas += [(update.value, set(action.parameters)) for update in action.updates]
    for formula, parameters in formulas:
        for node in nodes(formula):
            if isinstance(node, ir.Quantified):
                inside = {n.variable for n in nodes(node.body) if isinstance(n, ir.Quantified)}
                assert node.variable not in inside | taken | parameters
    assert not {*system.cells} & RESERVED


LAMPS = Network(
    name="lamps",
    doc="lamps and a number",
    honest="",
    crash=False,
    sorts=(Sort("Lamp", "-"), Sort("Hand", "-")),
    constants=("Most",),
    cells=(
        Cell("x", "bool", ("Lamp",), "False", "disk", "a name that the module has"),
        Cell("Init", Range(-1, "Most"), (), "any", "disk", "another one"),
        Cell("first", "bool", ("Lamp",), "for l: any(l == k for k in Lamp)", "disk", "-"),
    ),
    initially=("Init >= 0",),
    moves=(
        Move("Light(l: Lamp, h: Hand)", ("not x[l]", "first[l]"),
             {"x[k] for k in Lamp if k != l": "not x[k]", "Init": "min(Init + 1, Most)"},
             "a hand", fair="strong for some h"),
        Move("Rest()", (), {"Init": "-1"}, "none", fair="weak"),
    ),
    properties=(
        Property("Comes", "implies(True, any(x[l] for l in Lamp))", "liveness"),
        Property("EachComes", "all(leads_to(not x[l], x[l]) for l in Lamp)", "liveness"),
        Property("Again", "Init == 0", "infinitely_often"),
        Property("AtLast", "Init == 0", "eventually_always"),
        Property("NeverStuck", "Init == Most", "deadlock"),
    ),
)


def test_what_a_users_spec_may_say_is_exported_as_meant() -> None:
    """Catches a wish that becomes another one, a name that clashes, fairness that is lost.

    TLC has run modules of this kind: see ``classics``.
    """
    text = tla.module(close(LAMPS))
    for line in (
        "  /\\ Init_ \\in ((-1) .. Most)",
        "  /\\ first = [i0 \\in Lamp |-> \\E k_0 \\in Lamp : i0 = k_0]",
        "  /\\ Init_ >= 0",
        "  /\\ x_' = [i0 \\in Lamp |-> IF (i0 # l) THEN ~x_[i0] ELSE x_[i0]]",
        "  /\\ \\A l \\in Lamp : SF_vars(\\E h \\in Hand : Light(l, h))",
        "  /\\ WF_vars(Rest)",
        "Comes == (TRUE) ~> (\\E l_0 \\in Lamp : x_[l_0])",
        "  \\A l_0 \\in Lamp : (~x_[l_0]) ~> x_[l_0]",
        "  []<>(Init_ = 0)",
        "  <>[](Init_ = 0)",
        "  \\/ ENABLED Next",
    ):
        assert f"\n{line}\n" in text, line
    configuration = tla.configuration(close(LAMPS), {"Lamp": 2, "Hand": 1}, {"Most": 2})
    assert configuration.startswith("SPECIFICATION FairSpec\n")
    assert "INVARIANTS\n  TypeOK\n  NeverStuck\n" in configuration
    assert configuration.endswith("PROPERTIES\n  Comes\n  EachComes\n  Again\n  AtLast\n")


def test_the_configuration_names_everything() -> None:
    """Catches a constant that TLC would ask for, and attempts that have no order."""
    text = tla.configuration(close(signing.NETWORK), small(3, 2, 2), {"N": 3, "T": 3, "F": 0})
    assert "  Peer = {peer0, peer1, peer2}\n" in text
    assert "  Attempt = {0, 1}\n" in text
    assert "  T = 3\n" in text
    assert "PROPERTIES\n  LocksMoveForward\n  VotesAreFinal\n" in text


# --- Apalache ------------------------------------------------------------------------------------


TABLE = Network(
    name="table",
    doc="@type: of the writer's own",
    honest="",
    crash=False,
    sorts=(Sort("Seat", "at the table", ordered=True), Sort("Hand", "-"), Sort("HAND", "-")),
    constants=("Most",),
    cells=(
        Cell("turn", Opt("Seat"), (), "none", "disk", "-"),
        Cell("holds", Opt("Hand"), ("Seat",), "none", "disk", "see @type: Int; of another"),
        Cell("near", "bool", ("Seat", "Hand", "HAND"), "False", "disk", "-"),
        Cell("work", Range(0, "Most"), ("HAND",), "0", "disk", "-"),
        Cell("state", Enum("State", ("at_rest", "at_work")), (), "at_rest", "disk", "-"),
        Cell("queue", Seq("Hand", 1), (), "empty", "disk", "-"),
    ),
    moves=(
        Move("Take(s: Seat, h: Hand)", ("holds[s] == none", "turn < s", "len(queue) == 0"),
             {"holds[s]": "h", "turn": "s", "state": "at_work", "queue": "append(queue, h)"}),
        Move("Come(s: Seat, h: Hand, g: HAND)", ("work[g] < Most",),
             {"near[s, h, g]": "True", "work[g]": "work[g] + 1"}),
        Move("Rest()", ("turn == none",), {"state": "at_rest"}, "@type: Bool;"),
    ),
    properties=(
        Property("Sound", "turn != none or all(holds[s] == none for s in Seat)"),
        Property("Queued", "len(queue) == 0 or any(head(queue) == h for h in Hand)",
                 doc="@type: Bool;"),
        Property("Seen", "state == at_rest and any(near[s, h, g] for s in Seat for h in Hand"
                         " for g in HAND)", "reachable"),
    ),
)


def test_every_name_has_its_type() -> None:
    """Catches a declaration without a type, which Snowcat refuses, and a type that is another one:
    a none of two types, two sorts of one type, a tuple that may be a sequence."""
    text = tla.module(close(TABLE), typed=True)
    for name, written in {
        "Seat,": "Set(Int)",
        "Hand,": "Set(HAND)",
        "HAND,": "Set(HAND_)",
        "Most": "Int",
        "turn,": "Int",
        "holds,": "Int -> HAND",
        "near,": "<<Int, HAND, HAND_>> -> Bool",
        "work,": "HAND_ -> Int",
        "state,": "Str",
        "queue_len,": "Int",
        "queue_1": "HAND",
    }.items():
        assert f"  \\* @type: {written};\n  {name}\n" in text, name
    every = "Int, Int -> HAND, <<Int, HAND, HAND_>> -> Bool, HAND_ -> Int, Str, Int, HAND"
    for lines in (
        f"\\* @type: () => <<{every}>>;\nvars == <<",
        '\\* @type: () => HAND;\nNoneHand == "none_OF_HAND"\n',
        "\\* @type: () => Int;\nNoneSeat == -1\n",
        "\\* @type: (Int, HAND) => Bool;\nTake(s, h) ==\n",
        "\\* @type: (Int, HAND, HAND_) => Bool;\nCome(s, h, g) ==\n",
        "\\* @type: () => Bool;\nRest ==\n  /\\ turn = NoneSeat\n",
        "  /\\ holds \\in [Seat -> (Hand \\union {NoneHand})]\n",
        "  /\\ turn = NoneSeat\n",
    ):
        assert lines in text, lines
    assert not re.search(r"(?<!\w)None(?!\w)", text)
    assert text.count("@type: Int; of another") == text.count("@type: Bool;\n") == 0
    assert "ConstInit" not in text, "of sizes that nobody has given"


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_everything_is_typed_and_nothing_twice(name: str) -> None:
    """Catches an operator with parameters, a variable or a constant that has no type of its own."""
    system = renamed(close(NETWORKS[name]))
    lines = tla.module(close(NETWORKS[name]), typed=True).splitlines()
    head = lines[: lines.index("TypeOK ==")]
    names = [*tla.sorts_of(system), *tla.constants_of(system), *system.cells]
    for each in names:
        (place,) = [n for n, line in enumerate(head) if line.strip().rstrip(",") == each]
        assert re.fullmatch(r"  \\\* @type: .*;", head[place - 1]), each
    for number, line in enumerate(lines):
        if re.match(r"\w+\(.*\) ==$", line):
            assert re.fullmatch(r"\\\* @type: \(.*\) => Bool;", lines[number - 1]), line
    noted = sum("@type" in line for line in lines)
    nones = sum(line.startswith("None") for line in lines)
    assert noted == len(names) + nones + len(system.actions) + 2, "vars and Rank"


def test_a_module_without_sorts_and_constants_declares_none() -> None:
    """Catches an empty list of constants, and an operator that says nothing: neither can be read.
    """
    text = tla.module(close(die_hard.NETWORK), typed=True, sizes={}, constants={})
    assert "CONSTANTS" not in text
    assert "ConstInit" not in text
    assert "VARIABLES\n  \\* disk: " in text


def test_the_size_goes_into_the_module(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches individuals of another type than their sort, and a size that is left out."""
    given = ["--sort", "Manager=2"]
    assert main(["two_phase_commit", "--tla", "--apalache", *given]) == 0
    assert capsys.readouterr().out.endswith(
        "\\* for --cinit=ConstInit\nConstInit ==\n"
        '  /\\ Manager = {"0_OF_MANAGER", "1_OF_MANAGER"}\n\n====\n'
    )
    assert main(["two_phase_commit", "--tla", *given]) == 0
    assert "@type" not in capsys.readouterr().out
    assert main(["two_phase_commit", "--promela", "--apalache", *given]) == 2
    said = capsys.readouterr().err
    assert said == "--apalache: --promela has no types: give it with --tla\n"


# --- Promela -------------------------------------------------------------------------------------


def test_values_are_read_before_they_are_written() -> None:
    """Catches an exchange that copies, and a cell whose name is a word of Promela."""
    text = promela.model(exchange())
    assert (
        "after_0 = run_[0]; after_1 = signed_[0]; signed_[0] = after_0; run_[0] = after_1;" in text
    )
    assert "bit spare;" in text


# --- the command line ----------------------------------------------------------------------------


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a missing number that becomes a traceback."""
    assert main(["signing", "--tla"]) == 0
    assert capsys.readouterr().out.startswith("---- MODULE signing ----\n")
    assert main(["two_phase_commit", "--promela", "--sort", "Manager=2"]) == 0
    assert "two_phase_commit, Manager = 2" in capsys.readouterr().out
    assert main(["signing", "--promela", "--sort", "Peer=3"]) == 2
    said = capsys.readouterr().err
    assert said == "signing: how many Attempt, Digest, Event, F, Instance, T? (--sort, --const)\n"
    assert main(["singing", "--tla"]) == 2
    assert main(["signing", "--promela", "--sort", "Peer=many"]) == 2
    assert "'Peer=many': write Name=number" in capsys.readouterr().err
