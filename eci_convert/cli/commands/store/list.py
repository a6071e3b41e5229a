"""`eci-convert list`: lists the images of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from eci_convert.cli import output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command

if TYPE_CHECKING:
    from eci_convert.operations.store.list import ListedImage

_EXAMPLES = """
eci-convert list oci:layout
eci-convert list docker://registry.example/edge/machine
eci-convert list docker-daemon: --json
eci-convert list containers-storage: -q
"""

_HEADER: Final = ("NAME", "TAG", "ID", "PLATFORMS", "DIALECT", "SIZE")
_NONE: Final = "<none>"
_DIGITS: Final = 12


@command(click.argument("place"), examples=_EXAMPLES, without=frozenset({"platforms"}))
def list(call: CommonOptions, *, place: str) -> None:  # noqa: A001 - the command of that name
    """List the images of PLACE: oci:DIR, oci-archive:FILE, docker-archive:FILE, docker://HOST/REPO (its tags),
    docker://HOST (its repositories), docker-daemon:, containerd: or containers-storage:.

    -q prints their ids alone, whole. An id, or the beginning of one, names an image wherever a name does; in a
    registry only a whole one does, behind an @.
    """
    from eci_convert.operations.store.list import list_images

    check_connections(call, places=[place])
    images = list_images(place, call.settings)
    if call.json:
        return output.json([_json(image) for image in images])
    if call.quiet:
        ids = dict.fromkeys(_id(image) for image in images)
        return output.lines(ids)
    return output.table([_HEADER, *(_row(image) for image in images)])


def _id(image: ListedImage) -> str:
    return str(image.digest) if image.digest else image.name


def _row(image: ListedImage) -> tuple[str, ...]:
    return (
        image.name or _NONE,
        image.tag or _NONE,
        image.digest.hex[:_DIGITS] if image.digest else "-",
        ", ".join(map(str, image.platforms)) or "-",
        image.dialect or "-",
        "-" if image.size is None else output.size(image.size),
    )


def _json(image: ListedImage) -> dict[str, Any]:
    return {
        "name": image.name or None,
        "tag": image.tag or None,
        "digest": str(image.digest) if image.digest else None,
        "platforms": [str(platform) for platform in image.platforms],
        "dialect": image.dialect or None,
        "size": image.size,
    }
