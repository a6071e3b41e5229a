"""The HTTP URL and headers of a part of an image in a registry, for boot loaders."""

from __future__ import annotations

import re
from dataclasses import replace

from eci_convert.dialects.part_names import original_name
from eci_convert.errors import AmbiguousRoleError, MissingPartError, UnsupportedImageError, UsageError
from eci_convert.model import Blob, Member, Part, Role, part_label
from eci_convert.operations.inspect import Inspection
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading.member_range import ByteRange, member_range
from eci_convert.transports.base import Source
from eci_convert.transports.traits import BlobUrls, FileRequest

_ROLES = {
    "root": Role.ROOT_DISK,
    "rootfs": Role.ROOT_DISK,
    "initramfs": Role.INITRD,
    "disk": Role.EXTRA_DISK,
} | {str(role): role for role in Role}
"""What users call a role: ECI's words and ironcore's."""

_MAX_LAYER = 256 << 20
"""A layer is read to find a file in it: one of a disk's size is not worth it."""

_NUMBERED = re.compile(r"disk-([0-9]{1,9})", re.ASCII)


def manifest_request(source: Source, inspection: Inspection, *, follow: bool = False) -> FileRequest:
    """The request for the manifest of the image of *inspection*, read from *source*; *follow* as in `part_request`.

    Raises UsageError where *source* is no registry, and what the registry raises.
    """
    return _blob_urls(source)(inspection.image.descriptor, follow=follow)


def part_request(
    source: Source, part: Part, *, follow: bool = False, reporter: Reporter = NULL_REPORTER
) -> FileRequest:
    """The request for the blob that *part* of the image in *source* is, compressed where the blob is; or, with a Range,
    for the part of a layer that it is, where the layer is not compressed.

    *follow*: the address that the registry redirects to, if it does; it needs no login. Raises UsageError where
    *source* is no registry, UnsupportedImageError where the part cannot be had without what is around it, and what the
    registry raises.
    """
    file_request = _blob_urls(source)
    match part.locator:
        case Blob(descriptor=descriptor):
            return file_request(descriptor, follow=follow)
        case Member(descriptor=descriptor, path=path) if descriptor.size <= _MAX_LAYER:
            whole = part.locator.or_whole_blob
            place = member_range(source, descriptor, path, or_whole_blob=whole, reporter=reporter)
            if place and place.size:
                return _ranged(file_request(descriptor, follow=follow), place, descriptor.size)
    error = UnsupportedImageError(
        f"the {part_label(part)} of {source.origin} lies in a layer and cannot be fetched without unpacking that"
    )
    error.add_note("hint: copy it with --format artifacts, where every part is a blob")
    raise error


def _ranged(request: FileRequest, place: ByteRange, layer_size: int) -> FileRequest:
    """*request* for some of a blob alone; the headers in the order of their names, as ironcore-image has them."""
    if place == ByteRange(offset=0, size=layer_size):
        return request
    wanted = {"Range": f"bytes={place.offset}-{place.offset + place.size - 1}"}
    return replace(request, headers={**request.headers, **wanted})


def choose_part(inspection: Inspection, name: str) -> Part:
    """The part that a user calls *name*: its role, `disk-N`, or its file's name.

    Raises MissingPartError that lists what there is, AmbiguousRoleError where several parts have that role.
    """
    parts = inspection.artifact.parts
    number = _NUMBERED.fullmatch(name)
    by_role = [part for part in parts if part.role is _ROLES.get(name)]
    by_number = [part for part in parts if number and part.role is Role.EXTRA_DISK and part.index == int(number[1])]
    by_name = [part for part in parts if part.name == name]
    by_original_name = [part for part in parts if original_name(part) == name]
    chosen = next(filter(None, (by_role, by_number, by_name, by_original_name)), [])
    if not chosen:
        offer = ", ".join(part.name for part in parts) or inspection.unknown or "no parts"
        raise MissingPartError(f"{inspection.reference} has no part {name!r}: it has {offer}")
    if len(chosen) > 1:
        names = ", ".join(part.name for part in chosen)
        raise AmbiguousRoleError(f"several parts of {inspection.reference} are {name!r}: {names}")
    return chosen[0]


def _blob_urls(source: Source) -> BlobUrls:
    file_request = source.traits.file_request
    if file_request is None:
        raise UsageError(f"{source.origin} is in no registry, so nothing of it has a URL")
    return file_request
