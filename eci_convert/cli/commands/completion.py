"""`eci-convert completion SHELL`: prints the completion script of a shell."""

from __future__ import annotations

import click

from eci_convert.cli.command import Command
from eci_convert.cli.output import text
from eci_convert.cli.param_types import EXAMPLES
from eci_convert.cli.shells import SHELLS


@click.command(
    cls=Command,
    epilog=f"{EXAMPLES}"
    "  source <(eci-convert completion bash)\n"
    "  eci-convert completion zsh > ~/.zfunc/_eci-convert\n"
    "  eci-convert completion fish > ~/.config/fish/completions/eci-convert.fish",
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the completion script for SHELL."""
    from eci_convert.cli.commands import group

    text(SHELLS[shell](group(), {}, "eci-convert", "_ECI_CONVERT_COMPLETE").source())
