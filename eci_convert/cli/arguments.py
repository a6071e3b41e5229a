"""Options that several verbs share, and the values that are made of them."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from eci_convert.cli import heap, meter
from eci_convert.cli.words import Option, Pair, Place, Size
from eci_convert.errors import LocalError, UsageError
from eci_convert.oci.manifest import Platform
from eci_convert.oci.select import parse_platform
from eci_convert.progress import Reporter
from eci_convert.streams.epoch import epoch
from eci_convert.transports.base import Settings

F = TypeVar("F", bound=Callable[..., Any])
_FILE = Place(str, may_be_empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the options that every verb has come to."""

    settings: Settings
    platforms: tuple[Platform, ...]
    json: bool
    verbose: bool

    @property
    def platform(self) -> Platform | None:
        """The one platform asked for. Raises UsageError where several are."""
        if len(self.platforms) > 1:
            raise UsageError("--platform may be given once here")
        return self.platforms[0] if self.platforms else None

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


_EVERYWHERE = options(
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
        "--progress", default="auto", type=click.Choice(meter.STYLES), help="How to show progress.", show_default=True
    ),
    option("--json", "as_json", is_flag=True, envvar="ECI_CONVERT_JSON", help="Print the result as JSON."),
    option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors."),
    option("-v", "--verbose", is_flag=True, help="Say more."),
    option("--debug", is_flag=True, help="Show tracebacks and the talk with registries, without secrets."),
)


def verb(
    *decorators: Callable[[Any], Any], examples: str, cls: type[click.Command] = click.Command
) -> Callable[[Callable[..., None]], click.Command]:
    """A command of the verb that the function is named after, with the options that every verb has.

    The function is called with a `Call` first. *examples* are lines of shell that `--help` shows.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(**words: Any) -> None:
            function(_call(words), **words)

        epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines())
        return click.command(cls=cls, epilog=epilog)(options(*decorators)(_EVERYWHERE(run)))

    return decorate


def _parts(*, may_be_empty: bool) -> Callable[[F], F]:
    file, disk = Place(may_be_empty=may_be_empty), Place(str, may_be_empty=may_be_empty)
    types = "TYPE is raw vhd vmdk iso qcow qcow2 ova or vhdx."
    return options(
        option("--kernel", type=file, metavar="PATH", help="The kernel."),
        option("--initrd", type=file, metavar="PATH", help="The initial ramdisk."),
        option("--root", type=disk, metavar="PATH[:TYPE]", help=f"The root disk; {types}"),
        option("--disk", "disks", type=disk, multiple=True, metavar="PATH[:TYPE]",
               help="One more disk; may be repeated, in order."),
        option("--config", type=file, metavar="PATH", help="A config of your own."),
        option("--trust-type", is_flag=True, help="Believe TYPE even where the bytes contradict it."),
    )  # fmt: skip


parts: Callable[[Callable[..., None]], Callable[..., None]] = _parts(may_be_empty=False)
"""The files of a machine; `machines.artifact` makes one of them."""

parts_of_eci: Callable[[Callable[..., None]], Callable[..., None]] = _parts(may_be_empty=True)
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
    type=Place(lambda text: _free(Path(text))),
    metavar="FILE",
    help="Write the digest of what was published to FILE.",
)
max_size = option("--max-size", type=Size(), metavar="N", help="Refuse a part larger than N (such as 10G).")
label = option("--label", "labels", multiple=True, type=Pair(), metavar="KEY=VALUE", help="One more label.")
annotation = option(
    "--annotation",
    "annotations",
    multiple=True,
    type=Pair(),
    metavar="KEY=VALUE",
    help="One more annotation of the manifest.",
)
remote = option(
    "--remote",
    default="",
    metavar="PLACE",
    help="Empty: a registry; /DIR or file:///DIR: OCI layouts; containerd:/SOCKET: containerd.",
)


def created() -> int:
    """Seconds since 1970 that every time written is. Raises UsageError."""
    return epoch(os.environ)


def _free(path: Path) -> Path:
    """*path*, if a file can be put there: said now, and not when the work is done. Raises LocalError."""
    from eci_convert.streams.files import check_place

    check_place(path)
    return path


def write_digest(path: Path | None, digest: object) -> None:
    """Writes the digest file that a user asked for. Raises LocalError."""
    if path is None:
        return
    from eci_convert.streams.files import put

    put(path, f"{digest}\n".encode())


def _call(words: dict[str, Any]) -> Call:
    username, from_stdin = words.pop("username"), words.pop("password_stdin")
    quiet, debug = words.pop("quiet"), words.pop("debug")
    if bool(username) != from_stdin:
        raise UsageError("--username and --password-stdin go together")
    if debug:
        _log_everything()
    heap.keep_blocks()
    return Call(
        platforms=tuple(map(parse_platform, words.pop("platforms"))),
        json=words.pop("as_json"),
        verbose=words.pop("verbose"),
        settings=Settings(
            username=username,
            password=_password() if from_stdin else "",
            rehearsed=words.get("dry_run", False),
            environ=os.environ,
            reporter=meter.reporter(words.pop("progress"), quiet=quiet),
            **{name: words.pop(name) for name in _SETTINGS},
        ),
    )


_SETTINGS = (
    "plain_http", "insecure", "ca_file", "cert_file", "key_file", "authfile", "address", "namespace", "compat",
    "concurrency", "retries", "timeout",
)  # fmt: skip


def _password() -> str:
    try:
        text = sys.stdin.read(65536)
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"standard input cannot be read: {error}") from error
    if not text.strip("\r\n"):
        raise UsageError("--password-stdin was given, but standard input is empty")
    return text.rstrip("\r\n")


def _log_everything() -> None:
    import logging

    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("urllib3", "docker", "requests"):
        logging.getLogger(noisy).setLevel(logging.INFO)
