"""Options that several commands share, and `command`, which makes a command that has them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from eci_convert.cli import progress
from eci_convert.cli.command import Command
from eci_convert.cli.common_options import CommonOptions, common_options
from eci_convert.cli.connection_options import CONNECTION_OPTIONS, USES, compat
from eci_convert.cli.param_types import EXAMPLES, OUTPUT, PARTS, ByteSizeParam, KeyValueParam, Option, PathParam
from eci_convert.dialects import READERS
from eci_convert.options import source_date_epoch

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "LOCAL",
    "PAIR",
    "CommonOptions",
    "F",
    "annotation",
    "blocksize",
    "command",
    "compat",
    "compression",
    "created_time", "dialect",
    "digest_file",
    "dry_run",
    "ignored_words_of_eci",
    "label",
    "max_size",
    "option",
    "options",
    "parts",
    "parts_allowing_empty",
    "plat",
    "remote",
    "write_digest",
]  # fmt: skip


def option(*names: str, **attributes: Any) -> Callable[[F], F]:
    """An option with an environment variable of its own."""
    return click.option(*names, cls=Option, **attributes)


def options(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several decorators as one, in the order that `--help` shows them."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


PLATFORM_OF_SEVERAL = "The image to choose of several."
_OUTPUT = (
    option("--json", "as_json", is_flag=True, envvar="ECI_CONVERT_JSON", group=OUTPUT,
           help="Print the result as JSON."),
    option("--progress", default="auto", type=click.Choice(progress.STYLES), group=OUTPUT, show_default=True,
           help="How to show progress."),
    option("-q", "--quiet", is_flag=True, group=OUTPUT,
           help="Print the bare result (a digest, an id, paths); suppress progress and warnings."),
    option("-v", "--verbose", is_flag=True, group=OUTPUT, help="Print more on standard error."),
    option("--debug", is_flag=True, group=OUTPUT, help="Print tracebacks and requests, without secrets."),
)  # fmt: skip


def _common(platform: str) -> tuple[Callable[[Any], Any], ...]:
    """The options that commands share; *platform* is what --platform says there."""
    words: dict[str, Any] = {"multiple": True, "metavar": "OS/ARCH[/VARIANT]", "help": platform}
    return (option("--platform", "platforms", **words), *CONNECTION_OPTIONS, *_OUTPUT)


LOCAL = frozenset({"platforms", "progress", "verbose"} | {parameter for parameter in USES if parameter != "compat"})
"""The common options that mean nothing for a command that reads and writes no image."""


def command(
    *decorators: Callable[[Any], Any],
    examples: str,
    cls: type[click.Command] = Command,
    without: frozenset[str] = frozenset(),
    platform: str = PLATFORM_OF_SEVERAL,
) -> Callable[[Callable[..., None]], click.Command]:
    """A command that the function is named after, with the options that commands share but for those *without*, by
    their parameters.

    The function is called with a `CommonOptions` first. *examples* are lines of shell that `--help` shows, and
    *platform* is what it says of --platform.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(**words: Any) -> None:
            call = common_options(words)
            try:
                function(call, **words)
            finally:
                call.reporter.close()

        made = click.command(cls=cls)(options(*decorators)(options(*_common(platform))(run)))
        made.params = [parameter for parameter in made.params if parameter.name not in without]
        if os.environ.get("_ECI_CONVERT_COMPLETE"):
            from eci_convert.cli.completion import complete_values

            complete_values(made)
        made.epilog = EXAMPLES + "\n".join(f"  {line}" for line in examples.strip().splitlines())
        return made

    return decorate


def _parts(*, may_be_empty: bool) -> Callable[[F], F]:
    file, disk = PathParam(may_be_empty=may_be_empty), PathParam(str, may_be_empty=may_be_empty)
    types = "TYPE is raw vhd vmdk iso qcow qcow2 ova or vhdx."
    return options(
        option("--kernel", group=PARTS, type=file, metavar="PATH",
               help="Kernel. PATH of any part may be a pipe; - is standard input."),
        option("--initrd", group=PARTS, type=file, metavar="PATH", help="Initial ramdisk."),
        option("--root", group=PARTS, type=disk, once=True, metavar="PATH[:TYPE]", help=f"Root disk; {types}"),
        option("--disk", "disks", group=PARTS, type=disk, multiple=True, metavar="PATH[:TYPE]",
               help="Additional disk; may be repeated, in order."),
        option("--config", group=PARTS, type=file, metavar="PATH",
               help="Config file to use instead of a generated one."),
        option("--cmdline", group=PARTS, once=True, metavar="TEXT|@FILE",
               help="Kernel command line, or a file that holds it."),
        option("--other", "others", group=PARTS, type=KeyValueParam(), multiple=True, metavar="NAME=PATH",
               help="Another file, under the name NAME in the image; may be repeated."),
        option("--trust-type", group=PARTS, is_flag=True, help="Use TYPE even if the bytes contradict it."),
    )  # fmt: skip


parts: Callable[[Callable[..., None]], Callable[..., None]] = _parts(may_be_empty=False)
"""The files of a machine; `artifact_from_options` makes one of them."""

parts_allowing_empty: Callable[[Callable[..., None]], Callable[..., None]] = _parts(may_be_empty=True)
"""The same as `eci` takes them: an empty name is none."""

compression = option(
    "--compression",
    default="gzip",
    metavar="gzip|zstd|none[:LEVEL]",
    help="Compression of layers.",
    show_default=True,
)
dry_run = option("--dry-run", is_flag=True, group=OUTPUT, help="Print what would be written, and write nothing.")
digest_file = option(
    "--digest-file",
    type=PathParam(lambda text: _writable_path(text)),
    metavar="FILE",
    group=OUTPUT,
    help="Write the digest of what was published to FILE.",
)
max_size = option("--max-size", type=ByteSizeParam(), metavar="N", help="Refuse a part larger than N (such as 10G).")
dialect = option("--dialect", default="", metavar="NAME", help=f"Read the image as this dialect: {', '.join(READERS)}.")
label = option("--label", "labels", multiple=True, type=KeyValueParam(), metavar="KEY=VALUE", help="Additional label.")
PAIR = KeyValueParam()
annotation = option(
    "--annotation",
    "annotations",
    multiple=True,
    type=KeyValueParam(),
    metavar="KEY=VALUE",
    help="Additional annotation of the manifest.",
)
remote = option(
    "--remote",
    default="",
    metavar="PLACE",
    help="Empty: a registry; /DIR or file:///DIR: OCI layouts; containerd:/SOCKET: containerd.",
)

_FOR_ECI: Final = "Accepted for scripts written for eci."
blocksize = option("--blocksize", type=int, default=0, hidden=True, expose_value=False, help=_FOR_ECI)
ignored_words_of_eci: Callable[[Callable[..., None]], Callable[..., None]] = options(
    blocksize,
    option("--OS", "--os", "os", default="", envvar="ECI_CONVERT_OS", hidden=True, expose_value=False, help=_FOR_ECI),
)


plat = option(
    "--plat",
    default="",
    metavar="qemu|fc|xen|…",
    help="Platform of a unikernel, as KraftKit names it (--format unikraft).",
)


def created_time() -> int:
    """Seconds since 1970 that every time written is. Raises UsageError."""
    return source_date_epoch(os.environ)


def _writable_path(text: str) -> Path:
    """The path *text*, if a file can be created there; checked now rather than after the work. Raises UsageError,
    LocalError."""
    from eci_convert.files.atomic import named_file
    from eci_convert.files.output_paths import check_writable

    path = named_file(text)
    check_writable(path)
    return path


def write_digest(path: Path | None, digest: object) -> None:
    """Writes the digest file that a user asked for. Raises LocalError."""
    if path is None:
        return
    from eci_convert.files.output_paths import write_output

    write_output(path, f"{digest}\n".encode())
