"""`eci-convert extract`: writes the parts of any image to files."""

from __future__ import annotations

from typing import Any

import click

from eci_convert.cli import extract_common, options
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.extract_common import extract_request, run_extract
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.param_types import KeyValueParam, PathParam
from eci_convert.model import Role
from eci_convert.reading.open_image import open_image

_EXAMPLES = """
eci-convert extract my-machine:1.2 out/
eci-convert extract docker://registry.example/edge/machine:1.2 --kernel vmlinuz --initrd initrd.img
docker save my-machine:1.2 | eci-convert extract docker-archive:- --root - > disk.raw
eci-convert extract debian:12 --path /etc/os-release=os-release
"""


@command(
    click.argument("reference"),
    click.argument("directory", required=False, type=PathParam(directory=True)),
    extract_common.options,
    option(
        "--only", multiple=True, type=click.Choice([str(role) for role in Role]), help="Write only parts of this role."
    ),
    option(
        "--path",
        "paths",
        multiple=True,
        type=KeyValueParam(),
        metavar="IMAGEPATH=FILE",
        help="Any file of the image, by its path, or of an artifact by its title.",
    ),
    option(
        "--names",
        type=click.Choice(["eci", "image"]),
        default="eci",
        show_default=True,
        help="How files in DIRECTORY are called: as ECI has it, or as they are in the image.",
    ),
    options.dialect,
    extract_common.no_clobber,
    option("--no-sparse", is_flag=True, help="Write zeros where there could be holes."),
    options.max_size,
    options.dry_run,
    examples=_EXAMPLES,
)
def extract(
    call: CommonOptions, *, reference: str, no_sparse: bool, max_size: int | None, dry_run: bool, **words: Any
) -> None:
    """Write the parts of the image REFERENCE to DIRECTORY, which is the current one unless parts are named.

    The names there are kernel, initrd, disk-root-NAME, disk-N-NAME, config.json and cmdline. A file that exists is
    replaced, once everything could be read and was what the image promised; not with --no-clobber. FILE `-` is
    standard output.

    A REFERENCE without a transport is an image in the Docker engine, or where ECI_CONVERT_DEFAULT_TRANSPORT says.
    """

    check_connections(call, reads=[reference], default=call.default_transport)
    with open_image(reference, call.reading, call.default_transport) as source:
        run_extract(call, source, extract_request(sparse=not no_sparse, **words), max_size)
