"""gzip decompression (RFC 1952): members in sequence, each on several cores if it was written in independent segments.

Header and trailer are parsed here, because only the data between them can be cut into segments.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Final

from eci_convert.compression.crc32 import crc32, crc32_combine
from eci_convert.compression.decoder import INFLATE_ERRORS, OUTPUT_BLOCK, decode_member, decode_members, deflate_decoder
from eci_convert.compression.lookahead import LookaheadReader
from eci_convert.compression.parallel_decode import DecodedBlock, ParallelDecoder, Piece
from eci_convert.errors import CorruptStreamError

GZIP_MAGIC: Final = b"\x1f\x8b\x08"
_HEADER_LIMIT = 1 << 20
_HISTORY = 32 << 10


def gzip_decompressed(chunks: Iterable[bytes], threads: int | None = None) -> Iterator[bytes]:
    """The content of the gzip members in *chunks*, decompressed by up to *threads* threads (None: one for each core).

    Raises CorruptStreamError, and LimitExceededError for a header over 1 MiB.
    """
    source = LookaheadReader(chunks)
    with closing(Segments(source, threads)) as segments:
        yield from decode_members(source, "gzip", GZIP_MAGIC, lambda source: _member(source, segments))


def _member(source: LookaheadReader, segments: Segments) -> Iterator[bytes]:
    """The content of one member: segments in parallel as long as there are any, and the rest sequentially."""
    source.take(_header(source))
    crc = length = 0
    history = b""
    for segment in segments:
        crc, length = crc32_combine(crc, segment.crc, len(segment.data)), length + len(segment.data)
        history = (segment.data if len(segment.data) >= _HISTORY else history + segment.data)[-_HISTORY:]
        if segment.data:
            yield segment.data
    for block in decode_member(source, deflate_decoder(history), "gzip", INFLATE_ERRORS):
        crc, length = crc32(block, crc), length + len(block)
        yield block
    if not source.at_least(8):
        raise CorruptStreamError("gzip: unexpected EOF")
    if bytes(source.take(8)) != crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little"):
        raise CorruptStreamError("gzip: checksum or length mismatch")


def _header(source: LookaheadReader) -> int:
    """The length of the gzip header that comes next, which is in view then."""
    source.at_least(10)
    flags = source.view()[3:4]
    if not flags or flags[0] & 0xE0:
        raise CorruptStreamError("gzip: truncated header, or unknown flags")
    end = 10
    if flags[0] & 4:
        source.at_least(end + 2)
        end += 2 + int.from_bytes(source.view()[end : end + 2], "little")
    for flag in (8, 16):  # the file name and the comment
        if flags[0] & flag:
            end = source.find_nul(end, _HEADER_LIMIT)
    if flags[0] & 2:
        end += 2
    if not source.at_least(end):
        raise CorruptStreamError("gzip: unexpected EOF")
    return end


_MARK: Final = b"\0\0\xff\xff"
_SECRET: Final = os.urandom(16)
_PROOF: Final = b"\x01\x10\0\xef\xff" + _SECRET
_LONGEST = OUTPUT_BLOCK
"""Compressed bytes: the longest segment that is searched for."""
_MOST_STORED = 64
"""Stored blocks in a segment. One MiB needs 17; a sequence of empty ones could be endless."""


class Segments:
    """The segments that come next in *source*, as input of `ParallelDecoder`. If a source has none, it is not searched
    again."""

    def __init__(self, source: LookaheadReader, threads: int | None = None) -> None:
        self._source = source
        self._abreast = ParallelDecoder(source, lambda marks: _cut_segment(source, marks), _inflated, threads)
        self._promising = True

    def __iter__(self) -> Iterator[DecodedBlock]:
        if self._promising:
            yield from self._abreast
            self._promising = self._abreast.worthwhile and _last_block_next(self._source)

    def close(self) -> None:
        """Ends the threads soon."""
        self._abreast.close()


def _cut_segment(source: LookaheadReader, marks: int) -> Piece | None:
    """A candidate segment up to the last of *marks* flush marks, of which one in every 4 GiB occurs by chance."""
    if _last_block_next(source):
        return None
    if _is_stored(source.view()):
        return source.take(length) if (length := _stored(source)) else None
    end = 0
    for _ in range(marks):
        end = source.find(_MARK, end, _LONGEST)
        if end < 0:
            return None
        end = end + len(_MARK)
    return source.take(end)


def _last_block_next(source: LookaheadReader) -> bool:
    """Whether the last block of the stream comes next, or nothing at all."""
    return not source.at_least(1) or bool(source.view()[0] & 1)


def _is_stored(piece: Piece) -> bool:
    """Whether *piece* begins with a stored block that is not the last one."""
    return not piece[0] & 7


def _stored(source: LookaheadReader) -> int:
    """The length of the stored blocks that come next, limited to 1 MiB of content; 0 if there are none."""
    end = content_length = 0
    for _ in range(_MOST_STORED):
        if not source.at_least(end + 5):
            break
        head = source.view()[end : end + 5]
        length = head[1] | head[2] << 8
        if not _is_stored(head) or length ^ 0xFFFF != head[3] | head[4] << 8 or content_length + length > OUTPUT_BLOCK:
            break
        if not source.at_least(end + 5 + length):
            break
        end, content_length = end + 5 + length, content_length + length
    return end


def _inflated(piece: Piece) -> DecodedBlock | None:
    """The content of *piece*, or None if it is not a segment."""
    data = _unstored(piece) if _is_stored(piece) else _proved(piece)
    return None if data is None else DecodedBlock(data, crc32(data))


def _unstored(piece: Piece) -> bytes:
    content, at = [], 0
    while at < len(piece):
        end = at + 5 + (piece[at + 1] | piece[at + 2] << 8)
        content.append(piece[at + 5 : end])
        at = end
    return b"".join(content)


def _proved(piece: Piece) -> bytes | None:
    decoder = deflate_decoder()
    try:
        data = decoder.decompress(piece, OUTPUT_BLOCK + 1)
        if decoder.eof or len(data) > OUTPUT_BLOCK:
            return None
        secret = decoder.decompress(_PROOF, len(_SECRET) + 1)
    except INFLATE_ERRORS:
        return None
    return data if decoder.eof and not decoder.unused_data and secret == _SECRET else None
