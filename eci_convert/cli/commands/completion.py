"""`eci-convert completion SHELL`: the script that teaches a shell to complete our words."""

from __future__ import annotations

import click
from click.shell_completion import FishComplete, ShellComplete, ZshComplete

from eci_convert.cli.command import Command
from eci_convert.cli.completion import Bash
from eci_convert.cli.output import text
from eci_convert.cli.param_types import EXAMPLES

_COMPLETIONS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": ZshComplete, "fish": FishComplete}


@click.command(
    cls=Command,
    epilog=f"{EXAMPLES}"
    "  source <(eci-convert completion bash)\n"
    "  eci-convert completion zsh > ~/.zfunc/_eci-convert\n"
    "  eci-convert completion fish > ~/.config/fish/completions/eci-convert.fish",
)
@click.argument("shell", type=click.Choice(list(_COMPLETIONS)))
def completion(shell: str) -> None:
    """Print the completion script for SHELL."""
    from eci_convert.cli.commands import group

    script = _COMPLETIONS[shell]
    text(script(group(), {}, "eci-convert", "_ECI_CONVERT_COMPLETE").source())
