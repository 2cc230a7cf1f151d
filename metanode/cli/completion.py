"""``completion``: what a shell needs to complete this program's commands and options."""

from __future__ import annotations

import json

import click

SHELLS = {
    "bash": 'eval "$(metanode completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(metanode completion zsh)"    # in ~/.zshrc',
    "fish": "metanode completion fish | source      # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(SHELLS.values()))
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.option("--json", "as_json", is_flag=True, help="The script as JSON.")
def command(shell: str, as_json: bool) -> None:
    """Print the completion script for SHELL."""
    from click.shell_completion import get_completion_class

    from metanode.cli.main import COMPLETE_VARIABLE, PROGRAM, cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion is known for {shell}")
    script = found(cli, {}, PROGRAM, COMPLETE_VARIABLE).source()
    click.echo(json.dumps({"shell": shell, "script": script}) if as_json else script)
