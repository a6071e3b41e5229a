"""Which bytes of a layer a file in it is, where the layer is a tar archive that is not compressed."""

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
    """A reader that knows how many bytes of the archive it has handed on."""

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
    """Where the file at *path* in *layer* lies, "" being its only regular file; None where its bytes do not lie there
    as they are: the layer is compressed, or the file is sparse or a link.

    Where *or_whole_blob*, a layer that is no archive is the file itself. All of the layer is read and verified. Raises
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
            members = [(entry, readers[0].position) for entry in entries if _is_meant(entry, path)]
    if not members:
        raise MissingPartError(f"the layer {layer.digest.short} has no file {path!r}")
    if not path and len(members) > 1:
        raise AmbiguousRoleError(f"the layer {layer.digest.short} has {len(members)} files where one was expected")
    entry, offset = members[-1]  # of several entries with one name the last one counts
    if entry.type is not EntryType.FILE or not entry.stored_contiguously:
        return None
    return ByteRange(offset=offset, size=entry.size)


def _is_meant(entry: TarEntry, path: str) -> bool:
    if not path:
        return entry.type is EntryType.FILE
    return _normalized(entry.name) == _normalized(path)


def _normalized(path: str) -> str:
    return posixpath.normpath(f"/{path}").lstrip("/")
