"""`eci-convert pullfiles`: parts of an image to chosen files, flag for flag as `eci pullfiles`
(docs/specs/eci.md#4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from eci_convert.cli import eci_output, extract_common, options
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.eci_remote import check_remote, remote_from_options
from eci_convert.cli.extract_common import extract_request, run_extract
from eci_convert.cli.options import CommonOptions, command
from eci_convert.errors import UsageError
from eci_convert.model import Role
from eci_convert.reading.open_image import open_image

_EXAMPLES = """
eci-convert pullfiles registry.example/edge/machine:1.2 --kernel vmlinuz --initrd initrd.img
eci-convert pullfiles registry.example/edge/machine:1.2 --root disk.qcow2 --disk 0=data.raw
"""

_OPTIONAL = frozenset({Role.ROOT_DISK})
"""Scripts that were written for `eci` name a root disk whether the image has one or not."""


@command(
    click.argument("image"),
    extract_common.options_of_eci,
    extract_common.no_clobber,
    options.remote,
    options.ignored_words_of_eci,
    options.max_size,
    options.dry_run,
    examples=_EXAMPLES,
)
def pullfiles(
    call: CommonOptions, *, image: str, remote: str, max_size: int | None, dry_run: bool, **words: Any
) -> None:
    """Write the named parts of IMAGE to the files given. FILE `-` is standard output, for one part."""
    if not any(value for name, value in words.items() if name != "no_clobber"):
        raise UsageError("no part is named: say which with --kernel, --initrd, --root, --disk or --config")
    place = remote_from_options(remote, image, call.reading)
    check_remote(call, remote)
    check_connections(call, reads=[place.reference], default="docker", accepted={"namespace"})
    with open_image(place.reference, place.settings, "docker") as source:
        request = replace(extract_request(directory=None, **words), optional=_OPTIONAL)
        lines = eci_output.pulled_files(image, request.roles, verbose=call.verbose)
        run_extract(call, source, request, max_size, lines=lines)
