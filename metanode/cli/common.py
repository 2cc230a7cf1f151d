"""What several commands share: the home option, endpoints, where a passphrase comes from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import define

from metanode.errors import UserError

if TYPE_CHECKING:  # loaded when used: it brings cryptography, which `--help` does not need
    from metanode.protocol.peers.endpoints import Endpoint
    from metanode.runtime.home.config import Config
    from metanode.runtime.home.home import Home
    from metanode.runtime.secrets.keystore import Passphrase

Command = TypeVar("Command", bound=Callable[..., Any])
HOME_REQUIRED = "--home DIR is needed: the directory of the node"


@define
class CliState:
    """What a command line has said so far; the home also tells where to write a crash."""

    home: Path | None = None

    def remember(self, home: Path | None) -> None:
        """Keep ``home`` unless it is None."""
        if home is not None:
            self.home = home


def state_of(ctx: click.Context) -> CliState:
    """Return the state of this command line."""
    return ctx.ensure_object(CliState)


def home_option(function: Command) -> Command:
    """Add ``--home DIR``; it may also stand before the command."""

    def resolve(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> Path:
        state = state_of(ctx)
        state.remember(value)
        if state.home is None:
            raise click.UsageError(HOME_REQUIRED)
        return state.home

    option = click.option(
        "--home", type=click.Path(path_type=Path), callback=resolve, metavar="DIR",
        help="Home of the node.",
    )
    return option(function)


def homes_option(function: Command) -> Command:
    """Add ``--home DIR``, which may be given several times: ``homes``, each of them once."""

    def resolve(
        ctx: click.Context, _parameter: click.Parameter, value: tuple[Path, ...]
    ) -> tuple[Path, ...]:
        state = state_of(ctx)
        homes = value or ((state.home,) if state.home is not None else ())
        if not homes:
            raise click.UsageError(HOME_REQUIRED)
        state.remember(homes[0])
        return tuple(dict.fromkeys(homes))

    option = click.option(
        "--home", "homes", multiple=True, type=click.Path(path_type=Path), callback=resolve,
        metavar="DIR", help="Home of a node whose operator you are; may repeat.",
    )
    return option(function)


def parse_endpoint(option: str, text: str) -> Endpoint:
    """Return the endpoint in ``text``; UserError names the option."""
    from metanode.runtime.home.config import operators_endpoint

    try:
        return operators_endpoint(text)
    except ValueError as error:
        raise UserError(f"{option}: {error}") from error


def obtain_passphrase(home: Path, config: Config, override: Path | None) -> Passphrase:
    """Return the passphrase from ``override``, the configured file, or a prompt, in that order.

    Never from an argument or the environment, which other processes may read. A relative path in
    the configuration counts from the home.
    """
    from metanode.runtime.secrets.keystore import read_passphrase_file

    if override is not None:
        return read_passphrase_file(override)
    if config.node.passphrase_file is not None:
        return read_passphrase_file(home / config.node.passphrase_file)
    return prompt_passphrase(confirm=False)


def prompt_passphrase(*, confirm: bool, text: str = "Passphrase") -> Passphrase:
    """Ask for the passphrase on the terminal, unseen; UserError when there is no terminal."""
    from metanode.runtime.secrets.keystore import Passphrase

    if not _is_terminal():
        raise UserError(
            "no passphrase: give --passphrase-file FILE, set node.passphrase_file, "
            "or run the command in a terminal, where it asks"
        )
    typed = click.prompt(text, hide_input=True, confirmation_prompt=confirm, err=True)
    return Passphrase(typed.encode("utf-8"))


def _is_terminal() -> bool:
    """Return whether standard input is a terminal; it may be closed, or not there at all."""
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except (OSError, ValueError):
        return False


def settle_passphrase(home: Home) -> None:
    """Complete or undo a change of passphrase that was killed, and say which one counts now."""
    from metanode.runtime.home.process_lock import ProcessLock
    from metanode.runtime.secrets.passphrase_change import is_unsettled, settle

    if is_unsettled(home):
        with ProcessLock(home.lock):
            said = settle(home)
        if said is not None:
            click.echo(f"note: {said}", err=True)
