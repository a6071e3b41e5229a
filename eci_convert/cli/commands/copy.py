"""`eci-convert copy`: copies an image from one place to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from eci_convert.cli import options, part_options, push_report
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.image_options import check_format, check_place, write_options
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.push_report import report_dry_run, report_push
from eci_convert.cli.side_options import with_side_options
from eci_convert.dialects import WRITERS
from eci_convert.errors import UnsupportedImageError
from eci_convert.oci.index import IsBundleError
from eci_convert.operations.published_image import published_image
from eci_convert.reading.open_image import open_image
from eci_convert.transports.base import Source

_EXAMPLES = """
eci-convert copy docker://registry.example/edge/machine:1.2 oci:layout:edge
eci-convert copy docker-daemon:my-machine:1.2 docker://registry.example/edge/machine:1.2 --format artifacts
eci-convert copy docker-daemon:my-machine:1.2 docker://registry.example/edge/machine:1.2 --compression zstd
eci-convert copy oci:layout:edge docker://registry.example/kubevirt/edge:1.2 --format containerdisk
eci-convert copy docker://a.example/m:1 docker://b.example/m:1 --dest-username me --dest-password-stdin
"""


def _dialect(source: Source, call: CommonOptions, dialect: str) -> str:
    """The dialect of an image that is kept; "" where it has none, or no image for the platform of this computer."""
    from eci_convert.operations.inspect import inspect

    try:
        return inspect(source, call.platform, dialect).dialect
    except IsBundleError:
        return "cnab"
    except UnsupportedImageError:
        return ""


_KEPT: dict[str, object] = {"labels": (), "annotations": (), "also": (), "plat": "", "dialect": "", "compat": "auto"}


def _check_keep(call: CommonOptions, given: dict[str, Any]) -> None:
    """Raises UsageError for options that change an image, or say how to read it, where every byte is kept."""
    for name, default in _KEPT.items():
        option = "--" + name.removesuffix("s" if name.endswith("s") and name != "also" else "")
        other = "unikraft" if name == "plat" else "legacy"
        reason = f"{option} has no effect: `keep` keeps every byte of an image; name another --format, such as {other}"
        given[name] = call.unless(reason, name, given[name], default)


@command(
    click.argument("src"),
    click.argument("dst"),
    option(
        "--format",
        default="keep",
        type=click.Choice(["keep", *WRITERS]),
        show_default=True,
        help="The format to write.",
    ),
    options.dialect,
    option("--also", multiple=True, metavar="FORMAT", help="Make the image serve this dialect too."),
    options.plat,
    option("--all-platforms", is_flag=True, help="Every image of an index."),
    option("--referrers", is_flag=True, help="What refers to the image too: signatures, SBOMs."),
    options.label,
    options.annotation,
    option(
        "--compression",
        metavar="gzip|zstd|none[:LEVEL]",
        help="How layers are compressed, with keep those that are not; none keeps them.  [default: gzip where needed]",
    ),
    options.compat,
    options.digest_file,
    options.max_size,
    options.dry_run,
    with_side_options,
    examples=_EXAMPLES,
    platform="The image to choose of several; what an image that says no platform is for.",
)
def copy(
    call: CommonOptions, *, src: str, dst: str, format: str, dialect: str, also: tuple[str, ...], plat: str,
    all_platforms: bool, referrers: bool, labels: tuple[tuple[str, str], ...], annotations: tuple[tuple[str, str], ...],
    compression: str | None, digest_file: Path | None, max_size: int | None, dry_run: bool,
) -> None:  # fmt: skip
    """Copy the image SRC to DST, optionally converting its format. Both have a transport: docker://HOST/REPO:TAG,
    oci:DIR:NAME.

    `keep` preserves every byte and digest. (Engines without containerd's store have no digests: what comes from them is
    compressed on its way to a registry, and keeps its image id.) Any other format converts the image to it.
    """
    from eci_convert.compression.codec import Codec
    from eci_convert.operations import copy as operations_copy
    from eci_convert.operations.copy_request import KEEP, CopyRequest
    from eci_convert.operations.destination import open_destination

    check_connections(call, reads=[src], writes=[dst])
    given: dict[str, Any] = {
        "labels": labels, "annotations": annotations, "also": also, "plat": plat, "dialect": dialect,
        "compression": compression, "compat": call.settings.compat,
    }  # fmt: skip
    if format == KEEP:
        _check_keep(call, given)
    else:
        check_format(call, format, given)
    check_place(call, dst, given)
    codec = Codec.parse(given["compression"]) if given["compression"] else None
    request = CopyRequest(
        format=format, platform=call.platform, all_platforms=all_platforms, referrers=referrers,
        dialect=given["dialect"], write=write_options(dst, format, given, call.platform), codec=codec,
    )  # fmt: skip
    request.check()
    push_report.check_stdout(call, dst)
    part_options.check_apart(dst, digest_file)
    with open_image(src, call.reading) as source, open_destination(dst, call.destination, "") as destination:
        written = format if format != KEEP else _dialect(source, call, given["dialect"]) if call.json else ""
        packed = operations_copy.copy(
            source, destination.sink, request, existing=destination.existing, options=call.transfer(max_size)
        )
    if dry_run:
        return report_dry_run(call, dst, written, packed)
    image = published_image(dst, packed, call.destination)
    options.write_digest(digest_file, image.digest)
    return report_push(call, dst, written, packed, image, f"Copied {src} to {dst} with digest {image.digest}")
