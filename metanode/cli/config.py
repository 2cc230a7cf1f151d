"""``config``: what the configuration means, and whether it is good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metanode.cli.common import home_option
from metanode.errors import UserError

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.runtime.home.config import Config
    from metanode.runtime.home.home import Home

EXIT_WARNINGS = 1
HEADINGS = {
    "shared": "shared with all members: these make up the network id",
    "passed on": "passed on to new members, but free",
    "own": "this operator's own",
}


@click.group()
def command() -> None:
    """Check and show the configuration of a home; nothing is changed."""


def _read(home: Path) -> tuple[Home, dict[str, Any], Config]:
    from metanode.runtime.home.config import load_toml, parse_config
    from metanode.runtime.home.home import Home

    place = Home(home)
    document = load_toml(place.config)
    return place, document, parse_config(document, str(place.config))


@command.command("show")
@home_option
@click.option("--json", "as_json", is_flag=True, help="All keys as JSON.")
def show_command(home: Path, as_json: bool) -> None:
    """Show every key with the value in force.

    What the file does not say has its default, marked so. Keys that all members must share come
    first, then those that are this operator's own.
    """
    from metanode.runtime.home.config_view import entries, entry_plain

    _, document, config = _read(home)
    found, network_id = list(entries(config, document)), config.network_id().hex()
    if as_json:
        keys = [entry_plain(entry) for entry in found]
        click.echo(json.dumps({"network_id": network_id, "keys": keys}, indent=2))
        return
    click.echo(f"network id: {network_id}")
    width = max(len(entry.key) for entry in found)
    for scope, heading in HEADINGS.items():
        click.echo(f"\n{heading}")
        for entry in found:
            if entry.scope == scope:
                mark = "" if entry.given or entry.value is None else "  (default)"
                click.echo(f"  {entry.key:{width}}  {_shown(entry.value)}{mark}")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value in (None, "") else str(value)


@command.command("check")
@home_option
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="FILE",
    help="Another member's config.toml: tells in which shared keys the two differ.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def check_command(home: Path, against: Path | None, as_json: bool) -> int:
    """Read the configuration as the node will, and say what is wrong or unwise.

    Exit code: 0 good, 1 good with warnings, 2 refused: the line names the first wrong key.
    """
    from metanode.runtime.home.config import load_config
    from metanode.runtime.home.config_view import differences

    place, _, config = _read(home)
    if against is not None:
        other = load_config(against)
        found = differences(config, other)
        if found:
            said = "; ".join(
                f"{key} is {_shown(ours)} here and {_shown(theirs)} there"
                for key, ours, theirs in found
            )
            raise UserError(
                f"{place.config} and {against} are of two networks: {said}: make them equal"
            )
    warnings = list(_unwise(place, config))
    network_id = config.network_id().hex()
    if as_json:
        click.echo(json.dumps({"network_id": network_id, "warnings": warnings}, indent=2))
    else:
        for text in warnings:
            click.echo(f"warning: {text}")
        click.echo(f"good: {place.config}, network id {network_id}")
    return EXIT_WARNINGS if warnings else 0


def _unwise(home: Home, config: Config) -> Iterator[str]:
    """Yield what a node would take and would not work well with, each with its mend."""
    from metanode.runtime.net.names import loopback_fault

    complaint = loopback_fault(config.network.preset, config.node.listen, config.node.advertise)
    if complaint is not None:
        yield complaint
    if config.stake.outpoint is None:
        yield 'stake.outpoint is missing: stake, and write outpoint = "txid:index" into [stake]'
    for key, file in (
        ("node.passphrase_file", config.node.passphrase_file),
        ("chain.rpc_password_file", config.chain.rpc_password_file),
    ):
        if file is not None and not (home.path / file).is_file():
            yield f"{key}: {home.path / file} is not there: make it, or correct the key"
    if not config.node.peers and not config.network.seeds:
        yield "no peer is named: write one member into node.peers, unless others dial this node"
