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
    """What a part is to the machine. The values are those of ECI (docs/specs/eci.md#2.3) where it has one.

    CMDLINE is the kernel command line where that becomes a file; an `Artifact` has it as `command_line`.
    """

    KERNEL = "kernel"
    INITRD = "initrd"
    ROOT_DISK = "disk-root"
    EXTRA_DISK = "disk-additional"
    CMDLINE = "cmdline"
    CONFIG = "config"
    OTHER = "other"


class DiskType(StrEnum):
    """How the sectors of a disk lie in its file (docs/specs/eci.md#2.2)."""

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
    """The blob is the file, byte for byte; or its decompression, where *compression* names one ("zstd", "gzip").

    *size* is the decompressed file's in bytes, where the image tells it.
    """

    descriptor: Descriptor
    compression: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """The file is at *path* in the tar archive that this one layer is; "" is its only regular file.

    Where *or_whole_blob*, a layer that is no tar archive is the file itself (docs/specs/eci.md#7, the README's sample).
    """

    descriptor: Descriptor
    path: str
    or_whole_blob: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RootfsFile:
    """The file is at *path* in the filesystem that the image's layers make.

    A *path* that ends in "/" is a directory that holds exactly one file, and that file is meant.
    """

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """The file is on this computer. *label* is what its user calls it, where *path* is that of a copy."""

    path: Path
    label: str = ""

    def __str__(self) -> str:
        return self.label or str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The file is these bytes: a small one, such as a config."""

    content: bytes = field(repr=False)


class OnceReadable(Protocol):
    """Bytes that can be iterated once (`streams.blocks.PeekableStream`)."""

    def peek(self, count: int) -> bytes:
        """The first *count* bytes, fewer only if there are no more. To be called before the bytes are iterated."""

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pipe:
    """The file comes through a pipe: it can be read once, and its size is known at its end.

    *label* is what its user typed (`-`), *name* what it is called in a sentence (standard input).
    *trust_declared_type*: the type that the part has as a disk holds, even if the bytes contradict it.
    """

    stream: OnceReadable = field(repr=False)
    label: str
    name: str
    trust_declared_type: bool = False

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class RemoteBlob:
    """Nobody here has the file; its digest and size in bytes are known (a blob that the destination has).

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
    """One file of a machine. *name* is what ECI calls it (docs/specs/eci.md#2.5), and never leads out of a directory.

    *disk_type* is None where nobody says; *index* counts extra disks and is None for all else. *declared_size* is what
    the image says of a file in a layer, in bytes.
    """

    role: Role
    locator: Locator
    name: str
    disk_type: DiskType | None = None
    index: int | None = None
    declared_size: int | None = field(default=None, compare=False, repr=False)

    @property
    def type(self) -> DiskType | None:
        """What sort of disk it is, as far as the image says."""
        return self.disk_type

    @property
    def size(self) -> int | None:
        """The bytes of the file, where they can be known without reading it."""
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
        """The digest of the file, where it is known without reading it."""
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
    """A machine: its parts, in the order kernel, initrd, root, disks, config, others; its kernel command line, and the
    *environment* of a unikernel, each as `KEY=VALUE`.

    Raises AmbiguousRoleError where two parts are the kernel, the initrd, the root disk, the config, or the same disk.
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
    """What people call the place that *part* fills: `kernel`, `root disk`, `disk 2`.

    >>> part_label(Part(role=Role.EXTRA_DISK, locator=RootfsFile(path="/d"), name="disk-2-d", index=2))
    'disk 2'
    """
    words = {Role.ROOT_DISK: "root disk", Role.EXTRA_DISK: f"disk {part.index}"}
    return words.get(part.role, str(part.role))


DISK_ROLES = (Role.ROOT_DISK, Role.EXTRA_DISK)
