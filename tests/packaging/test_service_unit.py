"""The systemd unit: systemd itself reads it, where it is there, and says how open it is."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metanode.cli.main import EXIT_BAD_INPUT
from metanode.runtime.operator.public import HANGS_S
from tests.packaging.support import ROOT

UNIT = ROOT / "tools" / "packaging" / "metanode.service"
MANUAL = ROOT / "metanode" / "cli" / "README.md"
PROGRAM = "/usr/local/bin/metanode"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    file = tmp_path / UNIT.name
    file.write_text(UNIT.read_text().replace(PROGRAM, str(Path(sys.executable).resolve())))
    return file


def analyzed(*words: object) -> str:
    """Return what systemd-analyze says; fails when it finds fault."""
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *map(str, words)],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
def test_systemd_reads_every_line_of_the_unit(unit: Path) -> None:
    """Catches a key in the wrong section or misspelt, which systemd skips with a warning."""
    assert analyzed("verify", unit) == ""
    unit.write_text(unit.read_text() + "Colour=red\n")
    assert "Colour" in analyzed("verify", unit)


@needs_systemd
def test_the_unit_is_as_closed_as_the_manual_says(unit: Path) -> None:
    """Catches a hole in the sandbox: systemd rates the exposure, 0 is closed, 10 is open."""
    said = analyzed("security", "--offline=true", unit)
    rated = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert rated is not None
    assert float(rated[1]) <= 1.5
    assert f"exposure level {rated[1]} of 10" in MANUAL.read_text(encoding="utf-8")


def test_the_unit_fits_the_program() -> None:
    """Catches a unit that starts what cannot help for ever, or hangs later than /livez says."""
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(UNIT.read_text())
    service = read["Service"]
    assert service["Type"] == "notify"
    assert int(service["RestartPreventExitStatus"]) == EXIT_BAD_INPUT
    assert float(service["WatchdogSec"]) == HANGS_S
    assert service["Restart"] == "on-failure"
    assert service["ExecStart"].startswith(f"{PROGRAM} run --home ")
