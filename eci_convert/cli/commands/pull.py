"""`eci-convert pull`: pulls an image into a directory, with the flags of `eci pull` (docs/specs/eci.md#4)."""

from __future__ import annotations

from pathlib import Path

import click

from eci_convert.cli import eci_output, extract_common, options
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.eci_remote import check_remote, remote_from_options
from eci_convert.cli.extract_common import run_extract
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.param_types import PathParam
from eci_convert.operations.extract_request import ExtractRequest
from eci_convert.reading.open_image import open_image

_EXAMPLES = """
eci-convert pull registry.example/edge/machine:1.2 --dir machine/
eci-convert pull --remote /var/layouts edge/machine:1.2 --dir machine/ --json
"""


@command(
    click.argument("image"),
    option(
        "--dir",
        "directory",
        type=PathParam(str, directory=True, may_be_empty=True),
        once=True,
        metavar="DIR",
        help="Where the files go.",
    ),
    extract_common.no_clobber,
    options.remote,
    options.ignored_words_of_eci,
    options.max_size,
    options.dry_run,
    examples=_EXAMPLES,
)
def pull(
    call: CommonOptions,
    *,
    image: str,
    directory: str | None,
    no_clobber: bool,
    remote: str,
    max_size: int | None,
    dry_run: bool,
) -> None:
    """Write every part of IMAGE, and its config, to a directory, under the names that the image gives them."""
    place = remote_from_options(remote, image, call.reading)
    check_remote(call, remote)
    check_connections(call, reads=[place.reference], default="docker", accepted={"namespace"})
    with open_image(place.reference, place.settings, "docker") as source:
        request = ExtractRequest(directory=Path(directory or ""), config_blob=True, replace=not no_clobber)
        lines = eci_output.pulled(image, directory or "", verbose=call.verbose)
        run_extract(call, source, request, max_size, lines=lines)
