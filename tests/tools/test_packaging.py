"""Lock, project file and bootstrap agree, so that a fresh machine gets what the project needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from tools import bootstrap

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "tools" / "requirements.lock").read_text()
NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(name: str) -> str:
    """Return a distribution's name as registries compare it."""
    found = NAME.match(name)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def test_lock_holds_every_dependency_with_hashes() -> None:
    """Catches a dependency that is declared and not locked, or locked without a hash."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    declared += chain.from_iterable(project["project"]["optional-dependencies"].values())
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    locked = {normal(entry) for entry in entries}
    assert {normal(name) for name in declared} <= locked
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==[0-9]", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_lock_holds_no_addresses() -> None:
    """Catches a lock that installs from one registry or one machine only."""
    assert "://" not in LOCK
    assert "index-url" not in LOCK
    assert "find-links" not in LOCK
    assert "@ " not in LOCK


def test_bootstrap_needs_the_standard_library_only() -> None:
    """Catches an import that a fresh machine does not have."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import runpy, sys; runpy.run_path(sys.argv[1])",
         str(ROOT / "tools" / "bootstrap.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_second_bootstrap_does_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches a set-up that runs again although nothing changed, or not although the lock did."""
    for name in ("pyproject.toml", "tools/requirements.lock", ".venv/bin/python"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "LOCK", tmp_path / "tools" / "requirements.lock")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv" / "bootstrap.stamp")
    installed: list[Path] = []
    monkeypatch.setattr(bootstrap, "install", installed.append)
    monkeypatch.setattr(bootstrap, "make_environment", lambda: Path("python"))
    bootstrap.bootstrap()
    bootstrap.bootstrap()
    assert len(installed) == 1
    bootstrap.LOCK.write_text("another lock")
    bootstrap.bootstrap()
    assert len(installed) == 2


def test_failed_install_leaves_no_stamp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches a half-made environment that the next run takes for a whole one."""
    stamp = tmp_path / "bootstrap.stamp"
    stamp.write_text("an older one")
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    monkeypatch.setattr(bootstrap, "make_environment", lambda: Path("python"))

    def fail(_python: Path) -> None:
        raise bootstrap.BootstrapError("installing failed")

    monkeypatch.setattr(bootstrap, "install", fail)
    assert bootstrap.main() == 2
    assert not stamp.exists()


@pytest.mark.parametrize(
    "name", ["tools/demo", "tools/test", "tools/check", "tools/lock", "tools/bench", ".ci/run"]
)
def test_commands_are_executable_and_parse(name: str) -> None:
    """Catches a command that lost its mode or has a syntax error."""
    path = ROOT / name
    assert os.access(path, os.X_OK)
    subprocess.run(["sh", "-n", str(path)], check=True)
