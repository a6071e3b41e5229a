"""`eci-convert completion SHELL`: the script that teaches a shell to complete our words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from eci_convert.cli import show


@click.command(
    epilog="\b\nExamples:\n"
    "  source <(eci-convert completion bash)\n"
    "  eci-convert completion zsh > ~/.zfunc/_eci-convert\n"
    "  eci-convert completion fish > ~/.config/fish/completions/eci-convert.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL."""
    from eci_convert.cli import group

    found = get_completion_class(shell)
    assert found is not None
    show.document(found(group(), {}, "eci-convert", "_ECI_CONVERT_COMPLETE").source())
