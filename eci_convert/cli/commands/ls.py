"""`eci-convert ls`: lists the files of an image."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Any

import click

from eci_convert.cli import output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command
from eci_convert.operations.list_files import FileEntry, Listing, list_files
from eci_convert.reading.open_image import open_image

_EXAMPLES = """
eci-convert ls my-machine:1.2
eci-convert ls docker://registry.example/vm/machine:1 /boot
eci-convert ls oci:layout:edge '**/*.qcow2' --json
"""

_TYPES = {"directory": stat.S_IFDIR, "symlink": stat.S_IFLNK, "file": stat.S_IFREG, "special": stat.S_IFCHR}


@command(
    click.argument("reference"),
    click.argument("glob", required=False, default=""),
    examples=_EXAMPLES,
)
def ls(call: CommonOptions, *, reference: str, glob: str) -> None:
    """List the files of the image REFERENCE as its layers show them; of an artifact, its titles.

    GLOB is a file, a directory, or a pattern: * and ? stay within a name, ** crosses directories, and a pattern
    without a slash is about names in any directory. All layers are read. A REFERENCE without a transport is an image
    in the Docker engine, or where ECI_CONVERT_DEFAULT_TRANSPORT says.
    """
    check_connections(call, reads=[reference], default=call.default_transport)
    with open_image(reference, call.reading, call.default_transport) as source:
        listing = list_files(source, glob, platform=call.platform, reporter=call.reporter)
    if call.json:
        return output.json(_json(listing))
    return output.table(_rows(listing))


def _json(listing: Listing) -> dict[str, Any]:
    image = listing.image
    return {
        "reference": listing.reference,
        "digest": str(image.descriptor.digest),
        "platform": str(image.platform) if image.platform else None,
        "files": [
            {
                "path": file.path,
                "type": file.kind,
                "mode": None if file.mode is None else f"{file.mode:04o}",
                "size": file.size,
                "link": file.link,
                "blob": str(file.blob) if file.blob else None,
            }
            for file in listing.files
        ],
    }


def _rows(listing: Listing) -> Iterator[tuple[str, str, str]]:
    width = max((len(str(file.size)) for file in listing.files if file.size is not None), default=1)
    for file in listing.files:
        name = f"{file.path} -> {file.link}" if file.link is not None else file.path
        yield _mode(file), ("-" if file.size is None else str(file.size)).rjust(width), name


def _mode(file: FileEntry) -> str:
    return "-" if file.mode is None else stat.filemode(_TYPES[file.kind] | file.mode)
