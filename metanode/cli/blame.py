"""``blame``: who cheated in a run, the proof of it for others, and the pardon of a ban."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metanode.cli.common import home_option
from metanode.errors import Malformed, UserError

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.runtime.home.home import Home

EXIT_NOT_PROVED = 1
NODE_ID_BYTES = 33
_FILE = click.Path(path_type=Path)


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="The records and bans as JSON.")
@click.option("--home", type=_FILE, metavar="DIR", default=None, help="Home of the node.")
@click.pass_context
def command(ctx: click.Context, home: Path | None, as_json: bool) -> None:
    """Show which peers cheated in runs with this node, and whom it will not sign with.

    Asks the node that runs on the home, else reads the home's store. A proved record convinces
    anybody who runs `blame verify` on it; of the others there is only this node's word.
    """
    from metanode.cli.common import HOME_REQUIRED, state_of

    state = state_of(ctx)
    state.remember(home)
    if ctx.invoked_subcommand is not None:
        return
    if state.home is None:
        raise click.UsageError(HOME_REQUIRED)
    report = _report(_complete(state.home))
    if as_json:
        click.echo(json.dumps(report, indent=2, sort_keys=True))
        return
    for record in report["records"]:
        _show(record)
    for ban in report["bans"]:
        click.echo(f"banned: {ban['node_id']}")
        click.echo(f"  since:    {_time(ban['since'])}, key epoch {ban['epoch']}")
    if not report["records"] and not report["bans"]:
        click.echo("nobody is blamed")


def _complete(home: Path) -> Home:
    from metanode.runtime.home.home import Home

    place = Home(home)
    place.check_complete()
    return place


def _asked(home: Home) -> dict[str, Any] | None:
    """Return what the running node says, or None when none runs."""
    from metanode.runtime.operator.admin import fetch_json

    if not home.admin.exists():
        return None
    try:
        return fetch_json(home, "/blame")
    except UserError:
        return None  # the node was killed, and left the file of its endpoint


def _report(home: Home) -> dict[str, Any]:
    """Return what the running node says; what its store says, when none answers."""
    from metanode.runtime.operator.blame import stored_report

    answer = _asked(home)
    return stored_report(home) if answer is None else answer


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _show(record: dict[str, Any]) -> None:
    proved = "proved" if record["transferable"] else "this node's word only"
    click.echo(f"{record['id']}  {record['kind']}: {record['reason']} ({proved})")
    click.echo(f"  culprit:  {record['culprit']}")
    click.echo(f"  time:     {_time(record['time'])}")
    click.echo(f"  run:      {record['purpose']}, attempt {record['attempt']}")
    click.echo(f"  event:    {record['event']}")


@command.command("export")
@home_option
@click.argument("record_id", metavar="ID")
@click.argument("file", type=_FILE)
def export_command(home: Path, record_id: str, file: Path) -> None:
    """Write the record ID to a new FILE, to be shown to others.

    What it holds is what the culprit signed and public parameters; nothing in it is secret. ID may
    be cut short.
    """
    from metanode.runtime.operator.blame import stored_record
    from metanode.runtime.store.files import atomic_write

    record = stored_record(_complete(home), record_id)
    if file.exists():
        raise UserError(f"{file} exists: choose another name")
    atomic_write(file, record.encode())
    click.echo(f"exported: {record.id} to {file}")
    if not record.transferable:
        click.echo("note: it proves nothing to others; it is this node's word only", err=True)


@command.command("verify")
@click.argument("file", type=_FILE)
def verify_command(file: Path) -> int:
    """Judge the record in FILE as a stranger, from what it holds alone.

    Exit code 0: the culprit is convicted; 1: not proved; 2: no record.
    """
    from metanode.protocol.blame.record import RECORD_OCTETS, BlameRecord, judge
    from metanode.runtime.store.files import read_bounded

    try:
        record = BlameRecord.decode(read_bounded(file, RECORD_OCTETS))
    except Malformed as fault:
        raise UserError(f"{file} is no blame record ({fault}): export it again") from fault
    verdict = judge(record)
    click.echo("convicted" if verdict.convicted else "not proved")
    click.echo(f"  accused:  {record.culprit.hex()}")
    click.echo(f"  of:       {record.kind}: {record.reason}")
    click.echo(f"  run:      {record.purpose}, attempt {record.attempt}")
    click.echo(f"  network:  {record.network_id.hex()}")
    click.echo(f"  said by:  {record.accuser.hex()}, {_time(record.time)}")
    click.echo(f"  because:  {verdict.reason}")
    return 0 if verdict.convicted else EXIT_NOT_PROVED


@command.command("pardon")
@home_option
@click.argument("node_id", metavar="NODE_ID")
def pardon_command(home: Path, node_id: str) -> None:
    """Lift the ban of NODE_ID, so that this node signs with it again.

    The shares must have been refreshed since the ban: with fresh base transfers the bit that the
    peer may have guessed is worth nothing. The node may run or not.
    """
    from metanode.runtime.home.process_lock import ProcessLock
    from metanode.runtime.operator.admin import post
    from metanode.runtime.operator.blame import pardon

    try:
        peer = bytes.fromhex(node_id)
    except ValueError:
        peer = b""
    if len(peer) != NODE_ID_BYTES:
        raise UserError(f"{node_id} is no node id: give its {2 * NODE_ID_BYTES} hex digits")
    place = _complete(home)
    if _asked(place) is not None:
        answer = post(place, "/pardon", {"node_id": peer.hex()})
        since, epoch = int(answer["since"]), answer["epoch"]
    else:
        with ProcessLock(place.lock):
            ban = pardon(place, peer)
        since, epoch = ban.since, ban.epoch
    click.echo(f"pardoned: {node_id}, banned since {_time(since)} in key epoch {epoch}")
