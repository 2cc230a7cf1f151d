"""Structured log lines, with everything secret taken out before a line is formed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

from metanode.runtime.operator.slim_structlog import structlog

REDACTED = "[redacted]"
MAX_TEXT = 2000
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


def set_up_logs(stream: TextIO, *, as_json: bool, level: int = logging.INFO) -> None:
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
        logger_factory=structlog.PrintLoggerFactory(stream), cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=stream, level=max(level, logging.WARNING), force=True)
    logging.getLogger("transitions").setLevel(logging.WARNING)


def logger(**fields: Any) -> Any:
    """Return a structlog logger with ``fields`` bound to every line."""
    return structlog.get_logger(**fields)
