"""``metanode doctor``: planted faults, each on a real home beside a real network and chain."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from metanode.devnet.local_network import LocalNetwork
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.doctor import at_daemon, at_home
from metanode.runtime.home.backups import BackupNote, note_backup
from metanode.runtime.home.config import load_config
from metanode.runtime.home.home import Home
from metanode.runtime.home.process_lock import ProcessLock
from metanode.runtime.secrets.keystore import read_node_id, share_files
from metanode.runtime.store.cells import CellStore
from metanode.runtime.store.history_mark import HistoryMark, Marked, read_mark
from metanode.runtime.store.signing_log import SigningLog
from metanode.runtime.store.tally import Head
from tests.cli.conftest import Run
from tests.cli.running import STOPPED, copy_of, network_with_key, set_key
from tests.runtime.support import NODE_ID

Examine = Callable[[Home], dict[str, Any]]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """Four nodes with a key, one of which is stopped."""
    made = network_with_key(tmp_path_factory.mktemp("doctor") / "net")
    yield made
    made.stop()


@pytest.fixture
def home(network: LocalNetwork, tmp_path: Path) -> Home:
    """A copy of the stopped node's home."""
    return copy_of(network, tmp_path)


@pytest.fixture
def examine(run: Run) -> Examine:
    """Return a function that runs the command and returns what it says, by topic."""

    def call(home: Home) -> dict[str, Any]:
        code, said, _ = run("doctor", "--home", home.path, "--json")
        report = json.loads(said)
        assert code == {"ok": 0, "warning": 1, "fault": 2}[report["level"]]
        return {"code": code, "findings": report["findings"]}

    return call


def listing(home: Home) -> dict[str, tuple[int, int, bytes]]:
    """Return every file of a home with mode, time and content."""
    return {
        str(path): (path.stat().st_mode, path.stat().st_mtime_ns,
                    path.read_bytes() if path.is_file() else b"")
        for path in sorted(home.path.rglob("*"))
    }


def at(report: dict[str, Any], level: str) -> dict[str, str]:
    """Return text and mend of the findings of one level, by topic."""
    return {
        each["about"]: f"{each['text']} -> {each['mend']}"
        for each in report["findings"] if each["level"] == level
    }


def test_a_sound_home_has_no_fault_and_is_not_touched(home: Home, examine: Examine) -> None:
    """Catches a doctor that writes into the home, or sees faults where there are none."""
    before = listing(home)
    report = examine(home)
    assert at(report, "fault") == {}
    assert at(report, "warning").keys() == {"process", "backup"}
    assert listing(home) == before
    fine = at(report, "ok")
    for about in ("files", "configuration", "permissions", "disk", "passphrase", "history",
                  "share", "daemon", "clock", "stake", "port", "peers"):
        assert about in fine


def test_a_running_node_tells_what_it_has_seen(network: LocalNetwork, examine: Examine) -> None:
    """Catches a doctor that needs the node stopped, or does not see that a holder is away."""
    report = examine(network.homes[0])
    assert at(report, "fault") == {}
    away = read_node_id(network.homes[STOPPED].identity).hex()[:16]
    assert away in at(report, "warning")["peers"]
    assert "runs since" in at(report, "ok")["process"]
    assert "version 4" in at(report, "ok")["versions"]
    assert "come in" in at(report, "ok")["port"]


def unknown_key(home: Home) -> None:
    """Mistype a key."""
    home.config.write_text(home.config.read_text().replace("keygen_until", "keygen_untill"))


def garbled(path: Path) -> None:
    """Overwrite the beginning of a file."""
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])


def flipped(path: Path) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def forgetful(home: Home) -> None:
    """Put an empty log in the place of the one that knows votes."""
    for end in ("", "-wal", "-shm"):
        Path(f"{home.signing_log}{end}").unlink(missing_ok=True)
    SigningLog.create(home.signing_log, read_node_id(home.identity)).close()


def forgotten_by_all(home: Home) -> None:
    """Put an empty log in, with a mark that fits: an older copy of everything that knows."""
    forgetful(home)
    marked_at(home, lambda m: attrs.evolve(m, log=Head()))


def empty_events(home: Home) -> None:
    """Put an empty event store in the place of the one that was written."""
    no_events(home)
    CellStore.create(home.events, read_node_id(home.identity)).close()


def marked_at(home: Home, change: Callable[[Marked], Marked]) -> None:
    """Write another mark."""
    node_id = read_node_id(home.identity)
    marked = change(read_mark(home.mark, node_id))
    home.mark.unlink()
    HistoryMark.create(home.mark, node_id, marked.log, marked.store).close()


def another_line(marked: Marked) -> Marked:
    """Return what a log of a copy that ran elsewhere would be marked by."""
    return attrs.evolve(marked, log=attrs.evolve(marked.log, total=marked.log.total ^ 1))


def foreign_mark(home: Home) -> None:
    """Put another node's mark in."""
    home.mark.unlink()
    HistoryMark.create(home.mark, NODE_ID, Head(), Head()).close()


def no_events(home: Home) -> None:
    """Lose the event store."""
    for end in ("", "-wal", "-shm"):
        Path(f"{home.events}{end}").unlink(missing_ok=True)


def another_word(home: Home) -> None:
    """Name a file with another passphrase."""
    word = home.path / "word"
    word.write_bytes(b"not this one\n")
    word.chmod(0o600)
    set_key(home, "node.passphrase_file", str(word))


def open_word(home: Home) -> None:
    """Name a passphrase file that others can read."""
    word = home.path / "word"
    shutil.copyfile(Path(load_config(home.config).node.passphrase_file or ""), word)
    word.chmod(0o644)
    set_key(home, "node.passphrase_file", str(word))


def old_backup(home: Home) -> None:
    """Make a backup of a month ago."""
    note_backup(home, BackupNote(int(time.time()) - 30 * 86_400, "there", (1,)))


def stale_backup(home: Home) -> None:
    """Make a backup of an epoch that is over."""
    note_backup(home, BackupNote(int(time.time()), "there", (0,)))


FAULTS: dict[str, tuple[Callable[[Home], Any], str, str, str, str]] = {
    # name: (plant, level, about, words of the line, words of the mend)
    "key": (unknown_key, "fault", "configuration", "keygen_untill", "config check"),
    "mode": (lambda h: h.identity.chmod(0o644), "fault", "permissions", "0644", "chmod 600"),
    "open mark": (lambda h: h.mark.chmod(0o644), "fault", "permissions", "history.mark is open",
                  "chmod 600"),
    "directory": (lambda h: h.keyshares.chmod(0o755), "fault", "permissions", "0755", "chmod 700"),
    "word": (another_word, "fault", "passphrase", "wrong passphrase", "check the passphrase"),
    "open word": (open_word, "fault", "passphrase", "open to other", "chmod 600"),
    "change": (lambda h: (h.path / "passphrase.draft").mkdir(), "warning", "passphrase",
               "interrupted", "keyshares verify"),
    "log": (lambda h: h.signing_log.unlink(), "fault", "files", "signing log is missing", "older"),
    "events": (no_events, "fault", "files", "event store is missing", "put the file itself back"),
    "identity": (lambda h: h.identity.unlink(), "fault", "files", "identity", "backup restore"),
    "garbled": (lambda h: garbled(h.events), "fault", "history", "event store",
                "together with its -wal (this node checks them)"),
    "forgotten": (forgetful, "fault", "history", "signing log has gone back in time",
                  "history import"),
    "all forgotten": (forgotten_by_all, "fault", "history", "that the trace tells",
                      "history import"),
    "empty events": (empty_events, "fault", "history", "event store has gone back in time",
                     "quorumchange --replace"),
    "no mark": (lambda h: h.mark.unlink(), "fault", "history", "history mark missing",
                "put the file itself back"),
    "old mark": (lambda h: marked_at(h, lambda m: Marked(0, Head(), Head())), "fault", "history",
                 "history mark is older than the signing log", "put the newest history mark back"),
    "old mark of the store": (
        lambda h: marked_at(h, lambda m: attrs.evolve(m, store=Head())), "fault", "history",
        "history mark is older than the event store", "put the newest history mark back",
    ),
    "another line": (lambda h: marked_at(h, another_line), "fault", "history",
                     "does not continue what this node has written", "history import"),
    "torn mark": (lambda h: h.mark.write_bytes(b"x" * 1024), "fault", "history",
                  "history mark damaged", "put the file itself back"),
    "foreign mark": (foreign_mark, "fault", "history", "belongs to another node",
                     "put this node's own history mark back"),
    "share": (lambda h: share_files(h.keyshares)[0].unlink(), "fault", "share", "missing",
              "keyshares import"),
    "flipped": (lambda h: flipped(share_files(h.keyshares)[0]), "fault", "share", ".share",
                "keyshares import"),
    "old backup": (old_backup, "warning", "backup", "30 days", "backup create"),
    "stale backup": (stale_backup, "warning", "backup", "lacks the share", "backup create"),
    "no daemon": (lambda h: set_key(h, "chain.rpc_url", "http://127.0.0.1:1"), "fault", "daemon",
                  "no answer", "start the chain daemon"),
    "cookie": (lambda h: set_key(h, "chain.rpc_password_file", "gone"), "fault", "daemon",
               "gone", "rpc_password_file"),
    "no stake": (lambda h: set_key(h, "stake.outpoint", None), "fault", "stake", "missing",
                 "set stake.outpoint"),
    "short": (lambda h: set_key(h, "stake.minimum", 3_000_000), "fault", "stake", "less than",
              "pay 3000000"),
    "peer": (lambda h: set_key(h, "node.peers", (Endpoint("127.0.0.1", 1),)), "fault", "peers",
             "127.0.0.1:1", "node.peers"),
    "no peer": (lambda h: set_key(h, "node.peers", ()), "warning", "peers", "no peer is named",
                "node.peers"),
    "name": (lambda h: set_key(h, "node.advertise", Endpoint("nowhere.invalid", 7000)), "fault",
             "port", "does not resolve", "correct the name"),
    "killed": (lambda h: h.admin.write_text("{}"), "warning", "process", "killed", "metanode run"),
    "defect": (lambda h: h.log.write_text("Traceback (most recent call last):\n"), "warning",
               "log", "defect", "report it"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_with_its_mend(name: str, home: Home, examine: Examine) -> None:
    """Catches a fault that the doctor overlooks, or for which it names no mend."""
    plant, level, about, words, mend = FAULTS[name]
    plant(home)
    found = at(examine(home), level)
    assert about in found, found
    text, _, remedy = found[about].partition(" -> ")
    assert words in text
    assert "metanode-trial" not in text  # it is the home that is told of, not a copy
    assert mend in remedy


def test_a_stake_of_another_node_is_told(
    network: LocalNetwork, home: Home, examine: Examine
) -> None:
    """Catches a stake that is good, but not this node's."""
    set_key(home, "stake.outpoint", load_config(network.homes[0].config).stake.outpoint)
    assert "not made out to this node" in at(examine(home), "fault")["stake"]


def test_a_stake_that_is_not_there_is_told(home: Home, examine: Examine) -> None:
    """Catches an outpoint that is mistyped, or spent."""
    outpoint = load_config(home.config).stake.outpoint
    set_key(home, "stake.outpoint", type(outpoint)(bytes(32), 0))
    assert "does not exist, or is spent" in at(examine(home), "fault")["stake"]


def test_a_daemon_of_another_chain_is_told(home: Home, examine: Examine) -> None:
    """Catches a daemon that answers well, about another chain."""
    text = home.config.read_text()
    text = text.replace('chain = "devnet"', 'chain = "litecoin-regtest"')
    home.config.write_text(text.replace('hrp = "bcrt"', 'hrp = "rltc"'))
    found = at(examine(home), "fault")["daemon"]
    assert "follows" in found
    assert "correct chain.rpc_url or chain.chain" in found


def test_a_taken_port_is_told(home: Home, examine: Examine) -> None:
    """Catches a port that another process holds."""
    listen = load_config(home.config).node.listen
    with socket.create_server((listen.host, listen.port)):
        found = at(examine(home), "fault")["port"]
    assert "another process listens" in found
    assert "node.listen" in found


def test_a_node_that_does_not_answer_is_told(home: Home, examine: Examine) -> None:
    """Catches a process that holds the lock and says nothing."""
    with ProcessLock(home.lock):
        assert "does not answer" in at(examine(home), "fault")["process"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_foreign_owner_is_told(home: Home, examine: Examine) -> None:
    """Catches files that a restore as another user has left behind."""
    os.chown(home.config, 12_345, -1)
    found = at(examine(home), "fault")["permissions"]
    assert "belongs to user 12345" in found
    assert f"chown {os.geteuid()} {home.config}" in found


def test_a_full_disk_is_told(
    home: Home, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a disk that the node itself would call full."""
    usage = SimpleNamespace(disk_usage=lambda _path: SimpleNamespace(free=1 << 20))
    monkeypatch.setattr(at_home, "shutil", usage)
    assert "a node needs 256" in at(examine(home), "fault")["disk"]


def test_a_clock_behind_the_chain_is_told(
    home: Home, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a clock that is hours late, which the chain's blocks give away."""
    late = SimpleNamespace(time=lambda: time.time() - 3 * 3600)
    monkeypatch.setattr(at_daemon, "time", late)
    found = at(examine(home), "fault")["clock"]
    assert "behind" in found
    assert "timedatectl" in found


def test_no_home_is_one_line(tmp_path: Path, run: Run) -> None:
    """Catches a traceback, or a home that the doctor makes by itself."""
    code, said, _ = run("doctor", "--home", tmp_path / "none")
    assert code == 2
    assert said.splitlines()[1].split() == ["mend:", "metanode", "init", "--home",
                                            str(tmp_path / "none")]
    assert not (tmp_path / "none").exists()
