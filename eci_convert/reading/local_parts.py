"""Creates an Artifact from parts in files, in memory, or known by digest and size only.

Names are those of the ECI layout (docs/specs/eci.md#2.5); disk types are declared, or detected from the first bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from eci_convert.dialects.part_names import canonical_name, checked_name
from eci_convert.disks.boot_files import contradiction
from eci_convert.errors import LocalError, NotFoundError, UsageError
from eci_convert.model import (
    Artifact,
    DiskType,
    LocalFile,
    Locator,
    Memory,
    Part,
    Pipe,
    RemoteBlob,
    Role,
    part_label,
)
from eci_convert.progress import NULL_REPORTER, Reporter, warn
from eci_convert.reading.local_disks import FileEnds, resolve_disk

PartContent = str | os.PathLike[str] | bytes | LocalFile | Pipe | RemoteBlob
"""The content of a part: a file, in memory, a pipe, or not available here (a blob that the destination has)."""

DiskContent = PartContent | BinaryIO
"""The same, or an open file, which `Machine` makes one of them."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk to pack. *type* None is detected from the content; *name* defaults to that of the file.

    *trust_declared_type*: the declared type is used even if the content contradicts it.
    """

    content: DiskContent
    _: KW_ONLY
    type: DiskType | str | None = None
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
    reporter: Reporter = NULL_REPORTER,
) -> Artifact:
    """The artifact of these parts; at least one is required. *others* are files by name. *reporter* is warned if a
    kernel, an initrd or a disk looks like another of the three. What comes through a pipe is not read yet: it is
    checked as it is (`reading.pipes`), and the type of such a disk is None unless it is declared.

    >>> disk = Disk(content=b"...", name="data", type=DiskType.RAW)
    >>> [part.name for part in artifact_from_parts(kernel=b"...", disks=[disk], others={"notes": b"..."}).parts]
    ['kernel', 'disk-0-data', 'notes']

    Raises UsageError without parts, for a disk of unknown type, and for a name that another part has; NotFoundError and
    LocalError for files that cannot be read; DiskTypeError if the content of a disk is compressed or contradicts its
    declared type; CannotHoldError for a disk that needs other files.
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
    parts.extend(_other(name, content, parts) for name, content in (others or {}).items())
    if not parts:
        error = UsageError("an image needs at least one part")
        error.add_note("hint: use --kernel, --initrd, --root, --disk, --config or --other")
        raise error
    for part in parts:
        if isinstance(part.locator, LocalFile | Memory):
            warn_of_mixed_up_files(part, FileEnds.read(part.locator), reporter)
    return Artifact(parts=tuple(parts), command_line=command_line)


def _disk(disk: Disk, role: Role, index: int | None) -> Part:
    locator = _locator(disk.content)
    name = disk.name or (Path(str(locator)).name if isinstance(locator, LocalFile | Pipe) else "")
    if not name:
        raise UsageError("a disk from memory or a stream needs a name")
    kind = parse_disk_type(disk.type) if disk.type is not None else None
    if isinstance(locator, LocalFile | Memory):
        shown = str(locator) if isinstance(locator, LocalFile) else name
        kind = resolve_disk(FileEnds.read(locator), shown, kind, trusted=disk.trust_declared_type)
    elif isinstance(locator, Pipe):
        locator = replace(locator, trust_declared_type=disk.trust_declared_type)
    elif kind is None:
        raise UsageError(f"unknown type of disk {name!r}: specify it")
    named = canonical_name(role, name, index)
    return Part(role=role, locator=locator, name=named, disk_type=kind, index=index)


def parse_disk_type(word: str) -> DiskType:
    """The type of disk that *word* names. Raises UsageError, which lists them all."""
    if word not in set(DiskType):
        raise UsageError(f"{word!r} is not a disk type: use one of {', '.join(DiskType)}")
    return DiskType(word)


_RESERVED = frozenset({"kernel", "initrd", "config.json", "cmdline"})
"""Names that images or `extract` give to something else."""


def _other(name: str, content: PartContent, parts: Sequence[Part]) -> Part:
    part = Part(role=Role.OTHER, locator=_locator(content), name=name)
    if checked_name(part) in _RESERVED or any(part.name == name for part in parts):
        raise UsageError(f"the name {name!r} is that of another part")
    return part


def warn_of_mixed_up_files(part: Part, ends: FileEnds, reporter: Reporter) -> None:
    """Warns if *part* is a kernel, an initrd or a disk, and its *ends* look like another of the three."""
    if seen := contradiction(part.role, ends.head, ends.size, ends.tail):
        file = part.locator if isinstance(part.locator, LocalFile | Pipe) else part.name
        warn(reporter, f"{str(file)!r} is given as the {part_label(part)} and looks like {seen}")


def _locator(content: DiskContent) -> Locator:
    if isinstance(content, bytes):
        return Memory(content=content)
    if isinstance(content, RemoteBlob | LocalFile | Pipe):
        return content
    if not isinstance(content, str | os.PathLike):
        raise UsageError(f"{content!r} is an open file, and has to be read more than once")
    path = Path(content)
    try:
        state = path.stat()
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {str(path)!r}") from error
    except OSError as error:
        raise LocalError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise LocalError(f"{str(path)!r} cannot be read: NUL byte in a file name") from error
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
