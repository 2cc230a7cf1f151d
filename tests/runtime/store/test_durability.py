"""kill -9 in the middle of writing: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from metanode.runtime.store.cells import CellStore
from metanode.runtime.store.signing_log import SigningLog
from metanode.runtime.store.trace import REPAIRED, TraceWriter, read_trace
from tests.runtime.support import NODE_ID, python

WRITER = """
import sys
from pathlib import Path
from metanode.runtime.store.signing_log import SigningLog, Vote
from metanode.runtime.store.cells import CellStore, CellWrite
from metanode.runtime.store.trace import TraceWriter
home, node_id = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
log = SigningLog.open(home / "log.sqlite", node_id)
cells = CellStore.open(home / "cells.sqlite", node_id)
trace = TraceWriter(home / "trace")
number = cells.load().get("a", {}).get((), -1)
while True:
    number += 1
    before = number - 1 if number else None
    log.record([Vote(bytes(32), number, number.to_bytes(32, "big"))])
    # Two cells and two attachments in one batch: after a crash they must agree.
    cells.apply([CellWrite("a", (), before, number, b"%d" % number),
                 CellWrite("b", (), before, number, b"%d" % number)])
    trace.append({"number": number})
    print(number, flush=True)
"""


@pytest.mark.parametrize("seed", range(5))
def test_acknowledged_writes_survive_sigkill(tmp_path: Path, seed: int) -> None:
    """Catches a write reported before it is safe, a torn batch, and a trace that cannot go on."""
    SigningLog.create(tmp_path / "log.sqlite", NODE_ID).close()
    CellStore.create(tmp_path / "cells.sqlite", NODE_ID).close()
    (tmp_path / "trace").mkdir()
    kills = random.Random(seed)
    for _restart in range(2):
        with python(WRITER, tmp_path, NODE_ID.hex()) as writer:
            assert writer.stdout is not None
            acknowledged = -1
            for _ in range(kills.randrange(5, 60)):
                acknowledged = int(writer.stdout.readline())
            writer.kill()  # SIGKILL, at whatever it is doing now
            rest = writer.stdout.read().split("\n")[:-1]
            acknowledged = int(rest[-1]) if rest else acknowledged
        _check(tmp_path, acknowledged)


def _check(home: Path, acknowledged: int) -> None:
    log = SigningLog.open(home / "log.sqlite", NODE_ID)
    votes = log.load().votes
    log.close()
    for number in range(acknowledged + 1):
        assert votes[bytes(32), number] == number.to_bytes(32, "big")
    cells = CellStore.open(home / "cells.sqlite", NODE_ID)
    values, attachments = cells.load(), cells.load_attachments()
    cells.close()
    last = values["a"][()]
    assert isinstance(last, int)
    assert last >= acknowledged
    assert values["b"] == values["a"]
    assert attachments == {"a": {(): b"%d" % last}, "b": {(): b"%d" % last}}
    TraceWriter(home / "trace").close()  # repairs a torn last line
    traced = [r["number"] for r in read_trace(home / "trace") if r.get("kind") != REPAIRED]
    assert set(range(acknowledged + 1)) <= set(traced)
