"""The command line: `main` runs one command and returns its exit code.

options.py            options that several commands share
common_options.py     the values of these options
connection_options.py connection options, and the transports that each applies to
command.py            command classes: --help, repeated options, mistyped subcommands
completion.py         candidates for shell completion
shells.py             completion scripts for bash, zsh and fish
bundle_files.py       files of CNAB: bundle.json and relocation maps
param_types.py        types of option values
image_options.py      options about the image to write
part_options.py       options that name the parts of a machine
piped_parts.py        parts that come through a pipe
side_options.py       --src- and --dest- of copy
eci_remote.py         --remote, as the original eci takes it
output.py             printing to standard output and standard error
progress.py           the reporter that --progress selects
eci_output.py         output in the format of the original eci
go_flags.py           parses flags as Go programs do
go_tool.py            command lines of Go programs: subcommands, help, errors
signals.py            SIGINT, SIGTERM and SIGHUP
stdio.py              standard streams that are closed or broken
exit_codes.py         errors as exit codes
malloc.py             the allocator's settings
extract_common.py     code shared by extract, pull and pullfiles
inspect_text.py       the output of inspect as text
yaml_text.py          JSON values as YAML
push_report.py        the output of push and build, as text or JSON
build_with_engine.py  build with a Docker engine
commands/             one module per command
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

from eci_convert.cli.commands import GROUPS, ORIGINALS, group
from eci_convert.cli.stdio import reliable_stdio
from eci_convert.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable

_BEFORE_COMMAND = frozenset(
    {"--remote", "--namespace", "--address", "--platform", "--progress", "--authfile", "--ca-file", "--cert-file",
     "--key-file", "--username", "--compat", "--concurrency", "--retries", "--timeout"}
)  # fmt: skip
"""The options of every command that have a value, so that the word behind it is no command."""


_ALONE = frozenset({"-h", "--help", "--version"})
_FLAGS = frozenset({"--debug", "--verbose"})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line *argv* (without the program's name) and returns its exit code (README.md#exit-codes).

    A link or an alias by the name of one of ORIGINALS is that tool.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    original = os.path.basename(sys.argv[0]) if argv is None else ""
    if original not in ORIGINALS and words[:1] and words[0] in ORIGINALS:
        original = words.pop(0)
    with reliable_stdio():
        if words in (["--version"], ["version"]) and original not in ORIGINALS:
            return _version()
        from eci_convert.cli import signals

        if argv is None:  # this is the program, not a library
            signals.install()
        from eci_convert.cli import output
        from eci_convert.cli.exit_codes import run_guarded

        if argv is None:
            output.adopt()
        if original in ORIGINALS:
            code = _run_original(original, words)
        else:
            code = run_guarded(lambda: _run(words), debug=_debugging(words))
        if signals.installed() and code == signals.INTERRUPTED:
            signals.leave()
        return code


def _run_original(name: str, words: Sequence[str]) -> int:
    module = import_module(f"eci_convert.cli.commands.{name.replace('-', '_')}")
    return cast("Callable[[Sequence[str]], int]", module.main)(words)


def _debugging(words: Sequence[str]) -> bool:
    """Whether tracebacks are wanted, also where the words themselves are what is wrong."""
    value = os.environ.get("ECI_CONVERT_DEBUG", "").strip().lower()
    return value in ("1", "true", "t", "yes", "y", "on") or any("--debug" in _flag(word) for word in words)


def _version() -> int:
    """Handles `--version` without importing anything else, since scripts call it often."""
    from eci_convert._version import __version__

    try:
        sys.stdout.write(f"eci-convert {__version__}\n")
        sys.stdout.flush()
    except LocalError as error:
        sys.stderr.write(f"eci-convert: error: {error}\n")
        return 9
    return 0


def _run(words: list[str]) -> None:
    import click

    code = group().main(args=_reordered(words) or ["--help"], prog_name="eci-convert", standalone_mode=False)
    if isinstance(code, int) and code:  # click returns the code of an Exit
        raise click.exceptions.Exit(code)


def _reordered(words: list[str]) -> list[str]:
    """*words* with the options before the command, which `eci` allows, moved behind it.

    `--debug=true`, as Go programs take it, becomes `--debug`; `--append`, whose value may be left out, gets it.
    """
    words = [part for word in words for part in _flag(word)]
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in _ALONE:
        at += 2 if words[at] in _BEFORE_COMMAND else 1
    end = at + (2 if words[at : at + 1] and words[at] in GROUPS else 1)
    return [*words[at:end], *words[:at], *words[end:]] if at < len(words) else words


def _flag(word: str) -> tuple[str, ...]:
    if word == "--append":
        return ("--append=merge",)
    name, equals, value = word.partition("=")
    if not equals or name not in _FLAGS:
        return (word,)
    return (name,) if value.lower() in ("1", "t", "true") else ()
