"""The live table of ``status --watch``: the node, its peers, and what each deposit waits for."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from metanode.cli.status_words import short, why_no_payout
from metanode.errors import MetanodeError

if TYPE_CHECKING:  # loaded when used, see common
    from rich.console import RenderableType

    from metanode.runtime.home.home import Home

ROWS = 12
"""Deposits and payouts in the table: the newest ones of more."""


def looks(home: Home, every_s: float, count: int | None) -> Iterator[dict[str, Any]]:
    """Yield what the node says, again and again; {"away": why} while it does not answer."""
    from metanode.runtime.operator.admin import fetch_status

    number = 0
    while count is None or number < count:
        if number:
            time.sleep(every_s)
        number += 1
        try:
            yield fetch_status(home)
        except MetanodeError as fault:
            yield {"away": str(fault)}


def watch(home: Home, every_s: float, count: int | None, as_json: bool) -> int:
    """Show the node until Ctrl-C, or ``count`` times; return the exit code.

    On a terminal a live table, else a line whenever what is said is another one than before; JSON
    is an object a line.
    """
    last: dict[str, Any] = {}
    try:
        if not as_json and sys.stdout.isatty():
            last = _live(home, every_s, count)
        else:
            said: tuple[str, ...] = ()
            for last in looks(home, every_s, count):
                words = sentence(last)
                if as_json:
                    click.echo(json.dumps({**last, "now": words}, sort_keys=True))
                elif (kind := tuple(re.split(r"\d+ s\b", words))) != said:  # seconds only pass
                    click.echo(f"{time.strftime('%H:%M:%S')}  {words}")
                    said = kind
    except KeyboardInterrupt:
        pass
    return 1 if "away" in last else 0


def sentence(status: Mapping[str, Any]) -> str:
    """Return the one sentence of the moment."""
    return f"away: {status['away']}" if "away" in status else why_no_payout(status)


def _live(home: Home, every_s: float, count: int | None) -> dict[str, Any]:
    from rich.live import Live

    last: dict[str, Any] = {}
    with Live(auto_refresh=False, screen=count is None) as live:
        for last in looks(home, every_s, count):
            live.update(picture(last), refresh=True)
    return last


def picture(status: Mapping[str, Any]) -> RenderableType:
    """Return the whole picture of one look."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    now = Text(sentence(status), style="bold")
    if "away" in status:
        return now
    key, chain = status["key"], status["chain"]
    head = Text(
        f"node {short(status['node_id'])}   phase {status['phase']}   round {status['round']}   "
        f"block {'-' if chain is None else chain['height']}   "
        f"epoch {'-' if key is None else key['epoch']}   health {status['health']}"
    )
    peers = Table("peer", "link", "listing", "phase", "health", "last ping, s", title="peers",
                  title_justify="left")
    for peer in status["peers"]:
        if not peer["self"]:
            ping = peer["last_ping_s"]
            peers.add_row(
                short(peer["node_id"]), "yes" if peer["linked"] else "no", str(peer["listing"]),
                str(peer["phase"]), str(peer["health"]), "-" if ping is None else f"{ping:g}",
            )
    return Group(head, now, peers, _deposits(status), _payouts(status))


def _deposits(status: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table

    table = Table("deposit", "amount", "block", "waits for", "why", title="deposits that wait",
                  title_justify="left")
    for deposit in status["deposits"][-ROWS:]:
        table.add_row(
            f"{deposit['outpoint'][:12]}...{deposit['outpoint'].rpartition(':')[2]}",
            str(deposit["amount"]), str(deposit["height"]), deposit["waits_for"],
            deposit["reason"],
        )
    return table


def _payouts(status: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table

    table = Table("payout", "state", "inputs", "outputs", "why", title="payouts",
                  title_justify="left")
    for payout in status["payouts"][-ROWS:]:
        table.add_row(
            payout["txid"][:16], payout["state"], str(payout["inputs"]), str(payout["outputs"]),
            payout["reason"] or "",
        )
    return table
