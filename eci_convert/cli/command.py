"""Command classes: `--help` with examples first and options in groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from eci_convert.cli.param_types import CONNECTION, EXAMPLES, OUTPUT, PARTS, SUBJECT, Option, split_values
from eci_convert.cli.side_options import SIDES
from eci_convert.errors import EciError

GROUPS = (PARTS, SUBJECT, OUTPUT, CONNECTION)
_SIDE_PREFIXES = tuple(f"--{side}-" for side in SIDES)


class Command(click.Command):
    """A command some of whose options may be given once."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for option in given:
                if isinstance(option, Option) and option.once and given.count(option) > 1:
                    raise click.UsageError(f"{option.opts[0]} is given twice", ctx)
        with _telling_variables(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _telling_variables(ctx):
            return super().invoke(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        write_examples(formatter, self.epilog)
        self.format_options(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, rows in option_rows(self.get_params(ctx), ctx):
            with formatter.section(title):
                formatter.write_dl(rows, col_max=26)
        if any(is_of_side(parameter) for parameter in self.params):
            with formatter.section("Connection options of one side"):
                formatter.write_text(
                    "Each connection option with --src- or --dest- before its name is for SRC or for DST alone: "
                    "--src-authfile, --dest-plain-http."
                )


def option_rows(
    parameters: Iterable[click.Parameter], ctx: click.Context
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The groups of options in the order in which they are shown: a title, and what each option is called and does."""
    rows: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
    for parameter in parameters:
        if isinstance(parameter, click.Option) and not is_of_side(parameter):
            record = parameter.get_help_record(ctx)
            if record:
                rows[getattr(parameter, "group", OUTPUT)].append(record)
    return ((title, records) for title, records in rows.items() if records)


@contextmanager
def _telling_variables(ctx: click.Context) -> Iterator[None]:
    """An error that repeats the value of an option gets a hint where an environment variable gave that: whoever typed
    no such option looks for it in vain."""
    try:
        yield
    except EciError as error:
        for option in ctx.command.params:
            if isinstance(option, Option) and not option.is_flag and option.is_from_environment(ctx):
                value = option.resolve_envvar_value(ctx) or ""
                words = split_values(value) if option.multiple else [value]
                if any(_repeats(str(error), word) for word in words):
                    error.add_note(f"hint: {option.envvar} is {value!r}")
        raise


def _repeats(message: str, word: str) -> bool:
    """Whether *message* holds *word*, or the file that it names: @FILE, NAME=FILE, FILE:TYPE."""
    values = {word, word.removeprefix("@"), word.partition("=")[2], word.rpartition(":")[0]}
    return any(re.search(rf"(?<!\w){re.escape(value)}(?!\w)", message) for value in values if value)


def is_of_side(parameter: click.Parameter) -> bool:
    """Whether *parameter* is a connection option of one side; `--help` describes them in one sentence."""
    return parameter.opts[0].startswith(_SIDE_PREFIXES)


def examples_of(epilog: str | None) -> list[str]:
    """The lines of shell in the *epilog* of a command."""
    return [line.strip() for line in (epilog or "").removeprefix(EXAMPLES).splitlines() if line.strip()]


def write_examples(formatter: click.HelpFormatter, epilog: str | None) -> None:
    """Writes the examples of a command as they are, whatever their length."""
    lines = examples_of(epilog)
    if lines:
        with formatter.section("Examples"):
            formatter.write("".join(f"{'':>{formatter.current_indent}}{line}\n" for line in lines))


def closest_command(word: str, names: Sequence[str]) -> str:
    """The name that *word* may be a misspelling of; "" where none is close."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, names, n=1, cutoff=0.55)), "")


class Group(click.Group):
    """A command with subcommands, of which a mistyped one gets the closest."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise click.UsageError(f"{self.name} needs a command: {', '.join(self.list_commands(ctx))}", ctx)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        write_examples(formatter, self.epilog)
        self.format_options(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if self.get_command(ctx, word) is None and not ctx.resilient_parsing and not word.startswith("-"):
            closest = closest_command(word, self.list_commands(ctx))
            hint = f" Did you mean {closest!r}?" if closest else ""
            raise click.UsageError(f"No such command {word!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)
