"""The parts of a machine, from files, from memory, or known by digest and size only, as an Artifact.

Names are those of the ECI layout (specs/eci.md §2.5); disk types are declared, or told by the first bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eci_convert.dialects import part_names
from eci_convert.disks import declared
from eci_convert.errors import LocalError, NotFound, UsageError
from eci_convert.model import Artifact, DiskType, File, Known, Locator, Memory, Part, Role

Content = Path | str | bytes | Known
"""Where the bytes of a part are: a file, in memory, or nowhere here (a blob that the destination has)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk to be packed. *type* None is detected from a file's first bytes; *name* is the file's own, unless said.

    *trusted*: the type is believed even where the bytes contradict it.
    """

    content: Content
    type: DiskType | None = None
    name: str = ""
    trusted: bool = False

    @classmethod
    def parse(cls, text: str, *, trusted: bool = False) -> Disk:
        """The disk that a user spells `PATH[:TYPE]`; a path may hold colons. Raises UsageError, NotFound."""
        path, kind = declared.declared(text)
        return cls(content=path, type=kind, trusted=trusted)


def machine(
    *,
    kernel: Content | None = None,
    initrd: Content | None = None,
    root: Disk | None = None,
    disks: Sequence[Disk] = (),
    config: Content | None = None,
    others: Mapping[str, Content] | None = None,
    command_line: str | None = None,
) -> Artifact:
    """The machine that these parts make; one is needed, none in particular. *others* are files by their names.

    >>> disk = Disk(content=b"...", name="data", type=DiskType.RAW)
    >>> [part.name for part in machine(kernel=b"...", disks=[disk], others={"notes": b"..."}).parts]
    ['kernel', 'disk-0-data', 'notes']

    Raises UsageError where there is none, or a disk whose type nobody can tell; NotFound and LocalError for files
    that cannot be read; DiskTypeMismatch where a disk's bytes contradict its declared type.
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
        error = UsageError("no part is named: an image needs one at least")
        error.add_note("hint: name it with --kernel, --initrd, --root, --disk or --config")
        raise error
    return Artifact(parts=tuple(parts), command_line=command_line)


def _disk(disk: Disk, role: Role, index: int | None) -> Part:
    locator = _locator(disk.content)
    name = disk.name or (locator.path.name if isinstance(locator, File) else "")
    if not name:
        raise UsageError("a disk that is no file needs a name")
    kind = disk.type
    if isinstance(locator, File):
        kind = declared.of_file(locator.path, disk.type, trusted=disk.trusted)
    if kind is None:
        raise UsageError(f"the type of disk {name!r} is not known: say which it is")
    named = part_names.canonical(role, name, index)
    return Part(role=role, locator=locator, name=named, disk_type=kind, index=index)


def _locator(content: Content) -> Locator:
    if isinstance(content, bytes):
        return Memory(content=content)
    if isinstance(content, Known):
        return content
    path = Path(content)
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise NotFound(f"no such file: {str(path)!r}") from error
    except (OSError, ValueError) as error:
        raise LocalError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise LocalError(f"{str(path)!r} is not a regular file")
    return File(path=path)
