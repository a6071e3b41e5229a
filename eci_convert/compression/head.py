"""Decompresses the beginning of a stream of which only the first bytes are available, to detect what it contains.

The decoders of whole streams reject a truncated one, possibly before they yield anything.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from eci_convert.compression.codec import Compression, detect_compression

LONGEST_BLOCK = 1 << 20
"""Compressed bytes from which every supported format yields some output: bzip2 has blocks of 900 kB."""
_XZ_MEMORY = 192 << 20
_PIECE = 4096


def decompressed_head(head: bytes, size: int) -> bytes:
    """At most *size* bytes of the content of the stream that begins with *head*, from all of its members; none from a
    corrupt member, and fewer if *head* is shorter than `LONGEST_BLOCK`.

    >>> decompressed_head(bz2.compress(b"content")[:-1], 4)
    b'cont'
    """
    compression = detect_compression(head)
    if compression is Compression.NONE:
        return head[:size]
    new_decoder, errors = _decoder_of(compression)
    content, whole, at, decoder = b"", b"", 0, new_decoder()
    try:
        while at < len(head) and len(content) < size:
            if decoder.eof:
                whole, decoder = content, new_decoder()
            piece = head[
                at : at + _PIECE
            ]  # the data after a member is copied, and the head may consist of members of nine bytes
            content += decoder.decompress(piece, size - len(content))
            at += len(piece) - len(decoder.unused_data)
    except errors:
        return whole
    return content


class _MemberDecoder(Protocol):
    """The common interface of the decompressors in zlib, lzma, bz2 and zstd."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _decoder_of(compression: Compression) -> tuple[Callable[[], _MemberDecoder], tuple[type[Exception], ...]]:
    """A function that creates a decoder for one member, and the exceptions that decoder raises for malformed data."""
    match compression:
        case Compression.GZIP:
            return lambda: zlib.decompressobj(wbits=31), (zlib.error,)
        case Compression.XZ:
            return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), (lzma.LZMAError,)
        case Compression.BZIP2:
            return bz2.BZ2Decompressor, (OSError, ValueError)
        case Compression.ZSTD:
            from eci_convert.compression.libzstd import zstd
            from eci_convert.compression.zstd_read import frame_decoder

            return frame_decoder, (zstd.ZstdError,)
        case _:
            raise AssertionError(compression)
