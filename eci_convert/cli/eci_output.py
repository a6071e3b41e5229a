"""Output in the format of the original `eci` (docs/specs/eci.md#4, tests/golden/eci)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from eci_convert.errors import printable
from eci_convert.model import DiskType, Part, Role
from eci_convert.oci.manifest import Manifest
from eci_convert.operations.extract import ExtractResult
from eci_convert.pack.result import PushResult

Lines = Callable[[ExtractResult], Iterable[str]]
"""The lines for what was taken out of an image. Names in them are escaped; tabs at their beginning are not."""

_DISPLAY = {kind: kind.value.capitalize() for kind in DiskType} | {DiskType.ISO: "ISO"}
_TITLE = "org.opencontainers.image.title"


def pulled(image: str, directory: str, *, verbose: bool) -> Lines:
    """The lines of `eci pull`; *directory* is the one that was asked for, "" for the current one."""
    shown_directory = directory or os.getcwd()

    def lines(result: ExtractResult) -> Iterator[str]:
        if verbose:
            yield from (_downloaded(str(file.blob), file.part.name) for file in result.parts if file.blob)
        yield f"{_header(image, result)} to directory {printable(shown_directory)}"
        yield "file locations and types:"
        paths = {
            (file.part.role, file.part.index): os.path.join(shown_directory, file.part.name) for file in result.parts
        }
        types = {(file.part.role, file.part.index): file.disk_type for file in result.parts}
        for role, label in _SINGLE.items():
            yield _located(label, paths.get((role, None), ""), types.get((role, None)))
        for part in _extra_disks(result):
            key = (part.role, part.index)
            yield _located(f"additional disk {part.index}", paths.get(key, ""), types.get(key))

    return lines


def pulled_files(image: str, roles: Iterable[Role], *, verbose: bool) -> Lines:
    """The lines of `eci pullfiles`: of *roles*, for which a file was named, and of every extra disk, the names are
    those that the image has for them."""
    requested = frozenset(roles)

    def lines(result: ExtractResult) -> Iterator[str]:
        if verbose:
            yield from (_downloaded(str(file.blob), file.part.name) for file in result.parts if file.blob)
        yield _header(image, result)
        yield "file locations and types:"
        types = {(file.part.role, file.part.index): file.disk_type for file in result.parts}
        for role, label in _SINGLE.items():
            part = result.inspection.artifact.part(role)
            if role in requested:
                yield _located(label, part.name if part else "", types.get((role, None)))
        for part in _extra_disks(result):
            disk_type = part.disk_type or types.get((part.role, part.index))
            yield _located(f"additional disk {part.index}", part.name, disk_type)

    return lines


def pushed(packed: PushResult) -> Iterator[str]:
    """The lines of `eci push --verbose`, which says "Downloaded" of what it sends."""
    if isinstance(packed.manifest, Manifest):
        for blob in (*packed.manifest.layers, packed.manifest.config):
            yield _downloaded(str(blob.digest), blob.annotations.get(_TITLE, ""))


_SINGLE = {Role.KERNEL: "kernel", Role.INITRD: "initrd", Role.ROOT_DISK: "root"}


def _header(image: str, result: ExtractResult) -> str:
    return f"Pulled image {printable(image)} with digest {result.inspection.digest}"


def _extra_disks(result: ExtractResult) -> list[Part]:
    return [part for part in result.inspection.artifact.parts if part.role is Role.EXTRA_DISK]


def _located(label: str, name: str, disk_type: DiskType | None) -> str:
    line = f"\t{label}: {printable(name)}"
    return f"{line} {_DISPLAY[disk_type]}" if disk_type else line


def _downloaded(digest: str, title: str) -> str:
    return f"Downloaded {digest.partition(':')[2][:12]} {printable(title)}"
