"""One node per home."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanode.errors import UserError
from metanode.runtime.home.process_lock import ProcessLock
from tests.runtime.support import python

HOLDER = """
import sys, time
from pathlib import Path
from metanode.runtime.home.process_lock import ProcessLock
ProcessLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_second_process_is_refused_until_the_first_dies(tmp_path: Path) -> None:
    """Catches two nodes with one key, and a stale lock that blocks the restart after kill -9."""
    path = tmp_path / "node.lock"
    with python(HOLDER, path) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(UserError, match=f"process {holder.pid}.*already runs"):
                ProcessLock(path).acquire()
        finally:
            holder.kill()
    with ProcessLock(path):
        assert path.read_text().strip().isdigit()


def test_release_lets_the_next_one_in(tmp_path: Path) -> None:
    """Catches a lock that outlives its holder inside one process."""
    first, second = ProcessLock(tmp_path / "l"), ProcessLock(tmp_path / "l")
    with first, pytest.raises(UserError):
        second.acquire()
    second.acquire()
    second.release()
    second.release()


def test_missing_directory_is_bad_input(tmp_path: Path) -> None:
    """Catches a traceback for a home that is not there."""
    with pytest.raises(UserError, match="No such file"):
        ProcessLock(tmp_path / "none" / "l").acquire()
