"""What surrounds a command is never a defect of it: streams, limits, locale, environment.

Real processes: closed and full streams, a pipe that nobody reads, few open files, no environment.
Each ends as it should, or with one line and exit code 2; exit code 70 is for defects.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metanode.runtime.home.home import Home
from tests.runtime.secrets.support import home_with_share
from tests.runtime.support import ROOT, SECRET_TEXT

META = f"{sys.executable} -m metanode"
COMMANDS = {
    "help": "--help",
    "init": "init --home {new} --listen 127.0.0.1:7001 --preset devnet",
    "verify": "keyshares verify --home {home} --passphrase-file {secret}",
    "export": "history export --home {home} --to {new}",
    "demo": "demo --daemon /nonexistent",
}


def few(kind: int, number: int) -> Callable[[], None]:
    """Return what limits a process before it begins."""
    return lambda: resource.setrlimit(kind, (number, number))


ENVIRONMENT = {**os.environ}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SURROUNDINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "stdout is full": ("{command} > /dev/full < /dev/null", {}),
    "stderr is full": ("{command} 2> /dev/full < /dev/null", {}),
    "nobody reads": ("set -o pipefail; {command} < /dev/null | true", {}),
    "stdin is closed": ("{command} <&-", {}),
    "all streams are closed": ("{command} <&- >&- 2>&-", {}),
    "few files": (
        "{command} < /dev/null", {"preexec_fn": few(resource.RLIMIT_NOFILE, 12)}
    ),
    "no file may grow": ("{command} < /dev/null", {"preexec_fn": few(resource.RLIMIT_FSIZE, 0)}),
    "locale C": ("{command} < /dev/null", {"env": {**ENVIRONMENT, **C_LOCALE}}),
    "no environment": ("{command} < /dev/null", {"env": {}}),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A stopped home with a share and, beside it, its passphrase."""
    place = tmp_path_factory.mktemp("surroundings") / "höme"  # a letter that locale C does not know
    made = home_with_share(place)
    secret = place.parent / "pass"
    secret.write_bytes(SECRET_TEXT)
    secret.chmod(0o600)
    return made


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_fault_outside_is_no_defect(
    command: str, surroundings: str, home: Home, tmp_path: Path
) -> None:
    """Catches exit code 70, a traceback, or more than a line for what is not our fault."""
    shape, more = SURROUNDINGS[surroundings]
    names = {"home": home.path, "secret": home.path.parent / "pass", "new": tmp_path / "new"}
    line = shape.format(command=f"{META} {COMMANDS[command].format(**names)}")
    log = home.log.read_bytes() if home.log.exists() else b""
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, timeout=60, check=False, **more
    )
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode in (0, 1, 2), said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert len(said.splitlines()) <= 1
    if done.returncode == 2 and said:
        assert said.startswith("error: ")
    assert (home.log.read_bytes() if home.log.exists() else b"") == log, "a defect was written down"


CLOSED = """
import os, sys
for number in (0, 1, 2):
    os.close(number)
sys.stdin = sys.stdout = sys.stderr = None
from metanode.cli.main import stand_in
stand_in()
stream = open(sys.argv[1], "wb")
os._exit(stream.fileno())
"""


def test_no_store_gets_the_number_of_a_stream(tmp_path: Path) -> None:
    """Catches a signing log that is opened as number 2, into which any complaint is then written.
    """
    done = subprocess.run([sys.executable, "-c", CLOSED, tmp_path / "file"], cwd=ROOT, check=False)
    assert done.returncode >= 3
