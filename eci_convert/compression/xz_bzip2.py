"""xz and bzip2 streams, decompressed with a limit on memory."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Iterable, Iterator

from eci_convert.compression.decoder import decode_member, decode_members
from eci_convert.compression.lookahead import LookaheadReader

_LZMA_MEMORY = 192 << 20


def xz_decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the xz streams in *chunks*. Raises CorruptStreamError, also if more than 192 MiB of memory are
    needed."""

    def member(source: LookaheadReader) -> Iterator[bytes]:
        return decode_member(source, lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY), "xz", (lzma.LZMAError,))

    return decode_members(LookaheadReader(chunks), "xz", b"\xfd7zXZ\0", member)


def bzip2_decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the bzip2 streams in *chunks*. Raises CorruptStreamError."""

    def member(source: LookaheadReader) -> Iterator[bytes]:
        return decode_member(source, bz2.BZ2Decompressor(), "bzip2", (OSError, ValueError))

    return decode_members(LookaheadReader(chunks), "bzip2", b"BZh", member)
