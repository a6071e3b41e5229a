"""Creates an Artifact from parts in files, in memory, or known by digest and size only.

Names are those of the ECI layout (docs/specs/eci.md#2.5); disk types are declared, or detected from the first bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eci_convert.dialects.part_names import canonical_name
from eci_convert.disks.declared import check_type
from eci_convert.disks.detect import HEAD, TAIL, detect_disk_type
from eci_convert.errors import LocalError, NotFoundError, UsageError
from eci_convert.model import Artifact, DiskType, KnownBlob, LocalFile, Locator, Memory, Part, Role

PartContent = Path | str | bytes | KnownBlob
"""The content of a part: a file, in memory, or not available here (a blob that the destination has)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk to pack. *type* None is detected from a file's first bytes; *name* defaults to that of the file.

    *trusted*: the declared type is used even if the content contradicts it.
    """

    content: PartContent
    type: DiskType | None = None
    name: str = ""
    trust_declared_type: bool = False

    @classmethod
    def parse(cls, text: str, *, trusted: bool = False) -> Disk:
        """The disk `PATH[:TYPE]`; a path may contain colons. Raises UsageError, NotFoundError."""
        path, kind = parse_disk_argument(text)
        return cls(content=path, type=kind, trust_declared_type=trusted)


def artifact_from_parts(
    *,
    kernel: PartContent | None = None,
    initrd: PartContent | None = None,
    root: Disk | None = None,
    disks: Sequence[Disk] = (),
    config: PartContent | None = None,
    others: Mapping[str, PartContent] | None = None,
    command_line: str | None = None,
) -> Artifact:
    """The artifact of these parts; at least one is required. *others* are files by name.

    >>> disk = Disk(content=b"...", name="data", type=DiskType.RAW)
    >>> [part.name for part in artifact_from_parts(kernel=b"...", disks=[disk], others={"notes": b"..."}).parts]
    ['kernel', 'disk-0-data', 'notes']
    """
    parts: list[Part] = []
    if kernel is not None:
        parts.append(Part(role=Role.KERNEL, locator=_locator(kernel), name="kernel"))
    if initrd is not None:
        parts.append(Part(role=Role.INITRD, locator=_locator(initrd), name="initrd"))
    if root is not None:
        parts.append(_disk(root, Role.ROOT_DISK, None))
    parts.extend(_disk(disk, Role.EXTRA_DISK, index) for index, disk in enumerate(disks))
    if config is not None:
        parts.append(Part(role=Role.CONFIG, locator=_locator(config), name="config.json"))
    parts.extend(
        Part(role=Role.OTHER, locator=_locator(content), name=name) for name, content in (others or {}).items()
    )
    if not parts:
        error = UsageError("an image needs at least one part")
        error.add_note("hint: use --kernel, --initrd, --root, --disk or --config")
        raise error
    return Artifact(parts=tuple(parts), command_line=command_line)


def _disk(disk: Disk, role: Role, index: int | None) -> Part:
    locator = _locator(disk.content)
    name = disk.name or (locator.path.name if isinstance(locator, LocalFile) else "")
    if not name:
        raise UsageError("a disk from a stream needs a name")
    kind = disk.type
    if isinstance(locator, LocalFile):
        kind = resolve_type(locator.path, disk.type, trusted=disk.trust_declared_type)
    if kind is None:
        raise UsageError(f"unknown type of disk {name!r}: specify it")
    named = canonical_name(role, name, index)
    return Part(role=role, locator=locator, name=named, disk_type=kind, index=index)


def _locator(content: PartContent) -> Locator:
    if isinstance(content, bytes):
        return Memory(content=content)
    if isinstance(content, KnownBlob):
        return content
    path = Path(content)
    try:
        state = path.stat()
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {str(path)!r}") from error
    except (OSError, ValueError) as error:
        raise LocalError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(state.st_mode):
        raise LocalError(f"{str(path)!r} is not a regular file")
    return LocalFile(path=path)


def parse_disk_argument(text: str) -> tuple[Path, DiskType | None]:
    """The path and the type in `PATH[:TYPE]`. A path may contain colons: an existing path is never split.

    Raises UsageError for an unknown type.
    """
    if os.path.lexists(text):
        return Path(text), None
    path, colon, word = text.rpartition(":")
    if not colon:
        return Path(text), None
    if word in set(DiskType):
        if not path:
            raise UsageError(f"{text!r} has no file name")
        return Path(path), DiskType(word)
    if os.path.lexists(path):
        raise UsageError(f"{word!r} in {text!r} is not a disk type: use one of {', '.join(DiskType)}")
    return Path(text), None


def resolve_type(path: Path, declared: DiskType | None, *, trusted: bool = False) -> DiskType:
    """The type of the disk *path*: the *declared* one, if the content does not contradict it.

    Raises UsageError if no type is declared and none detected; DiskTypeMismatchError, unless the declaration is
    *trusted*; LocalError for a file that cannot be read.
    """
    if declared and trusted:
        return declared
    detected = _detected(path)
    check_type(declared, detected, repr(str(path)))
    kind = declared or detected
    if kind is None:
        error = UsageError(f"{str(path)!r} is of unknown disk type")
        error.add_note(
            f"hint: append the type: {path}:raw, or :{', :'.join(kind for kind in DiskType if kind != 'raw')}"
        )
        raise error
    return kind


def _detected(path: Path) -> DiskType | None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            return detect_disk_type(head, size, file.read(TAIL))
    except OSError as error:
        raise LocalError(f"{str(path)!r}: {error.strerror or error}") from error
