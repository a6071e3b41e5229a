"""`eci-convert push`: pushes the parts of a machine to a registry; flags of `eci push` (docs/specs/eci.md#4)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from os.path import exists
from pathlib import Path
from typing import Any

import click

from eci_convert.cli import eci_output, options
from eci_convert.cli.commands.store import index
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.eci_remote import check_remote, remote_from_options
from eci_convert.cli.image_options import (
    check_format,
    check_place,
    check_platform_options,
    check_trust_type,
    write_options,
)
from eci_convert.cli.options import CommonOptions, command, option, parts_allowing_empty
from eci_convert.cli.output import text
from eci_convert.cli.part_options import artifact_from_options
from eci_convert.cli.push_report import report_dry_run, report_push
from eci_convert.dialects import WRITERS
from eci_convert.operations.published_image import published_image
from eci_convert.reading.local_parts import parse_disk_argument
from eci_convert.transports import parse_reference

_EXAMPLES = """
eci-convert push registry.example/edge/machine:1.2 --kernel vmlinuz --initrd initrd.img --root disk.qcow2
eci-convert push registry.example/edge/machine:1.2 --root disk.raw:raw --format legacy
eci-convert push --remote /var/layouts edge/machine:1.2 --kernel vmlinuz
"""


@command(
    click.argument("image"),
    parts_allowing_empty,
    option(
        "--format",
        default="artifacts",
        type=click.Choice(list(WRITERS)),
        show_default=True,
        help="The format to write.",
    ),
    option("--author", default="lf-edge/edge-containers", show_default=True, help="Author of the image."),
    option(
        "--OS", "--os", "os", default="", metavar="OS", envvar="ECI_CONVERT_OS", help="Operating system of the machine."
    ),
    option("--arch", default="", metavar="ARCH", help="Architecture of the machine."),
    options.plat,
    options.remote,
    options.blocksize,
    options.label,
    options.annotation,
    index.append,
    options.compression,
    options.compat,
    options.digest_file,
    options.dry_run,
    examples=_EXAMPLES,
    platform="What the image is for; the platform of this computer by default.",
)
def push(
    call: CommonOptions, *, image: str, format: str, author: str, os: str, arch: str, plat: str, remote: str,
    compression: str, labels: tuple[tuple[str, str], ...], annotations: tuple[tuple[str, str], ...],
    append: str | None, digest_file: Path | None, disks: tuple[str, ...], dry_run: bool, **words: Any,
) -> None:  # fmt: skip
    """Send the parts to the registry that IMAGE names, as an image of any format. One part at least is needed."""
    from eci_convert.compression.codec import Codec
    from eci_convert.operations import push as operations_push

    place = remote_from_options(remote, image, call.settings)
    check_remote(call, remote)
    check_connections(call, writes=[place.reference], default="docker", accepted={"namespace"})
    check_platform_options(call, os, arch)
    given: dict[str, Any] = {
        "author": author,
        "labels": labels,
        "annotations": annotations,
        "plat": plat,
        "compression": compression,
        "platforms": None,
        "os": os,
        "arch": arch,
    }
    check_format(call, format, given)
    check_place(call, place.reference, given, "docker")
    request = operations_push.PushRequest(
        format=format,
        write=write_options(place.reference, format, given, call.platform, "docker"),
        codec=Codec.parse(given["compression"] or "none"),
    )
    check_trust_type(call, {"disks": disks, **words})
    artifact = artifact_from_options(
        digest_file,
        disks=tuple(each for text in disks if text for each in _disks(text)),
        reporter=call.reporter,
        **words,
    )
    with place.source() as before, place.sink() as sink:
        existing = before if parse_reference(place.reference, "docker")[0].keeps_blobs else None
        send = partial(operations_push.push, artifact, sink, request, existing=existing, options=call.transfer())
        packed = index.publish_or_append(call, append, sink, before, request, send)
    if dry_run:
        return report_dry_run(call, place.reference, format, packed)
    pushed = published_image(place.reference, packed, place.settings, "docker")
    options.write_digest(digest_file, pushed.digest)
    if call.verbose and not call.json and not call.quiet:
        text("\n".join(eci_output.pushed(packed)))
    destination = f"to {remote} " if remote else ""
    sentence = f"Pushed image {image} {destination}with digest {pushed.digest}"
    return report_push(call, place.reference, format, packed, pushed, sentence)


def _disks(text: str) -> Iterator[str]:
    """The disks in one `--disk`: `eci` takes several with commas between them, and a path may hold commas."""
    several = text.split(",")
    if not _is_there(text) and all(map(_is_there, several)):
        yield from several
    else:
        yield text


def _is_there(text: str) -> bool:
    return exists(parse_disk_argument(text)[0])
