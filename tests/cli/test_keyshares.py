"""``metanode keyshares``: each command, and every reason to refuse in one line."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from metanode.cli.main import invoke
from metanode.errors import UserError
from metanode.runtime.home.home import Home
from metanode.runtime.home.process_lock import ProcessLock
from metanode.runtime.secrets.keystore import load_identity, read_passphrase_file
from metanode.runtime.secrets.passphrase_change import DRAFT, UNDONE
from tests.runtime.secrets.support import (
    home_with_share,
    make_home,
    share_file,
    share_of,
    store_share,
)
from tests.runtime.support import PASSPHRASE, SECRET_TEXT, config
from tests.support import refused

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run: Run) -> Run:
    """Run a command line, and see to it that it says neither the passphrase nor the share."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code, *said = run(*arguments)
        for text in said:
            assert SECRET_TEXT.decode() not in text
            assert f"{share_of(1).secret_share:x}" not in text
        return (code, *said)

    return call


def private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner may read."""
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a share; its configuration names the passphrase file."""
    file = private(tmp_path / "passphrase", SECRET_TEXT + b"\n")
    return home_with_share(tmp_path / "home", settings=config("node.passphrase_file", str(file)))


def test_list(home: Home, run: Run) -> None:
    """Catches a list that lacks what tells one share from another, or asks for a passphrase."""
    share, path = share_of(1), share_file(home)
    (path.parent.parent.parent / "passphrase").unlink()
    code, said, _ = run("keyshares", "list", "--home", home.path)
    assert code == 0
    assert said.splitlines() == [
        f"key {share.key_id.hex()}, epoch 1",
        "  share:      1 of 3, any 2 sign",
        f"  public key: {share.public_key.hex()}",
        "  state:      locked_in, in force",
        f"  file:       {path}",
    ]
    code, said, _ = run("--home", home.path, "keyshares", "list", "--json")
    assert code == 0
    assert json.loads(said) == [
        {
            "key_id": share.key_id.hex(),
            "epoch": 1,
            "threshold": 2,
            "index": 1,
            "members": 3,
            "public_key": share.public_key.hex(),
            "file": str(path),
            "state": "locked_in",
            "active": True,
        }
    ]
    path.unlink()
    assert "  file:       MISSING" in run("keyshares", "list", "--home", home.path)[1]


def test_no_shares_yet(tmp_path: Path, run: Run) -> None:
    """Catches a new home that looks like a damaged one."""
    home = make_home(tmp_path / "home")
    file = private(tmp_path / "pass", SECRET_TEXT)
    option = ("--home", home.path, "--passphrase-file", file)
    assert run("keyshares", "list", "--home", home.path)[:2] == (0, "no shares yet\n")
    assert run("keyshares", "verify", *option)[:2] == (0, "no shares yet\n")
    refused(run("keyshares", "export", *option, "--to", tmp_path / "x"), "no share fits")


def test_verify(home: Home, run: Run) -> None:
    """Catches a verification that says less than it did, or more."""
    name = f"key {share_of(1).key_id.hex()[:16]}, epoch"
    code, said, _ = run("keyshares", "verify", "--home", home.path)
    assert code == 0
    assert said.splitlines() == [
        f"{name} 1: ok",
        "  share 1 belongs to its public share",
        "  any 2 of the 3 public shares combine to the public key",
        "  pair states with all 2 other parties are whole",
        "1 good, none bad",
    ]
    store_share(home, share_of(1, 2), slot=8)
    path = sorted(home.keyshares.iterdir())[1]
    path.write_bytes(path.read_bytes()[:-1])
    result = run("keyshares", "verify", "--home", home.path)
    refused(result, f"1 of 2 shares are not good: {path} is damaged", printed=True)
    assert f"{name} 1: ok\n" in result[1]
    assert f"{name} 2: NOT GOOD\n" in result[1]


def test_export_and_import(home: Home, run: Run, tmp_path: Path) -> None:
    """Catches a share that does not come back, and a passphrase that is not asked for."""
    file, its_own = tmp_path / "share.export", private(tmp_path / "its own", b"another")
    path, here = share_file(home), ("--home", home.path)
    option = ("--export-passphrase-file", its_own)
    code, said, _ = run("keyshares", "export", *here, "--epoch", 1, "--to", file, *option)
    name = f"key {share_of(1).key_id.hex()[:16]}, epoch 1"
    assert (code, said) == (0, f"exported: {name} to {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    refused(run("keyshares", "export", *here, "--to", file), "never overwritten")
    refused(run("keyshares", "import", *here, file, *option), "never overwritten")
    path.unlink()
    refused(run("keyshares", "import", *here, file), f"wrong passphrase for {file}")
    with ProcessLock(home.lock):
        refused(run("keyshares", "import", *here, file, *option), "stop it")
    assert not path.exists()
    code, said, _ = run("keyshares", "import", *here, file, *option)
    assert (code, said) == (0, f"imported: {name} (locked_in, in force) to {path}\n")
    assert run("keyshares", "verify", *here)[0] == 0


def test_backup(home: Home, run: Run, tmp_path: Path) -> None:
    """Catches an ok without a whole copy, and a copy over another one."""
    here, copy = ("--home", home.path), tmp_path / "copy"
    code, said, _ = run("keyshares", "backup", *here, "--to", copy)
    assert code == 0
    assert said.startswith(f"ok: {copy} was restored on trial: configuration, identity and 1 share")
    assert load_identity(copy / "identity.key", PASSPHRASE)
    refused(run("keyshares", "backup", *here, "--to", copy), "never overwritten")
    share_file(home).write_bytes(b"rubbish")
    refused(run("keyshares", "backup", *here, "--to", tmp_path / "two"), "no sealed key file")
    assert not (tmp_path / "two").exists()


def test_passphrase(home: Home, run: Run, tmp_path: Path) -> None:
    """Catches a change that forgets a file, or the file that the configuration names."""
    here, new = ("--home", home.path), private(tmp_path / "new", b"the new one")
    with ProcessLock(home.lock):
        refused(run("keyshares", "passphrase", *here, "--to-passphrase-file", new), "stop it")
    code, said, _ = run("keyshares", "passphrase", *here, "--to-passphrase-file", new)
    assert code == 0
    assert said.splitlines() == [
        "changed: identity and 1 share open with the new passphrase only",
        f"next: write the new passphrase into {tmp_path / 'passphrase'} (mode 0600)",
        "exports and backups made before still open with the old one",
    ]
    refused(run("keyshares", "verify", *here), "wrong passphrase")
    assert run("keyshares", "verify", *here, "--passphrase-file", new)[0] == 0
    refused(
        run("keyshares", "passphrase", *here, "--passphrase-file", new),
        "no passphrase: give --passphrase-file FILE",
    )
    refused(
        run("keyshares", "passphrase", *here, "--passphrase-file", new,
            "--to-passphrase-file", new),
        "the new passphrase is the old one",
    )


def test_killed_change_is_settled_by_the_next_command(home: Home, run: Run, tmp_path: Path) -> None:
    """Catches a home that needs a hand after SIGKILL, or that does not say which one counts."""
    new = private(tmp_path / "new", b"the new one")
    child = os.fork()
    if child == 0:
        real = os.rename

        def die_after(source: Path, target: Path) -> None:
            real(source, target)
            os.kill(os.getpid(), signal.SIGKILL)

        os.rename = die_after
        try:
            invoke(["keyshares", "passphrase", "--home", str(home.path),
                    "--to-passphrase-file", str(new)])
        finally:
            os._exit(0)  # the child must never return into the test run
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with pytest.raises(UserError):
        load_identity(home.identity, read_passphrase_file(new))
    option = ("--home", home.path, "--passphrase-file", new)
    code, _, errors = run("keyshares", "verify", *option)
    assert code == 0
    assert errors == (
        "note: an interrupted change of passphrase was completed: the NEW passphrase counts\n"
    )
    assert run("keyshares", "verify", *option)[2] == ""


def test_run_settles_before_it_asks(home: Home, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a node that starts on a home between two passphrases."""
    started: list[Home] = []
    module = types.ModuleType("metanode.runtime.node")

    def run_node(home: Home, *_: object) -> int:
        started.append(home)
        return 0

    module.run_node = run_node  # type: ignore[attr-defined]  # a module made for this test
    monkeypatch.setitem(sys.modules, "metanode.runtime.node", module)
    draft = home.path / DRAFT
    draft.mkdir()
    private(draft / "identity.key", b"half a file")
    code, _, errors = run("run", "--home", home.path)
    assert (code, errors) == (0, f"note: {UNDONE}\n")
    assert started == [home]
    assert not draft.exists()
    assert load_identity(home.identity, PASSPHRASE)
