"""An archive as a layer: compressed, its digests known when the last byte has gone by."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from eci_convert.errors import LocalError
from eci_convert.oci.digest import Digest
from eci_convert.streams.compress import Codec, Compression, compressed
from eci_convert.streams.holes import file_chunks
from eci_convert.streams.measure import Measured
from eci_convert.streams.tar_write import TarMember, archived, header

_BEHIND = 32 << 20  # the hash of a hole takes longer than compressing it, and catches up in the data that follows


class PackedLayer:
    """The archive *tar* compressed on *threads* cores (None: all), to be iterated over once.

    What it is is known afterwards (ValueError before). Its bytes depend on those of *tar* alone, as long as isal
    (gzip:1 to 3), zlib or zstd stay the same. Either digest is hashed in a thread of its own.
    """

    def __init__(self, tar: Iterable[bytes], codec: Codec, *, threads: int | None = None) -> None:
        self._tar = Measured(tar, threaded=True, behind=_BEHIND)
        self._blob = self._tar
        if codec.compression is not Compression.NONE:
            self._blob = Measured(compressed(self._tar, codec, threads=threads), threaded=True)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blob)

    @property
    def diff_id(self) -> Digest:
        """The digest of the archive."""
        return self._tar.digest

    @property
    def size(self) -> int:
        """The length of the archive in bytes."""
        return self._tar.size

    @property
    def digest(self) -> Digest:
        """The digest of the bytes that were iterated over, which are the blob."""
        return self._blob.digest

    @property
    def compressed_size(self) -> int:
        """The length of the blob in bytes."""
        return self._blob.size


def layer_stream(member: TarMember, descriptor: int, codec: Codec, *, threads: int | None = None) -> PackedLayer:
    """The layer that has just the file *descriptor* in it, as *member*. It is read once, and its holes not at all.

    Iterating raises LocalError if the file is not as long as the member says, or changes while it is read.
    """
    content = unchanging(descriptor, member.name, lead=len(header(member)))
    return PackedLayer(archived([(member, content)]), codec, threads=threads)


def unchanging(descriptor: int, name: str, *, lead: int = 0) -> Iterator[bytes]:
    """The content of a file as `file_chunks` reads it. Raises LocalError at its end if the file *name* has changed."""
    before = _state(descriptor)
    yield from file_chunks(descriptor, lead=lead)
    if _state(descriptor) != before:
        raise LocalError(f"{name!r} has changed while it was read")


def _state(descriptor: int) -> tuple[int, int, int]:
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
