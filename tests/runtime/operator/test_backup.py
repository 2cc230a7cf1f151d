"""Backups of a home whose stores are written as fast as a process can, and what the doctor sees."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metanode.errors import UserError
from metanode.identity import Identity
from metanode.runtime.home.archive import BackupLabel, write_archive
from metanode.runtime.home.config import load_config
from metanode.runtime.home.home import Home, create_home
from metanode.runtime.home.restored import (
    MARK,
    Observation,
    is_observing,
    read_observation,
    write_observation,
)
from metanode.runtime.secrets.keystore import LIGHT
from metanode.runtime.store.history_mark import HistoryMark, read_mark
from metanode.runtime.store.stores import open_stores
from metanode.runtime.store.tally import Head
from tests.cli.conftest import Run, run
from tests.runtime.support import PASSPHRASE, SECRET_TEXT, config, python

__all__ = ["run"]  # the fixture

ME, OTHER = Identity.from_secret(1), Identity.from_secret(2)
ROUNDS = 8

WRITER = """
import os, sys, time
from pathlib import Path
from metanode.runtime.home.home import Home
from metanode.runtime.home.process_lock import ProcessLock
from metanode.runtime.store.cells import CellWrite
from metanode.runtime.store.signing_log import Vote
from metanode.runtime.store.stores import open_stores
home, node_id = Home(Path(sys.argv[1])), bytes.fromhex(sys.argv[2])
with ProcessLock(home.lock):
    stores = open_stores(home, node_id)
    print("running", flush=True)
    number = 0
    while True:
        stores.log.record([Vote(b"\\x01" * 32, number, b"\\xaa" * 32)])
        before = number - 1 if number else None
        stores.store.apply([CellWrite("a", (), before, number, None)])
        stores.written()
        number += 1
"""


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """The home's passphrase file."""
    file = tmp_path / "word"
    file.write_bytes(SECRET_TEXT)
    file.chmod(0o600)
    return file


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home."""
    made = Home(tmp_path / "home")
    create_home(made, config(), PASSPHRASE, lambda _: ME.secret_bytes())
    return made


@pytest.fixture
def under_load(home: Home) -> Iterator[Home]:
    """The home while a process writes votes and cells, each flush as a node does it; then killed.
    """
    with python(WRITER, home.path, ME.node_id.hex()) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "running\n"
        yield home
        assert writer.poll() is None, "the writer did not come through"
        writer.kill()


def fits(home: Home) -> int:
    """Return how many votes a home knows; its cells must be those of the last or the one before."""
    marked = read_mark(home.mark, ME.node_id)
    stores = open_stores(home, ME.node_id)
    try:
        votes, cells = len(stores.log.load().votes), stores.store.load()
        assert stores.mark.marked == marked, "it fitted only by being caught up"
    finally:
        stores.close()
    assert not votes or votes - 1 - cells["a"][()] in (0, 1)
    return votes


def restored(run: Run, home: Home, word: Path, place: Path) -> Home:
    """Back a home up by the command, verify and restore it."""
    file, new = place.with_suffix(".backup"), Home(place)
    code, said, complaint = run("backup", "create", "--home", home.path, "--to", file,
                                "--passphrase-file", word, "--json")
    assert code == 0, complaint
    code, _, complaint = run("backup", "verify", file, "--passphrase-file", word)
    assert code == 0, complaint
    code, _, complaint = run("backup", "restore", file, "--home", new.path,
                             "--backup-passphrase-file", word)
    assert code == 0, complaint
    assert is_observing(new)
    assert fits(new) == json.loads(said)["votes"]
    return new


def test_a_backup_under_load_has_a_mark_that_fits(
    under_load: Home, run: Run, word: Path, tmp_path: Path
) -> None:
    """Catches a copy of three files at three moments, which no restored home would start with."""
    known = [
        fits(restored(run, under_load, word, tmp_path / f"restored-{number}"))
        for number in range(ROUNDS)
    ]
    assert known == sorted(set(known)), "nothing was written between two of the backups"


def test_a_backup_of_a_killed_node_has_a_mark_that_fits(
    home: Home, run: Run, word: Path, tmp_path: Path
) -> None:
    """Catches a backup without the journal that a killed process has left beside its stores."""
    with python(WRITER, home.path, ME.node_id.hex()) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "running\n"
        time.sleep(0.5)
        writer.kill()
    assert Path(f"{home.signing_log}-wal").exists()
    assert fits(restored(run, home, word, tmp_path / "restored")) > 0


def test_a_backup_whose_mark_does_not_fit_is_refused(
    home: Home, run: Run, word: Path, tmp_path: Path
) -> None:
    """Catches a backup of a home that would not start, found out when it is needed."""
    home.mark.write_bytes(b"x" * 1024)
    file = tmp_path / "n.backup"
    code, _, complaint = run("backup", "create", "--home", home.path, "--to", file,
                             "--passphrase-file", word)
    assert code == 2
    assert f"no backup was made: history mark damaged: {home.mark}: put the file" in complaint
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == []


def packed(home: Home, file: Path, label: BackupLabel) -> Path:
    """Seal a home as it is, under a label."""
    with open(file, "wb") as out:
        write_archive(home, out, label, PASSPHRASE, LIGHT)
    return file


def label_of(home: Home, node_id: bytes = ME.node_id) -> BackupLabel:
    """Return the label of a home's backup."""
    return BackupLabel(node_id.hex(), load_config(home.config).network_id().hex(), 1)


@pytest.mark.parametrize("command", ["verify", "restore"])
@pytest.mark.parametrize("case", ["mark", "node"])
def test_a_backup_that_would_not_start_is_refused(
    case: str, command: str, home: Home, run: Run, word: Path, tmp_path: Path
) -> None:
    """Catches a backup, sealed by whatever program, whose restored home would not start, and a
    line that leads to an older store: what helps is another backup.
    """
    label = label_of(home)
    if case == "mark":
        HistoryMark.read(home.mark, ME.node_id).put(Head(7), Head(7))
    else:
        label = label_of(home, OTHER.node_id)
    file, new = packed(home, tmp_path / "n.backup", label), tmp_path / "new"
    words = ("--home", new) if command == "restore" else ()
    code, _, complaint = run("backup", command, file, "--backup-passphrase-file", word, *words)
    assert code == 2
    cause = {"mark": "signing log has gone back in time: its home", "node": "another node"}[case]
    assert f"{file} is no good backup ({'it is of ' if case == 'node' else ''}{cause}" in complaint
    assert complaint.endswith("): take another one\n")
    assert "put the newest" not in complaint
    assert not new.exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("verify", "{none}"), "cannot read {none}: No such file or directory: check the path"),
        (("verify", "{place}"), "cannot read {place}: Is a directory: name a file"),
        (("restore", "{file}", "--home", "{none}/new"), "there is no directory {none}: make it"),
        (("resume", "--home", "{home}", "--nothing-forgotten"), "does not observe: there is"),
    ],
)
def test_a_wrong_name_is_one_line(
    words: tuple[str, ...], complaint: str, home: Home, run: Run, word: Path, tmp_path: Path
) -> None:
    """Catches a path that does not serve and ends in a traceback, or in a home half made."""
    file = packed(home, tmp_path / "n.backup", label_of(home))
    names = {"none": tmp_path / "none", "place": tmp_path, "file": file, "home": home.path}
    said = [each.format(**names) for each in words]
    if words[0] != "resume":
        said += ["--backup-passphrase-file", str(word)]
    before = sorted(tmp_path.iterdir())
    code, _, told = run("backup", *said)
    assert (code, told.count("\n")) == (2, 1)
    assert complaint.format(**names) in told
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_into_no_directory_is_one_line(
    home: Home, run: Run, word: Path, tmp_path: Path
) -> None:
    """Catches a target that cannot be made, found out after all of the work, or a traceback."""
    code, _, told = run("backup", "create", "--home", home.path, "--to", tmp_path / "no" / "n",
                        "--passphrase-file", word)
    assert code == 2
    assert f"cannot write to {tmp_path / 'no'}: No such file or directory: check the path" in told


def full(*_arguments: object, **_names: object) -> Iterator[bytes]:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("place", "command", "complaint"),
    [
        ("operator.backup.write_archive", "create", "cannot write {file}: "),
        ("home.archive._parts", "restore", "cannot unpack {file}: "),
        ("operator.backup.os.rename", "restore", "cannot write {new}: "),
    ],
)
def test_a_full_disk_is_one_line(
    place: str, command: str, complaint: str, home: Home, run: Run, word: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a disk that gets full on the way, and a backup or a home that is left half made."""
    file, new = tmp_path / "n.backup", tmp_path / "new"
    words: tuple[object, ...] = ("create", "--home", home.path, "--to", file,
                                 "--passphrase-file", word)
    if command == "restore":
        packed(home, file, label_of(home))
        words = ("restore", file, "--home", new, "--backup-passphrase-file", word)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(f"metanode.runtime.{place}", full)
    code, _, told = run("backup", *words)
    assert code == 2
    assert f"{complaint.format(file=file, new=new)}No space left on device: free some" in told
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_of_an_observing_home_keeps_what_it_found(
    home: Home, run: Run, word: Path, tmp_path: Path
) -> None:
    """Catches a restored node that forgets, by way of a second backup, that it has forgotten."""
    write_observation(home, Observation(7, 8, rounds=5, forgotten=["ab" * 32 + "/3"]))
    again = read_observation(restored(run, home, word, tmp_path / "restored"))
    assert again is not None
    assert (again.backup_made, again.rounds, again.forgotten) == (7, 0, ["ab" * 32 + "/3"])


def test_a_damaged_note_of_an_observation_signs_nothing(home: Home) -> None:
    """Catches a restored node that signs because nobody can read how far it has observed."""
    (home.path / MARK).write_text("{")
    with pytest.raises(UserError, match="is damaged: restore the backup anew into an empty"):
        read_observation(home)
    assert is_observing(home)


def test_the_doctor_sees_no_fault_in_a_home_under_load(under_load: Home, run: Run) -> None:
    """Catches a doctor that takes what is written while it copies for a store gone back."""
    for _ in range(ROUNDS):
        _, said, _ = run("doctor", "--home", under_load.path, "--json")
        found = [each for each in json.loads(said)["findings"] if each["about"] == "history"]
        assert [each["level"] for each in found] == ["ok"], found
