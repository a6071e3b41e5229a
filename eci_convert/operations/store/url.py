"""Where a file of an image in a registry is fetched from over HTTP, and with which headers: for boot loaders."""

from __future__ import annotations

import re

from eci_convert.dialects.part_names import original_name
from eci_convert.errors import AmbiguousRoleError, MissingPartError, UnsupportedImageError, UsageError
from eci_convert.model import Blob, Part, Role, part_label
from eci_convert.operations.inspect import Inspection
from eci_convert.transports.base import Source
from eci_convert.transports.registry.file_request import FileRequest
from eci_convert.transports.registry.mirrored_source import MirroredSource
from eci_convert.transports.registry.source import RegistrySource

_ROLES = {
    "root": Role.ROOT_DISK,
    "rootfs": Role.ROOT_DISK,
    "initramfs": Role.INITRD,
    "disk": Role.EXTRA_DISK,
} | {str(role): role for role in Role}
"""What users call a role: ECI's words and ironcore's."""

_NUMBERED = re.compile(r"disk-([0-9]{1,9})", re.ASCII)


def manifest_request(source: Source, inspection: Inspection, *, follow: bool = False) -> FileRequest:
    """The request for the manifest of the image that *inspection*, of *source*, tells of; *follow* as `part_request`.

    Raises UsageError where *source* is no registry, and what the registry raises.
    """
    return _registry(source).file_request(inspection.image.descriptor, follow=follow)


def part_request(source: Source, part: Part, *, follow: bool = False) -> FileRequest:
    """The request for the blob that *part* of the image in *source* is, compressed where the blob is.

    *follow*: the address that the registry redirects to, if it does; it needs no login. Raises UsageError where
    *source* is no registry, UnsupportedImageError where the part lies in a layer with others, and what the registry
    raises.
    """
    registry = _registry(source)
    if not isinstance(part.locator, Blob):
        error = UnsupportedImageError(f"the {part_label(part)} of {source.origin} lies in a layer: it has no URL alone")
        error.add_note("hint: copy it with --format artifacts, where every part is a blob")
        raise error
    return registry.file_request(part.locator.descriptor, follow=follow)


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


def _registry(source: Source) -> RegistrySource | MirroredSource:
    if not isinstance(source, (RegistrySource, MirroredSource)):
        raise UsageError(f"{source.origin} is in no registry, so nothing of it has a URL")
    return source
