"""The explorer's answers: states, what keeps an action back, runs that the checks found, traces."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from model_checks import __main__ as command
from model_checks.console import Unusable
from model_checks.engines.oracle import Oracle
from model_checks.explore import Subject, subject_of
from model_checks.explorer import server as serving
from model_checks.explorer.model_view import ModelView
from model_checks.explorer.server import Server
from model_checks.explorer.trace_view import TraceView
from model_checks.explorer.view import Answer, Refused
from model_checks.models import CASES, two_phase_commit
from model_checks.system import close
from spec.protocol import PROTOCOL
from tests.model_checks.made_runs import whole_run
from tests.model_checks.test_traces import RING
from tests.model_checks.test_user_spec import TABLE
from tests.model_checks.trace_files import NODE, place, written

COMMIT = str(two_phase_commit.__file__)
ROOT = Path(command.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def commit() -> ModelView:
    """Two-phase commit of two managers."""
    return ModelView(subject_of(COMMIT, ["Manager=2"], []), 10_000)


@pytest.fixture
def ring(tmp_path: Path) -> ModelView:
    """A model with a choice of first states, and a counterexample with a loop."""
    path = tmp_path / "ring.py"
    path.write_text(RING, encoding="utf-8")
    return ModelView(subject_of(str(path), ["Peer=2"], []), 10_000)


def action(answer: Answer, name: str) -> Answer:
    """Return what is told of an action."""
    return next(each for each in answer["actions"] if each["name"] == name)


def cell(answer: Answer, label: str, column: str) -> Answer:
    """Return a cell of the tables."""
    return next(
        row["cells"][table["columns"].index(column)] for table in answer["tables"]
        for row in table["rows"] if row["label"] == label
    )


def test_what_is_enabled_is_what_the_oracle_takes(commit: ModelView) -> None:
    """Catches a button for a step that is not legal, or a legal step without one."""
    oracle = Oracle(commit.instance)
    steps: list[str] = []
    state = next(oracle.initial())
    while True:
        following = list(oracle.steps(state))
        answer = commit.at({"steps": steps, "position": len(steps)})
        told = [text for each in answer["actions"] for text in each["enabled"]]
        assert sorted(told) == sorted(str(step) for step, _ in following)
        onward = [(step, after) for step, after in following if after != state]
        if not onward:
            break
        step, state = onward[0]
        steps.append(str(step))
    assert len(steps) > 3


def test_every_false_conjunct_is_told(commit: ModelView) -> None:
    """Catches an explorer that names the first reason only."""
    answer = commit.at({"steps": ["Abort()"], "position": 1})
    [held] = action(answer, "Commit")["held"]
    assert held["text"] == "Commit()"
    assert held["false"] == [
        "decision == undecided (decision is decided_abort)",
        "all(heard_prepared[m] for m in Manager)",
    ]
    heard = action(answer, "HearPrepared")
    assert heard["enabled"] == []
    assert len(heard["held"]) == 2


def test_the_state_is_tables_with_the_last_change_marked(commit: ModelView) -> None:
    """Catches a state that must be read as a list, and a change that is not seen."""
    answer = commit.at({"steps": ["Prepare(m=1)", "Abort()"], "position": 1})
    assert cell(answer, "manager", "Manager 1") == {"value": "prepared", "was": "working"}
    assert cell(answer, "manager", "Manager 0") == {"value": "working"}
    assert cell(answer, "decision", "value") == {"value": "undecided"}
    assert [step["lane"] for step in answer["steps"]] == ["Manager 1", "the world"]
    assert answer["steps"][1]["changes"][0] == {
        "cell": "decision", "before": "undecided", "after": "decided_abort",
    }
    assert (answer["position"], answer["total"]) == (1, 2)


def test_properties_are_told_of_each_state(ring: ModelView) -> None:
    """Catches a violated state that looks like any other."""
    run = ["Enter(p=1)", "Serve(p=1)"]
    verdicts = [
        {told["name"]: (told["says"], told["bad"]) for told in ring.at(
            {"first": 1, "steps": run, "position": position})["properties"]}
        for position in (1, 2)
    ]
    assert verdicts[0]["NeverServed"] == ("holds here", False)
    assert verdicts[1]["NeverServed"] == ("VIOLATED here", True)
    assert verdicts[1]["CanServe"] == ("reached here", False)
    assert verdicts[1]["Served"] == ("speaks of whole runs", False)


def test_the_checks_give_runs_that_can_be_stepped(ring: ModelView) -> None:
    """Catches a counterexample that the page cannot load, and a loop that is not marked."""
    assert ring.about()["starts"] == ["opens = 0", "opens = 1"]
    found = {run["name"]: run for run in ring.checks()["runs"]}
    assert {name: run["what"] for name, run in found.items()} == {
        "NeverServed": "counterexample", "Served": "counterexample", "CanServe": "witness",
    }
    run = found["Served"]
    assert 0 < run["loop"] < len(run["steps"])
    states = [
        ring.at({"first": run["first"], "steps": run["steps"], "position": at})["tables"]
        for at in (run["loop"], len(run["steps"]))
    ]
    values = [
        [c["value"] for table in tables for row in table["rows"] for c in row["cells"]]
        for tables in states
    ]
    assert values[0] == values[1], "the loop closes"


def test_rows_say_where_they_stand() -> None:
    """Catches a step that does not lead to the text of its row."""
    view = ModelView(subject_of("refund_on_own_word", [], []), 10_000)
    rows = view.about()["rows"]
    told = next(row for name, row in rows.items() if name.startswith("event."))
    assert told["where"].startswith("table event, row ")
    assert told["why"]
    assert told["guards"] or told["effects"]
    rows = ModelView(subject_of("signing", [], []), 10_000).about()["rows"]
    assert rows["Forge"]["why"] == "a liar votes for everything"
    assert "not faulty[p]" in rows["session.Release"]["added"]
    begin = rows["session.Begin"]
    assert any("may_lock(" in guard for guard in begin["guards"])
    assert [line.partition("(")[0] for line in begin["means"]].count("certified") == 1
    assert "is_member[p, e, a] := True" in begin["means"], "what stands in for a fact"
    names = [line.partition(" := ")[0] for line in rows["session.Release"]["means"]]
    assert not [name for name in names if name.startswith("absent(")], "that is a value there"
    assert "is_member[p, e, a]" in begin["dropped"]
    assert "session_digest[p, e, a] == d" in begin["dropped"], "the network leaves it out"
    crashing = next(
        case for case in CASES if any(a.origin == "crash" for a in close(case.network).actions)
    )
    rows = ModelView(Subject(crashing.instance, crashing), 10_000).about()["rows"]
    assert rows["Crash"]["where"] == "a crash"


def test_a_row_of_a_files_own_protocol_is_not_taken_for_one_of_ours(tmp_path: Path) -> None:
    """Catches the text of this protocol's row beside a step of another protocol."""
    ours = next(rule for rule in PROTOCOL.machines["swap"].rules if rule.source != rule.target)
    text = TABLE.replace(" and lamp == lit", "").replace('Table("lamp"', 'Table("swap"')
    text = text.replace('rows=(("lamp"', 'rows=(("swap"').replace("Darken", ours.event)
    for old, new in (("lit", ours.source), ("dark", ours.target)):
        text = re.sub(rf"\b{old}\b", new, text)
    path = tmp_path / "own.py"
    path.write_text(text, encoding="utf-8")
    rows = ModelView(subject_of(str(path), ["Peer=2"], []), 100).about()["rows"]
    row = rows[f"swap.{ours.event}"]
    assert row["where"] == ours.name
    assert row["why"] == ""


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"steps": ["Frog()"]}, "'Frog()' is no step of two_phase_commit"),
        ({"steps": [["Abort"]]}, "is no step"),
        ({"steps": "Abort()"}, "steps is a list"),
        ({"steps": ["Abort()"] * 2_001}, "at most 2,000 steps"),
        ({"steps": ["Commit()"], "position": 1}, "step 1, Commit()"),
        ({"position": 1}, "position is a number from 0 to 0"),
        ({"position": True}, "position is a number"),
        ({"first": -1}, "first is a number from 0 to 0"),
        ({"first": 1 << 80}, "first is a number"),
        ({"only": 3}, "only is a part"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    commit: ModelView, question: dict[str, Any], reason: str
) -> None:
    """Catches a crash of the server, and a state that no run comes to."""
    with pytest.raises(Refused) as refused:
        commit.at(question)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_check_that_is_too_large_is_one_line(ring: ModelView) -> None:
    """Catches a page that waits for ever, or an error with a traceback."""
    ring.max_states = 1
    with pytest.raises(Refused, match="more than 1 states"):
        ring.checks()


@pytest.mark.parametrize(
    ("spec", "sorts", "message"),
    [
        ("frog", [], "frog: neither a Python file nor a network"),
        ("signing", ["Frog=3"], "--sort Frog=3: give NAME=NUMBER"),
        ("signing", ["Peer=0"], "--sort Peer=0: give NAME=NUMBER, at least 1"),
    ],
)
def test_a_wrong_subject_is_one_line(spec: str, sorts: list[str], message: str) -> None:
    """Catches a traceback for a misspelt network."""
    with pytest.raises(Unusable) as wrong:
        subject_of(spec, sorts, [])
    assert str(wrong.value).startswith(message)


def test_a_network_is_taken_at_the_size_of_its_case() -> None:
    """Catches another size than the one that is checked, or an option without effect."""
    named = subject_of("signing", [], [])
    assert named.case is not None
    assert named.instance.sizes == named.case.sizes
    other = subject_of("signing", ["Peer=3"], ["N=3", "T=2", "F=0"])
    assert other.case is None
    assert (other.instance.sizes["Peer"], other.instance.constants["T"]) == (3, 2)


# --- traces of nodes -----------------------------------------------------------------------------


def test_traces_of_nodes_are_lanes(tmp_path: Path) -> None:
    """Catches steps in the lane of another node, or in an order in which effects precede causes."""
    traces = whole_run()
    view = TraceView(written(tmp_path, traces))
    total = sum(map(len, traces.values()))
    about = view.about()
    assert about["refused"] == ""
    assert about["doc"] == f"{total} of {total} lines replayed, every step legal"
    answer = view.at({"position": total})
    assert answer["lanes"] == sorted(traces)
    assert sum(1 for r in view.steps if r.lane == NODE) == len(traces[NODE])
    locked = [
        (recorded.lane, change) for recorded in view.steps for change in recorded.changes
        if change.slot[0] == "lock"
    ]
    assert locked
    assert all(change.before != change.after for _, change in locked)
    assert set(about["rows"]) >= {step["row"] for step in answer["steps"]} - {""}


def test_one_trace_has_a_lane_for_each_table_and_its_state(tmp_path: Path) -> None:
    """Catches a single trace without lanes, and a state that is not that of the position."""
    paths = written(tmp_path, whole_run())
    view = TraceView([path for path in paths if path.name == NODE])
    assert "session" in view.lanes
    begun = next(
        number for number, recorded in enumerate(view.steps, start=1)
        for change in recorded.changes if change.slot[0] == "lock"
    )
    before, after = view.at({"position": begun - 1}), view.at({"position": begun})
    assert "lock" not in [table["title"] for table in before["tables"]]
    table = next(table for table in after["tables"] if table["title"] == "lock")
    assert table["rows"][-1]["cells"][0]["was"] == "none"
    assert after["line"]["where"].endswith(f":{begun}")
    assert after["line"]["reads"]


def test_a_trace_that_is_refused_is_shown_as_far_as_it_is_legal(tmp_path: Path) -> None:
    """Catches a page that hides the refusal, or a forged trace that cannot be looked at."""
    traces = whole_run()
    at = place(traces[NODE], "session", "Release")
    del traces[NODE][at]
    view = TraceView([path for path in written(tmp_path, traces) if path.name == NODE])
    about = view.about()
    assert "lines replayed" in about["doc"]
    assert "legal" not in about["doc"]
    assert f":{at + 1}: row" in about["refused"]
    assert len(view.steps) == at
    with pytest.raises(Refused, match="position is a number"):
        view.at({"position": at + 1})
    with pytest.raises(Refused):
        view.checks()


def test_no_trace_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a traceback for a folder without a trace, and for an option that is missing."""
    for arguments, said in (
        (["--web", "--trace", str(tmp_path)], "no trace there"),
        (["--trace", str(tmp_path)], "add --web"),
        ([], "give a spec, or the traces"),
        ([COMMIT, "--web", "--sort", "Manager=2", "--port", "70000"], "--port 70000: "),
        ([COMMIT, "--web"], "the model needs --sort Manager"),
        ([COMMIT, "--web", "--sort", "Manager=100000"], "smaller --sort"),
    ):
        assert command.main(["explore", *arguments]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert said in line


# --- the server ----------------------------------------------------------------------------------


@pytest.fixture
def served(commit: ModelView) -> Iterator[Server]:
    """The server of a model, on a port of its own."""
    with Server(commit) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def send(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    """Send one request, and return the status and what was answered."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    try:
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text.decode()
    finally:
        connection.close()


def ask(server: Server, **question: Any) -> tuple[int, Any]:
    """Ask as the page does."""
    return send(server, "POST", f"/ask?token={server.token}", json.dumps(question).encode())


def test_the_page_is_served_to_whoever_has_the_token(served: Server) -> None:
    """Catches a page that loads something from elsewhere, or that anybody may have."""
    status, text = send(served, "GET", served.url.partition(str(served.server_port))[2])
    assert status == 200
    assert "/* style */" not in text
    assert "/* program */" not in text
    assert "https:" not in text
    assert served.server_address[0] == "127.0.0.1"
    status, answer = ask(served, ask="at", steps=["Abort()"], position=1)
    assert (status, answer["total"]) == (200, 1)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 403),
        ("GET", "/?token=frog", {}, 403),
        ("GET", "/?token=%C3%BC", {}, 403),
        ("GET", "/?token={token}", {"Host": "evil.example"}, 403),
        ("GET", "/?token={token}", {"Host": "127.0.0.1"}, 403),
        ("GET", "/etc/passwd?token={token}", {}, 404),
        ("GET", "/ask?token={token}", {}, 404),
        ("POST", "/ask", {}, 403),
        ("POST", "/ask?token={token}", {"Origin": "http://evil.example"}, 403),
        ("POST", "/ask?token={token}", {"Origin": "null"}, 403),
        ("POST", "/ask?token={token}", {"Content-Type": "text/plain"}, 400),
        ("POST", "/?token={token}", {}, 404),
        ("PUT", "/ask?token={token}", {}, 501),
        ("DELETE", "/", {}, 501),
    ],
)
def test_what_the_page_does_not_ask_is_refused(
    served: Server, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Catches an answer to another site's page, to a name that was pointed here, to a guess."""
    path = path.replace("{token}", served.token)
    found, answer = send(served, method, path, b'{"ask": "about"}', **headers)
    assert found == status
    if status != 501:
        assert list(answer) == ["error"]
    assert ask(served, ask="about")[0] == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"frog", b"[]", b'"x"', b"{}", b'{"ask": "frog"}', b'{"ask": ["at"]}', b"\xff",
     b"[" * 100_000, b'{"ask": "at", "first": "0"}',
     b'{"ask": "about"}' + b" " * serving.MAX_BODY_OCTETS],
)
def test_a_bad_question_is_one_line(served: Server, body: bytes) -> None:
    """Catches a server that dies, or that reads whatever it is sent."""
    status, answer = send(served, "POST", f"/ask?token={served.token}", body)
    assert status == 400
    assert "\n" not in answer["error"]
    assert ask(served, ask="about")[0] == 200


def test_the_command_says_where_the_page_is_and_ends_when_it_is_told() -> None:
    """Catches an address that is printed when it is over, and a traceback at the end."""
    command_line = [sys.executable, "-m", "model_checks", "explore", "two_phase_commit", "--web"]
    with subprocess.Popen(
        command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        # Where the tests run in the background, a shell has told them to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert "<title>Explorer</title>" in httpx.get(url, trust_env=False).text
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_a_port_that_is_taken_is_one_line(served: Server, commit: ModelView) -> None:
    """Catches two servers on one port, or a traceback."""
    with pytest.raises(Unusable, match=f"--port {served.server_port}: Address already in use"):
        Server(commit, served.server_port)
