#!/usr/bin/env python3
"""Make ``.venv`` ready: everything the project needs, at the versions and hashes of the lock.

Needs Python >= 3.11 with the standard library only. A second run with nothing changed does nothing.
The packages come from the index that pip is set up for; the lock holds hashes and no addresses, so
that a mirror serves as well as the public index but cannot serve other bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

MINIMUM_PYTHON = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14")
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "tools" / "requirements.lock"
STAMP = VENV / "bootstrap.stamp"
DEBIAN_LINE = "apt install python3 python3-venv git"


class BootstrapError(Exception):
    """Set-up cannot go on; the text names the cause and the mend."""


def fingerprint() -> str:
    """Return the hex digest of all that decides what the environment must contain."""
    state = hashlib.sha256()
    for part in (
        LOCK.read_bytes(),
        (ROOT / "pyproject.toml").read_bytes(),
        os.fsencode(ROOT),
        repr(sys.version_info[:3]).encode(),
    ):
        state.update(len(part).to_bytes(8, "big") + part)
    return state.hexdigest()


def is_ready(wanted: str) -> bool:
    """Return whether an earlier run finished for exactly this lock, project file and Python."""
    try:
        return STAMP.read_text() == wanted and (VENV / "bin" / "python").exists()
    except OSError:
        return False


def run(purpose: str, *command: str) -> None:
    """Run ``command``; raise BootstrapError with its output when it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise BootstrapError(f"{purpose} failed (exit code {done.returncode}); its output is above")


def python_works(python: Path) -> bool:
    """Return whether ``python`` runs, has pip and has the version of the running interpreter."""
    ours = tuple(sys.version_info[:2])
    probe = f"import pip, sys; sys.exit(tuple(sys.version_info[:2]) != {ours!r})"
    try:
        done = subprocess.run([python, "-c", probe], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def make_environment() -> Path:
    """Create or repair ``.venv`` and return its interpreter."""
    try:
        import ensurepip  # noqa: F401 - only its presence matters
    except ImportError:
        raise BootstrapError(f"this Python has no ensurepip; on Debian: {DEBIAN_LINE}") from None
    python = VENV / "bin" / "python"
    if not python_works(python):
        print("bootstrap: making .venv", flush=True)
        run("making .venv", sys.executable, "-m", "venv", "--clear", str(VENV))
    return python


def install(python: Path) -> None:
    """Install the locked packages, then this project in place, then let pip check the whole."""
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "--no-input")
    print("bootstrap: installing the locked packages (about 470 MB on disk)", flush=True)
    run(
        "installing tools/requirements.lock",
        *pip,
        "install",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--progress-bar=off",
        "-r",
        str(LOCK),
    )
    run("installing the project", *pip, "install", "--no-deps", "--no-build-isolation", "-e", ".")
    run("pip check", *pip, "check")


def bootstrap() -> None:
    """Bring ``.venv`` up to date; two callers at once wait for each other."""
    wanted = fingerprint()
    if is_ready(wanted):
        return
    import fcntl

    # The mutex is this file, not one in .venv, which `venv --clear` empties.
    with open(__file__, "rb") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if is_ready(wanted):
            return
        started = time.monotonic()
        STAMP.unlink(missing_ok=True)
        install(make_environment())
        STAMP.write_text(wanted)
        print(f"bootstrap: ready in {time.monotonic() - started:.0f} s", flush=True)


def main() -> int:
    """Run the set-up, with a newer interpreter from PATH when this one is too old."""
    if sys.version_info < MINIMUM_PYTHON:
        for name in NEWER_PYTHONS:
            newer = shutil.which(name)
            if newer is not None:
                os.execv(newer, [newer, __file__, *sys.argv[1:]])
        found = sys.version.split()[0]
        print(
            f"error: Python 3.11 or newer is needed, this is {found}; on Debian 12: {DEBIAN_LINE}",
            file=sys.stderr,
        )
        return 2
    try:
        bootstrap()
    except BootstrapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
