"""``status``: show what a running node says about itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from metanode.cli.common import home_option


def lines_of(value: Any, indent: str = "") -> Iterator[str]:
    """Yield a readable form of a JSON value: one line per scalar, nested values indented."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, dict | list) and item:
                yield f"{indent}{name}:"
                yield from lines_of(item, indent + "  ")
            else:
                yield f"{indent}{name}: {_scalar(item)}"
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list) and item:
                inner = list(lines_of(item, indent + "  "))
                yield f"{indent}- {inner[0].lstrip()}"
                yield from inner[1:]
            else:
                yield f"{indent}- {_scalar(item)}"
    else:
        yield f"{indent}{_scalar(value)}"


def _scalar(value: Any) -> str:
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


@click.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="As JSON; with --watch one object a line.")
@click.option("--metrics", is_flag=True, help="The metrics in Prometheus' text form instead.")
@click.option("--watch", is_flag=True, help="A live table, until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True, metavar="S",
    help="With --watch: seconds from one look to the next.",
)
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="With --watch: end after N looks."
)
def command(
    home: Path, as_json: bool, metrics: bool, watch: bool, interval: float, count: int | None
) -> int:
    """Show what the node that runs on a home is doing.

    `now` says in words why no payout is being made, or how far one is. Exit code: 0 the node
    answers, 1 it has stopped answering while it was watched, 2 no node runs.
    """
    from metanode.cli.status_words import why_no_payout
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.admin import fetch, fetch_status

    place = Home(home)
    if metrics:
        click.echo(fetch(place, "/metrics").decode("utf-8"), nl=False)
        return 0
    document = fetch_status(place)  # before anything is watched: a wrong home is one line
    if watch:
        from metanode.cli.watch import watch as look_on

        return look_on(place, interval, count, as_json)
    document = {"now": why_no_payout(document), **document}
    if as_json:
        click.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        for line in lines_of(document):
            click.echo(line)
    return 0
