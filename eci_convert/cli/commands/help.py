"""`eci-convert help [COMMAND]`: the same as `--help`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from eci_convert.cli.command import Command, Group, closest_command
from eci_convert.cli.output import text
from eci_convert.cli.param_types import EXAMPLES

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _CommandParam(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A word of a command."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        command: click.Command | None = ctx.find_root().command
        for word in ctx.params.get(str(param.name)) or ():
            command = command.get_command(ctx, word) if isinstance(command, click.Group) else None
        names = command.list_commands(ctx) if isinstance(command, click.Group) else []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command(cls=Command, epilog=f"{EXAMPLES}eci-convert help build\neci-convert help index add")
@click.argument("words", metavar="[COMMAND]", nargs=-1, type=_CommandParam())
@click.pass_context
def help(  # noqa: A001  # the command's name
    ctx: click.Context,
    words: tuple[str, ...],
) -> None:
    """Show how COMMAND is used, or which commands there are."""
    context = ctx.find_root()
    for word in words:
        group = context.command
        command = group.get_command(context, word) if isinstance(group, click.Group) else None
        if command is None:
            names = group.list_commands(context) if isinstance(group, Group) else []
            closest = closest_command(word, names)
            raise click.UsageError(
                f"No such command {word!r}." + (f" Did you mean {closest!r}?" if closest else ""), context
            )
        context = click.Context(command, info_name=word, parent=context)
    text(context.command.get_help(context))
