"""Checks whether a local disk can be packed, that is one complete file of known type, and determines its type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eci_convert.compression.codec import Compression, detect_compression
from eci_convert.disks.declared import check_type
from eci_convert.disks.detect import HEAD, TAIL, detect_disk_type
from eci_convert.disks.probe import ContentProbe
from eci_convert.disks.references import external_reference, extra_range
from eci_convert.errors import CannotHoldError, DiskTypeError, UsageError
from eci_convert.files.errors import local_errors
from eci_convert.model import DiskType, LocalFile, Memory

_RAW_SUFFIXES = (".raw", ".img")
_TOOLS = {Compression.GZIP: "zcat", Compression.XZ: "xzcat", Compression.ZSTD: "zstdcat", Compression.BZIP2: "bzcat"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEnds:
    """The *size* of a file in bytes, its *head* and *tail*, and the *further* bytes that contain references."""

    size: int
    head: bytes
    tail: bytes
    further: bytes

    @classmethod
    def of_stream(cls, probe: ContentProbe) -> FileEnds:
        """The ends of the stream that *probe* has read."""
        return cls(size=probe.size, head=probe.head, tail=probe.tail, further=probe.further)

    @classmethod
    def read(cls, locator: LocalFile | Memory) -> FileEnds:
        """The ends of the file at *locator*. Raises LocalError."""
        if isinstance(locator, Memory):
            content = locator.content
            byte_range = extra_range(content[:HEAD])
            return cls(
                size=len(content),
                head=content[:HEAD],
                tail=content[-TAIL:],
                further=content[byte_range.start : byte_range.stop],
            )
        with local_errors(locator.path), locator.path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            tail = file.read(TAIL)
            byte_range = extra_range(head)
            file.seek(byte_range.start)
            return cls(size=size, head=head, tail=tail, further=file.read(len(byte_range)))


def resolve_type(path: Path, declared: DiskType | None, *, trusted: bool = False) -> DiskType:
    """The type of the disk in the file at *path*. Raises as `resolve_disk`, and LocalError."""
    return resolve_disk(FileEnds.read(LocalFile(path=path)), str(path), declared, trusted=trusted)


def resolve_disk(ends: FileEnds, name: str, declared: DiskType | None, *, trusted: bool = False) -> DiskType:
    """The type of the disk *name*: the *declared* one, unless the content contradicts it; else the detected one; else
    raw, if the name ends in .raw or .img, because a blank disk has no content to detect.

    Raises UsageError if the type is unknown; DiskTypeError, unless the declaration is *trusted*, for content of another
    type and for compressed content; CannotHoldError for a disk that needs other files, which are not in the image.
    """
    check_complete(external_reference(ends.head, ends.size, ends.tail, ends.further), repr(name))
    if declared and trusted:
        return declared
    _check_uncompressed(ends.head, name)
    detected = detect_disk_type(ends.head, ends.size, ends.tail)
    check_type(declared, detected, repr(name))
    if found := declared or detected or type_by_name(name, ends.head):
        return found
    error = UsageError(f"{name!r} could be any type of disk")
    error.add_note(f"hint: say which: {name}:raw, or :{', :'.join(kind for kind in DiskType if kind != 'raw')}")
    raise error


def type_by_name(name: str, head: bytes) -> DiskType | None:
    """The type of the disk *name*, which begins with *head* and whose type its content does not tell: raw, if the name
    ends in .raw or .img and the content is not compressed. None if unknown."""
    is_raw = name.lower().endswith(_RAW_SUFFIXES) and detect_compression(head) is Compression.NONE
    return DiskType.RAW if is_raw else None


def resolve_by_head(head: bytes, name: str, declared: DiskType | None, *, trusted: bool = False) -> DiskType | None:
    """The same, from only the first `HEAD` bytes of a disk, or all of a shorter one. None if its last bytes are needed:
    a fixed VHD has only a footer. Raises as `resolve_disk`, for errors that are certain already."""
    if len(head) < HEAD:
        return resolve_disk(FileEnds.read(Memory(content=head)), name, declared, trusted=trusted)
    check_complete(external_reference(head, len(head)), repr(name))
    if declared and trusted:
        return declared
    _check_uncompressed(head, name)
    detected = detect_disk_type(head, len(head))
    if detected in (None, DiskType.RAW) and declared in (None, DiskType.RAW, DiskType.VHD):
        return None
    check_type(declared, detected, repr(name))
    return declared or detected


def check_complete(reference: str | None, name: str) -> None:
    """Raises CannotHoldError if the disk *name* has a *reference* to another file."""
    if reference:
        error = CannotHoldError(f"{name} needs {reference}, and an image would hold this one file only")
        error.add_note("hint: qemu-img convert makes one complete file of it")
        raise error


def _check_uncompressed(head: bytes, name: str) -> None:
    compression = detect_compression(head)
    if compression is not Compression.NONE:
        error = DiskTypeError(f"{name!r} is compressed ({compression}): no machine boots from it as it is")
        error.add_note(f"hint: decompress it first: {_TOOLS[compression]} {name} > DISK")
        error.add_note(f"hint: {name}:raw with --trust-type packs the compressed bytes")
        raise error
