"""`eci-convert url`: prints the URL and headers with which a boot loader fetches a part from a registry."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator
from urllib.parse import quote

import click

from eci_convert.cli import output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.errors import UnsupportedImageError, UsageError
from eci_convert.model import Blob, Part, Role, part_label
from eci_convert.operations.inspect import Inspection, inspect
from eci_convert.operations.store.url import choose_part, manifest_request, part_request
from eci_convert.progress import warn
from eci_convert.reading.open_image import open_image
from eci_convert.transports.base import Source
from eci_convert.transports.settings import Settings
from eci_convert.transports.traits import FileRequest

_EXAMPLES = """
eci-convert url registry.example/edge/machine:1.2 --part kernel
eci-convert url registry.example/edge/machine:1.2 --part initrd --curl | sh
eci-convert url registry.example/edge/machine:1.2 --platform linux/arm64 --ipxe --follow
eci-convert url registry.example/edge/machine:1.2 --part rootfs --json
"""

_SEPARATORS = frozenset({"&&", "||", ";"})
"""Words that end a command of iPXE's."""


@command(
    click.argument("reference"),
    option("--part", default="", metavar="ROLE|NAME", help="kernel, initrd, root, disk-N, config, or a file's name."),
    option("--curl", is_flag=True, help="Print a curl command that downloads it."),
    option("--ipxe", is_flag=True, help="Print a command for iPXE; without --part a script that boots the image."),
    option("--follow", is_flag=True, help="Print the address that the registry redirects to, which needs no login."),
    option("--dialect", default="", metavar="NAME", help="Read the image as this dialect."),
    examples=_EXAMPLES,
    without=frozenset({"concurrency"}),
)
def url(call: CommonOptions, *, reference: str, part: str, curl: bool, ipxe: bool, follow: bool, dialect: str) -> None:
    """Print the URL of a part of the image REFERENCE, or of its manifest, and the headers that it takes.

    The headers hold a login where the registry asks for one: whoever reads them can use it. --json prints
    {"headers": {…}, "url": …}, as ironcore-image does.
    """
    if call.json + curl + ipxe > 1:
        raise UsageError("--json, --curl and --ipxe are three forms of one output: choose one")
    check_connections(call, reads=[reference], default="docker")
    with open_image(reference, call.reading, "docker") as source:
        inspection = inspect(source, call.platform, dialect)
        if ipxe:
            chosen = [choose_part(inspection, part)] if part else _boot_parts(inspection)
            requests = [_request(call, source, each, follow=follow) for each in chosen]
            _warn_of_password(call, requests[0])
            commands = [_ipxe(each, inspection, request) for each, request in zip(chosen, requests, strict=True)]
            return output.text("\n".join(commands if part else ("#!ipxe", *commands, *_last_command(chosen))))
        part_chosen = choose_part(inspection, part) if part else None
        request = (
            _request(call, source, part_chosen, follow=follow)
            if part_chosen
            else manifest_request(source, inspection, follow=follow)
        )
    _warn_of_password(call, request)
    if call.json:
        return output.text(_go_json(request))
    if curl:
        name = part_chosen.name if part_chosen else "manifest.json"
        return output.line(shlex.join(_curl(request, name, call.settings)))
    output.line(request.url)
    for header, value in () if call.quiet else request.headers.items():
        output.line(f"{header}: {value}")
    return None


def _request(call: CommonOptions, source: Source, part: Part, *, follow: bool) -> FileRequest:
    if isinstance(part.locator, Blob) and part.locator.compression:
        warn(call.reporter, f"the {part_label(part)} is compressed with {part.locator.compression} there")
    return part_request(source, part, follow=follow, reporter=call.reporter)


def _warn_of_password(call: CommonOptions, request: FileRequest) -> None:
    if request.headers.get("Authorization", "").startswith("Basic "):
        warn(call.reporter, "what is printed holds your password, and anybody can read it from there")


def _go_json(request: FileRequest) -> str:
    """What ironcore-image prints, byte for byte (docs/specs/ironcore.md#8): Go escapes what HTML would take for
    markup."""
    headers = {name: [value] for name, value in sorted(request.headers.items())}
    text = json.dumps(({"headers": headers} if headers else {}) | {"url": request.url}, indent=2, ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _curl(request: FileRequest, name: str, settings: Settings) -> Iterator[str]:
    """The arguments of a curl command. Since 7.58 curl sends Authorization to the host of the URL only."""
    yield from ("curl", "--fail", "--location", "--output", name if not name.startswith("-") else f"./{name}")
    if settings.insecure:
        yield "--insecure"
    for flag, file in (("--cacert", settings.ca_file), ("--cert", settings.cert_file), ("--key", settings.key_file)):
        if file:
            yield from (flag, file)
    for header, value in request.headers.items():
        yield from ("--header", f"{header}: {value}")
    yield from ("--", request.url)


def _boot_parts(inspection: Inspection) -> list[Part]:
    """What boots the image: its kernel and its initrd, or its root disk where it has no kernel."""
    kernel, initrd, root = map(inspection.artifact.part, (Role.KERNEL, Role.INITRD, Role.ROOT_DISK))
    if kernel:
        return [kernel, *([initrd] if initrd else [])]
    if root:
        return [root]
    raise UnsupportedImageError(f"{inspection.reference} has no kernel and no root disk to boot from")


def _last_command(parts: list[Part]) -> tuple[str, ...]:
    return ("boot",) if parts[0].role is Role.KERNEL else ()


def _ipxe(part: Part, inspection: Inspection, request: FileRequest) -> str:
    """The command that has iPXE fetch *part*. What is in braces behind a dollar sign is a setting to it."""
    address = _ipxe_address(inspection, request).replace("{", "%7B")
    if part.role is Role.KERNEL:
        words = ["initrd=initrd"] if inspection.artifact.part(Role.INITRD) else []
        return " ".join(("kernel", address, *words, *_command_line(inspection)))
    if part.role is Role.INITRD:
        return f"initrd --name initrd {address}"
    return f"{'sanboot' if part.role in (Role.ROOT_DISK, Role.EXTRA_DISK) else 'imgfetch'} {address}"


def _ipxe_address(inspection: Inspection, request: FileRequest) -> str:
    """The URL for iPXE, which sends no headers of ours: a name and a password stand in the URL."""
    if "Range" in request.headers:
        error = UnsupportedImageError(f"a part of {inspection.reference} lies in a layer, and iPXE fetches whole blobs")
        error.add_note("hint: copy it with --format artifacts, where every part is a blob")
        raise error
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return request.url
    if scheme != "Basic":
        error = UnsupportedImageError(f"{inspection.reference} needs a bearer token, and iPXE sends none")
        error.add_note("hint: with --follow the address needs none, where the registry redirects to a store")
        raise error
    username, _, password = base64.b64decode(value).partition(b":")
    protocol, _, rest = request.url.partition("://")
    return f"{protocol}://{quote(username, safe='')}:{quote(password, safe='')}@{rest}"


def _command_line(inspection: Inspection) -> list[str]:
    """The kernel's command line, which is an image's word and must not become a command of iPXE's."""
    text = (inspection.artifact.command_line or "").strip()
    words = text.split(" ")
    strange = not text.isprintable() or "${" in text or any(w in _SEPARATORS or w.startswith("#") for w in words)
    if strange:
        raise UnsupportedImageError(f"the kernel's command line {text!r} cannot be said in an iPXE script")
    return [text] if text else []
