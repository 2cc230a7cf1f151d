"""A founded chain, mined once for each set of stakes and copied for everyone who wants one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from attrs import evolve

from metanode.custody.types import Outpoint
from metanode.devnet.chain import BlockTree
from metanode.devnet.faucet import found_blocks
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.types import BlockNode

Stakes = tuple[tuple[bytes, int], ...]


def founded(
    clock: Callable[[], float], stakes: Stakes, now: int
) -> tuple[DevnetLedger, tuple[Outpoint, ...]]:
    """Return a ledger of its own after :func:`found_blocks`, and the stakes' outpoints."""
    tree, outpoints = _mined(stakes, now)
    ledger = DevnetLedger(clock)
    ledger.tree = _copied(tree)
    return ledger, outpoints


@lru_cache
def _mined(stakes: Stakes, now: int) -> tuple[BlockTree, tuple[Outpoint, ...]]:
    """Mine the chain; nobody changes what is returned."""
    ledger = DevnetLedger(lambda: now)
    outpoints = found_blocks(ledger, stakes, now)
    assert not ledger.mempool.entries, "the tree is all there is to copy"
    return ledger.tree, outpoints


def _copied(tree: BlockTree) -> BlockTree:
    """Return a tree whose blocks are its own; what they hold never changes and is shared."""
    copy = BlockTree()
    twins: dict[bytes, BlockNode] = {}
    for node in tree.active:
        parent = None if node.parent is None else twins[node.parent.hash]
        twins[node.hash] = evolve(node, parent=parent, undo=list(node.undo))
    assert set(twins) == set(tree.nodes), "there is one branch"
    copy.root = twins[tree.root.hash]
    copy.nodes = twins
    copy.active = list(twins.values())
    copy.coins = dict(tree.coins)
    copy.locations = {
        txid: (twins[node.hash], place) for txid, (node, place) in tree.locations.items()
    }
    copy._tips = set(tree._tips)
    copy._parsed = tree._parsed.copy()
    assert vars(copy).keys() == vars(tree).keys()
    return copy
