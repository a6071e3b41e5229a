"""The first bytes of what a stream holds, from its first bytes: for looking at what it is, where the rest is not there.

The readers of whole streams refuse one that is cut, and may do so before they give anything out.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import assert_never

from eci_convert.compression.codec import Compression, detect_compression

LONGEST_BLOCK = 1 << 20
"""Bytes in which every compression that is read gives something out: bzip2 has blocks of 900 kB."""
_XZ_MEMORY = 192 << 20


def decompressed_head(head: bytes, size: int) -> bytes:
    """At most *size* bytes of what the stream that begins with *head* holds; none where it is damaged, and fewer where
    *head* is shorter than `LONGEST_BLOCK`.

    >>> decompressed_head(bz2.compress(b"content")[:-1], 4)
    b'cont'
    """
    compression = detect_compression(head)
    try:
        match compression:
            case Compression.NONE:
                return head[:size]
            case Compression.GZIP:
                return zlib.decompressobj(wbits=31).decompress(head, size)
            case Compression.ZSTD:
                return _zstd_head(head, size)
            case Compression.XZ:
                return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY).decompress(head, size)
            case Compression.BZIP2:
                return bz2.BZ2Decompressor().decompress(head, size)
            case _:
                assert_never(compression)
    except (zlib.error, lzma.LZMAError, OSError, ValueError):
        return b""


def _zstd_head(head: bytes, size: int) -> bytes:
    from eci_convert.compression.libzstd import zstd
    from eci_convert.compression.zstd_read import frame_decoder

    content = b""
    try:
        while head and len(content) < size:
            decoder = frame_decoder()
            content += decoder.decompress(head, size - len(content))
            head = decoder.unused_data if decoder.eof else b""
    except zstd.ZstdError:
        return b""
    return content
