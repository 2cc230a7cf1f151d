"""The source of axe-core, which finds what keeps somebody from using a page: fetched once by npm.

It is no part of this project and is too large to lie in it. ``python -m tests.browser.axe``
fetches it into the cache of the user, or says why that is not possible and exits with 1.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path

PACKAGE = "axe-core@4.14.1"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
MEMBER = "package/axe.min.js"
PATIENCE_S = 60


class NotThere(Exception):
    """It cannot be got: why."""


@cache
def source() -> str:
    """Return it, from the cache or from the registry that npm is set up for."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = home / "metanode-tests" / f"{SHA256}.tgz"
    if not kept.is_file():
        _fetch(kept)
    packed = kept.read_bytes()
    if hashlib.sha256(packed).hexdigest() != SHA256:
        raise NotThere(f"{kept} is not {PACKAGE}: remove it")
    with tarfile.open(kept) as archive:
        member = archive.extractfile(MEMBER)
        if member is None:
            raise NotThere(f"{PACKAGE} has no {MEMBER}")
        return member.read().decode()


def _fetch(kept: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotThere(f"{PACKAGE} is not in {kept.parent} and there is no npm to fetch it")
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = [npm, "pack", "--silent", PACKAGE]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise NotThere(f"npm cannot fetch {PACKAGE}: {error}") from None
        [packed] = Path(folder).glob("*.tgz")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(packed, kept)


if __name__ == "__main__":
    try:
        source()
    except NotThere as error:
        sys.exit(str(error))
