"""`eci-convert tag`: adds names to an image."""

from __future__ import annotations

import click

from eci_convert.cli import options, output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command

_EXAMPLES = """
eci-convert tag oci:layout:machine:1 machine:latest machine:1.2
eci-convert tag oci:layout:0123456789ab registry.example/edge/machine:1
eci-convert tag docker://registry.example/edge/machine:1.2 latest
"""


@command(
    click.argument("src"),
    click.argument("names", metavar="NEW...", nargs=-1, required=True),
    options.dry_run,
    examples=_EXAMPLES,
    without=frozenset({"platforms", "concurrency"}),
)
def tag(call: CommonOptions, *, src: str, names: tuple[str, ...], dry_run: bool) -> None:
    """Give the image SRC the names NEW too, in its place.

    SRC is a reference with its transport, or an id in the place of its name. NEW is a name there; in a registry, a tag
    of the same repository.
    """
    from eci_convert.operations.store.tag import tag as tag_image

    check_connections(call, places=[src])
    digest = tag_image(src, names, call.settings)
    if call.json:
        return output.json(
            {"reference": src, "digest": str(digest), "names": [*names]} | ({"dry_run": True} if dry_run else {})
        )
    if call.quiet:
        return output.line(str(digest))
    return output.lines(f"{'Would tag' if dry_run else 'Tagged'} {src} as {name}" for name in names)
