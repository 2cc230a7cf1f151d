"""Atomic files, bounded reads, private modes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from metanode.errors import Unavailable, UserError
from metanode.runtime.store import files


def test_write_replaces_and_is_private(tmp_path: Path) -> None:
    """Catches a write that leaves the old bytes, a readable mode or a temporary file behind."""
    target = tmp_path / "secret"
    target.write_bytes(b"old")
    files.atomic_write(target, b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_order_is_flush_rename_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a rename before the data is on disk, or a directory that is never flushed."""
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        calls.append(f"fsync {kind}")
        real_fsync(descriptor)

    def replace(source: str, target: Path) -> None:
        calls.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    files.atomic_write(tmp_path / "x", b"data")
    assert calls == ["fsync file", "rename", "fsync directory"]


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a failure that damages the old file or leaves rubbish beside it."""
    target = tmp_path / "x"
    target.write_bytes(b"old")

    def refuse(_source: str, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(Unavailable, match="No space left"):
        files.atomic_write(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_read_is_bounded(tmp_path: Path) -> None:
    """Catches a read that takes a huge or missing file as it comes."""
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert files.read_bounded(path, 5) == b"12345"
    with pytest.raises(UserError, match="longer than 4 bytes"):
        files.read_bounded(path, 4)
    with pytest.raises(UserError, match="No such file"):
        files.read_bounded(tmp_path / "none", 4)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o601])
def test_shared_file_is_refused(tmp_path: Path, mode: int) -> None:
    """Catches a secret that another user of the machine may read or replace."""
    path = tmp_path / "x"
    path.write_bytes(b"")
    path.chmod(mode)
    with pytest.raises(UserError, match="chmod 600"):
        files.refuse_shared(path)
    path.chmod(0o600)
    files.refuse_shared(path)
