"""``peers``: the peers of a running node: list them, add one, drop or pardon one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from metanode.cli.common import HOME_REQUIRED, home_option, state_of

EXIT_NOTHING = 1
_FILE = click.Path(path_type=Path)


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="The peers as JSON.")
@click.option("--home", type=_FILE, metavar="DIR", default=None, help="Home of the node.")
@click.pass_context
def command(ctx: click.Context, home: Path | None, as_json: bool) -> int | None:
    """List the peers of the node that runs on a home.

    Exit code 0: a peer is linked; 1: none is; 2: no node runs there.
    """
    state = state_of(ctx)
    state.remember(home)
    if ctx.invoked_subcommand is not None:
        return None
    if state.home is None:
        raise click.UsageError(HOME_REQUIRED)
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.admin import fetch_json

    report = fetch_json(Home(state.home), "/peers")
    linked = any(peer["since"] is not None for peer in report["peers"])
    if as_json:
        click.echo(json.dumps(report, indent=2, sort_keys=True))
    else:
        _show(report)
    return 0 if linked else EXIT_NOTHING


def _show(report: dict[str, Any]) -> None:
    for peer in report["peers"]:
        way = {True: "dialled", False: "came in", None: "no link"}[peer["dialled"]]
        since = "" if peer["since"] is None else f" since {_time(peer['since'])}"
        click.echo(f"{peer['node_id']}  {peer['address'] or '-'}")
        click.echo(f"  link:    {way}{since}")
        click.echo(f"  version: {_or_dash(peer['version'])}, weight: {_or_dash(peer['weight'])}")
        role = ", holds a share" if peer["holder"] else ""
        click.echo(f"  stake:   {peer['listing'] or 'unknown'}{role}")
        if peer["refused"] is not None:
            click.echo(f"  refused: {peer['refused']}")
        if peer["blocked"] is not None:
            until, reason = _time(peer["blocked"]["until"]), peer["blocked"]["reason"]
            click.echo(f"  blocked: until {until}: {reason}")
    for endpoint in report["waiting"]:
        fault = report["names"].get(endpoint)
        click.echo(f"no answer yet: {endpoint}" + (f" ({fault})" if fault else ""))
    for entry in report["exclusions"]:
        until = "" if entry["until"] is None else f" until {_time(entry['until'])}"
        click.echo(f"{entry['link']}{until}: {entry['who']}: {entry['why']}")
    if not report["peers"]:
        click.echo("no peer is known: add one with `peers add HOST:PORT`")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _or_dash(value: object) -> object:
    return "-" if value is None else value


def _ask(home: Path, do: str, peer: str) -> dict[str, Any]:
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.admin import post

    return post(Home(home), "/peers", {"do": do, "peer": peer})


def _told(answer: dict[str, Any], as_json: bool, done: str | None, not_done: str) -> int:
    """Print an answer; return 0 if something was done and 1 if there was nothing to do."""
    if as_json:
        click.echo(json.dumps(answer, indent=2, sort_keys=True))
    else:
        click.echo(not_done if done is None else done)
    return EXIT_NOTHING if done is None else 0


@command.command("add")
@home_option
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
@click.argument("endpoint", metavar="ENDPOINT")
def add_command(home: Path, endpoint: str, as_json: bool) -> int:
    """Dial ENDPOINT (host:port, a name is as good) from now on, also after a restart.

    Exit code 0: it is dialled; 1: its name does not resolve yet, and is asked about again.
    """
    answer = _ask(home, "add", endpoint)
    fault = answer["fault"]
    done = None if fault else f"added: {answer['added']}"
    return _told(answer, as_json, done, f"added: {answer['added']}, but {fault}")


@command.command("drop")
@home_option
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
@click.argument("peer", metavar="NODE_ID|ENDPOINT")
def drop_command(home: Path, peer: str, as_json: bool) -> int:
    """End the link with a peer, forget where it listens, and refuse it for an hour.

    Holders of the key keep their links. Exit code 0: dropped; 1: no such peer is known.
    """
    answer = _ask(home, "drop", peer)
    done = None if answer["dropped"] is None else f"dropped: {peer}"
    return _told(answer, as_json, done, f"no such peer is known: {peer}")


@command.command("pardon")
@home_option
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
@click.argument("peer", metavar="NODE_ID")
def pardon_command(home: Path, peer: str, as_json: bool) -> int:
    """Forget what NODE_ID, or an address as `peers` shows it, is excluded for.

    Exit code 0: pardoned; 1: it was not excluded.
    """
    answer = _ask(home, "pardon", peer)
    done = None if answer["pardoned"] is None else f"pardoned: {peer}"
    return _told(answer, as_json, done, f"nothing to pardon: {peer}")
