"""``events``: what a running node has been asked for, has found on the chain, and has decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from metanode.cli.common import home_option
from metanode.cli.status import lines_of

COLUMNS = ("event", "kind", "status", "age", "attempts", "about")


STATUSES = ("PENDING", "IN_PROGRESS", "SUCCESS", "FAILED", "EXPIRED", "overdue")


def status_of(entry: Mapping[str, Any]) -> str:
    """Return the status that is shown: a request whose time is over is overdue until it expires."""
    return "overdue" if entry.get("overdue") else str(entry["status"])


def row_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of one event, in the order of ``COLUMNS``."""
    age = entry["age_s"]
    return (
        entry["event"][:16],
        entry["kind"],
        status_of(entry),
        "-" if age is None else f"{age} s",
        str(entry["attempts"]),
        _about(entry),
    )


def _about(entry: Mapping[str, Any]) -> str:
    result, lock, asked = entry.get("result"), entry["lock"], entry.get("asked")
    if result and "der" in result:
        return f"{result['digest'][:16]} signed by {len(result['signers'])}"
    if result:
        return f"epoch {result['epoch']}, {result['address']}"
    if entry.get("overdue") and entry.get("expiry"):
        return _expiring(entry["expiry"])
    if lock is not None:
        return f"locked on {lock['digest'][:16]} in attempt {lock['attempt']}"
    if asked:
        shown = [name for name, value in asked.items() if name != "holders" and value != ""]
        return ", ".join(f"{name} {_short(asked[name])}" for name in shown)
    return ""


def _expiring(expiry: Mapping[str, Any]) -> str:
    """Return how far an overdue request to sign is from expiring."""
    text = f"renounced by {expiry['renounced']} of {expiry['needed']}"
    if expiry["released_here"]:
        return f"{text}, not by this node: its share is out"
    return text if expiry["same_holders"] else "others hold the key now"


def _short(value: object) -> str:
    return f"of {len(value)}" if isinstance(value, list) else str(value)[:16]


@click.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="The events as JSON.")
@click.option(
    "--status", type=click.Choice(STATUSES, case_sensitive=False), multiple=True,
    help="Only events of this status; it may be given more than once.",
)
@click.argument("event", required=False)
def command(home: Path, event: str | None, status: tuple[str, ...], as_json: bool) -> None:
    """Show the newest events that the node on a home knows, or all about one EVENT.

    An event is decided once: a payout, the key's lock-in, an operator's request. It is tried in
    numbered attempts, keeps its lock whatever happens, and ends in SUCCESS. A request whose time is
    over is shown as overdue: one to sign becomes EXPIRED when so many holders have renounced it
    that too few are left to sign it; any other can be asked for again.
    """
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.admin import fetch_json

    entries = fetch_json(Home(home), "/events")["events"]
    if status:
        entries = [entry for entry in entries if status_of(entry) in status]
    if event is not None:
        entries = [entry for entry in entries if entry["event"].startswith(event.lower())]
        if len(entries) != 1:
            raise click.UsageError(f"{event[:64]!r} begins the id of {len(entries)} events")
    if as_json:
        click.echo(json.dumps(entries[0] if event else entries, indent=2, sort_keys=True))
    elif event is not None:
        for line in lines_of(entries[0]):
            click.echo(line)
    else:
        rows = [COLUMNS, *map(row_of, entries)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(cells).rstrip())
