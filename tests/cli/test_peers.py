"""``metanode peers``: the list for people and programs, and each exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metanode.errors import UserError
from metanode.runtime.operator import admin
from tests.cli.conftest import Run
from tests.support import node, refused

PEER = {
    "node_id": node(1).hex(), "address": "20.1.1.1:7000", "version": 3, "weight": None,
    "since": 1_800_000_000, "dialled": True, "listing": "listed", "holder": True, "refused": None,
    "blocked": {"node_id": node(1).hex(), "reason": "two votes", "until": 1_800_100_000},
}
REPORT: dict[str, Any] = {
    "peers": [PEER], "waiting": ["peer.example.org:7000"],
    "names": {"peer.example.org:7000": "it does not resolve"},
    "exclusions": [{
        "who": "20.9.1.1/32", "points": 2, "why": "TLS: WRONG_VERSION_NUMBER", "at": 1,
        "until": 1_800_003_600, "link": "refused",
    }],
}


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[dict[str, Any]]:
    """Let the node answer this; returns what it is asked."""
    asked: list[dict[str, Any]] = []

    def post(_home: object, page: str, document: dict[str, Any]) -> Any:
        asked.append({"page": page, **document})
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(admin, "post", post)
    monkeypatch.setattr(admin, "fetch_json", lambda _home, page: {"/peers": answer}[page])
    return asked


def test_the_list_for_people_and_for_programs(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Catches a list that leaves out who, where, since when, or why somebody is refused."""
    answering(monkeypatch, REPORT)
    code, out, err = run("peers", "--home", tmp_path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{node(1).hex()}  20.1.1.1:7000",
        "  link:    dialled since 2027-01-15 08:00:00 UTC",
        "  version: 3, weight: -",
        "  stake:   listed, holds a share",
        "  blocked: until 2027-01-16 11:46:40 UTC: two votes",
        "no answer yet: peer.example.org:7000 (it does not resolve)",
        "refused until 2027-01-15 09:00:00 UTC: 20.9.1.1/32: TLS: WRONG_VERSION_NUMBER",
    ]
    code, out, err = run("--home", tmp_path, "peers", "--json")
    assert (code, json.loads(out), err) == (0, REPORT, "")


def test_a_node_without_a_link_is_exit_code_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Catches a script that takes a lonely node for a linked one."""
    answering(monkeypatch, {"peers": [], "waiting": [], "names": {}, "exclusions": []})
    code, out, _ = run("peers", "--home", tmp_path)
    assert (code, out) == (1, "no peer is known: add one with `peers add HOST:PORT`\n")


@pytest.mark.parametrize(
    ("do", "answer", "code", "said"),
    [
        ("add", {"added": "a:1", "fault": None}, 0, "added: a:1"),
        ("add", {"added": "a:1", "fault": "a does not resolve"}, 1,
         "added: a:1, but a does not resolve"),
        ("drop", {"dropped": "a:1"}, 0, "dropped: a:1"),
        ("drop", {"dropped": None}, 1, "no such peer is known: a:1"),
        ("pardon", {"pardoned": "a:1"}, 0, "pardoned: a:1"),
        ("pardon", {"pardoned": None}, 1, "nothing to pardon: a:1"),
    ],
)
def test_what_was_done_and_what_was_not(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, do: str, answer: dict[str, Any],
    code: int, said: str,
) -> None:
    """Catches an exit code that says done where nothing was, or another question than was typed."""
    asked = answering(monkeypatch, answer)
    assert run("peers", do, "--home", tmp_path, "a:1") == (code, said + "\n", "")
    assert asked == [{"page": "/peers", "do": do, "peer": "a:1"}]
    exit_code, out, _ = run("peers", do, "--home", tmp_path, "--json", "a:1")
    assert (exit_code, json.loads(out)) == (code, answer)


def test_a_refusal_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches a traceback where the node refuses."""
    answering(monkeypatch, UserError("it holds a share, and holders keep their links"))
    refused(run("peers", "drop", "--home", tmp_path, node(1).hex()), "holds a share")


@pytest.mark.parametrize("words", [[], ["add", "a:1"], ["drop", "a:1"], ["pardon", "a:1"]])
def test_without_a_running_node_nothing_is_done(
    run: Run, tmp_path: Path, words: list[str]
) -> None:
    """Catches a command that waits for a node that is not there."""
    refused(run("--home", tmp_path, "peers", *words), "no node runs on")
