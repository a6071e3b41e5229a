"""The parts of a virtual machine, and the location of each. No dialect, no transport, no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from eci_convert.errors import AmbiguousRoleError, UsageError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest


class Role(StrEnum):
    """The role of a part. The values are ECI's (docs/specs/eci.md#2.3), where it has one.

    CMDLINE is the kernel command line as a file; an `Artifact` has it as `command_line`.
    """

    KERNEL = "kernel"
    INITRD = "initrd"
    ROOT_DISK = "disk-root"
    EXTRA_DISK = "disk-additional"
    CMDLINE = "cmdline"
    CONFIG = "config"
    OTHER = "other"


class DiskType(StrEnum):
    """The format of a disk image (docs/specs/eci.md#2.2)."""

    RAW = "raw"
    VHD = "vhd"
    VMDK = "vmdk"
    ISO = "iso"
    QCOW = "qcow"
    QCOW2 = "qcow2"
    OVA = "ova"
    VHDX = "vhdx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """The file is the content of a blob, decompressed if *compression* is set ("zstd", "gzip").

    *size* is that of the decompressed file in bytes, None if the image does not declare it.
    """

    descriptor: Descriptor
    compression: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """The file is at *path* in the tar archive of one layer; "" is its only regular file.

    If *or_whole_blob*, a layer that is not a tar archive is itself the file (docs/specs/eci.md#7, the README's sample).
    """

    descriptor: Descriptor
    path: str
    or_whole_blob: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RootfsFile:
    """The file is at *path* in the root filesystem of the image, all layers together.

    A *path* that ends in "/" is a directory with exactly one file, which is the part.
    """

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """The file is on this computer. *label* is its name in messages, if *path* is that of a copy."""

    path: Path
    label: str = ""

    def __str__(self) -> str:
        return self.label or str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The file is in memory: a small one, such as a config."""

    content: bytes = field(repr=False)


class OnceReadable(Protocol):
    """Bytes that can be iterated once (`streams.blocks.PeekableStream`)."""

    def peek(self, count: int) -> bytes:
        """The first *count* bytes, fewer only at the end. Call it before iterating."""

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pipe:
    """The file is read from a pipe: once, and its size is known only at the end.

    *label* is the argument as given (`-`), *name* its name in messages (standard input). *trust_declared_type*: the
    declared type of a disk is used even if the content contradicts it.
    """

    stream: OnceReadable = field(repr=False)
    label: str
    name: str
    trust_declared_type: bool = False

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class RemoteBlob:
    """The content is not available here: a blob that the destination has, by digest and size in bytes.

    >>> RemoteBlob(f"sha256:{64 * '0'}", 512).size
    512
    """

    digest: Digest
    size: int

    def __init__(self, digest: Digest | str, size: int) -> None:
        if size < 0:
            raise UsageError(f"a blob of {size} bytes: its size cannot be negative")
        object.__setattr__(self, "digest", Digest.parse(digest) if isinstance(digest, str) else digest)
        object.__setattr__(self, "size", size)


Locator = Blob | Member | RootfsFile | LocalFile | Memory | Pipe | RemoteBlob


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a machine. *name* is its name in ECI's layout (docs/specs/eci.md#2.5), always a safe relative path.

    *disk_type* is None if unknown; *index* is the number of an extra disk, None for other parts. *declared_size* is the
    size in bytes that the image declares for a file in a layer.
    """

    role: Role
    locator: Locator
    name: str
    disk_type: DiskType | None = None
    index: int | None = None
    declared_size: int | None = field(default=None, compare=False, repr=False)

    @property
    def type(self) -> DiskType | None:
        """The type of the disk, None if the image does not declare it."""
        return self.disk_type

    @property
    def size(self) -> int | None:
        """The size of the file in bytes, None if it is unknown without reading."""
        match self.locator:
            case Blob(compression=compression, size=size) if compression:
                return size
            case Blob(descriptor=blob):
                return blob.size
            case RemoteBlob(size=size):
                return size
            case Memory(content=content):
                return len(content)
            case _:
                return self.declared_size

    @property
    def digest(self) -> Digest | None:
        """The digest of the file, None if it is unknown without reading."""
        match self.locator:
            case Blob(descriptor=blob, compression=""):
                return blob.digest
            case RemoteBlob(digest=digest):
                return digest
            case _:
                return None


_ORDER = {role: place for place, role in enumerate(Role)}


def part_order(part: Part) -> tuple[int, int]:
    """A key that sorts parts as an `Artifact` does."""
    return _ORDER[part.role], part.index or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The parts of a machine, in the order kernel, initrd, root, disks, config, others; its kernel command line, and
    the *environment* of a unikernel, as `KEY=VALUE`.

    Raises AmbiguousRoleError if two parts are the kernel, the initrd, the root disk, the config, or the same disk.
    """

    parts: tuple[Part, ...]
    command_line: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    environment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: dict[tuple[Role, int | None], Part] = {}
        for part in self.parts:
            key = (part.role, part.index)
            if part.role is not Role.OTHER and key in seen:
                raise AmbiguousRoleError(
                    f"both {seen[key].name!r} and {part.name!r} claim to be the {part_label(part)}"
                )
            seen[key] = part
        ordered = sorted(self.parts, key=part_order)
        object.__setattr__(self, "parts", tuple(ordered))

    def part(self, role: Role, index: int | None = None) -> Part | None:
        """The part with *role* (and *index*, of extra disks), or None."""
        return next((part for part in self.parts if part.role is role and part.index == index), None)


def part_label(part: Part) -> str:
    """The role of *part* for display: `kernel`, `root disk`, `disk 2`.

    >>> part_label(Part(role=Role.EXTRA_DISK, locator=RootfsFile(path="/d"), name="disk-2-d", index=2))
    'disk 2'
    """
    words = {Role.ROOT_DISK: "root disk", Role.EXTRA_DISK: f"disk {part.index}"}
    return words.get(part.role, str(part.role))


DISK_ROLES = (Role.ROOT_DISK, Role.EXTRA_DISK)
