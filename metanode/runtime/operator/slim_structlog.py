"""structlog without rich, which it loads wherever that is installed: 4 MB of a node's memory, for
tracebacks in colour.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["structlog"]


@contextmanager
def _as_if_missing(package: str) -> Iterator[None]:
    """Let imports of ``package`` fail in the block, as if it were not installed."""
    loaded = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]  # Python's own sign for this
    try:
        yield
    finally:
        del sys.modules[package]
        if loaded is not None:
            sys.modules[package] = loaded


with _as_if_missing("rich"):
    import structlog
