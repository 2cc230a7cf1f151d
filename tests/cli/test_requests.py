"""The commands that ask: nodes stand behind an admin server each, with answers made up for them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field

from metanode.cli.requests import changed_members, changed_numbers, keygen_words
from metanode.errors import UserError
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import AdminServer
from tests.cli.conftest import Run

EVENT = "ab" * 32
DIGEST = "cd" * 32
IDS = [f"02{number:064x}" for number in range(1, 6)]
KEY = {"key_id": "ef" * 32, "epoch": 3, "roster": IDS[:4], "threshold": 3, "byzantine": 1}
RESULT = {
    "public_key": "02" * 33, "address": "bcrt1qx", "digest": DIGEST, "r": "11" * 32,
    "s": "22" * 32, "recovery_id": 1, "der": "30", "signers": IDS[:3],
}


@define
class Node:
    """A node as its operator sees it; ``entries`` are what it shows of the event, one after
    another.
    """

    home: Path
    refusal: str = ""
    key: dict[str, Any] | None = field(factory=lambda: dict(KEY))
    event: str = EVENT
    keygen: dict[str, Any] = field(
        factory=lambda: {"mode": "command", "until": 0, "members": 4}
    )
    entries: list[dict[str, Any]] = field(factory=list)
    posted: list[dict[str, Any]] = field(factory=list)

    async def ask(self, document: Any) -> dict[str, Any]:
        """Take what is posted, or refuse."""
        self.posted.append(dict(document))
        if self.refusal:
            raise UserError(self.refusal)
        return {"event": self.event}

    def show(self, name: str) -> dict[str, Any] | None:
        """Show the next state of the event, and the last one for ever."""
        if name == "":
            return {"events": self.entries}
        return self.entries.pop(0) if len(self.entries) > 1 else self.entries[0]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What was not only checked."""
        return [document for document in self.posted if not document["check"]]


EXPIRY = {
    "renounced": 2, "needed": 3, "renounced_here": True, "released_here": False,
    "same_holders": True,
}


def entry(status: str, votes: int = 0, session: str = "acked", **more: Any) -> dict[str, Any]:
    """Return an event as a node shows it."""
    attempt = {
        "number": 7, "purpose": "sign", "coordinator": IDS[0], "votes": votes,
        "votes_needed": 3, "session": session,
    }
    return {
        "event": EVENT, "kind": "sign", "status": status, "age_s": 1, "attempts": 1,
        "attempt": attempt, "lock": None, "asked": {"digest": DIGEST}, "overdue": False,
        "expires": 1, "result": None, **more,
    }


@contextmanager
def serving(*nodes: Node) -> Iterator[None]:
    """Run an admin server for each node in a thread."""
    ready, stop = threading.Event(), threading.Event()

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for node in nodes:
                node.home.mkdir(exist_ok=True)
                server = AdminServer(
                    Home(node.home),
                    Endpoint("127.0.0.1", 0),
                    lambda node=node: {"key": node.key, "keygen": node.keygen},
                    lambda: b"",
                    pages={"events": node.show},
                    actions={"requests": node.ask},
                )
                await tasks.start(server.serve)
            ready.set()
            await anyio.to_thread.run_sync(stop.wait)
            tasks.cancel_scope.cancel()

    thread = threading.Thread(target=lambda: anyio.run(run, backend="trio"))
    thread.start()
    assert ready.wait(5)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def homes(*nodes: Node) -> list[object]:
    """Return the options that name the nodes' homes."""
    return [word for node in nodes for word in ("--home", node.home)]


def test_a_signature_is_asked_of_every_home_and_printed(tmp_path: Path, run: Run) -> None:
    """Catches a home that is left out, progress on stdout, and a result with a part missing."""
    done = entry("SUCCESS", 3, "finished", result=RESULT)
    nodes = [
        Node(tmp_path / name, entries=[entry("PENDING", 1), entry("PENDING", 2), done])
        for name in "ab"
    ]
    with serving(*nodes):
        code, out, errors = run("sign", *homes(*nodes), "--digest", DIGEST)
        assert code == 0
        for node in nodes:
            assert [document["check"] for document in node.posted] == [True, False]
            assert node.asked[0]["digest"] == DIGEST
            assert node.asked[0]["key_id"] == KEY["key_id"]
        for value in RESULT.values():
            for text in value if isinstance(value, list) else [str(value)]:
                assert text in out.split()
        said = errors.splitlines()
        assert said[0] == "asked: sign at 2 nodes"
        assert "attempt 7: 1 of 3 voted" in said
        assert said[-1] == "signed"
        code, out, _ = run("sign", *homes(*nodes), "--digest", DIGEST, "--json")
        assert (code, json.loads(out)["der"], json.loads(out)["event"]) == (0, "30", EVENT)


def test_one_refusal_keeps_every_node_from_being_asked(tmp_path: Path, run: Run) -> None:
    """Catches a request that is put to some nodes although another refuses it, or is down."""
    good = Node(tmp_path / "good", entries=[entry("PENDING")])
    bad = Node(tmp_path / "bad", refusal="2 of 4 holders are up, 3 are needed: start the others")
    with serving(good, bad):
        code, out, errors = run("sign", *homes(good, bad), "--digest", DIGEST)
        assert (code, out) == (2, "")
        assert errors == f"error: {bad.home}: {bad.refusal}\n"
        down = tmp_path / "down"
        down.mkdir()
        code, _, errors = run("sign", *homes(good), "--home", down, "--digest", DIGEST)
        assert code == 2
        assert errors.startswith(f"error: {down}: no node runs on {down}")
        assert good.posted
        assert not good.asked
        assert not bad.asked


def test_nodes_that_see_another_key_are_not_asked(tmp_path: Path, run: Run) -> None:
    """Catches requests that can never meet because the nodes would make two events of them."""
    first = Node(tmp_path / "a", entries=[entry("PENDING")])
    second = Node(tmp_path / "b", event="00" * 32)
    with serving(first, second):
        code, _, errors = run("keyrefresh", *homes(first, second))
        assert code == 2
        assert "do not see the same key and epoch" in errors
        assert not first.asked
        first.key = None
        code, _, errors = run("quorumchange", *homes(first), "--threshold", 3)
        assert code == 2
        assert "there is no key yet" in errors


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        (entry("PENDING", 2), "2 of 3 have voted: other operators must ask"),
        (entry("PENDING", attempt=None), "no attempt is running"),
        (entry("IN_PROGRESS", 3, "stepping"), "the signers have begun"),
        (entry("PENDING", overdue=True), "the time is over: ask again"),
        (entry("PENDING", overdue=True, expiry=EXPIRY), "the time is over, 2 of 3 holders have"),
        (entry("PENDING", expiry={**EXPIRY, "same_holders": False}), "the key has other holders"),
        (
            entry("PENDING", overdue=True, expiry={**EXPIRY, "renounced_here": False}),
            "the time is over: ask again",
        ),
    ],
)
def test_what_is_missing_is_said_when_the_wait_is_over(
    tmp_path: Path, run: Run, shown: dict[str, Any], missing: str
) -> None:
    """Catches a command that waits for ever, or ends without a word about why."""
    node = Node(tmp_path / "a", entries=[shown])
    with serving(node):
        code, out, errors = run("sign", *homes(node), "--digest", DIGEST, "--wait", "0.3")
        assert (code, out) == (1, "")
        assert f"not done after 0.3 s: {missing}" in errors
        code, out, _ = run("sign", *homes(node), "--digest", DIGEST, "--wait", "0", "--json")
        assert (code, json.loads(out)["status"]) == (1, shown["status"])
        code, out, _ = run("sign", *homes(node), "--digest", DIGEST, "--no-wait")
        assert (code, out) == (0, EVENT + "\n")


def test_an_expired_request_ends_the_wait_at_once(tmp_path: Path, run: Run) -> None:
    """Catches a command that waits for what cannot come, or says that it goes on."""
    node = Node(tmp_path / "a", entries=[entry("IN_PROGRESS"), entry("EXPIRED", attempt=None)])
    with serving(node):
        begun = time.monotonic()
        code, out, errors = run("sign", *homes(node), "--digest", DIGEST, "--wait", "60")
        assert (code, out) == (1, "")
        assert "the request has expired: ask again with another --label" in errors
        assert "It goes on" not in errors
        assert time.monotonic() - begun < 10


def test_a_label_is_put_to_the_nodes(tmp_path: Path, run: Run) -> None:
    """Catches a label that is lost: the operator would ask for the expired request again."""
    node = Node(tmp_path / "a", entries=[entry("PENDING")])
    with serving(node):
        run("sign", *homes(node), "--digest", DIGEST, "--no-wait", "--label", "second try")
        run("sign", *homes(node), "--digest", DIGEST, "--no-wait")
    assert [asked["label"] for asked in node.asked] == ["second try", ""]


def test_a_home_before_the_command_counts(tmp_path: Path, run: Run) -> None:
    """Catches `metanode --home DIR sign` that asks for a home again."""
    node = Node(tmp_path / "a", entries=[entry("SUCCESS", result=RESULT)])
    with serving(node):
        code, _, _ = run("--home", node.home, "sign", "--digest", DIGEST)
        assert (code, len(node.asked)) == (0, 1)
    assert run("sign", "--digest", DIGEST)[0] == 2
    assert run("sign", "--home", node.home)[0] == 2
    assert run("sign", "--home", node.home, "--digest", DIGEST, "--wait", "-1")[0] == 2


def test_a_change_of_quorum_is_worked_out_and_put_to_the_nodes(tmp_path: Path, run: Run) -> None:
    """Catches a holder that is lost or kept by mistake, and numbers that do not fit."""
    node = Node(tmp_path / "a", entries=[entry("PENDING")])
    with serving(node):
        arguments = ["--replace", f"{IDS[0]}={IDS[4]}", "--threshold", 4, "--no-wait"]
        assert run("quorumchange", *homes(node), *arguments)[0] == 0
    [asked] = node.asked
    assert asked["members"] == sorted([*IDS[1:4], IDS[4]])
    assert (asked["threshold"], asked["byzantine"], asked["epoch"]) == (4, 0, 3)


def test_members_after_a_change() -> None:
    """Catches options that contradict the roster or each other and are taken all the same."""
    assert changed_members(IDS[:3], [], [IDS[4]], [IDS[0]]) == sorted([IDS[1], IDS[2], IDS[4]])
    assert changed_members(IDS[:3], [f"{IDS[0].upper()}={IDS[3]}"], [], []) == IDS[1:4]
    wrong = [
        ([IDS[0]], [], [], "write OLD=NEW"),
        ([], [IDS[0]], [], "is a holder already"),
        ([], [], [IDS[4]], "is no holder"),
        ([f"{IDS[0]}={IDS[4]}"], [], [IDS[0]], "given twice"),
        ([f"{IDS[0]}={IDS[4]}"], [IDS[4]], [], "given twice"),
    ]
    for replace, add, remove, complaint in wrong:
        with pytest.raises(UserError, match=complaint):
            changed_members(IDS[:3], replace, add, remove)


@pytest.mark.parametrize(
    ("holders", "given", "numbers"),
    [
        (4, (None, None), (3, 1)),
        (5, (None, None), (4, 1)),
        (5, (3, None), (3, 0)),
        (2, (2, None), (2, 0)),
        (10, (7, None), (7, 3)),
        (10, (7, 2), (7, 2)),
    ],
)
def test_numbers_after_a_change(
    holders: int, given: tuple[int | None, int | None], numbers: tuple[int, int]
) -> None:
    """Catches a threshold that is carried over to another number of holders."""
    found = changed_numbers(KEY, holders, *given)
    assert (found["threshold"], found["byzantine"]) == numbers


def test_events_are_listed_one_a_line_and_shown_one_by_one(tmp_path: Path, run: Run) -> None:
    """Catches an event that is hard to find: overdue, locked, done, or another's."""
    lock = {"digest": DIGEST, "attempt": 9, "voters": IDS[:3]}
    payout = {**entry("COMPLETED", lock=lock), "event": "ba" * 32, "kind": "payout"}
    for name in ("asked", "overdue", "result", "expires"):
        del payout[name]
    renewed = {"address": "bcrt1qx", "epoch": 4, "public_key": "02" * 33, "threshold": 3}
    made = {**entry("SUCCESS", result=renewed), "event": "aa" * 32, "kind": "keyrefresh"}
    shown = [
        entry("PENDING", overdue=True, age_s=None),
        payout,
        made,
        {**entry("SUCCESS", result=RESULT), "event": "cc" * 32},
        {**entry("PENDING", overdue=True, expiry=EXPIRY), "event": "ea" * 32},
        entry("PENDING", overdue=True, expiry={**EXPIRY, "released_here": True}),
        entry("PENDING", overdue=True, expiry={**EXPIRY, "same_holders": False}),
    ]
    node = Node(tmp_path / "a", entries=shown)
    with serving(node):
        code, out, _ = run("events", *homes(node))
        assert code == 0
        lines = out.splitlines()
        assert len(lines) == 8
        assert lines[0].split() == ["event", "kind", "status", "age", "attempts", "about"]
        assert lines[1].split()[:4] == [EVENT[:16], "sign", "overdue", "-"]
        assert f"locked on {DIGEST[:16]} in attempt 9" in lines[2]
        assert "epoch 4, bcrt1qx" in lines[3]
        assert f"{DIGEST[:16]} signed by 3" in lines[4]
        assert lines[5].endswith("renounced by 2 of 3")
        assert lines[6].endswith("renounced by 2 of 3, not by this node: its share is out")
        assert lines[7].endswith("others hold the key now")
        assert json.loads(run("events", *homes(node), "--json")[1]) == shown
        one = run("events", *homes(node), "BA")[1]
        assert "kind: payout" in one
        code, _, errors = run("events", *homes(node), "dd")
        assert (code, errors) == (2, "error: 'dd' begins the id of 0 events\n")


def test_events_are_listed_by_their_status(tmp_path: Path, run: Run) -> None:
    """Catches an operator who must search a thousand events for the one that has failed."""
    shown = [
        {**entry("PENDING"), "event": "1" * 64}, {**entry("FAILED"), "event": "2" * 64},
        {**entry("PENDING", overdue=True), "event": "3" * 64},
    ]
    node = Node(tmp_path / "a", entries=shown)
    with serving(node):

        def found(*statuses: str) -> str:
            words = [word for status in statuses for word in ("--status", status)]
            code, out, _ = run("events", *homes(node), *words)
            assert code == 0
            return "".join(line[0] for line in out.splitlines()[1:])

        assert found("PENDING") == "1"
        assert found("failed", "overdue") == "23"
        assert found("EXPIRED") == ""
        code, _, errors = run("events", *homes(node), "--status", "DONE")
        assert code == 2
        assert "'DONE' is not one of" in errors
        assert json.loads(run("events", *homes(node), "--status", "FAILED", "--json")[1]) == [
            shown[1]
        ]


def test_keygen_says_what_it_does_in_each_mode(tmp_path: Path, run: Run) -> None:
    """Catches an operator who believes to have made a key that the clock makes anyway, or who waits
    for one that the others have not asked for.
    """
    done = entry("SUCCESS", result={**RESULT, "epoch": 1, "threshold": 3})
    node = Node(tmp_path / "a", key=None, entries=[done])
    with serving(node):
        code, _, errors = run("keygen", *homes(node))
        assert code == 0
        assert "the key is made when the operators of all 4 members have asked" in errors
        node.keygen = {"mode": "clock", "until": int(time.time()) + 1000, "members": 4}
        errors = run("keygen", *homes(node))[2]
        assert "keys are made by the clock, whoever asks" in errors
        assert "only waits for it" in errors
        node.refusal = "a key is locked in already, its address is bcrt1qx: `keyrefresh` renews"
        code, out, errors = run("keygen", *homes(node))
        assert (code, out) == (2, "")
        assert errors == f"error: {node.refusal}\n"
    clock = {"mode": "clock", "until": 100, "members": 4}
    assert "is locked in in 60 s" in keygen_words(clock, 40.0)
    assert "until one is certified" in keygen_words(clock, 100.0)
