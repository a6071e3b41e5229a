"""A command line as cobra makes it: a tool with subcommands, flags and `--help`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

from eci_convert.cli import output
from eci_convert.cli.exit_codes import run_guarded
from eci_convert.cli.go_flags import Flag, ParsedFlags, parse_flags, usage
from eci_convert.errors import EciError, UsageError, one_line
from eci_convert.files.home import home


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCommand:
    """A command of a tool: *names* are what the help calls its arguments, *count* how many it takes (None: any)."""

    run: Callable[[Tool, ParsedFlags], None]
    text: str
    names: str = ""
    count: int | None = 1
    flags: Mapping[str, Flag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One of the tools. *kind* is what its help calls its images."""

    name: str
    kind: str
    docker_config: Flag
    commands: Mapping[str, ToolCommand]

    @property
    def flags(self) -> Mapping[str, Flag]:
        """The flags of every command."""
        text = "Path where to store all local images and index information (such as tags)."
        return {
            "docker-config-path": self.docker_config,
            "store-path": Flag(usage=text, default=os.path.join(home(os.environ), f".{self.kind}")),
        }


def run_tool(tool: Tool, words: Sequence[str]) -> int:
    """Run the command line *words* of *tool* and return its exit code."""
    return run_guarded(lambda: _run(tool, list(words)), debug=False)


def _run(tool: Tool, words: list[str]) -> None:
    try:
        _dispatch(tool, words)
    except EciError as error:
        output.event(f"Error: {_lines(str(error))}")
        raise click.exceptions.Exit(1) from error


def _lines(text: str) -> str:
    return "\n".join(map(one_line, text.split("\n")))


def _dispatch(tool: Tool, words: list[str]) -> None:
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:], "--help"]
    if words[:1] == ["completion"]:
        raise UsageError("completion scripts are printed by `eci-convert completion`, which has none for this tool")
    position = _command_position(tool, words)
    if position is None:
        parsed = parse_flags(words, {**tool.flags, "help": _help_flag(tool.name)})
        if parsed.arguments and parsed.arguments[0] != "help":
            raise UsageError(
                f'unknown command "{parsed.arguments[0]}" for "{tool.name}"\nRun \'{tool.name} --help\' for usage.'
            )
        return output.text(_tool_help(tool))
    name = words.pop(position)
    command = tool.commands[name]
    flags = {**command.flags, "help": _help_flag(name)}
    parsed = parse_flags(words, {**flags, **tool.flags})
    if parsed.flag("help"):
        return output.text(_command_help(tool, name, command, flags))
    if command.count is not None and len(parsed.arguments) != command.count:
        raise UsageError(f"accepts {command.count} arg(s), received {len(parsed.arguments)}")
    return command.run(tool, parsed)


def _command_position(tool: Tool, words: Sequence[str]) -> int | None:
    """Where the command stands: the first word that is neither a flag nor a flag's value."""
    skip = False
    for position, word in enumerate(words):
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word.lstrip("-") in tool.flags
        else:
            return position if word in tool.commands else None
    return None


def _help_flag(name: str) -> Flag:
    return Flag(usage=f"help for {name}", kind="bool", default="false", short="h")


def _tool_help(tool: Tool) -> str:
    others = {
        "completion": "Generate the autocompletion script for the specified shell",
        "help": "Help about any command",
    }
    texts = sorted({**others, **{name: command.text for name, command in tool.commands.items()}}.items())
    return (
        f"Commands to interface with {tool.kind} images.\n\nUsage:\n  {tool.name} [command]\n\nAvailable Commands:\n"
        + "".join(f"  {name:<11} {text}\n" for name, text in texts)
        + f"\nFlags:\n{usage({**tool.flags, 'help': _help_flag(tool.name)})}\n"
        + f'Use "{tool.name} [command] --help" for more information about a command.\n'
    )


def _command_help(tool: Tool, name: str, command: ToolCommand, flags: Mapping[str, Flag]) -> str:
    line = " ".join(filter(None, (tool.name, name, command.names, "[flags]")))
    return f"{command.text}\n\nUsage:\n  {line}\n\nFlags:\n{usage(flags)}\nGlobal Flags:\n{usage(tool.flags)}"
