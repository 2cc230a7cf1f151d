"""A user's own proof: what is proved, what is not and why, and what cannot be asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from model_checks.__main__ import main
from model_checks.engines.arithmetic import safe_sign_1
from model_checks.engines.check import check
from model_checks.engines.induction import Induction
from model_checks.engines.oracle import Instance, Oracle
from model_checks.models import two_phase_commit
from model_checks.system import Move, Network, Property, close
from model_checks.user_proof import SAFE_SIGN, UserProver
from model_checks.user_spec import spec_of
from spec.language.declarations import Cell, Sort
from tests.model_checks.random_systems import random_system

LOCK = '''"""A lock."""
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Range, Seq, Sort

NETWORK = Network(
    name="lock", doc="-", honest="", crash=False, sorts=(Sort("Client", "-"),),
    constants=("Most",),
    cells=(
        Cell("free", "bool", (), "True", "disk", "-"),
        Cell("holds", "bool", ("Client",), "False", "memory", "-"),
        Cell("turns", Range(0, "Most"), (), "0", "disk", "-"),
        Cell("queue", Seq("Client", 2), (), "empty", "disk", "-"),
    ),
    moves=(
        Move("Take(c: Client)", ("free",), {"free": "False", "holds[c]": "True"}, fair=True),
        Move("Give(c: Client)", ("holds[c]",), {"free": "True", "holds[c]": "False"}),
    ),
    properties=(
        Property("OneHolder", "count(c for c in Client if holds[c]) <= 1"),
        Property("CanHold", "any(holds[c] for c in Client)", "reachable"),
    ),
)
LEMMAS = (
    Property("Free", "implies(free, not any(holds[c] for c in Client))", "lemma"),
)
'''
VOTES = '''"""Votes of members, some of whom lie."""
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell

NETWORK = Network(
    name="votes", doc="-", crash=False,
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "-"),
        Cell("vote", "bool", ("Peer", "Digest"), "False", "network", "-"),
    ),
    rigid=("faulty",),
    assume=("count(p for p in Peer if faulty[p]) <= F",),
    moves=(
        Move("Vote(p: Peer, d: Digest)",
             ("not faulty[p]", "not any(vote[p, x] for x in Digest)"), {"vote[p, d]": "True"}),
        Move("Lie(p: Peer, d: Digest)", ("faulty[p]",), {"vote[p, d]": "True"}),
    ),
    properties=(
        Property("OneCertificate",
                 "all(implies(count(p for p in Peer if vote[p, d]) >= T"
                 " and count(p for p in Peer if vote[p, e]) >= T, d == e)"
                 " for d in Digest for e in Digest)"),
        Property("OneVote", "all(implies(vote[p, d] and vote[p, e] and d != e, faulty[p])"
                            " for p in Peer for d in Digest for e in Digest)", "lemma"),
    ),
)
'''

ONE_HOLDER = '        Property("OneHolder", "count(c for c in Client if holds[c]) <= 1"),\n'

Prove = Callable[..., tuple[int, str]]


@pytest.fixture
def prove(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Prove:
    """Return a function that proves a text and returns exit code and output or message."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, *arguments: str) -> tuple[int, str]:
        Path("own.py").write_text(text, encoding="utf-8")
        code = main(["check", "own.py", "--prove", *arguments])
        told = capsys.readouterr()
        return code, told.out or told.err

    return run


def changed(text: str, old: str, new: str) -> str:
    """Return a text with a part of it replaced."""
    assert text.count(old) == 1
    return text.replace(old, new)


def test_it_is_proved_with_its_lemma(prove: Prove) -> None:
    """Catches a lemma of the file that is not used, and a verdict that does not say for what."""
    code, told = prove(LOCK)
    assert code == 0
    assert told.splitlines()[:3] == [
        "OneHolder (invariant): proved",
        "Free (lemma): proved",
        "CanHold (reachable): not asked, it is not about each state by itself",
    ]
    assert told.splitlines()[-1].startswith(
        "proved for every size: 6 obligations by z3 and cvc5, "
    )
    inside = changed(LOCK, "LEMMAS = (", "UNUSED = (").replace(
        '        Property("CanHold"',
        '        Property("Free", "not free or not any(holds[c] for c in Client)", "lemma"),\n'
        '        Property("CanHold"',
    )
    assert prove(inside)[0] == 0, "a lemma may stand among the properties"


def test_without_the_lemma_a_small_state_shows_what_is_missing(prove: Prove) -> None:
    """Catches a proof that holds without its reason, and an example in the engine's words."""
    code, told = prove(LOCK.partition("LEMMAS")[0], "--sort", "Client=2")
    assert code == 1
    assert told.splitlines()[0] == "OneHolder (invariant): NOT PROVED"
    example = told[told.index("  OneHolder / Take"):told.index("no run may come")].splitlines()
    assert example[0].endswith(": a step breaks it where all of them hold, with Client = 2")
    assert example[1] in ("      0  a state with: holds[0] = True",
                          "      0  a state with: holds[1] = True")
    assert example[2].startswith("      1  Take(c=")
    assert example[3].startswith("           free: True -> False, holds[")
    assert "NOT PROVED: 1 of 3 obligations fail, " in told


def test_the_small_state_is_one_and_the_step_breaks_the_property(
    tmp_path: Path,
) -> None:
    """Catches an example that the interpreter would not agree with."""
    file = tmp_path / "votes.py"
    file.write_text(changed(VOTES, ', "not any(vote[p, x] for x in Digest)"', ","), "utf-8")
    spec = spec_of(file)
    proof = UserProver(spec).prove()
    assert {failure.broken for failure in proof.failures} == {"OneCertificate", "OneVote"}
    for failure in proof.failures:
        example = failure.example
        assert example is not None
        sizes = {"Peer": example.sizes["Peer"], "Digest": example.sizes["Digest"]}
        oracle = Oracle(Instance(spec.system, sizes, {**example.sizes, "N": 4}))
        after = {change.slot: change.after for change in example.changes}
        place = {slot: f"{slot[0]}[{', '.join(map(str, slot[1]))}]" for slot in oracle.slots}
        before = tuple(bool(example.state.get(place[slot])) for slot in oracle.slots)
        later = tuple(bool(after.get(s, value)) for s, value in zip(oracle.slots, before,
                                                                    strict=True))
        for checked in spec.system.properties:
            assert oracle.holds(checked, before)
            if checked.property.name == failure.broken:
                assert not oracle.holds(checked, later)


def test_for_machines(prove: Prove) -> None:
    """Catches a verdict, or an example, that only a reader can understand."""
    code, told = prove(LOCK, "--json")
    found = json.loads(told)
    assert (code, found["proved"], found["obligations"], found["failures"]) == (0, True, 6, [])
    assert found["not_asked"] == {"CanHold": "reachable"}
    code, told = prove(LOCK.partition("LEMMAS")[0], "--json")
    found = json.loads(told)
    assert (code, found["proved"]) == (1, False)
    (failure,) = found["failures"]
    assert (failure["property"], failure["action"], failure["z3"]) == (
        "OneHolder", "Take", "unknown",
    )
    assert failure["example"]["changed"]["free"] == [True, False]
    assert list(failure["example"]["state"].values()) == [True]


def test_what_is_assumed_of_quorums_is_told(prove: Prove) -> None:
    """Catches a proof that rests on N, T and F and does not say so."""
    code, told = prove(VOTES)
    assert code == 0
    assert [line for line in told.splitlines() if line.startswith("assumed: ")][:3] == [
        f"assumed: {SAFE_SIGN}",
        "assumed: there are N of Peer",
        "assumed: as the file says, count(p for p in Peer if faulty[p]) <= F",
    ]
    assert "assumed: a set of T and a set of T share F+1, which both solvers prove" in told
    assert "SAFE-SIGN" not in prove(LOCK)[1], "a proof without quorums does not rest on them"


def test_what_is_assumed_is_what_is_told() -> None:
    """Catches an assumption of the engine that the output does not have."""
    words = SAFE_SIGN.partition(" (")[0].replace("2T", "2 * T").replace(" and ", ", ")
    said = {part.strip() for part in words.replace("1 <= T <= N", "T >= 1, T <= N").split(",")}
    used = {str(each) for each in safe_sign_1()} - {"N >= 1"}  # which follows from the others
    assert {part.replace("2 * T", "2*T") for part in said} == used


def test_a_weaker_quorum_is_not_enough(prove: Prove) -> None:
    """Catches axioms that hold of any sets: two sets of F + 1 need not meet."""
    code, told = prove(VOTES.replace(">= T", ">= F + 1"))
    assert code == 1
    assert "OneCertificate / Vote: a step breaks it where all of them hold, with Peer = 4" in told
    # Of these numbers nothing is assumed, so that the example is given at others.
    code, told = prove(VOTES.replace(">= T", ">= F + 1"), "--sort", "Peer=5", "--const", "N=4")
    assert "with Peer = 4, Digest = 2, F = 1" in told


def test_a_number_that_leaves_its_range_is_not_proved(prove: Prove) -> None:
    """Catches a range that is taken for granted, and a bound that is taken to be below zero."""
    counted = changed(LOCK, '"holds[c]": "True"}', '"holds[c]": "True", "turns": "turns + 1"}')
    code, told = prove(counted)
    assert code == 1
    assert "  turns in 0..Most / Take: a step breaks it" in told
    assert "turns in 0..Most / initial" not in told
    assert "assumed: Most >= 0" in told
    code, told = prove(changed(counted, "turns + 1", "min(turns + 1, Most)"))
    assert (code, "turns in 0..Most (range): proved" in told) == (0, True)


def test_a_sequence_is_as_long_as_the_file_says(prove: Prove) -> None:
    """Catches a proof "for every size" that hides what is not of every size."""
    queued = changed(LOCK, 'Move("Give(c: Client)"',
                     'Move("Ask(c: Client)", ("len(queue) < 2",),'
                     ' {"queue": "append(queue, c)"}),\n        Move("Give(c: Client)"')
    code, told = prove(queued)
    assert (code, "len(queue) in 0..2 (range): proved" in told) == (0, True)
    assert "assumed: queue has 2 places, as the file says, not any number" in told


def test_the_first_of_an_order_is_there(prove: Prove) -> None:
    """Catches an ordered sort without an end, which no finite one is."""
    code, _ = prove('''from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Sort
from tests.model_checks.random_systems import random_system
NETWORK = Network(
    name="ring", doc="-", honest="", crash=False, sorts=(Sort("Seat", "-", ordered=True),),
    cells=(Cell("token", "bool", ("Seat",), "for s: all(s <= t for t in Seat)", "disk", "-"),),
    moves=(Move("Pass(s: Seat, t: Seat)", ("token[s]",), {"token[x] for x in Seat": "x == t"}),),
    properties=(Property("OneToken", "count(s for s in Seat if token[s]) == 1"),),
)
''')
    assert code == 0


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        (ONE_HOLDER, "", "19:63",
         "CanHold: --prove: there is no invariant to prove: 'reachable' is not about each state"),
        ("<= 1", "<= turns", "19:", "OneHolder: --prove: a count beside a cell's number"),
        ("<= 1", "<= count(d for d in Client if free)", "19:",
         "OneHolder: --prove: two counts in one comparison"),
        ('("free",)', '("count(d for d in Client if holds[d]) <= turns",)', "15:",
         "Take: --prove: a count beside a cell's number"),
        ("not any(holds[c] for", "not any(held[c] for", "24:", "Free: unknown cell 'held'"),
        ('Property("Free"', 'Property("OneHolder"', "24:15",
         "network lock: two properties are named 'OneHolder'"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(
    prove: Prove, old: str, new: str, place: str, message: str
) -> None:
    """Catches a traceback, and a refusal that does not name what is refused and why."""
    code, told = prove(changed(LOCK, old, new))
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith(f"model_checks: own.py:{place}")
    assert f": {message}" in told


def test_liveness_alone_is_refused(prove: Prove) -> None:
    """Catches "proved" for a wish, of which nothing was asked."""
    wish = LOCK.replace('"count(c for c in Client if holds[c]) <= 1"', '"free", "liveness"')
    code, told = prove(wish)
    assert (code, told.count("\n")) == (2, 1)
    assert "OneHolder: --prove: there is no invariant to prove: 'liveness' is not about" in told


def test_assumptions_that_contradict_each_other_are_refused(prove: Prove) -> None:
    """Catches a proof of anything: no state is a first one."""
    code, told = prove(changed(VOTES, "<= F\",)", "<= F\", \"F < 0\")"))
    assert (code, told.count("\n")) == (2, 1)
    assert "no state of up to 3 of each sort is a first state" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--prove"], "--prove: give a FILE with a NETWORK"),
        (["check", str(two_phase_commit.__file__), "--prove", "--symmetry", "Manager"],
         "--prove: symmetry makes a search smaller"),
        (["check", str(two_phase_commit.__file__), "--prove", "--sort", "Manger=2"],
         "--sort Manger: there is no such sort"),
    ],
)
def test_misuse_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches an option that is read and has no effect."""
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"model_checks: {message}")
    assert told.count("\n") == 1


def links(text: str) -> Network:
    """Return a network in which anybody may be linked with anybody else."""
    return Network(
        name="links", doc="-", honest="", crash=False, sorts=(Sort("Node", "-"),),
        cells=(Cell("link", "bool", ("Node", "Node"), "False", "disk", "-"),),
        moves=(Move("Link(a: Node, b: Node)", ("a != b",), {"link[a, b]": "True"}),),
        properties=(Property("Claim", text),),
    )


@pytest.mark.parametrize(
    ("claim", "holds"),
    [
        ("count(p for p in Node if count(q for q in Node if link[p, q]) >= 1) <= 0", False),
        ("count(p for p in Node if count(q for q in Node if link[p, q]) >= 2) <= 1", False),
        ("count(p for p in Node if link[p, p]) <= 0", True),
        ("not any(count(q for q in Node if link[p, q] and q == p) >= 1 for p in Node)", True),
        ("count(p for p in Node if link[p, p]) < 2", True),
    ],
)
def test_a_count_inside_a_count_speaks_of_both(claim: str, holds: bool) -> None:
    """Catches a variable of the inner count that takes the place of the outer one: then "nobody is
    linked with anybody" is proved as "nobody is linked with itself"."""
    induction = Induction(close(links(f"{claim} and not any(link[p, p] for p in Node)")))
    assert induction.prove().holds == holds


OF_EACH_OTHER = "count(x for x in {0} if count(y for y in {0} if {1}[y] and x != y) >= 1) <= {2}"


@pytest.mark.parametrize(
    "claim",
    [
        OF_EACH_OTHER.format("Digest", "told", 1), OF_EACH_OTHER.format("Peer", "lit", 2),
        "count(d for d in Digest if told[d]) <= 1", "count(x for x in Peer if lit[x]) <= 2",
    ],
)
def test_what_is_proved_of_random_systems_holds_in_small_ones(claim: str) -> None:
    """Catches a reading of counts by which more is proved than is so."""
    proved = 0
    for seed in (*range(12), 334, 346, 360, 386):
        network = evolve(random_system(seed).network, properties=(Property("Claim", claim),))
        system = close(network)
        induction = Induction(system)
        induction.symbols.orders_end = True
        if all(
            induction.answer(each, second_solver=False, examples=False).proved
            for each in induction.obligations()
        ):
            proved += 1
            for peers in (2, 3):
                sizes = {**dict.fromkeys(system.names.sorts, 2), "Peer": peers}
                numbers = {"N": peers, "T": peers, "F": 0, "R": 1}
                assert not check(Instance(system, sizes, numbers)).violated, seed
    assert proved
