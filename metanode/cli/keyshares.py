"""``keyshares``: what an operator does with the shares of the key besides signing with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metanode.cli.common import (
    home_option,
    obtain_passphrase,
    prompt_passphrase,
    settle_passphrase,
)
from metanode.errors import UserError

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.runtime.home.config import Config
    from metanode.runtime.home.home import Home
    from metanode.runtime.secrets.keyshares import ShareEntry
    from metanode.runtime.secrets.keystore import Passphrase
    from metanode.tss.keyshare import Keyshare

_FILE = click.Path(path_type=Path)
_passphrase_option = click.option(
    "--passphrase-file",
    type=_FILE,
    help="File with the home's passphrase (mode 0600), not the configured one or a prompt.",
)
_export_passphrase_option = click.option(
    "--export-passphrase-file",
    type=_FILE,
    help="File with the passphrase of the exported file, if it is not the home's.",
)
_key_option = click.option("--key", metavar="HEX", help="Key id, or as many digits as needed.")
_epoch_option = click.option("--epoch", type=click.IntRange(min=0), help="Epoch of the key.")


@click.group()
def command() -> None:
    """List, verify, export, import and back up the shares of the key; change the passphrase.

    Shares never leave a home in the clear. `import` and `passphrase` need the node stopped.
    """


@contextmanager
def _home(path: Path, *, stopped: bool = False) -> Iterator[tuple[Home, Config]]:
    """Yield a whole home; with ``stopped`` no node can run on it meanwhile.

    A change of passphrase that was interrupted is completed or undone first.
    """
    from metanode.runtime.home.config import load_config
    from metanode.runtime.home.home import Home
    from metanode.runtime.home.process_lock import ProcessLock

    home = Home(path)
    home.check_complete()
    settle_passphrase(home)
    with ProcessLock(home.lock) if stopped else nullcontext():
        yield home, load_config(home.config)


def _show(entry: ShareEntry) -> str:
    return entry.state + (", in force" if entry.active else "")


def _plain(entry: ShareEntry) -> dict[str, Any]:
    return {
        "key_id": entry.label.key_id.hex(),
        "epoch": entry.label.epoch,
        "threshold": entry.threshold,
        "index": entry.index,
        "members": entry.members,
        "public_key": entry.label.public_key.hex(),
        "file": None if entry.file is None else str(entry.file),
        "state": entry.state,
        "active": entry.active,
    }


@command.command("list")
@home_option
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
def list_command(home: Path, as_json: bool) -> None:
    """Show the shares that are or should be here.

    Needs no passphrase, so it opens nothing: `verify` does.
    """
    from metanode.runtime.secrets.keyshares import list_shares
    from metanode.runtime.secrets.keystore import read_node_id

    with _home(home) as (place, _):
        entries = list_shares(place, read_node_id(place.identity))
    if as_json:
        click.echo(json.dumps([_plain(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        click.echo(f"key {entry.label.key_id.hex()}, epoch {entry.label.epoch}")
        if entry.index is not None:
            click.echo(
                f"  share:      {entry.index} of {entry.members}, any {entry.threshold} sign"
            )
        click.echo(f"  public key: {entry.label.public_key.hex()}")
        click.echo(f"  state:      {_show(entry)}")
        click.echo(f"  file:       {entry.file or 'MISSING'}")
    if not entries:
        click.echo("no shares yet")


@command.command("verify")
@home_option
@_passphrase_option
def verify_command(home: Path, passphrase_file: Path | None) -> None:
    """Open every share and check it against its key."""
    from metanode.runtime.secrets.keyshares import verify_shares

    faults: list[UserError] = []
    good = 0
    with _home(home) as (place, config):
        passphrase = obtain_passphrase(home, config, passphrase_file)
        for entry, found in verify_shares(place, config, passphrase):
            if isinstance(found, UserError):
                faults.append(found)
                click.echo(f"{entry.name}: NOT GOOD")
            else:
                good += 1
                click.echo(f"{entry.name}: ok")
                for line in _findings(found):
                    click.echo(f"  {line}")
    if faults:
        more = f"; {len(faults) - 1} more" if len(faults) > 1 else ""
        count = f"{len(faults)} of {good + len(faults)} shares are not good"
        raise UserError(f"{count}: {faults[0]}{more}")
    click.echo(f"{good} good, none bad" if good else "no shares yet")


def _findings(share: Keyshare) -> Iterator[str]:
    """Yield what opening a share has proved."""
    total = len(share.public_shares)
    yield f"share {share.party_index} belongs to its public share"
    yield f"any {share.threshold} of the {total} public shares combine to the public key"
    yield f"pair states with all {len(share.pair_state)} other parties are whole"


@command.command("export")
@home_option
@_passphrase_option
@_key_option
@_epoch_option
@click.option("--to", "target", required=True, type=_FILE, metavar="FILE", help="The new file.")
@_export_passphrase_option
def export_command(
    home: Path, passphrase_file: Path | None, key: str | None, epoch: int | None, target: Path,
    export_passphrase_file: Path | None,
) -> None:
    """Write one share to a new file, sealed.

    Only this node can import it again. A share by itself, the only one there is, needs no name.
    """
    from metanode.runtime.secrets.keyshares import choose, export_share, list_shares
    from metanode.runtime.secrets.keystore import read_node_id

    with _home(home) as (place, config):
        entry = choose(list_shares(place, read_node_id(place.identity)), key, epoch)
        passphrase = obtain_passphrase(home, config, passphrase_file)
        its_own = _export_passphrase(export_passphrase_file, passphrase)
        export_share(place, config, passphrase, entry, target, its_own)
    click.echo(f"exported: {entry.name} to {target}")


@command.command("import")
@home_option
@_passphrase_option
@click.argument("file", type=_FILE)
@_export_passphrase_option
def import_command(
    home: Path, passphrase_file: Path | None, file: Path, export_passphrase_file: Path | None
) -> None:
    """Put an exported share back in its place.

    The node must be stopped. Refused are files of another network, node or key, and of an older
    epoch; nothing is overwritten.
    """
    from metanode.runtime.secrets.keyshares import import_share

    with _home(home, stopped=True) as (place, config):
        passphrase = obtain_passphrase(home, config, passphrase_file)
        its_own = _export_passphrase(export_passphrase_file, passphrase)
        entry = import_share(place, config, passphrase, file, its_own)
    click.echo(f"imported: {entry.name} ({_show(entry)}) to {entry.file}")


def _export_passphrase(file: Path | None, default: Passphrase) -> Passphrase:
    from metanode.runtime.secrets.keystore import read_passphrase_file

    return default if file is None else read_passphrase_file(file)


@command.command("backup")
@home_option
@_passphrase_option
@click.option(
    "--to", "target", required=True, type=_FILE, metavar="DIR",
    help="The new directory; nothing is overwritten.",
)
def backup_command(home: Path, passphrase_file: Path | None, target: Path) -> None:
    """Back up to DIR, with a trial restore.

    Configuration, identity and shares are copied; the copy is restored elsewhere, opened and
    compared, and gets its name only then. The signing log is never part of it.
    """
    from metanode.runtime.secrets.keyshares import back_up

    with _home(home) as (place, config):
        passphrase = obtain_passphrase(home, config, passphrase_file)
        count = back_up(place, passphrase, target)
    shares = f"{count} share{'' if count == 1 else 's'}"
    click.echo(
        f"ok: {target} was restored on trial: configuration, identity and {shares} are whole"
    )
    click.echo("keep the passphrase elsewhere; the signing log is never part of a backup")


@command.command("passphrase")
@home_option
@_passphrase_option
@click.option(
    "--to-passphrase-file",
    type=_FILE,
    help="File with the new passphrase (mode 0600), instead of a prompt.",
)
def passphrase_command(
    home: Path, passphrase_file: Path | None, to_passphrase_file: Path | None
) -> None:
    """Change the passphrase of identity and shares.

    The node must be stopped. If this is killed on its way, the next command on the home completes
    or undoes the change, and says which passphrase counts.
    """
    from metanode.runtime.secrets.keystore import COST_OF_PRESET, read_passphrase_file
    from metanode.runtime.secrets.passphrase_change import change_passphrase

    with _home(home, stopped=True) as (place, config):
        old = obtain_passphrase(home, config, passphrase_file)
        if to_passphrase_file is not None:
            new = read_passphrase_file(to_passphrase_file)
        else:
            new = prompt_passphrase(confirm=True, text="New passphrase")
        count = change_passphrase(place, old, new, COST_OF_PRESET[config.network.preset])
    shares = f"{count} share{'' if count == 1 else 's'}"
    click.echo(f"changed: identity and {shares} open with the new passphrase only")
    configured = config.node.passphrase_file
    if configured is not None:
        click.echo(f"next: write the new passphrase into {home / configured} (mode 0600)")
    click.echo("exports and backups made before still open with the old one")
