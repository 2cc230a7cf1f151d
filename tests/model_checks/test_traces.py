"""Runs with their states: what is printed, what machines get, and that the steps are legal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model_checks import __main__ as command
from model_checks.engines.oracle import Instance, Oracle, ReplayError, Step
from model_checks.models import CASES
from model_checks.runner import explore_case
from model_checks.system import close
from model_checks.traces import Traces, lane_sort, rule_of
from spec.protocol import PROTOCOL

RING = '''"""Who is at the token, which goes round and serves nobody."""
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Opt

NETWORK = Network(
    name="ring",
    doc="-",
    honest="",
    crash=False,
    cells=(
        Cell("at", Opt("Peer"), (), "none", "memory", "-"),
        Cell("opens", Opt("Peer"), (), "none", "given", "-"),
        Cell("served", "bool", ("Peer",), "False", "memory", "-"),
    ),
    rigid=("opens",),
    assume=("opens != none",),
    moves=(
        Move("Enter(p: Peer)", ("at == none", "opens == p"), {"at": "p"}, fair=True),
        Move("Go(p: Peer, q: Peer)", ("at == p", "p != q"), {"at": "q"}, fair=True),
        Move("Serve(p: Peer)", ("at == p",), {"served[p]": "True", "at": "none"}),
    ),
    properties=(
        Property("Served", "any(served[p] for p in Peer)", "liveness"),
        Property("NeverServed", "not any(served[p] for p in Peer)"),
        Property("CanServe", "any(served[p] for p in Peer)", "reachable"),
    ),
)
'''
GO = '        Move("Go(p: Peer, q: Peer)", ("at == p", "p != q"), {"at": "q"}, fair=True),\n'
Told = Callable[..., str]


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    """Return a function that checks a text, which fails, and returns what is printed."""

    def run(text: str, *arguments: str) -> str:
        path = tmp_path / "ring.py"
        path.write_text(text, encoding="utf-8")
        assert command.main(["check", str(path), "--sort", "Peer=2", *arguments]) == 1
        return capsys.readouterr().out

    return run


def test_each_step_shows_what_it_changed(told: Told) -> None:
    """Catches a trace of names only, and the individual 0 that passes for nothing chosen."""
    printed = told(RING)
    start = printed.index("  NeverServed: 2 steps")
    assert printed[start:].splitlines()[:6] == [
        "  NeverServed: 2 steps",
        "      0  at the start: opens = 0",
        "      1  Enter(p=0)",
        "           at: none -> 0",
        "      2  Serve(p=0)",
        "           at: 0 -> none, served[0]: False -> True",
    ]


def test_the_loop_is_marked(told: Told) -> None:
    """Catches a lasso whose loop reads like the way to it."""
    printed = told(RING)
    lines = printed[printed.index("  Served: ") :].splitlines()
    at = lines.index("         from here for ever:")
    assert lines[at + 1].split()[1].startswith("Go(p=")
    way = sum(line[:9].strip().isdigit() for line in lines[1:at])
    assert lines[0].startswith(f"  Served: {way - 1} step"), "the first state is no step"


def test_an_end_in_which_nothing_has_to_happen_is_said(told: Told) -> None:
    """Catches a run that just stops."""
    assert GO in RING
    printed = told(RING.replace(GO, ""))
    lines = printed[printed.index("  Served: ") :].splitlines()
    assert lines[0] == "  Served: 1 step, then nothing has to happen"
    assert lines[-1] == "         from here nothing has to happen any more"


def test_a_goal_that_is_lost_is_said(told: Told) -> None:
    """Catches a counterexample whose last state looks like any other."""
    serve = '        Move("Serve(p: Peer)", ("at == p",), {"served[p]": "True", "at": "none"}),\n'
    assert serve in RING
    lost = RING.replace(serve, "").replace('"any(served[p] for p in Peer)", "liveness"',
                                           '"at == none", "always_can"')
    lines = told(lost).splitlines()
    at = lines.index("  Served: 1 step")
    assert lines[at + 4] == "         from here it cannot come any more"


def test_witnesses_are_shown_when_they_are_asked_for(told: Told) -> None:
    """Catches a witness that cannot be seen, and one that fills the output unasked."""
    assert "  CanServe: 2 steps" not in told(RING)
    shown = told(RING, "--traces")
    assert "served[0]: False -> True" in shown[shown.index("  CanServe: 2 steps") :]


def test_json_carries_the_states(told: Told) -> None:
    """Catches a machine's reader who has to know the model to get at a state."""
    found = json.loads(told(RING, "--json"))
    states = found["states"]["violated"]["NeverServed"]
    assert states["first"] == {
        "at": None, "opens": 0, "served[0]": False, "served[1]": False,
    }
    assert states["changed"] == [
        {"at": [None, 0]}, {"at": [0, None], "served[0]": [False, True]}
    ]
    run = found["states"]["violated"]["Served"]
    steps = found["violated"]["Served"] + found["loops"]["Served"]
    assert len(run["changed"]) == len(steps)
    assert found["states"]["reached"]["CanServe"]["changed"] == states["changed"]


@pytest.mark.parametrize("name", ["link_whoever_notices", "cooldown_by_advertised_state"])
def test_the_states_are_those_of_the_interpreter(name: str) -> None:
    """Catches changes that do not add up to the state in which the property fails."""
    case = next(c for c in CASES if c.network.name == name)
    result, oracle = case.run(), Oracle(case.instance)
    assert result.violated
    for trace in Traces(case.instance).violated(result):
        steps = [*result.violated[trace.name], *result.loops.get(trace.name, ())]
        assert [moved.step for moved in (*trace.steps, *(trace.loop or ()))] == steps
        state = dict(trace.first)
        for moved in (*trace.steps, *(trace.loop or ())):
            assert all(state[c.slot] == c.before != c.after for c in moved.changes)
            state |= {c.slot: c.after for c in moved.changes}
        last = oracle.replay(result.starts[trace.name], steps)[-1]
        assert tuple(state.values()) == last


def test_a_step_that_is_not_legal_is_refused() -> None:
    """Catches an engine's wrong trace that is shown as a run."""
    case = next(c for c in CASES if c.network.name == "two_phase_commit")
    traces = Traces(case.instance)
    first = next(traces.oracle.initial())
    with pytest.raises(ReplayError, match="step 1"):
        traces.run("x", first, [Step("Commit", {})])


def test_a_verdict_carries_the_states_of_its_counterexamples() -> None:
    """Catches a report whose counterexamples are names only."""
    case = next(c for c in CASES if c.network.name == "cooldown_by_advertised_state")
    verdict = explore_case(case)
    steps = len(verdict.traces["RoundProgress"]) + len(verdict.loops["RoundProgress"])
    assert len(verdict.as_json()["states"]["RoundProgress"]["changed"]) == steps
    assert any("for ever" in line or "nothing has to happen" in line for line in verdict.shown)


def test_lanes_and_rows() -> None:
    """Catches a lane for those who never act, and an action that leads to another row."""
    for case in CASES:
        system = close(case.network)
        acting = {sort for action in system.actions for sort in action.parameters.values()}
        assert lane_sort(system) in acting, case.name
        for action in system.actions:
            rule = rule_of(action, PROTOCOL.machines)
            if rule is not None:
                assert action.name.partition("#")[0] == f"{rule.table}.{rule.event}"
    commit = next(c for c in CASES if c.network.name == "two_phase_commit")
    assert lane_sort(close(commit.network)) == "Manager"
    assert isinstance(commit.instance, Instance)
