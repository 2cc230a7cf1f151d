"""The home under examination: what all checks share, read once and changed never."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from metanode.errors import MetanodeError
from metanode.runtime.home.config import Config
from metanode.runtime.home.home import Home


@define
class Patient:
    """A home, its configuration if that can be read, and what its running node says.

    ``status`` and ``peers`` are the pages of a node that runs and answers, else None.
    """

    home: Home
    config: Config | None = None
    node_id: bytes | None = None
    runs: bool = False
    status: Mapping[str, Any] | None = None
    peers: Mapping[str, Any] | None = None
    silence: MetanodeError | None = field(default=None)

    def command(self, words: str) -> str:
        """Return a command line for this home."""
        name, _, rest = words.partition(" -- ")
        return f"metanode {name} --home {self.home.path}{' ' + rest if rest else ''}"

    def edit(self, what: str) -> str:
        """Return what to change in the configuration."""
        return f"{what} in {self.home.config}, and start the node again"


def is_running(home: Home) -> bool:
    """Tell whether a node holds the lock of a home; takes nothing and leaves nothing behind."""
    try:
        descriptor = os.open(home.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def beside(home: Home, file: str) -> Path:
    """Return a file that the configuration names: a relative path counts from the home."""
    return home.path / file
