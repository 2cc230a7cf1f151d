"""Log lines: structured, and without secrets."""

from __future__ import annotations

import io
import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from metanode.runtime.operator.logs import REDACTED, RotatingLog, logger, set_up_logs
from tests.runtime.support import PASSPHRASE, SECRET_TEXT


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    """Put the logging set-up of the test run back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_hide_secrets() -> None:
    """Catches a secret that reaches the log by its field's name, nested, or in a traceback."""
    stream = io.StringIO()
    set_up_logs(stream, as_json=True)
    text = SECRET_TEXT.decode()
    try:
        raise ValueError(f"with {PASSPHRASE}")
    except ValueError:
        logger(node_id=b"\xab").exception(
            "trial",
            passphrase=text,
            rpc_password=text,
            key_share=SECRET_TEXT,
            nested={"token": text, "list": [{"seed": text}]},
            value=PASSPHRASE,
            digest=b"\x01\x02",
            long="x" * 10_000,
        )
    record = json.loads(stream.getvalue())
    assert text not in stream.getvalue()
    assert SECRET_TEXT.hex() not in stream.getvalue()
    assert record["passphrase"] == record["rpc_password"] == record["key_share"] == REDACTED
    assert record["nested"] == {"token": REDACTED, "list": [{"seed": REDACTED}]}
    assert (record["event"], record["level"]) == ("trial", "error")
    assert (record["node_id"], record["digest"]) == ("ab", "0102")
    assert len(record["long"]) == 2000


def test_plain_lines_and_level() -> None:
    """Catches lines below the level, and `transitions` flooding the log at INFO."""
    stream = io.StringIO()
    set_up_logs(stream, as_json=False, level=logging.INFO)
    logger().debug("hidden")
    logger().info("shown", links=3)
    logging.getLogger("transitions").info("hidden")
    logging.getLogger("transitions.core").warning("shown too")
    assert "hidden" not in stream.getvalue()
    assert "links=3" in stream.getvalue()
    assert "shown too" in stream.getvalue()


def test_the_log_has_a_bound(tmp_path: Path) -> None:
    """Catches a log that fills the disk, and lines that are lost or torn when it is set aside."""
    with RotatingLog(tmp_path / "node.log", 1000, kept=2) as stream:
        for number in range(200):
            print(f"line {number:04d}", file=stream)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["node.log", "node.log.1", "node.log.2"]
    assert all(file.stat().st_size <= 1010 for file in files)
    lines = [line for name in reversed(files) for line in name.read_text().splitlines()]
    assert lines == [f"line {number:04d}" for number in range(200 - len(lines), 200)]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    """Catches a full disk that ends the node because of a line in its log."""
    with RotatingLog(Path("/dev/full"), 1000) as stream:
        print("this line is lost", file=stream, flush=True)
