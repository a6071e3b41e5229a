"""The byte range of a file in an uncompressed layer."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from eci_convert.compression.codec import Compression, detect_compression
from eci_convert.errors import AmbiguousRoleError, MissingPartError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading.blobs import is_tar_archive, open_blob, read_members
from eci_convert.streams.blocks import peek_head
from eci_convert.tar import TarEntry
from eci_convert.tar.header import EntryType
from eci_convert.tar.input import ByteReader
from eci_convert.transports.base import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """*size* bytes of a blob from *offset* on."""

    offset: int
    size: int


class _PositionReader(ByteReader):
    """A reader that counts the bytes of the archive that were consumed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(self._counted(chunks))
        self._received = 0

    @property
    def position(self) -> int:
        return self._received - (len(self._chunk) - self._at)

    def _counted(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        for chunk in chunks:
            self._received += len(chunk)
            yield chunk


def member_range(
    source: Source, layer: Descriptor, path: str, *, or_whole_blob: bool = False, reporter: Reporter = NULL_REPORTER
) -> ByteRange | None:
    """The range of the file *path* in *layer*; "" is its only regular file. None if its content is not contiguous
    there: the layer is compressed, or the file is sparse or a link.

    If *or_whole_blob*, a layer that is not an archive is itself the file. The whole layer is read and verified. Raises
    MissingPartError, AmbiguousRoleError, and what `open_blob` raises.
    """
    with open_blob(source, layer, reporter) as chunks:
        head, chunks = peek_head(chunks)
        if detect_compression(head) is not Compression.NONE:
            return None
        if or_whole_blob and not is_tar_archive(head):
            return ByteRange(offset=0, size=layer.size)
        readers: list[_PositionReader] = []

        def through(plain: Iterable[bytes]) -> ByteReader:
            readers.append(_PositionReader(plain))
            return readers[0]

        with read_members(chunks, through) as entries:
            members = [(entry, readers[0].position) for entry in entries if _matches(entry, path)]
    if not members:
        raise MissingPartError(f"the layer {layer.digest.short} has no file {path!r}")
    if not path and len(members) > 1:
        raise AmbiguousRoleError(f"the layer {layer.digest.short} has {len(members)} files where one was expected")
    entry, offset = members[-1]  # of several entries with one name the last one counts
    if entry.type is not EntryType.FILE or not entry.stored_contiguously:
        return None
    return ByteRange(offset=offset, size=entry.size)


def _matches(entry: TarEntry, path: str) -> bool:
    if not path:
        return entry.type is EntryType.FILE
    return _normalized(entry.name) == _normalized(path)


def _normalized(path: str) -> str:
    return posixpath.normpath(f"/{path}").lstrip("/")
