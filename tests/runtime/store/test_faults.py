"""What the machine refuses: real full, read-only and foreign files, and the line for each.

A file system of its own is mounted in a name space of its own; where the kernel does not let this
user do that, these tests are skipped.
"""

from __future__ import annotations

import errno
import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from metanode.errors import Unavailable
from metanode.runtime.home.home import Home, create_home
from metanode.runtime.store import faults
from metanode.runtime.store.signing_log import SigningLog, Vote
from tests.runtime.support import NODE_ID, PASSPHRASE, ROOT, SECRET_TEXT, config

NEVER = ("older", "restore", "backup", "back-up")
"""No line about the machine may send an operator to another copy of a store."""


def in_own_mount(script: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with 2 MiB of disk at ``place``/disk; skip where that is not allowed."""
    (place / "disk").mkdir()
    (place / "pass").write_bytes(SECRET_TEXT)
    (place / "pass").chmod(0o600)
    known = {"D": place / "disk", "P": place / "pass", "META": f"{sys.executable} -m metanode"}
    names = "\n".join(f"{name}={shlex.quote(str(value))}" for name, value in known.items())
    mount = "mount -t tmpfs -o size=2m tmpfs $D || exit 77"
    command = ["unshare", "-rm", "bash", "-c", f"{names}\n{mount}\n{script}"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this user may not mount")
    return done


INIT = "$META init --home $D/h --listen 127.0.0.1:7001 --preset devnet --passphrase-file $P"
BACKUP = "keyshares backup --home $D/h --to $D/b --passphrase-file $P"
PARDON = f"blame pardon --home $D/h 02{'ab' * 32}"
EXPORT, IMPORT = "history export --home $D/h --to $D/x", "history import --home $D/h /dev/null"


def test_a_full_disk_is_called_full(tmp_path: Path) -> None:
    """Catches a full disk that is called damage, a defect or a failing disk, and a half-made home.
    """
    tries = "".join(f"$META {command}; echo rc=$?\n" for command in (EXPORT, BACKUP))
    again = INIT.replace("/h ", "/h2 ")
    done = in_own_mount(
        f"{INIT} > /dev/null || exit 1\ndd if=/dev/zero of=$D/fill bs=4k 2> /dev/null\n"
        f"{tries}{again}; echo rc=$?; ls $D\n", tmp_path,
    )
    assert done.stdout.split() == ["rc=2", "rc=2", "rc=2", "fill", "h"]
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert "No space left on device: free some space" in line
        assert not any(word in line for word in NEVER)


def test_a_read_only_disk_is_called_read_only(tmp_path: Path) -> None:
    """Catches a read-only file system that is called damage."""
    commands = (EXPORT, BACKUP, IMPORT, PARDON)
    tries = "".join(f"$META {command}; echo rc=$?\n" for command in commands)
    done = in_own_mount(
        f"{INIT} > /dev/null || exit 1\nmount -o remount,ro $D\n{tries}", tmp_path
    )
    assert set(done.stdout.split()) == {"rc=2"}
    for line in done.stderr.splitlines():
        assert "Read-only file system: mount the file system writable" in line
        assert not any(word in line for word in NEVER)


def test_a_running_node_says_that_the_disk_is_full(tmp_path: Path) -> None:
    """Catches a node that a full disk ends with a traceback, or that goes on without its records.
    """
    stake = f"--stake-outpoint {'ab' * 32}:0"
    done = in_own_mount(
        f"{INIT} {stake} > /dev/null || exit 1\n$META run --home $D/h --passphrase-file $P & p=$!\n"
        "for i in $(seq 100); do sleep 0.1; test -s $D/h/trace/trace-000001.jsonl && break; done\n"
        "dd if=/dev/zero of=$D/fill bs=4k 2> /dev/null\nwait $p; echo rc=$?\n", tmp_path,
    )
    assert done.stdout == "rc=2\n"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    # Whichever file is written to next meets the full disk first.
    assert line.endswith("free some space")
    assert f"{tmp_path}/disk/h/" in line


OPENER = """
import os, sys
from pathlib import Path
from metanode.errors import MetanodeError
from metanode.runtime.store.signing_log import SigningLog, Vote
os.setgid(65534)
os.setuid(65534)
try:
    SigningLog.open(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))
except MetanodeError as fault:
    print(fault)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_foreign_owner_is_named(tmp_path: Path, mode: int) -> None:
    """Catches another user's file that is called damage: the wrong user started the node."""
    path = tmp_path / "signing_log.sqlite"
    SigningLog.create(path, NODE_ID).close()
    path.chmod(mode)
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == 0 and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o055)
    command = [sys.executable, "-c", OPENER, path, NODE_ID.hex()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Permission denied" in done.stdout
    assert "belongs to root, this is nobody: run this as its owner" in done.stdout
    assert not any(word in done.stdout for word in NEVER)


def test_a_file_that_another_holds_is_called_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a lock that is called damage, at the start or while the node runs."""
    monkeypatch.setattr("metanode.runtime.store.sqlite.BUSY_TIMEOUT_S", 0.1)
    path = tmp_path / "signing_log.sqlite"
    SigningLog.create(path, NODE_ID).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    held = "database is locked: stop the other process that holds it"
    with pytest.raises(Unavailable, match=f"cannot open .*{held}"):
        SigningLog.open(path, NODE_ID)
    other.execute("ROLLBACK")
    log = SigningLog.open(path, NODE_ID)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=f"cannot write .*{held}"):
        log.record([Vote(bytes(32), 1, bytes(32))])
    other.execute("ROLLBACK")
    other.close()
    log.record([Vote(bytes(32), 1, bytes(32))])
    log.close()


def test_a_path_of_any_characters_is_as_good(tmp_path: Path) -> None:
    """Catches characters that mean something in the address of a database."""
    odd = tmp_path / "my home #1?x=1%41&mode=memory; ü"
    odd.mkdir()
    log = SigningLog.create(odd / "signing_log.sqlite", NODE_ID)
    log.record([Vote(bytes(32), 1, bytes(32))])
    log.close()
    again = SigningLog.open(odd / "signing_log.sqlite", NODE_ID)
    assert len(again.load().votes) == 1
    again.close()


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_cause_of_the_kernel_has_a_line(number: int, tmp_path: Path) -> None:
    """Catches a cause without a remedy, and one that is told as another's."""
    line = faults.remedy(tmp_path, OSError(number, os.strerror(number)))
    assert line.startswith(os.strerror(number) + ": ")
    assert len(line) > len(os.strerror(number)) + 5
    assert not any(word in line for word in NEVER)


def test_a_home_that_cannot_be_made_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches half a home that forbids the next `init`, or that somebody would run."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("metanode.runtime.secrets.keystore.save_identity", fail)
    with pytest.raises(OSError, match="No space"):
        create_home(Home(tmp_path / "home"), config(), PASSPHRASE)
    assert list(tmp_path.iterdir()) == []
