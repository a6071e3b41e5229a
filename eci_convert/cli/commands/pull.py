"""`eci-convert pull`: all of an image to a directory, flag for flag as `eci pull` (specs/eci.md §4)."""

from __future__ import annotations

from pathlib import Path

import click

from eci_convert.cli import eci_output, eci_remote, extract_common, options
from eci_convert.cli.options import Call, option
from eci_convert.cli.param_types import Place
from eci_convert.operations.extract_request import Order

_EXAMPLES = """
eci-convert pull registry.example/edge/machine:1.2 --dir machine/
eci-convert pull --remote /var/layouts edge/machine:1.2 --dir machine/ --json
"""


@options.verb(
    click.argument("image"),
    option(
        "--dir",
        "directory",
        type=Place(str, directory=True, may_be_empty=True),
        once=True,
        metavar="DIR",
        help="Where the files go.",
    ),
    options.remote,
    option("--blocksize", type=int, default=0, hidden=True, help="Accepted for scripts written for eci."),
    options.max_size,
    options.dry_run,
    examples=_EXAMPLES,
)
def pull(
    call: Call, *, image: str, directory: str | None, remote: str, blocksize: int, max_size: int | None, dry_run: bool
) -> None:
    """Write every part of IMAGE, and its config, to a directory, under the names that the image gives them."""
    with eci_remote.place(remote, image, call.settings).source() as source:
        wanted = Order(directory=Path(directory or ""), config_blob=True)
        lines = eci_output.pulled(image, directory or "", verbose=call.verbose)
        extract_common.run(call, source, wanted, "", max_size, sparse=True, dry_run=dry_run, lines=lines)
