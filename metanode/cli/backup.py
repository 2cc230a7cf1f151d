"""``backup``: a whole home in one sealed file, and back again without forgetting a vote."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metanode.cli.common import (
    home_option,
    obtain_passphrase,
    prompt_passphrase,
    settle_passphrase,
)
from metanode.cli.progress import progress
from metanode.errors import UserError

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.runtime.operator.backup import Checked
    from metanode.runtime.secrets.keystore import Passphrase

_FILE = click.Path(path_type=Path)
_own_passphrase_option = click.option(
    "--backup-passphrase-file", "own", type=_FILE,
    help="File with the passphrase of the backup, if it is not the home's.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="The result as JSON.")


@click.group()
def command() -> None:
    """Back up a whole home, verify a backup, and restore one.

    A backup holds configuration, identity, shares, signing log and event store, sealed under a
    passphrase. A restored node observes: what it signed after the backup it has forgotten.
    """


def _passphrase(file: Path | None, text: str) -> Passphrase:
    from metanode.runtime.secrets.keystore import read_passphrase_file

    if file is not None:
        return read_passphrase_file(file)
    return prompt_passphrase(confirm=False, text=text)


def _plain(checked: Checked) -> dict[str, Any]:
    label = checked.label
    return {
        "node_id": label.node_id, "network_id": label.network_id, "made": label.made,
        "epochs": list(label.epochs), "shares": checked.shares, "votes": checked.votes,
        "opened": checked.opened,
    }


def _show(verdict: str, checked: Checked, as_json: bool, **more: Any) -> None:
    if as_json:
        click.echo(json.dumps({**_plain(checked), **more}, indent=2, sort_keys=True))
        return
    label = checked.label
    made = datetime.fromtimestamp(label.made, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    epochs = ", ".join(map(str, label.epochs)) or "none yet"
    click.echo(verdict)
    click.echo(f"  node:   {label.node_id}")
    click.echo(f"  made:   {made}")
    click.echo(f"  shares: {checked.shares}, of key epochs: {epochs}")
    click.echo(f"  votes:  {checked.votes}")
    if not checked.opened:
        click.echo("  identity and shares were not opened: that needs the home's passphrase")


@command.command("create")
@home_option
@click.option("--to", "target", required=True, type=_FILE, metavar="FILE",
              help="The new file; nothing is overwritten.")
@click.option("--passphrase-file", type=_FILE,
              help="File with the home's passphrase, not the configured one or a prompt.")
@_own_passphrase_option
@_json_option
def create_command(
    home: Path, target: Path, passphrase_file: Path | None, own: Path | None, as_json: bool
) -> None:
    """Write a backup of a home to a new file, and try it at once.

    The node may run: it waits for the moment of the copy. The file gets its name after it was
    unpacked elsewhere and everything in it was opened.
    """
    from metanode.runtime.doctor.patient import is_running
    from metanode.runtime.home.config import load_config
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.backup import create
    from metanode.runtime.secrets.keystore import read_passphrase_file

    place = Home(home)
    place.check_complete()
    config = load_config(place.config)
    settle_passphrase(place)
    passphrase = obtain_passphrase(home, config, passphrase_file)
    its_own = passphrase if own is None else read_passphrase_file(own)
    size = sum(path.stat().st_size for path in (place.signing_log, place.events))
    with progress("backup", 2 * size) as told:
        checked = create(
            place, config, passphrase, target, its_own, runs=is_running(place), told=told
        )
    _show(f"ok: {target} was unpacked on trial, and everything in it opens", checked, as_json,
          file=str(target))


@command.command("verify")
@click.argument("file", type=_FILE)
@_own_passphrase_option
@click.option("--passphrase-file", type=_FILE,
              help="File with the home's passphrase, to open identity and shares as well.")
@_json_option
def verify_command(
    file: Path, own: Path | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Unpack the backup in FILE on trial, and open what is in it; nothing is kept."""
    from metanode.runtime.operator.backup import verify

    first = own or passphrase_file
    its_own = _passphrase(first, f"Passphrase of {file.name}")
    passphrase = None
    if passphrase_file is not None:
        passphrase = _passphrase(passphrase_file, "Passphrase")
    with progress("verify", _size(file)) as told:
        checked = verify(file, its_own, passphrase, told=told)
    _show(f"ok: {file} is whole", checked, as_json)


def _size(file: Path) -> int:
    from metanode.runtime.store.faults import remedy

    try:
        return file.stat().st_size
    except OSError as error:
        raise UserError(f"cannot read {file}: {remedy(file, error)}") from error


@command.command("restore")
@click.argument("file", type=_FILE)
@home_option
@_own_passphrase_option
@_json_option
def restore_command(file: Path, home: Path, own: Path | None, as_json: bool) -> None:
    """Unpack the backup in FILE into a new home.

    The old home must never run again. The restored node observes: it hears the others, and nothing
    that it signs leaves it, until `backup resume`.
    """
    from metanode.runtime.home.config import load_config
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.backup import restore

    place = Home(home)
    its_own = _passphrase(own, f"Passphrase of {file.name}")
    with progress("restore", _size(file)) as told:
        checked = restore(file, place, its_own, told=told)
    _show(f"restored: {place.path}", checked, as_json)
    if as_json:
        return
    configured = load_config(place.config).node.passphrase_file
    if configured is not None and not (place.path / configured).is_file():
        click.echo(f"next: write the home's passphrase into {place.path / configured} (mode 0600)")
    click.echo(f"next: metanode run --home {place.path}, which observes; `status` shows how far")
    click.echo(f"then: metanode backup resume --home {place.path}, once it is stopped")


@command.command("resume")
@home_option
@click.option(
    "--nothing-forgotten", is_flag=True,
    help="This operator's word that the node signed nothing after the backup.",
)
@_json_option
def resume_command(home: Path, nothing_forgotten: bool, as_json: bool) -> None:
    """End the observation of a restored home; the node must be stopped.

    Refused while others have shown a vote that this copy does not know, and before it has heard
    enough holders for ten rounds. What nobody has shown, nobody else can know: so it needs this
    operator's word that the old home did not run after the backup was made, or that its newest
    history was imported.
    """
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.backup import resume

    if not nothing_forgotten:
        raise UserError(
            "a node that has forgotten a vote can be led to sign twice: if the old home did not "
            "run after the backup, or its newest `history export` was imported, say "
            "--nothing-forgotten"
        )
    found = resume(Home(home))
    if as_json:
        click.echo(json.dumps({"rounds": found.rounds, "shown": found.shown}))
    else:
        click.echo(
            f"observed {found.rounds} rounds; {found.shown} of its votes were shown, and it knew "
            "all: from its next start on it signs"
        )
