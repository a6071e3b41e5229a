"""Types of parameters: how their text is parsed and completed, and which environment variables set them.

Every option `--some-thing` can be given as the environment variable `ECI_CONVERT_SOME_THING` too. There, an option that
may be repeated has its values one a line; or on one line with blanks between them, quoted as for a shell where a value
has blanks of its own.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:iB|B)?", re.ASCII | re.IGNORECASE)


PARTS, SUBJECT, OUTPUT, CONNECTION = "Part options", "Options", "Output options", "Connection options"
"""Groups of options in `--help`, in the order in which they are shown."""

EXAMPLES = "\b\nExamples:\n"
"""What the epilog of a command with examples begins with."""


class Option(click.Option):
    """A click option whose environment variable is made of its first long name.

    One that names a file, or another place for an output, is given *once*: the last of several would win silently.
    That is the default for paths.
    """

    def __init__(
        self, names: Sequence[str], *, once: bool | None = None, group: str = SUBJECT, **attributes: Any
    ) -> None:
        is_path = isinstance(attributes.get("type"), PathParam) and not attributes.get("multiple")
        self.once = is_path if once is None else once
        self.group = group
        long = next(name for name in names if name.startswith("--")).partition("/")[0]
        attributes.setdefault("envvar", "ECI_CONVERT_" + long.strip("-").replace("-", "_").upper())
        super().__init__(names, **attributes)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return (record[0], f"{record[1]}  [{self.envvar}]") if record else None

    def get_error_hint(self, ctx: click.Context | None) -> str:
        hint = super().get_error_hint(ctx)
        return f"{hint} (from {self.envvar})" if ctx and self.is_from_environment(ctx) else hint

    def is_from_environment(self, ctx: click.Context) -> bool:
        """Whether the value in *ctx* is that of the environment variable."""
        return ctx.get_parameter_source(self.name or "") is ParameterSource.ENVIRONMENT

    def value_from_envvar(self, ctx: click.Context) -> Any:
        text = self.resolve_envvar_value(ctx)
        return split_values(text) if self.multiple and text else text


def split_values(text: str) -> list[str]:
    """The values of an option that may be repeated, out of one text.

    >>> split_values("a.raw 'my disk.raw'"), split_values("one line\\nanother")
    (['a.raw', 'my disk.raw'], ['one line', 'another'])
    """
    if "\n" in text:
        return [line for line in text.splitlines() if line]
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        return list(lexer)
    except ValueError:  # an unpaired quote is an ordinary character
        return text.split()


class CountParam(click.IntRange):
    """A whole number, from *min* to *max*."""

    name = "number"


class SecondsParam(click.FloatRange):
    """A duration in seconds, of at least *min*."""

    name = "number of seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return seconds


class ByteSizeParam(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A number of bytes: `1000`, `64K`, `1.5GiB`; the units are powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if not match:
            self.fail(f"{value!r} is not a size: write 500M or 2GiB", param, ctx)
        return int(float(match[1]) * 1024 ** " KMGTP".index(match[2].upper() or " "))


class KeyValueParam(click.ParamType):  # type: ignore[type-arg]
    """`KEY=VALUE`. The value may hold more equals signs."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, rest = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not {param.metavar if param and param.metavar else 'KEY=VALUE'}", param, ctx)
        return key, rest


class PathParam(click.ParamType):  # type: ignore[type-arg]
    """A file, or a directory, by its path; *made* makes what the command wants of the word.

    The empty word is an error: it is what a shell makes of a variable that is not set. Where *may_be_empty* it is as
    good as no word, as it is to `eci`.
    """

    def __init__(
        self, made: Callable[[str], Any] = Path, *, directory: bool = False, may_be_empty: bool = False
    ) -> None:
        self.name = "dir" if directory else "file"
        self._made = made
        self._may_be_empty = may_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "-" and self.name == "dir":
            self.fail("'-' is not a directory; use './-' for a directory named '-'", param, ctx)
        if value != "":
            return self._made(value)
        if not self._may_be_empty:
            self.fail("the name is empty", param, ctx)
        return None

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type=self.name)]
