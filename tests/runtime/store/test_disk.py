"""The disk of a node on real SQLite: what was flushed comes back, in the right order of files."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from metanode.errors import LocalFault, MetanodeError, UserError
from metanode.protocol.peers.block_list import Block
from metanode.protocol.restored import Restored
from metanode.protocol.tables.effects import Write
from metanode.runtime.secrets.keystore import LIGHT, Keystore
from metanode.runtime.store.cells import CellStore
from metanode.runtime.store.disk import FIRST_VALUES, LOG_CELLS, Disk
from metanode.runtime.store.history_mark import HistoryMark
from metanode.runtime.store.signing_log import SigningLog
from spec import messages as m
from spec.protocol import PROTOCOL
from tests.runtime.support import PASSPHRASE
from tests.simulation.checkers import CODEC
from tests.simulation.hostile import certificate
from tests.simulation.simulator import Simulation, with_key

EVENT, DIGEST, OTHER = (bytes([i]) * 32 for i in (1, 2, 3))


@lru_cache
def network() -> Simulation:
    """Return a network with a key and one settled payout: real things to store."""
    sim = with_key(1)
    sim.run(0.3)
    sim.deposit()
    sim.mine_every(0.7)
    sim.settle()
    return sim


def payout_found() -> m.SignatureFound:
    """Return the signatures of the payout."""
    book = network().core(1).book
    (found,) = [found for event, found in book.found.items() if book.kinds[event] == "payout"]
    return found


def me() -> bytes:
    """Return the node whose disk it is."""
    return network().nodes[1].node_id


def create(home: Path) -> Disk:
    """Make the stores of a new home."""
    node_id = me()
    (home / "shares").mkdir()
    log = SigningLog.create(home / "log.sqlite", node_id)
    store = CellStore.create(home / "cells.sqlite", node_id, FIRST_VALUES)
    mark = HistoryMark.create(home / "history.mark", node_id, log.stand.now, store.stand.now)
    keystore = Keystore(home / "shares", PASSPHRASE, LIGHT)
    return Disk(node_id, log, store, keystore, CODEC, mark)


def reopen(home: Path, disk: Disk) -> Disk:
    """Close the stores and open them again, as a restart does."""
    disk.close()
    node_id = me()
    return Disk(
        node_id,
        SigningLog.open(home / "log.sqlite", node_id),
        CellStore.open(home / "cells.sqlite", node_id, FIRST_VALUES),
        Keystore(home / "shares", PASSPHRASE, LIGHT),
        CODEC,
        HistoryMark.read(home / "history.mark", node_id),
    )


def lock(attempt: int = 5, digest: bytes = DIGEST) -> m.LockedCandidate:
    """Return a lock with its certificate."""
    made = certificate(network(), [1, 2, 3], event=EVENT, digest=digest, attempt=attempt)
    return m.LockedCandidate(b"the document", made)


def vote(attempt: int, digest: bytes = DIGEST) -> Write:
    """Return the write of a vote."""
    return Write("voted", (me(), EVENT, attempt), None, digest)


def lock_writes(attempt: int = 5, digest: bytes = DIGEST, before: Any = None) -> list[Write]:
    """Return the writes of a lock: two cells, one record."""
    earlier = None if before is None else before[1]
    return [
        Write("lock", (me(), EVENT), None if before is None else before[0], digest,
              lock(attempt, digest)),
        Write("lock_attempt", (me(), EVENT), earlier, attempt),
    ]


def used() -> Write:
    """Return the write of an instance's first use."""
    return Write("instance_used", (b"", OTHER), False, True)


def pending() -> Write:
    """Return the write of an event that is new to the node."""
    return Write("status", (b"", EVENT), "UNKNOWN", "PENDING")


def test_what_is_flushed_is_loaded_again(tmp_path: Path) -> None:
    """Catches a cell or an attachment that does not survive a restart."""
    sim = network()
    (key,) = sim.nodes[1].disk.usable_keys()
    announcement = sim.core(1).keygen.announcement
    found = payout_found()
    peer, evidence = sim.nodes[0].node_id, Block("two proposals", 2e9, (b"one", b"two"))
    disk = create(tmp_path)
    disk.flush([Write("key_share", (me(), key.slot), False, True, key),
                Write("key", (me(), key.slot), "no_key", "stored")])
    disk.flush([Write("key", (me(), key.slot), "stored", "locked_in", announcement)])
    disk.flush([vote(5), *lock_writes(5)])
    disk.flush([Write("released", (me(), EVENT, DIGEST), False, True),
                Write("instance_used", (me(), OTHER), False, True)])
    disk.flush([Write("status", (me(), EVENT), "UNKNOWN", "SUCCESS"),
                Write("signature_kept", (me(), EVENT, DIGEST), False, True, found)])
    disk.flush([Write("standing", (me(), peer), "clear", "blocked"),
                Write("block_until", (me(), peer), False, True, evidence)])
    memory = reopen(tmp_path, disk).load()
    assert memory.cells["voted"] == {(me(), EVENT, 5): DIGEST}
    assert memory.cells["lock"] == {(me(), EVENT): DIGEST}
    assert memory.cells["lock_attempt"] == {(me(), EVENT): 5}
    assert memory.cells["released"] == {(me(), EVENT, DIGEST): True}
    assert memory.cells["instance_used"] == {(me(), OTHER): True}
    assert memory.cells["status"] == {(me(), EVENT): "SUCCESS"}
    assert memory.announcement == announcement
    assert list(memory.locks) == [lock()]
    assert list(memory.signatures) == [found]
    (again,) = memory.keys
    assert evolve(again, keyshare=key.keyshare) == key
    assert again.keyshare.to_bytes() == key.keyshare.to_bytes()
    assert memory.blocks[peer].frames == (b"one", b"two")


def test_a_new_home_knows_nothing(tmp_path: Path) -> None:
    """Catches a fresh store that does not equal the first values of the tables."""
    memory = reopen(tmp_path, create(tmp_path)).load()
    assert {name for name, values in memory.cells.items() if values} == set()
    assert (memory.keys, memory.locks, memory.signatures) == ([], [], [])
    assert isinstance(memory, Restored)


def test_every_disk_cell_has_a_place_and_a_first_value() -> None:
    """Catches a new disk cell that nobody stores: a crash would lose it."""
    on_disk = {cell.name for cell in PROTOCOL.cells.values() if cell.kept == "disk"}
    assert set(FIRST_VALUES) == on_disk
    assert set(LOG_CELLS) <= on_disk


def test_the_signing_log_is_written_before_the_store(tmp_path: Path) -> None:
    """DurableBeforeSend: catches a store that knows of a vote which the log does not."""
    disk = create(tmp_path)
    order: list[str] = []
    record, apply = disk.log.record, disk.store.apply
    disk.log.record = lambda records: (order.append("log"), record(records))
    disk.store.apply = lambda writes: (order.append("store"), apply(writes))
    disk.flush([Write("status", (me(), EVENT), "UNKNOWN", "PENDING"), vote(5)])
    assert order == ["log", "store"]


def test_the_share_file_is_written_before_the_cell_that_names_it(tmp_path: Path) -> None:
    """KeyAvailable: catches a confirmed share whose file a crash has prevented."""
    sim = network()
    (key,) = sim.nodes[1].disk.usable_keys()
    disk = create(tmp_path)

    def fail(writes: object) -> None:
        raise LocalFault("the disk is full")

    disk.store.apply = fail  # type: ignore[method-assign]  # the disk that fails
    with pytest.raises(LocalFault):
        disk.flush([Write("key_share", (me(), key.slot), False, True, key)])
    assert list((tmp_path / "shares").iterdir()), "the file came first"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: [vote(5)], lambda: [vote(5, OTHER)]),
        (lambda: lock_writes(5), lambda: lock_writes(4, OTHER, (DIGEST, 5))),
        (
            lambda: lock_writes(5),
            lambda: [Write("released", (b"", EVENT, OTHER), False, True)],
        ),
        (lambda: [used()], lambda: [used()]),
        (lambda: [pending()], lambda: [pending()]),
    ],
    ids=["second vote", "lock goes back", "release without lock", "run used twice", "wrong before"],
)
def test_a_write_that_contradicts_the_disk_is_refused(
    tmp_path: Path, first: Callable[[], list[Write]], second: Callable[[], list[Write]]
) -> None:
    """SAFE-SIGN 2: catches a disk that believes its node's memory more than itself."""
    disk = create(tmp_path)
    disk.flush(first())
    before = disk.load()
    with pytest.raises(MetanodeError):
        disk.flush(second())
    after = reopen(tmp_path, disk).load()
    assert after.cells == before.cells


def test_a_refused_batch_leaves_nothing_of_itself(tmp_path: Path) -> None:
    """Catches half a batch on disk: a status without the vote that it rests on."""
    disk = create(tmp_path)
    disk.flush([vote(5)])
    with pytest.raises(MetanodeError):
        disk.flush([Write("status", (me(), EVENT), "UNKNOWN", "PENDING"), vote(5, OTHER)])
    assert "status" not in disk.load().cells


def test_a_lock_without_its_certificate_is_refused(tmp_path: Path) -> None:
    """SAFE-SIGN 3: catches a lock that cannot be shown to anybody after a restart."""
    with pytest.raises(LocalFault):
        create(tmp_path).flush([Write("lock", (me(), EVENT), None, DIGEST)])


def test_the_attempt_of_a_lock_is_what_the_row_wrote(tmp_path: Path) -> None:
    """SAFE-SIGN 4: catches a log that believes what is stored beside a lock more than the row."""
    disk = create(tmp_path)
    written, _ = lock_writes(4)
    disk.flush([written, Write("lock_attempt", (me(), EVENT), None, 5)])
    assert reopen(tmp_path, disk).load().cells["lock_attempt"] == {(me(), EVENT): 5}


def test_a_lock_without_its_attempt_is_refused(tmp_path: Path) -> None:
    """Catches a lock of an attempt that somebody has made up."""
    with pytest.raises(LocalFault, match="with its attempt"):
        create(tmp_path).flush(lock_writes(5)[:1])


def test_two_locks_of_one_batch_keep_their_attempts(tmp_path: Path) -> None:
    """Catches a lock that is stored under the attempt of the next one."""
    disk = create(tmp_path)
    disk.flush([*lock_writes(5), *lock_writes(7, OTHER, (DIGEST, 5))])
    assert reopen(tmp_path, disk).load().cells["lock_attempt"] == {(me(), EVENT): 7}


def test_a_lock_that_moves_forward_replaces_the_old_one(tmp_path: Path) -> None:
    """SAFE-SIGN 4: catches the old certificate being loaded after the lock has moved."""
    disk = create(tmp_path)
    disk.flush(lock_writes(5))
    disk.flush(lock_writes(7, OTHER, (DIGEST, 5)))
    memory = reopen(tmp_path, disk).load()
    assert [found.certificate.attempt for found in memory.locks] == [7]
    assert memory.cells["lock"] == {(me(), EVENT): OTHER}


def test_abandoned_keys_are_not_loaded(tmp_path: Path) -> None:
    """Catches a start that needs the share of a key that never counted."""
    (key,) = network().nodes[1].disk.usable_keys()
    disk = create(tmp_path)
    disk.flush([Write("key_share", (me(), key.slot), False, True, key),
                Write("key", (me(), key.slot), "no_key", "abandoned")])
    for file in (tmp_path / "shares").iterdir():
        file.unlink()
    assert reopen(tmp_path, disk).load().keys == []


def test_a_damaged_attachment_is_named_as_such(tmp_path: Path) -> None:
    """Catches a traceback, or a start without a signed payout, when the store is damaged."""
    disk = create(tmp_path)
    found = payout_found()
    disk.flush([Write("signature_kept", (me(), EVENT, DIGEST), False, True, found)])
    disk.codec = evolve_codec()
    with pytest.raises(UserError, match="put the file itself back"):
        disk.load()


def evolve_codec() -> Any:
    """Return a codec that knows none of the stored messages."""
    return type(CODEC)({"ping": m.Ping})


def test_unknown_attachments_are_a_defect(tmp_path: Path) -> None:
    """Catches something put on disk that no start would read."""
    with pytest.raises(LocalFault):
        create(tmp_path).flush([Write("status", (me(), EVENT), "UNKNOWN", "PENDING", object())])
