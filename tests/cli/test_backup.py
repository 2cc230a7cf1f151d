"""``metanode backup``: a whole home there and back, beside a real network that goes on."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metanode.devnet.local_network import LocalNetwork
from metanode.errors import MetanodeError
from metanode.runtime.home.backups import last_backup
from metanode.runtime.home.config import load_config
from metanode.runtime.home.home import Home
from metanode.runtime.home.restored import (
    MARK,
    ROUNDS_NEEDED,
    is_observing,
    read_observation,
    write_observation,
)
from metanode.runtime.operator.admin import fetch_status
from metanode.runtime.secrets.keystore import read_node_id, share_files
from metanode.runtime.store.signing_log import SigningLog
from tests.cli.conftest import Run
from tests.cli.running import STOPPED, copy_of, end, network_with_key, wait_for


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """Four nodes with a key, one of which is stopped."""
    made = network_with_key(tmp_path_factory.mktemp("backup") / "net")
    yield made
    made.stop()


def word_of(home: Home) -> Path:
    """Return the passphrase file of a home."""
    return Path(load_config(home.config).node.passphrase_file or "")


def back_up(run: Run, home: Home, target: Path, *words: object) -> dict[str, Any]:
    """Make a backup and return what the command says."""
    code, said, complaint = run("backup", "create", "--home", home.path, "--to", target, "--json",
                                *words)
    assert code == 0, complaint
    found: dict[str, Any] = json.loads(said)
    return found


def votes(home: Home) -> set[tuple[bytes, int]]:
    """Return the votes in a stopped home's log."""
    log = SigningLog.open(home.signing_log, read_node_id(home.identity))
    found = set(log.load().votes)
    log.close()
    return found


def status(home: Home) -> dict[str, Any] | None:
    """Return what a node says, None while it does not answer."""
    try:
        return fetch_status(home)
    except MetanodeError:
        return None


@pytest.mark.parametrize("number", [0, STOPPED])
def test_a_backup_of_a_running_and_of_a_stopped_node(
    network: LocalNetwork, run: Run, tmp_path: Path, number: int
) -> None:
    """Catches a backup that needs the node stopped, is torn, or leaves something out."""
    home, target = network.homes[number], tmp_path / "n.backup"
    made = back_up(run, home, target)
    assert made["opened"]
    assert made["shares"] == 1
    assert made["votes"] >= 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    note = last_backup(home)
    assert note is not None
    assert (note.path, list(note.epochs)) == (str(target), made["epochs"])
    assert list(target.parent.iterdir()) == [target]
    code, said, _ = run("backup", "verify", target, "--passphrase-file", word_of(home), "--json")
    assert code == 0
    assert json.loads(said) == {k: v for k, v in made.items() if k != "file"}
    code, _, complaint = run("backup", "create", "--home", home.path, "--to", target)
    assert code == 2
    assert "never overwritten" in complaint


def test_nothing_in_a_backup_is_in_the_clear(
    network: LocalNetwork, run: Run, tmp_path: Path
) -> None:
    """Catches a backup that shows a vote, the configuration or a passphrase in the home."""
    home, target = copy_of(network, tmp_path), tmp_path / "n.backup"
    inside = home.path / "word"
    shutil.copyfile(word_of(home), inside)
    inside.chmod(0o600)
    text = home.config.read_text().replace(str(word_of(home)), "word")
    home.config.write_text(text)
    back_up(run, home, target)
    data = target.read_bytes()
    for path in (home.config, home.signing_log, home.identity, inside):
        assert path.read_bytes()[40:72] not in data
    restored = Home(tmp_path / "restored")
    code, said, _ = run("backup", "restore", target, "--home", restored.path,
                        "--backup-passphrase-file", inside)
    assert code == 0
    assert not (restored.path / "word").exists()
    assert f"write the home's passphrase into {restored.path / 'word'}" in said


def flip(data: bytes) -> bytes:
    """Change a bit near the end."""
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-100], "cut short"),
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: data[:20], "cut short"),
        (lambda data: b"", "does not begin like one"),
        (lambda data: data + b"x", "something follows"),
        (flip, "altered"),
        (lambda data: data.replace(b'"made"', b'"mbde"', 1), "altered"),
        (lambda data: data.replace(b'"made": 1', b'"made": 2', 1), "altered"),
        (lambda data: data[:8] + b"\2" + data[9:], "has version 2"),
    ],
)
def test_a_backup_that_is_not_whole_is_refused(
    network: LocalNetwork, run: Run, tmp_path: Path, change: Any, words: str
) -> None:
    """Catches a damaged backup that is restored, and a home that is left half made."""
    home, target = copy_of(network, tmp_path), tmp_path / "n.backup"
    back_up(run, home, target)
    target.write_bytes(change(target.read_bytes()))
    for command in (("verify", target), ("restore", target, "--home", tmp_path / "new")):
        code, _, complaint = run("backup", *command, "--backup-passphrase-file", word_of(home))
        assert code == 2
        assert words in complaint
        assert complaint.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "n.backup"]


def test_a_passphrase_of_its_own(network: LocalNetwork, run: Run, tmp_path: Path) -> None:
    """Catches a backup that the home's passphrase opens although it has its own."""
    home, target, own = copy_of(network, tmp_path), tmp_path / "n.backup", tmp_path / "own"
    own.write_text("another word\n")
    own.chmod(0o600)
    back_up(run, home, target, "--backup-passphrase-file", own)
    code, _, complaint = run("backup", "verify", target, "--passphrase-file", word_of(home))
    assert code == 2
    assert "wrong passphrase" in complaint
    code, said, _ = run("backup", "verify", target, "--backup-passphrase-file", own,
                        "--passphrase-file", word_of(home), "--json")
    assert (code, json.loads(said)["opened"]) == (0, True)
    code, said, _ = run("backup", "verify", target, "--backup-passphrase-file", own)
    assert code == 0
    assert "were not opened" in said


def test_a_home_that_does_not_open_is_not_backed_up(
    network: LocalNetwork, run: Run, tmp_path: Path
) -> None:
    """Catches a backup of a share that is missing or damaged, found out when it is needed."""
    home, target = copy_of(network, tmp_path), tmp_path / "n.backup"
    before, share = last_backup(home), share_files(home.keyshares)[0]
    share.write_bytes(flip(share.read_bytes()))
    code, _, complaint = run("backup", "create", "--home", home.path, "--to", target)
    assert code == 2
    assert ".share" in complaint
    share.unlink()
    code, _, complaint = run("backup", "create", "--home", home.path, "--to", target)
    assert code == 2
    assert "the share in force is missing" in complaint
    assert last_backup(home) == before
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_nothing_is_overwritten(network: LocalNetwork, run: Run, tmp_path: Path) -> None:
    """Catches a restore over a home, which would bring an older signing log back."""
    home, target = copy_of(network, tmp_path), tmp_path / "n.backup"
    back_up(run, home, target)
    code, _, complaint = run("backup", "restore", target, "--home", home.path,
                             "--backup-passphrase-file", word_of(home))
    assert code == 2
    assert "is not empty" in complaint
    assert not is_observing(home)


def test_a_running_nodes_backup_starts_and_observes(
    network: LocalNetwork, run: Run, tmp_path: Path
) -> None:
    """Catches a copy of three files that are not of one moment: its home would not start.

    The node signs meanwhile; one of its backups takes the place of the node, which was stopped.
    """
    old, word = network.homes[0], word_of(network.homes[0])
    targets = [tmp_path / f"{number}.backup" for number in range(4)]
    asked = [subprocess.Popen(
        [sys.executable, "-m", "metanode", "sign", "--home", network.homes[2].path,
         "--digest", f"{number:064x}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) for number in range(3)]
    try:
        made = [back_up(run, old, target)["votes"] for target in targets]
    finally:
        for each in asked:
            each.kill()
            each.wait()
    assert made == sorted(made)
    restored = Home(tmp_path / "restored")
    code, _, complaint = run("backup", "restore", targets[-1], "--home", restored.path,
                             "--backup-passphrase-file", word)
    assert code == 0, complaint
    end(network, 0)
    network.homes[0] = restored
    network.start(0)
    try:
        wait_for(lambda: ((status(restored) or {}).get("observing") or {}).get("rounds", 0) >= 1)
    finally:
        end(network, 0)
        network.homes[0] = old
        network.start(0)
    wait_for(lambda: (status(old) or {}).get("key") is not None)
    assert (status(old) or {})["observing"] is None


def test_a_restored_node_observes_until_its_operators_word(
    network: LocalNetwork, run: Run, tmp_path: Path
) -> None:
    """Catches a restored node that votes, is listed, takes requests, or never comes back."""
    old, target = network.homes[STOPPED], tmp_path / "n.backup"
    back_up(run, old, target)
    restored = Home(tmp_path / "restored")
    code, said, _ = run("backup", "restore", target, "--home", restored.path,
                        "--backup-passphrase-file", word_of(old))
    assert code == 0
    assert votes(restored) == votes(old)
    assert "which observes" in said
    network.homes[STOPPED] = restored
    network.start(STOPPED)
    me = read_node_id(restored.identity).hex()
    try:
        wait_for(lambda: ((status(restored) or {}).get("observing") or {}).get("rounds", 0) >= 2)
        seen = status(network.homes[0]) or {}
        mine = [peer for peer in seen["peers"] if peer["node_id"] == me]
        assert not any(peer["online"] for peer in mine)
        code, _, complaint = run("sign", "--home", restored.path, "--digest", "ab" * 32)
        assert code == 2
        assert "observes" in complaint
        code, said, _ = run("doctor", "--home", restored.path, "--json")
        assert any("restored" in each["text"] for each in json.loads(said)["findings"])
        code, _, complaint = run("backup", "resume", "--home", restored.path,
                                 "--nothing-forgotten")
        assert code == 2
        assert "already runs" in complaint
    finally:
        end(network, STOPPED)
    code, _, complaint = run("backup", "resume", "--home", restored.path)
    assert code == 2
    assert "--nothing-forgotten" in complaint
    code, _, complaint = run("backup", "resume", "--home", restored.path, "--nothing-forgotten")
    assert code == 2
    assert f"of {ROUNDS_NEEDED} rounds" in complaint
    heard = read_observation(restored)
    assert heard is not None
    heard.rounds = ROUNDS_NEEDED
    heard.forgotten = ["ab" * 32 + "/7"]
    write_observation(restored, heard)
    code, _, complaint = run("backup", "resume", "--home", restored.path, "--nothing-forgotten")
    assert code == 2
    assert "has forgotten 1 votes" in complaint
    heard.forgotten = [f"{event.hex()}/{attempt}" for event, attempt in votes(restored)]
    write_observation(restored, heard)  # as after an import of the newest history
    code, said, _ = run("backup", "resume", "--home", restored.path, "--nothing-forgotten")
    assert code == 0
    assert not (restored.path / MARK).exists()
    network.start(STOPPED)
    wait_for(lambda: any(
        peer["node_id"] == me and peer["online"]
        for peer in (status(network.homes[0]) or {"peers": []})["peers"]
    ))
    assert (status(restored) or {})["observing"] is None
    end(network, STOPPED)
