"""What a restored node makes of the votes that others show it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from metanode.protocol.node import NodeCore
from metanode.protocol.restored import Restored
from metanode.protocol.wire.envelope import seal
from metanode.runtime.home.home import Home
from metanode.runtime.home.restored import Observation, read_observation, write_observation
from metanode.runtime.home.wiring import settings_of
from metanode.runtime.observer import Observer
from spec import messages as m
from tests.runtime.store.history_vectors import CODEC, D1, D2, E1, ME, NETWORK, NODES, certificate
from tests.runtime.support import config

EVENT, NOTES = bytes.fromhex(E1), list[tuple[str, dict[str, Any]]]


@pytest.fixture
def observer(tmp_path: Path) -> Observer:
    """The observer of a home whose log knows one vote: for D1, in attempt 3."""
    home = Home(tmp_path)
    write_observation(home, Observation(1, 2))
    settings = attrs.evolve(settings_of(config()), network_id=NETWORK)
    core = NodeCore(settings, ME, os.urandom)
    core.start(1_800_000_000.0, Restored(
        cells={"voted": {(ME.node_id, EVENT, 3): bytes.fromhex(D1)}}
    ))
    notes: NOTES = []
    made = Observer.of(home, core, lambda event, fields: notes.append((event, fields)))
    assert made is not None
    return made


def frame(message: object, sender: int = 1) -> bytes:
    """Return a frame of another node."""
    return seal(NODES[sender], NETWORK, CODEC, message)


def shown(attempt: int, digest: str, **how: Any) -> bytes:
    """Return a frame with a certificate."""
    return frame(CODEC.decode(bytes.fromhex(certificate(attempt, digest, **how))))


def hear(observer: Observer, data: bytes) -> Observation:
    """Let the observer hear a frame; return what it keeps on disk."""
    observer.hear(data, NODES[1].node_id)
    kept = read_observation(observer.home)
    assert kept is not None
    return kept


def test_a_vote_that_is_known_is_counted(observer: Observer) -> None:
    """Catches an observer that takes its own memory for a gap."""
    hear(observer, shown(3, D1))
    assert (observer.seen.shown, observer.seen.forgotten) == (1, [])


@pytest.mark.parametrize(("attempt", "digest"), [(4, D1), (3, D2)])
def test_a_vote_that_is_unknown_is_kept(observer: Observer, attempt: int, digest: str) -> None:
    """Catches a vote after the backup, or another one than the log has, that goes unnoticed."""
    kept = hear(observer, shown(attempt, digest))
    assert kept.forgotten == [f"{E1}/{attempt}"]
    assert hear(observer, shown(attempt, digest)).forgotten == kept.forgotten


@pytest.mark.parametrize(
    "data",
    [
        shown(4, D1, forged=True, voters=(1, 2, 0)),
        shown(4, D1, network=bytes(32)),
        shown(4, D1, voters=(1, 2, 3)),
        frame(m.Keepalive((), "")),
        b"rubbish",
    ],
)
def test_what_proves_nothing_changes_nothing(observer: Observer, data: bytes) -> None:
    """Catches a peer that keeps a restored node silent with votes that were never given."""
    assert hear(observer, data).forgotten == []
    assert observer.seen.shown == 0


async def _refused(observer: Observer) -> None:
    with pytest.raises(Exception, match="observes"):
        await observer.refuse({})


@pytest.mark.anyio
async def test_operators_are_told(observer: Observer) -> None:
    """Catches a request that a restored node takes and cannot meet."""
    await _refused(observer)


def test_a_home_that_was_not_restored_has_no_observer(
    observer: Observer, tmp_path: Path
) -> None:
    """Catches an ordinary node that falls silent."""
    assert Observer.of(Home(tmp_path / "other"), observer.core, observer.note) is None
