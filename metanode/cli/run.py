"""``run``: run the node of a home until it is stopped."""

from __future__ import annotations

from pathlib import Path

import click

from metanode.cli.common import home_option, obtain_passphrase, settle_passphrase
from metanode.errors import UserError


@click.command()
@home_option
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="File with the passphrase (mode 0600), instead of the configured one or a prompt.",
)
def command(home: Path, passphrase_file: Path | None = None) -> int:
    """Run the node of a home until SIGINT or SIGTERM."""
    from metanode.runtime.home.config import load_config
    from metanode.runtime.home.home import Home
    from metanode.runtime.net.names import loopback_fault

    place = Home(home)
    place.check_complete()
    config = load_config(place.config)
    if config.stake.outpoint is None:
        raise UserError(
            f"{place.config}: stake.outpoint is missing: pay the stake to this node's address and "
            'write outpoint = "txid:index" into [stake]'
        )
    fault = loopback_fault(config.network.preset, config.node.listen, config.node.advertise)
    if fault is not None:
        click.echo(f"warning: {fault}", err=True)
    settle_passphrase(place)
    passphrase = obtain_passphrase(home, config, passphrase_file)
    from metanode.runtime.node import run_node

    return run_node(place, config, passphrase)
