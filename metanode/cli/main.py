"""The command line: one file a command, loaded when it is used, so that help comes at once.

Bad input ends with one line ``error: cause: mend`` and exit code 2. A defect of ours ends with one
line that names the file with the traceback, and exit code 70. A traceback is never printed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from metanode import __version__
from metanode.cli.common import CliState, state_of
from metanode.errors import LocalFault, MetanodeError

EXIT_BAD_INPUT = 2
EXIT_DEFECT = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130
PROGRAM = "metanode"
COMPLETE_VARIABLE = "_METANODE_COMPLETE"

# Name → (module with a click command `command`, or "module:name" of one; one line of help).
COMMANDS = {
    "init": ("metanode.cli.init", "Make the home of a new node: configuration and identity."),
    "run": ("metanode.cli.run", "Run the node; `--home DIR` without a command does the same."),
    "status": ("metanode.cli.status", "Show what the node that runs on a home is doing."),
    "doctor": ("metanode.cli.doctor", "Look for what is wrong with a node, and say what mends it."),
    "config": ("metanode.cli.config", "Check and show the configuration, with what is shared."),
    "page": ("metanode.cli.page", "Print the address of the page that shows the node."),
    "events": ("metanode.cli.events", "Show what the node has been asked for and has decided."),
    "sign": ("metanode.cli.requests:sign", "Sign a digest with the network's key."),
    "keygen": ("metanode.cli.requests:keygen", "Make the network's key."),
    "keyrefresh": ("metanode.cli.requests:keyrefresh", "Renew the shares of the key."),
    "quorumchange": ("metanode.cli.requests:quorumchange", "Change who holds the key."),
    "custody": ("metanode.cli.custody", "List the coins that no round pays, and release them."),
    "wallet": ("metanode.cli.wallet", "Show and withdraw this node's stake and rewards."),
    "backup": ("metanode.cli.backup", "Back up a whole home, verify a backup, and restore one."),
    "keyshares": ("metanode.cli.keyshares", "List, verify, export, import, back up key shares."),
    "peers": ("metanode.cli.peers", "List the peers, add one, drop or pardon one."),
    "blame": ("metanode.cli.blame", "Show who cheated in a run; export and verify the proof."),
    "history": ("metanode.cli.history", "Export and import what this node has signed."),
    "completion": ("metanode.cli.completion", "Print a completion script for bash, zsh or fish."),
    "chain": ("metanode.cli.chain", "Run the embedded devnet chain, for trials and tests."),
    "demo": ("metanode.cli.demo", "Run a local network of four nodes to the last payout."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; listing them imports nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name or "command")
        if not isinstance(command, click.Command):
            raise LocalFault(f"{COMMANDS[cmd_name][0]} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.option(
    "--home", type=click.Path(path_type=Path), metavar="DIR",
    help="Home of the node; alone it runs the node.",
)
@click.pass_context
def cli(ctx: click.Context, home: Path | None) -> Any:
    """One node of a network that holds one key together and pays deposits out of it."""
    state_of(ctx).remember(home)
    if ctx.invoked_subcommand is not None:
        return None
    if home is None:
        click.echo(ctx.get_help())
        return None
    return ctx.invoke(import_module("metanode.cli.run").command, home=home)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors inside (nested) groups, which task groups wrap around every failure."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _complain(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # if nothing can be said, the exit code says it
        click.echo("error: " + " ".join(text.split()), err=True)


def outside_fault(error: BaseException) -> str | None:
    """Return the line of a fault that is the machine's, not ours, or None.

    What the kernel refuses is met by the code that knows what it was doing; this is for the rest,
    such as a line that standard output does not take.
    """
    if isinstance(error, MemoryError):
        return "there is no memory left: free some"
    if isinstance(error, UnicodeEncodeError):
        return f"the terminal cannot show {error.object[error.start]!a}: set LC_ALL=C.UTF-8"
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        from metanode.runtime.store.faults import remedy

        if not isinstance(error.filename, str | bytes):
            return f"input or output fails: {remedy(Path(), error)}"
        place = Path(os.fsdecode(error.filename))
        return f"{place} cannot be used: {remedy(place, error)}"
    return None


def _write_crash(error: BaseException, home: Path | None) -> str:
    """Write the traceback to the home's log, else to a new temporary file; return its path.

    The traceback holds source lines and the error's own text, no values of variables.
    """
    text = "".join(traceback.format_exception(error))
    if home is not None and home.is_dir():
        path = home / "node.log"
        try:
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(text)
            return str(path)
        except OSError:
            path = Path()  # the home cannot be written: fall through to a temporary file
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{PROGRAM}-", suffix=".log", delete=False, encoding="utf-8"
    ) as spare:
        spare.write(text)
    return spare.name


def _report(error: BaseException, state: CliState) -> int:
    """Print the one line for ``error`` and return the exit code."""
    leaves = list(_leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return EXIT_INTERRUPTED
    for leaf in leaves:
        if isinstance(leaf, MetanodeError) and not isinstance(leaf, LocalFault):
            _complain(str(leaf))
            return EXIT_BAD_INPUT
    for leaf in leaves:
        if (line := outside_fault(leaf)) is not None:
            _complain(line)
            return EXIT_BAD_INPUT
    name = type(leaves[0]).__name__
    log = _write_crash(error, state.home)
    _complain(f"a defect in this program ({name}): the details are in {log}")
    return EXIT_DEFECT


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; never raises."""
    state = CliState()
    try:
        result = cli.main(
            args=None if arguments is None else list(arguments), prog_name=PROGRAM,
            standalone_mode=False, obj=state, complete_var=COMPLETE_VARIABLE,
        )
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except SystemExit as end:  # click and rich leave this way when the reader of a pipe is gone
        return end.code if isinstance(end.code, int) else 1
    except click.ClickException as error:
        _complain(error.format_message())
        return EXIT_BAD_INPUT
    except BaseException as error:  # noqa: BLE001 - the last stop: everything becomes one line
        return _report(error, state)
    return result if isinstance(result, int) else 0


def stand_in() -> None:
    """Give this process the standard streams that it was started without.

    Else the next file that is opened, such as the signing log, would get the number of a stream,
    and what anybody prints would be written into it.
    """
    names = ("stdin", "stdout", "stderr")
    for number, name in enumerate(names):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115 - it stays
            setattr(sys, name, stream)


def main() -> NoReturn:
    """Run the command line of this process."""
    stand_in()
    code = invoke()
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        # Nobody reads on, or the disk is full: Python must not try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or EXIT_BAD_INPUT
    sys.exit(code)
