"""The two stores of a home and the mark that judges them, opened and closed together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from attrs import define

from metanode.runtime.home.home import Home
from metanode.runtime.store.cells import CellStore, Value
from metanode.runtime.store.history_mark import HistoryMark
from metanode.runtime.store.signing_log import SigningLog


@define
class Stores:
    """The signing log, the event store and the history mark of one home."""

    log: SigningLog
    store: CellStore
    mark: HistoryMark

    def written(self) -> None:
        """Tell the mark what was written; each change of a store ends with this."""
        self.mark.put(self.log.stand.now, self.store.stand.now)

    def close(self) -> None:
        """Close all three."""
        for each in (self.log, self.store, self.mark):
            each.close()


def open_stores(
    home: Home, node_id: bytes, first_values: Mapping[str, Value] | None = None
) -> Stores:
    """Open the stores of ``node_id``; UserError when one is missing, damaged or gone back in time.

    A home of a version without a mark gets one.
    """
    with ExitStack() as undo:
        log = SigningLog.open(home.signing_log, node_id)
        undo.callback(log.close)
        store = CellStore.open(home.events, node_id, first_values)
        undo.callback(store.close)
        if log.headless and store.headless and not home.mark.exists():
            mark = HistoryMark.create(home.mark, node_id, log.stand.now, store.stand.now)
        else:
            mark = HistoryMark.read(home.mark, node_id)
        undo.callback(mark.close)
        mark.judge((log.path, log.stand), (store.path, store.stand))
        undo.pop_all()
    return Stores(log, store, mark)


def create_stores(home: Home, node_id: bytes) -> None:
    """Make empty stores and their mark for a NEW identity; UserError when a file is there."""
    log = SigningLog.create(home.signing_log, node_id)
    store = CellStore.create(home.events, node_id)
    mark = HistoryMark.create(home.mark, node_id, log.stand.now, store.stand.now)
    Stores(log, store, mark).close()
