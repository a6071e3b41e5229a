"""`eci-convert delete`: removes names of images, and unreferenced blobs."""

from __future__ import annotations

import click

from eci_convert.cli import options, output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command, option

_EXAMPLES = """
eci-convert delete oci:layout:machine:1
eci-convert delete containers-storage:registry.example/edge/machine:1 containers-storage:registry.example/edge/old:1
eci-convert delete oci:layout:0123456789ab --all-tags
"""


@command(
    click.argument("references", metavar="REF...", nargs=-1, required=True),
    option("--all-tags", is_flag=True, help="Remove every name of the images, not only those given."),
    options.dry_run,
    examples=_EXAMPLES,
    without=frozenset({"platforms"}),
)
def delete(call: CommonOptions, *, references: tuple[str, ...], all_tags: bool, dry_run: bool) -> None:
    """Remove the images REF, each with its transport: their names, and in layouts and containers-storage the blobs
    that nothing refers to any more; in layouts also those of images that others have replaced since.

    What is not there is an error (exit 4), and then nothing is removed. An id that several names share needs
    --all-tags.
    """
    from eci_convert.operations.store.delete import delete as delete_images

    check_connections(call, places=references)
    removed = delete_images(references, call.settings, all_tags=all_tags)
    if call.json:
        return output.json(
            [
                {"place": place, "name": entry.name or None, "digest": str(entry.digest)}
                | ({"dry_run": True} if dry_run else {})
                for place, entry in removed
            ]
        )
    if call.quiet:
        return output.lines(entry.name or str(entry.digest) for _, entry in removed)
    word = "Would delete" if dry_run else "Deleted"
    return output.lines(f"{word} {entry.name or entry.digest} from {place}" for place, entry in removed)
