"""Options that several verbs share, and the values that are made of them."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from eci_convert.cli import output, progress
from eci_convert.cli.malloc import tune_malloc
from eci_convert.cli.output import info
from eci_convert.cli.param_types import ByteSizeParam, Command, KeyValueParam, Option, PathParam
from eci_convert.cli.side_options import side_settings
from eci_convert.errors import UsageError
from eci_convert.oci.platform import Platform, parse_platform
from eci_convert.options import source_date_epoch
from eci_convert.progress import Reporter
from eci_convert.transports.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
_FILE = PathParam(str, may_be_empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """What the options that every verb has come to. *destination* differs from *settings* where a verb has options for
    each side; *one_login*: a name and a password were given that are for both."""

    settings: Settings
    destination: Settings
    one_login: bool
    platforms: tuple[Platform, ...]
    json: bool
    verbose: bool
    quiet: bool = False
    given: frozenset[str] = frozenset()
    """The parameters that the command line itself gives, by name: not those of the environment."""

    @property
    def platform(self) -> Platform | None:
        """The one platform asked for. Raises UsageError where several are."""
        if len(self.platforms) > 1:
            raise UsageError("--platform may be given once here")
        return self.platforms[0] if self.platforms else None

    def unless(self, reason: str, name: str, value: T, default: T) -> T:
        """*value* of the parameter *name*; *default* where a *reason* is given why it would have no effect.

        Raises UsageError where the command line gives it for nothing. An environment variable is for every command,
        and may have no effect.
        """
        if not reason:
            return value
        if name in self.given:
            raise UsageError(reason)
        return default

    @property
    def reading(self) -> Settings:
        """The settings for an image that is only read: mirrors and short names count."""
        return replace(self.settings, mirrors=True)

    @property
    def reporter(self) -> Reporter:
        """Who is told how the work goes on."""
        return self.settings.reporter


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


_COMMON = options(
    option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH[/VARIANT]",
        help="Which image of several; what a new one is for.",
    ),
    option("--plain-http", is_flag=True, help="Speak plain HTTP to the registry."),
    option("--insecure", is_flag=True, help="Do not check the registry's certificate."),
    option("--ca-file", type=_FILE, default="", metavar="FILE", help="Certificates to trust beside the system's."),
    option(
        "--cert-file", type=_FILE, default="", metavar="FILE", help="Our certificate, for registries that ask for one."
    ),
    option("--key-file", type=_FILE, default="", metavar="FILE", help="The key of our certificate."),
    option("--authfile", type=_FILE, default="", metavar="FILE", help="Credentials as `docker login` stores them."),
    option("--username", default="", metavar="NAME", help="Who to be; with --password-stdin."),
    option("--password-stdin", is_flag=True, help="Read the password from standard input."),
    option("--address", default="", metavar="SOCKET", help="containerd's socket."),
    option("--namespace", default="", metavar="NAME", help="The containerd namespace."),
    option(
        "--compat",
        default="auto",
        type=click.Choice(["auto", "strict"]),
        help="Whether to fall back where a registry refuses a media type.",
    ),
    option("--concurrency", default=4, type=click.IntRange(1, 64), help="Blobs or ranges at once.", show_default=True),
    option("--retries", default=5, type=click.IntRange(0, 100), help="How often to try again.", show_default=True),
    option(
        "--timeout",
        default=60.0,
        type=click.FloatRange(0.1),
        help="Seconds to wait for a sign of life.",
        show_default=True,
    ),
    option(
        "--progress",
        default="auto",
        type=click.Choice(progress.STYLES),
        help="How to show progress.",
        show_default=True,
    ),
    option("--json", "as_json", is_flag=True, envvar="ECI_CONVERT_JSON", help="Print the result as JSON."),
    option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors."),
    option("-v", "--verbose", is_flag=True, help="Say more."),
    option("--debug", is_flag=True, help="Show tracebacks and the talk with registries, without secrets."),
)


def command(
    *decorators: Callable[[Any], Any], examples: str, cls: type[click.Command] = Command
) -> Callable[[Callable[..., None]], click.Command]:
    """A command of the verb that the function is named after, with the options that every verb has.

    The function is called with a `CommonOptions` first. *examples* are lines of shell that `--help` shows.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(**words: Any) -> None:
            call = _call(words)
            try:
                function(call, **words)
            finally:
                progress.close(call.reporter)

        epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines())
        return click.command(cls=cls, epilog=epilog)(options(*decorators)(_COMMON(run)))

    return decorate


def _parts(*, may_be_empty: bool) -> Callable[[F], F]:
    file, disk = PathParam(may_be_empty=may_be_empty), PathParam(str, may_be_empty=may_be_empty)
    types = "TYPE is raw vhd vmdk iso qcow qcow2 ova or vhdx."
    return options(
        option("--kernel", type=file, once=True, metavar="PATH", help="The kernel."),
        option("--initrd", type=file, once=True, metavar="PATH", help="The initial ramdisk."),
        option("--root", type=disk, once=True, metavar="PATH[:TYPE]", help=f"The root disk; {types}"),
        option("--disk", "disks", type=disk, multiple=True, metavar="PATH[:TYPE]",
               help="One more disk; may be repeated, in order."),
        option("--config", type=file, once=True, metavar="PATH", help="A config of your own."),
        option("--cmdline", once=True, metavar="TEXT|@FILE", help="The kernel command line, or a file that holds it."),
        option("--other", "others", type=KeyValueParam(), multiple=True, metavar="NAME=PATH",
               help="One more file, under the name NAME in the image; may be repeated."),
        option("--trust-type", is_flag=True, help="Believe TYPE even where the bytes contradict it."),
    )  # fmt: skip


parts: Callable[[Callable[..., None]], Callable[..., None]] = _parts(may_be_empty=False)
"""The files of a machine; `artifact_from_options` makes one of them."""

parts_allowing_empty: Callable[[Callable[..., None]], Callable[..., None]] = _parts(may_be_empty=True)
"""The same as `eci` takes them: an empty name is none."""

compression = option(
    "--compression",
    default="gzip",
    metavar="gzip|zstd|none[:LEVEL]",
    help="How layers are compressed.",
    show_default=True,
)
dry_run = option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
digest_file = option(
    "--digest-file",
    type=PathParam(lambda text: _writable_path(text)),
    once=True,
    metavar="FILE",
    help="Write the digest of what was published to FILE.",
)
max_size = option("--max-size", type=ByteSizeParam(), metavar="N", help="Refuse a part larger than N (such as 10G).")
label = option("--label", "labels", multiple=True, type=KeyValueParam(), metavar="KEY=VALUE", help="One more label.")
PAIR = KeyValueParam()
annotation = option(
    "--annotation",
    "annotations",
    multiple=True,
    type=KeyValueParam(),
    metavar="KEY=VALUE",
    help="One more annotation of the manifest.",
)
remote = option(
    "--remote",
    default="",
    metavar="PLACE",
    help="Empty: a registry; /DIR or file:///DIR: OCI layouts; containerd:/SOCKET: containerd.",
)


plat = option(
    "--plat",
    default="",
    metavar="qemu|fc|xen|…",
    help="What a unikernel runs on, in KraftKit's words (--format unikraft).",
)


def created_time() -> int:
    """Seconds since 1970 that every time written is. Raises UsageError."""
    return source_date_epoch(os.environ)


def _writable_path(text: str) -> Path:
    """The file named *text*, if it can be put there: said now, and not when the work is done. Raises UsageError,
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


def _call(words: dict[str, Any]) -> CommonOptions:
    context = click.get_current_context()
    given = frozenset(
        name for name in words if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    )
    quiet, debug = words.pop("quiet"), words.pop("debug")
    if debug:
        _log_everything()
    _show_log_lines(wanted=words["verbose"] and not debug and not quiet)
    tune_malloc()
    common = Settings(
        dry_run=words.get("dry_run", False),
        environ=os.environ,
        reporter=progress.reporter(words.pop("progress"), quiet=quiet, debug=debug),
        **{name: words.pop(name) for name in _SETTINGS},
    )
    source, destination, one_login = side_settings(common, words)
    return CommonOptions(
        platforms=tuple(map(parse_platform, words.pop("platforms"))),
        json=words.pop("as_json"),
        verbose=words.pop("verbose"),
        quiet=quiet,
        given=given,
        settings=source,
        destination=destination,
        one_login=one_login,
    )


_SETTINGS = (
    "plain_http", "insecure", "ca_file", "cert_file", "key_file", "authfile", "address", "namespace", "compat",
    "concurrency", "retries", "timeout",
)  # fmt: skip


def _log_everything() -> None:
    import logging

    from eci_convert.redaction import redacted, secrets_in

    known = secrets_in(os.environ, sys.argv[1:])

    class Redacting(output.LogLines):
        def format(self, record: logging.LogRecord) -> str:
            return redacted(super().format(record), known)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.DEBUG)
    for noisy in ("urllib3", "docker", "requests"):
        logging.getLogger(noisy).setLevel(logging.INFO)


def _show_log_lines(*, wanted: bool) -> None:
    """What the library logs of its choices is shown if it is *wanted*, each a line like any other of ours."""
    if not wanted and "logging" not in sys.modules:
        return
    import logging

    class LogLines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            info(record.getMessage())

    logger = logging.getLogger("eci_convert")
    logger.handlers = [LogLines(logging.INFO)] if wanted else []
    logger.setLevel(logging.INFO if wanted else logging.NOTSET)
