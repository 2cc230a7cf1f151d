"""A wheel as it is built and installed: from the sdist, into an environment of its own.

Nothing is downloaded: what the wheel depends on comes from the environment that runs the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from functools import cache
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("spec", "metanode", "model_checks")
BARE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
"""All that the environment holds: no HOME, no locale, nothing of the tests' own."""
AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Runs a command as somebody without any right of root."""


def quiet(*command: object, cwd: Path) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def build(kind: str, source: Path, target: Path) -> Path:
    """Build a ``wheel`` or an ``sdist`` of a source tree; return the one file in ``target``."""
    quiet(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target, cwd=source)
    (made,) = target.iterdir()
    return made


def unpacked(sdist: Path, target: Path) -> Path:
    """Unpack an sdist; return its top folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(target, filter="data")
    (top,) = target.iterdir()
    return top


@cache
def user() -> tuple[str, ...]:
    """Return what to put before a command so that root does not run it."""
    if os.geteuid() != 0:
        return ()
    try:
        done = subprocess.run([*AS_USER, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return ()
    return AS_USER if done.returncode == 0 else ()


@frozen
class Installed:
    """An environment with the wheel, and an empty folder to work in."""

    environment: Path
    folder: Path

    @property
    def packages(self) -> Path:
        """Where the packages were installed."""
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.environment)}))

    def command(self, name: str, *arguments: object) -> list[str]:
        """Return the command line of a program of the environment."""
        return [*user(), str(self.environment / "bin" / name), *map(str, arguments)]

    def run(
        self, name: str, *arguments: object, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end, in the folder, with a bare environment."""
        return subprocess.run(
            self.command(name, *arguments), cwd=self.folder, env=BARE | environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8",
            timeout=100, check=False,
        )

    def start(self, output: Path, name: str, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a program of the environment in the folder."""
        with open(output, "wb") as stream:
            return subprocess.Popen(
                self.command(name, *arguments), cwd=self.folder, env=BARE,
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            )


def install(wheel: Path, place: Path) -> Installed:
    """Install a wheel into a new environment under ``place``."""
    made = Installed(place / "environment", place / "empty folder")
    made.folder.mkdir(parents=True)
    venv.create(made.environment, with_pip=False)
    quiet(
        sys.executable, "-m", "pip", "--python", made.environment / "bin" / "python",
        "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index", wheel,
        cwd=made.folder,
    )
    # A path file is not read for further path files, so that the editable install, which is there
    # as well, does not come along.
    (made.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made
