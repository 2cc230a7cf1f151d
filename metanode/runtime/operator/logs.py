"""Structured log lines, with everything secret taken out before a line is formed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, TextIO, cast

from metanode.errors import Unavailable
from metanode.runtime.operator.slim_structlog import structlog
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.files import PRIVATE_FILE

REDACTED = "[redacted]"
MAX_TEXT = 2000
LOGS_KEPT = 3
"""So many files of before are kept beside the one that is written."""
# Fields are redacted by name, so a secret logged by mistake under its own name does not show.
_SECRET_NAME = re.compile(
    r"(pass(word|phrase)?|secret|token|cookie|entropy|nonce|seed|share|private|credential)s?$",
    re.IGNORECASE,
)


def _clean(name: str, value: Any, depth: int = 0) -> Any:
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()[:MAX_TEXT]
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, dict) and depth < 4:
        return {str(key): _clean(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple) and depth < 4:
        return [_clean("", item, depth + 1) for item in value]
    return value


def redact(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> dict[str, Any]:
    """Replace the values of secret-looking fields, write bytes as hex, cut long texts."""
    return {name: _clean(name, value) for name, value in record.items()}


class RotatingLog(io.TextIOBase):
    """A log file of a bounded size: ``node.log``, and before it ``node.log.1`` and so on.

    A line that the disk does not take is lost: a log must not end what it tells of.
    """

    def __init__(self, path: Path, max_bytes: int, kept: int = LOGS_KEPT) -> None:
        """Go on with the file at ``path``; Unavailable when it cannot be opened."""
        super().__init__()
        self._path, self._max_bytes, self._kept = path, max_bytes, kept
        try:
            self._stream = self._open()
        except OSError as error:
            raise Unavailable(f"cannot open {path}: {remedy(path, error)}") from error

    def _open(self) -> TextIO:
        descriptor = os.open(
            self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE
        )
        return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1)

    def write(self, text: str) -> int:
        """Write text; past the bound the file is set aside and a new one begun."""
        try:
            self._stream.write(text)
            if text.endswith("\n") and self._stream.tell() >= self._max_bytes:
                self._rotate()
        except (OSError, ValueError):
            pass
        return len(text)

    def _rotate(self) -> None:
        self._stream.close()
        names = [self._path, *(self._aside(n) for n in range(1, self._kept + 1))]
        try:
            for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
                if newer.exists():
                    newer.replace(older)
        finally:
            self._stream = self._open()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def flush(self) -> None:
        """Write out what waits."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.close()
        super().close()


def set_up_logs(stream: TextIO | RotatingLog, *, as_json: bool, level: int = logging.INFO) -> None:
    """Send log lines of ``level`` and above to ``stream``, as JSON or as readable lines.

    A level above INFO also silences INFO of the libraries; ``transitions`` logs every state change
    at INFO, which the trace already holds, and stays at WARNING.
    """
    processors: list[Callable[..., Any]] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
        structlog.processors.JSONRenderer(sort_keys=True)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False),
    ]
    structlog.configure(
        processors=processors, wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, stream)),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=stream, level=max(level, logging.WARNING), force=True)
    logging.getLogger("transitions").setLevel(logging.WARNING)


def logger(**fields: Any) -> Any:
    """Return a structlog logger with ``fields`` bound to every line."""
    return structlog.get_logger(**fields)
