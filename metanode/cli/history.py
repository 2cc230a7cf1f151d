"""``history``: carry a node's signing history to another copy of its home, never back in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metanode.cli.common import home_option
from metanode.errors import UserError

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.runtime.home.home import Home
    from metanode.runtime.home.owner import Owner
    from metanode.runtime.store.signing_log import SigningHistory


@click.group()
def command() -> None:
    """Export and import what this node has signed.

    A node that forgets what it signed can be led to sign again. Import adds what the file knows
    and never takes anything back. Both need the node stopped.
    """


@contextmanager
def _stopped(home: Path) -> Iterator[tuple[Home, Owner]]:
    """Yield a home, with whose it is, while no node can run on it."""
    from metanode.runtime.home.config import load_config
    from metanode.runtime.home.home import Home
    from metanode.runtime.home.owner import Owner
    from metanode.runtime.home.process_lock import ProcessLock
    from metanode.runtime.secrets.keystore import read_node_id

    place = Home(home)
    place.check_home()
    with ProcessLock(place.lock):
        yield place, Owner(load_config(place.config).network_id(), read_node_id(place.identity))


def _counts(history: SigningHistory) -> str:
    named = {
        "vote": len(history.votes), "lock": len(history.locks), "release": len(history.releases),
        "session": len(history.sessions_used),
    }
    return ", ".join(f"{n} {name}{'' if n == 1 else 's'}" for name, n in named.items())


@command.command("export")
@home_option
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="The new file; nothing is overwritten.",
)
def export_command(home: Path, target: Path) -> None:
    """Write the whole signing history to a new file."""
    from metanode.runtime.store.files import atomic_write
    from metanode.runtime.store.history import check_exportable, encode_history
    from metanode.runtime.store.stores import open_stores

    if target.exists():
        raise UserError(f"{target} exists already and is never overwritten: give another name")
    with _stopped(home) as (place, owner):
        stores = open_stores(place, owner.node_id)
        try:
            history = stores.log.load()
        finally:
            stores.close()
        data = encode_history(history, owner)
        check_exportable(data, owner, place.signing_log)
        atomic_write(target, data)
    click.echo(f"exported: {_counts(history)} to {target}")
    click.echo("it is out of date as soon as the node runs again")


@command.command("import")
@home_option
@click.argument("file", type=click.Path(path_type=Path))
def import_command(home: Path, file: Path) -> None:
    """Add the history in FILE to the log.

    No vote or lock is ever taken back. A file that contradicts the log is refused as a whole. A log
    that is missing, damaged or has gone back in time is made whole again by an export that was made
    after this node last ran; any other export is refused, and nothing is changed.
    """
    from metanode.runtime.store.history import read_history
    from metanode.runtime.store.history_import import import_history

    with _stopped(home) as (place, owner):
        theirs = read_history(file, owner)
        new, mended = import_history(place, owner.node_id, theirs, str(file))
    click.echo(f"in the file: {_counts(theirs)}")
    click.echo(f"new here:    {_counts(new)}")
    if mended:
        click.echo("the signing log is whole again: it holds all that this node has written")
