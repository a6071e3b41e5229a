"""Words in, words and exit codes out.

__init__.py    main: one verb is run, and whatever becomes of it is an exit code
cli/exit_codes.py       which error is which exit code
cli/options.py   options that several verbs share, and the values that are made of them
cli/side_options.py       connection options and logins of the two places of one command
words.py       what a word is read as, how a shell completes it, and its environment variable
cli/signals.py     SIGINT, SIGTERM and SIGHUP: the program ends when it is told to
cli/output.py        the only module that prints: results, JSON, errors
cli/stdio.py    standard streams that are full, unread or closed
cli/malloc.py        the memory allocator, tuned for large blocks
cli/progress.py       progress: a bar, lines, or JSON
VERB.py        one verb: declares arguments, calls one library function, hands the result to show
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

from eci_convert.cli import stdio
from eci_convert.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

VERBS = {
    "dockerfile": "Print a Dockerfile that makes an ECI image of the parts.",
    "build": "Make an ECI image of the parts, in the Docker engine or anywhere else.",
    "extract": "Write the parts of any image to files.",
    "inspect": "Say what is in an image, without reading it.",
    "push": "Send the parts to a registry as an ECI image (as `eci push` does).",
    "pull": "Write all of an ECI image to a directory (as `eci pull` does).",
    "pullfiles": "Write parts of an ECI image to chosen files (as `eci pullfiles` does).",
    "copy": "Move an image between any two places, re-expressed if asked.",
    "index": "Put images of several platforms under one name, or take one of them away.",
    "verify": "Check that an image, or a directory, is what it claims to be.",
    "cnab": "Fix up, push and pull CNAB bundles (as cnab-to-oci does).",
    "preload": "Put images into a containers-storage tree, for podman or CRI-O in a machine.",
    "completion": "Print the completion script for a shell.",
}
"""Every verb and what `--help` says of it; the module `cli.VERB` holds its command of the same name."""

ORIGINALS = {"cnab-to-oci": "cnab-to-oci's own command line, word for word."}
"""Other tools whose command lines are had as a verb, or when this program is called by their names."""

_BEFORE_VERB = frozenset(
    {"--remote", "--namespace", "--address", "--platform", "--progress", "--authfile", "--ca-file", "--cert-file",
     "--key-file", "--username", "--compat", "--concurrency", "--retries", "--timeout"}
)  # fmt: skip
"""The options of every verb that have a value, so that the word behind it is no verb."""

_GROUPS = frozenset({"index", "cnab"})
"""Verbs with a second word."""

_ALONE = frozenset({"-h", "--help", "--version"})
_FLAGS = frozenset({"--debug", "--verbose"})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line *argv* (without the program's name) and returns its exit code (design/cli.md).

    A link or an alias by the name of one of ORIGINALS is that tool.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    original = os.path.basename(sys.argv[0]) if argv is None else ""
    if original not in ORIGINALS and words[:1] and words[0] in ORIGINALS:
        original = words.pop(0)
    with stdio.streams():
        if words == ["--version"] and original not in ORIGINALS:
            return _version()
        from eci_convert.cli import signals

        if argv is None:  # the process is ours
            signals.install()
        from eci_convert.cli import exit_codes, output

        if argv is None:
            output.adopt()
        if original in ORIGINALS:
            code = _run_original(original, words)
        else:
            code = exit_codes.guarded(lambda: _run(words), debug=_debugging(words))
        if signals.installed() and code == signals.INTERRUPTED:
            signals.leave()
        return code


def _run_original(name: str, words: Sequence[str]) -> int:
    module = import_module(f"eci_convert.cli.{name.replace('-', '_')}")
    return cast("Callable[[Sequence[str]], int]", module.main)(words)


def _debugging(words: Sequence[str]) -> bool:
    """Whether tracebacks are wanted, also where the words themselves are what is wrong."""
    said = os.environ.get("ECI_CONVERT_DEBUG", "").strip().lower()
    return said in ("1", "true", "t", "yes", "y", "on") or any("--debug" in _flag(word) for word in words)


def _version() -> int:
    """What is asked so often that it does without all else."""
    from eci_convert._version import __version__

    try:
        sys.stdout.write(f"eci-convert {__version__}\n")
        sys.stdout.flush()
    except LocalError as error:
        sys.stderr.write(f"eci-convert: error: {error}\n")
        return 9
    return 0


def _run(words: list[str]) -> None:
    group().main(args=_reordered(words) or ["--help"], prog_name="eci-convert", standalone_mode=False)


def group() -> click.Group:
    """The command with all its verbs, each of which is imported when it is asked for."""
    import click

    from eci_convert._version import __version__
    from eci_convert.streams import interrupts

    class Verbs(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(VERBS)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in VERBS:
                return None
            return cast("click.Command", getattr(import_module(f"eci_convert.cli.{cmd_name}"), cmd_name))

        def invoke(self, ctx: click.Context) -> object:
            try:
                interrupts.check()
                return super().invoke(ctx)
            except KeyboardInterrupt as error:
                if sys.stderr.isatty():  # click then ends the line that begins with ^C
                    raise
                raise click.Abort from error

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Verbs"):
                formatter.write_dl([*VERBS.items(), *ORIGINALS.items()])

    verbs = Verbs(
        help="Turn the parts of a virtual machine (kernel, initrd, disks) into container images, and take them out of "
        "container images again.",
        epilog="`eci-convert VERB --help` has examples. A reference is docker://HOST/REPO:TAG, docker-daemon:NAME, "
        "containerd:NAME, oci:DIR[:NAME], oci-archive:FILE, docker-archive:FILE or containers-storage:NAME.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    return click.version_option(__version__, message="%(prog)s %(version)s")(verbs)


def _reordered(words: list[str]) -> list[str]:
    """*words* with the options that stand before the verb, as `eci` allows, put behind it.

    `--debug=true`, as Go programs take it, becomes `--debug`; `--append`, whose value may be left out, gets it.
    """
    words = [said for word in words for said in _flag(word)]
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in _ALONE:
        at += 2 if words[at] in _BEFORE_VERB else 1
    end = at + (2 if words[at : at + 1] and words[at] in _GROUPS else 1)
    return [*words[at:end], *words[:at], *words[end:]] if at < len(words) else words


def _flag(word: str) -> tuple[str, ...]:
    if word == "--append":
        return ("--append=merge",)
    name, equals, value = word.partition("=")
    if not equals or name not in _FLAGS:
        return (word,)
    return (name,) if value.lower() in ("1", "t", "true") else ()
