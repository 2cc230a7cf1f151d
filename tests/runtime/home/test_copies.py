"""Copies of a home's stores that cannot be made: one line, and what is done about it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from metanode.errors import Unavailable
from metanode.runtime.home import copies
from metanode.runtime.home.copies import copy_store, still
from metanode.runtime.home.home import Home, create_home
from tests.runtime.support import PASSPHRASE, config


@pytest.mark.parametrize("runs", [True, False])
def test_a_store_that_cannot_be_copied_is_told(runs: bool, tmp_path: Path) -> None:
    """Catches a copy that is torn or missing and is taken for one, or a traceback."""
    source, target = tmp_path / "a.sqlite", tmp_path / "none" / "b.sqlite"
    source.write_bytes(b"no database" * 1000)
    if runs:
        target.parent.mkdir()
    complaint = "file is not a database: .*doctor" if runs else "No such file.*: check the path"
    with pytest.raises(Unavailable, match=f"cannot copy {source}: {complaint}"):
        copy_store(source, target, runs=runs)


def test_stores_that_never_stand_still_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a backup that waits for ever, or that copies what is being written."""
    home = Home(tmp_path / "home")
    create_home(home, config(), PASSPHRASE)
    monkeypatch.setattr(copies, "BUSY_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(home.signing_log, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="cannot hold .* still .*: try again"), still(home):
            pass
        writer.execute("ROLLBACK")
    with still(home):
        pass
