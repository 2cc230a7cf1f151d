"""Blame as it lies in a home: what the store holds of it, and the operator's pardon."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from metanode.errors import UserError
from metanode.protocol.blame.book import Ban, Bans, BlameList, report_of
from metanode.protocol.blame.record import BlameRecord
from metanode.protocol.tables.runner import Tables
from metanode.protocol.tables.turn import Turn
from metanode.protocol.tables.view import NodeView
from metanode.runtime.home.home import Home
from metanode.runtime.secrets.keystore import read_node_id
from metanode.runtime.store.cells import CellStore, CellWrite, Index, Value, decoded
from metanode.runtime.store.stores import open_stores
from metanode.runtime.store.trace import TraceWriter
from spec.protocol import PROTOCOL

Cells = Mapping[str, Mapping[Any, Value]]
Attachments = Mapping[str, Mapping[Index, bytes]]


def blames_in(attached: Attachments) -> dict[bytes, BlameList]:
    """Return the records that a store holds, by culprit; UserError when they are damaged."""
    return {
        peer: decoded(BlameList, data)
        for (_, peer), data in attached.get("blamed", {}).items()
        if isinstance(peer, bytes)
    }


def bans_in(cells: Cells, attached: Attachments) -> dict[bytes, Ban]:
    """Return the bans that a store holds, by banned peer; UserError when they are damaged."""
    banned = cells.get("pair_banned", {})
    return {
        index[1]: decoded(Ban, data)
        for index, data in attached.get("pair_banned", {}).items()
        if banned.get(index) is True and isinstance(index[1], bytes)
    }


def stored_report(home: Home) -> dict[str, Any]:
    """Return the records and bans that a home holds; the node may run or not."""
    cells, attached = _read(home)
    return report_of(blames_in(attached), bans_in(cells, attached))


def stored_record(home: Home, name: str) -> BlameRecord:
    """Return the record whose id begins with ``name``; UserError when there is not exactly one."""
    _, attached = _read(home)
    records = [record for kept in blames_in(attached).values() for record in kept.records]
    fitting = [record for record in records if record.id.startswith(name.lower())]
    if len(fitting) != 1:
        verdict = "several records begin" if fitting else "no record begins"
        raise UserError(f"{verdict} with {name!r}: run `blame` to see their names")
    return fitting[0]


def _read(home: Home) -> tuple[Cells, Attachments]:
    store = CellStore.open(home.events, read_node_id(home.identity))
    try:
        return store.load(), store.load_attachments()
    finally:
        store.close()


def pardon(home: Home, peer: bytes, now: float | None = None) -> Ban:
    """Lift this node's ban of a peer and return it; no node may run on the home meanwhile.

    UserError when there is no such ban, or when the pair still has the base transfers of its time.
    """
    me = read_node_id(home.identity)
    stores = open_stores(home, me)
    store = stores.store
    try:
        cells, attached = store.load(), store.load_attachments()
        tables = Tables(PROTOCOL, NodeView(PROTOCOL), me)
        for cell, values in cells.items():
            for index, value in values.items():
                tables.view.put(cell, index, value)
        bans = Bans(tables, bans_in(cells, attached))
        ban = bans.pardonable(peer)
        tables.turn = Turn.of("pardon")
        tables.turn.begin(0)
        bans.lift(peer)
        effects = tables.take()
        store.apply([CellWrite(w.cell, _index(w.index), w.before, w.after) for w in effects.writes])
        stores.written()
    finally:
        stores.close()
    _trace(home, effects.trace, time.time() if now is None else now)
    return ban


def _index(index: tuple[Value, ...]) -> Index:
    return tuple(part for part in index if part is not None)


def _trace(home: Home, records: list[dict[str, Any]], now: float) -> None:
    """Tell the trace, as a running node would; one that has not begun yet begins after this."""
    writer = TraceWriter(home.trace)
    try:
        if writer.end.seq:
            writer.append_input(records, round(now, 3))
    finally:
        writer.close()
