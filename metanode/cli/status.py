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
@click.option("--json", "as_json", is_flag=True, help="The status as JSON.")
@click.option("--metrics", is_flag=True, help="The metrics in Prometheus' text form instead.")
def command(home: Path, as_json: bool, metrics: bool) -> None:
    """Show what the node that runs on a home is doing."""
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.admin import fetch, fetch_status

    place = Home(home)
    if metrics:
        click.echo(fetch(place, "/metrics").decode("utf-8"), nl=False)
        return
    document = fetch_status(place)
    if as_json:
        click.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        for line in lines_of(document):
            click.echo(line)
