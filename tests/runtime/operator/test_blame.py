"""Blame in a home: kept by the node's own disk, read by the operator, pardoned with care."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanode.custody.types import Outpoint
from metanode.errors import UserError
from metanode.protocol.blame.book import Ban, BlameList
from metanode.protocol.keys.epoch import KeyEpoch, Member
from metanode.protocol.tables.effects import Write
from metanode.protocol.wire.codec import Codec
from metanode.runtime.home.home import Home
from metanode.runtime.home.wiring import open_disk
from metanode.runtime.operator.blame import pardon, stored_record, stored_report
from metanode.runtime.store.cells import CellStore, CellWrite
from metanode.runtime.store.trace import TraceWriter, read_trace
from spec import messages as m
from tests.protocol.blame.support import true_record
from tests.runtime.secrets.support import NODES, home_with_share, make_home, share_of
from tests.runtime.support import PASSPHRASE, config

ME, PEER = NODES[0], NODES[1].node_id
SINCE = 1_700_000_000


def flush(home: Home, *writes: Write) -> None:
    """Write cells as the node does."""
    disk = open_disk(home, config(), ME, PASSPHRASE, Codec(m.MESSAGES))
    disk.flush(writes)
    disk.close()


def ban(home: Home, epoch: int = 1) -> None:
    """Store a ban of the peer."""
    flush(home, Write("pair_banned", (ME.node_id, PEER), False, True, Ban(epoch, SINCE)))


def refreshed(home: Home, epoch: int) -> None:
    """Store that shares of a later epoch are in force."""
    share = share_of(1, epoch)
    members = tuple(
        Member(node.node_id, Outpoint(bytes([place]) * 32, 0), 100 + place)
        for place, node in enumerate(NODES)
    )
    made = KeyEpoch(
        slot=7, follows=1, members=members, byzantine=0, package=share.package, keyshare=share
    )
    flush(home, Write("holding", (ME.node_id, epoch), "no_share", "active", made))


def test_records_and_bans_survive_a_restart(tmp_path: Path) -> None:
    """Catches blame that is lost when a node ends, and a lifted ban that comes back."""
    home, record = make_home(tmp_path / "home"), true_record()
    assert stored_report(home) == {"records": [], "bans": []}
    ban(home)
    kept = BlameList((record,))
    flush(home, Write("blamed", (ME.node_id, record.culprit), False, True, kept))
    disk = open_disk(home, config(), ME, PASSPHRASE, Codec(m.MESSAGES))
    memory = disk.load()
    disk.close()
    assert dict(memory.blames) == {record.culprit: kept}
    assert dict(memory.bans) == {PEER: Ban(1, SINCE)}
    report = stored_report(home)
    assert report["records"] == [record.summary()]
    assert report["bans"] == [{"node_id": PEER.hex(), "epoch": 1, "since": SINCE}]
    assert stored_record(home, record.id) == stored_record(home, record.id[:4].upper()) == record
    for name in ("ffff" if record.id[0] != "f" else "0000", "zz"):
        with pytest.raises(UserError, match="no record begins"):
            stored_record(home, name)


@pytest.mark.parametrize("cell", ["blamed", "pair_banned"])
def test_a_damaged_attachment_is_one_clear_error(tmp_path: Path, cell: str) -> None:
    """Catches a traceback, or a ban that vanishes because its epoch cannot be read."""
    home = make_home(tmp_path / "home")
    store = CellStore.open(home.events, ME.node_id, {cell: False})
    store.apply([CellWrite(cell, (ME.node_id, PEER), False, True, b"\xff")])
    store.close()
    with pytest.raises(UserError, match="damaged"):
        stored_report(home)


def test_a_pardon_needs_a_ban_and_fresh_transfers(tmp_path: Path) -> None:
    """Catches a ban that is lifted while the pair still has the transfers that were guessed at."""
    home = home_with_share(tmp_path / "home")
    flush(home, Write("holding", (ME.node_id, 1), "no_share", "active"))
    with pytest.raises(UserError, match="no ban"):
        pardon(home, PEER)
    ban(home)
    with pytest.raises(UserError, match="key epoch 1, and epoch 1 is in force"):
        pardon(home, PEER)
    assert stored_report(home)["bans"]
    refreshed(home, 2)
    assert pardon(home, PEER) == Ban(1, SINCE)
    assert stored_report(home)["bans"] == []
    with pytest.raises(UserError, match="no ban"):
        pardon(home, PEER)


def test_a_home_without_a_key_pardons_nobody(tmp_path: Path) -> None:
    """Catches an epoch that is assumed where there is none."""
    home = make_home(tmp_path / "home")
    ban(home, epoch=0)
    with pytest.raises(UserError, match="epoch 0 is in force"):
        pardon(home, PEER)


def test_a_pardon_stands_in_the_trace(tmp_path: Path) -> None:
    """Catches a trace that cannot explain why a banned peer is signed with again."""
    home = home_with_share(tmp_path / "home")
    ban(home)
    refreshed(home, 2)
    pardon(home, PEER)
    assert list(read_trace(home.trace)) == [], "a trace that has not begun begins after this"

    writer = TraceWriter(home.trace)
    writer.append({"kind": "node_started"})
    writer.close()
    flush(home, Write("pair_banned", (ME.node_id, PEER), False, True, Ban(1, SINCE)))
    pardon(home, PEER, now=5.0)
    told = list(read_trace(home.trace))[-1]
    assert (told["input"], told["turn"]) == ("pardon", [1, 0, 0])
    assert (told["table"], told["event"], told["at"]) == ("block_list", "Pardon", 5.0)
    assert told["parameters"] == {"p": ME.node_id[:8].hex(), "q": PEER[:8].hex()}
