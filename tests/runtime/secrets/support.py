"""Homes with key shares: dealt, not generated, and written by the node's own disk."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from metanode.custody.types import Outpoint
from metanode.identity import Identity
from metanode.protocol.keys.epoch import KeyEpoch, Member
from metanode.protocol.tables.effects import Write
from metanode.protocol.wire.codec import Codec
from metanode.runtime.home.config import Config
from metanode.runtime.home.home import Home, create_home
from metanode.runtime.home.wiring import open_disk
from metanode.tss.keyshare import Keyshare
from spec import messages as m
from tests.runtime.support import PASSPHRASE, config
from tests.tss.support import deal

NODES = sorted((Identity.from_secret(s) for s in (11, 12, 13)), key=lambda node: node.node_id)
THRESHOLD = 2


def share_of(party: int, epoch: int = 1, seed: object = 0) -> Keyshare:
    """Return one party's share of a dealt 2-of-3 key."""
    return evolve(deal(THRESHOLD, len(NODES), seed)[party], epoch=epoch)


def make_home(path: Path, party: int = 1, settings: Config | None = None) -> Home:
    """Make the home of the node with this party index, without any share."""
    home, secret = Home(path), NODES[party - 1].secret_bytes()
    create_home(home, settings or config(), PASSPHRASE, lambda _: secret)
    return home


def store_share(home: Home, share: Keyshare, slot: int = 7, state: str = "locked_in") -> None:
    """Store a share as the node does at the end of a key generation."""
    members = tuple(
        Member(node.node_id, Outpoint(bytes([i]) * 32, 0), 100 + i) for i, node in enumerate(NODES)
    )
    me = NODES[share.party_index - 1]
    disk = open_disk(home, config(), me, PASSPHRASE, Codec(m.MESSAGES))
    key = KeyEpoch(
        slot=slot, members=members, byzantine=0, package=share.package, keyshare=share
    )
    disk.flush([Write("key_share", (me.node_id, slot), False, True, key)])
    disk.flush([Write("key", (me.node_id, slot), "no_key", state)])
    disk.close()


def home_with_share(path: Path, party: int = 1, settings: Config | None = None) -> Home:
    """Make a home with one locked-in share in epoch 1."""
    home = make_home(path, party, settings)
    store_share(home, share_of(party))
    return home


def share_file(home: Home) -> Path:
    """Return the one share file of a home."""
    (path,) = home.keyshares.glob("*.share")
    return path
