"""`batchgate completion`: what makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

VARIABLE = "_BATCHGATE_COMPLETE"
PROGRAM = "batchgate"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and their values.

    \b
    Examples:
      batchgate completion bash > ~/.local/share/bash-completion/completions/batchgate
      batchgate completion zsh > ~/.zfunc/_batchgate
      batchgate completion fish > ~/.config/fish/completions/batchgate.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choices are those that click knows
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())
