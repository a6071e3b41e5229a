"""`eci-convert inspect`: what is in an image, without reading it."""

from __future__ import annotations

from typing import Any

import click

from eci_convert.cli import extract_common, options, output
from eci_convert.cli.extract_common import location_of
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.output import info, raw_bytes
from eci_convert.dialects import untried
from eci_convert.errors import LimitExceededError
from eci_convert.model import Blob, KnownBlob, Part, part_label
from eci_convert.oci.index import BUNDLE_COMPONENT, BUNDLE_HINT, BUNDLE_KIND, Index, IsBundleError
from eci_convert.operations.inspect import Inspection
from eci_convert.operations.inspect import inspect as inspected
from eci_convert.transports.base import Source

_EXAMPLES = """
eci-convert inspect my-machine:1.2
eci-convert inspect docker://registry.example/edge/machine:1.2 --json
eci-convert inspect oci:layout:edge --raw
"""


@command(
    click.argument("reference"),
    option("--raw", is_flag=True, help="Print the manifest or index as it is stored."),
    option("--dialect", default="", metavar="NAME", help="Read the image as this dialect."),
    options.max_size,
    examples=_EXAMPLES,
)
def inspect(call: CommonOptions, *, reference: str, raw: bool, dialect: str, max_size: int | None) -> None:
    """Say what is in the image REFERENCE: its dialect, its platforms, and each part's role, type and place.

    No blob beyond manifests and configs is read. A REFERENCE without a transport is an image in the Docker engine.
    """
    from eci_convert.reading.blobs import load_document
    from eci_convert.transports import open_source

    with open_source(reference, call.reading, "docker-daemon") as source:
        if raw:
            return raw_bytes(load_document(source, source.resolve(), "manifest"))
        try:
            found = inspected(source, call.platform, dialect)
        except IsBundleError as bundle:
            if call.platform or dialect:
                raise
            return _show_bundle(call, source, bundle.index)
    for part in found.artifact.parts:
        if max_size is not None and (_size(part) or 0) > max_size:
            raise LimitExceededError(f"{part.name!r} is larger than the limit of {max_size} bytes")
    return output.json(_json(found)) if call.json else _tell(found)


def _show_bundle(call: CommonOptions, source: Source, index: Index) -> None:
    """A CNAB bundle is no machine, and none of its images is what the reference stands for."""
    digest = source.resolve().digest
    images = [entry for entry in index.manifests if entry.annotations.get(BUNDLE_KIND) != "config"]
    if call.json:
        return output.json(
            {
                "reference": source.origin,
                "digest": str(digest),
                "dialect": "cnab",
                "platform": None,
                "platforms": [],
                "parts": [],
                "annotations": dict(index.annotations),
                "images": [
                    {
                        "kind": entry.annotations.get(BUNDLE_KIND),
                        "name": entry.annotations.get(BUNDLE_COMPONENT),
                        "media_type": entry.media_type,
                        "digest": str(entry.digest),
                        "size": entry.size,
                    }
                    for entry in images
                ],
            }
        )
    output.line(f"reference: {source.origin}")
    output.line(f"digest:    {digest}")
    output.line("dialect:   cnab (a bundle: several images that belong together)")
    output.line("images:")
    rows = [
        (entry.annotations.get(BUNDLE_KIND, "-"), entry.annotations.get(BUNDLE_COMPONENT, "-"), entry)
        for entry in images
    ]
    output.table(
        [
            ("  KIND", "NAME", "TYPE", "DIGEST"),
            *((f"  {kind}", name, entry.media_type, str(entry.digest)) for kind, name, entry in rows),
        ]
    )
    output.mapping("annotations", index.annotations)
    return info(BUNDLE_HINT.removeprefix("hint: "))


def _json(found: Inspection) -> dict[str, Any]:
    return extract_common.header(found) | {
        "platforms": [str(platform) for platform in found.platforms],
        "parts": [_part(part) for part in found.artifact.parts],
        "command_line": found.artifact.command_line,
        "labels": dict(found.image.config.labels),
        "annotations": dict(found.image.manifest.annotations),
        "config": dict(found.image.config.fields),
    }


def _part(part: Part) -> dict[str, Any]:
    return extract_common.part(part) | {"size": _size(part), "digest": _digest(part), "source": location_of(part)}


def _size(part: Part) -> int | None:
    return part.locator.descriptor.size if isinstance(part.locator, Blob) and not part.locator.compression else None


def _digest(part: Part) -> str | None:
    if isinstance(part.locator, KnownBlob):
        return str(part.locator.digest)
    known = isinstance(part.locator, Blob) and not part.locator.compression
    return str(part.locator.descriptor.digest) if known and isinstance(part.locator, Blob) else None


def _tell(found: Inspection) -> None:
    output.line(f"reference: {found.reference}")
    output.line(f"digest:    {found.digest}")
    output.line(f"dialect:   {found.dialect or 'none: ' + found.unknown}")
    output.line(f"platforms: {', '.join(map(str, found.platforms)) or 'none named'}")
    if found.artifact.command_line is not None:
        output.line(f"cmdline:   {found.artifact.command_line}")
    rows = [_row(part) for part in found.artifact.parts]
    if rows:
        output.line("parts:")
        output.table([("  ROLE", "NAME", "TYPE", "SIZE", "WHERE"), *rows])
    output.mapping("labels", found.image.config.labels)
    output.mapping("annotations", found.image.manifest.annotations)
    if not found.dialect:
        for hint in untried(found.image):
            info(hint)


def _row(part: Part) -> tuple[str, ...]:
    place = location_of(part)
    size = _size(part)
    words = ":".join(filter(None, (place["blob"], place["path"])))
    return (
        "  " + part_label(part),
        part.name,
        str(part.disk_type or "-"),
        "-" if size is None else output.size(size),
        words,
    )
