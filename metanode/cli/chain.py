"""``chain``: run the embedded devnet chain as a process of its own."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metanode.cli.common import parse_endpoint
from metanode.errors import UserError
from spec.chains import FAMILIES

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.devnet.server import DevnetSettings


async def _serve(settings: DevnetSettings) -> None:
    """Serve the chain until SIGINT or SIGTERM; print its address when it answers."""
    import anyio

    from metanode.devnet.server import serve

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(serve, settings)
            click.echo(f"devnet chain on http://{settings.host}:{port}")
            async for _signal in signals:
                tasks.cancel_scope.cancel()
                return


@click.command()
@click.option(
    "--data", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Directory of the block file.",
)
@click.option("--listen", default="127.0.0.1:18443", show_default=True, metavar="HOST:PORT")
@click.option(
    "--interval", type=float, default=1.0, show_default=True, metavar="SECONDS",
    help="Time between blocks; 0 mines only on request.",
)
@click.option(
    "--hrp", default="bcrt", show_default=True, type=click.Choice(list(FAMILIES)),
    help="Prefix of addresses: dust and replacement are those of its chains.",
)
@click.option("--auth-file", type=click.Path(path_type=Path), help="File with user:password.")
def command(data: Path, listen: str, interval: float, hrp: str, auth_file: Path | None) -> None:
    """Run the embedded devnet chain until SIGINT or SIGTERM."""
    import anyio

    from metanode.devnet.server import DevnetSettings, read_credentials
    from metanode.runtime.store.files import make_directory, refuse_shared

    endpoint = parse_endpoint("--listen", listen)
    if endpoint.host not in ("127.0.0.1", "::1", "localhost"):
        raise UserError(f"--listen: {listen} is not a loopback address: use 127.0.0.1:port")
    if not 0 <= interval <= 86_400:
        raise UserError(f"--interval: {interval} is out of bounds: give 0 to 86400 seconds")
    credentials = None
    if auth_file is not None:
        refuse_shared(auth_file)
        credentials = read_credentials(auth_file)
    make_directory(data)
    settings = DevnetSettings(
        directory=data, hrp=hrp, host=endpoint.host, port=endpoint.port, block_interval_s=interval,
        credentials=credentials,
    )
    anyio.run(_serve, settings, backend="trio")
