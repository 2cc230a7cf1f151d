"""``page``: print the address of the page that shows a running node, with the token in it."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path

import click

from metanode.cli.common import home_option

NO_ANSWER = 1


@click.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="Address and readiness as JSON.")
def command(home: Path, as_json: bool) -> int:
    """Print the address of the page that shows the node of a home; open it on this machine.

    The address has a token in its fragment: who has it may read all that the node says, and change
    nothing, until the node ends. Exit code 1: the node's port does not answer now.
    """
    from metanode.errors import Unavailable
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.admin import address_of_page, probe

    place = Home(home)
    url = address_of_page(place)
    try:
        code, told = probe(place, "/readyz")
        fault = None
    except Unavailable as error:
        code, told, fault = HTTPStatus.SERVICE_UNAVAILABLE, {}, str(error)
    answers = fault is None and code in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
    if as_json:
        shown = {"url": url, "answers": answers, **told}
        click.echo(json.dumps(shown, indent=2, sort_keys=True))
    else:
        click.echo(url)
        for reason in told.get("reasons", ()):
            click.echo(f"not ready: {reason['text']}", err=True)
        if fault is not None:
            click.echo(f"note: {fault}", err=True)
    return 0 if answers else NO_ANSWER
