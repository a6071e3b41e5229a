"""gzip undone (RFC 1952): members one after the other, and each on several cores where it was made so that this works.

The header and the trailer are read here, for only what lies between them can be cut into segments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Final

from eci_convert.errors import CorruptStream
from eci_convert.streams.crc import combined, crc32
from eci_convert.streams.inflate import INFLATE_ERRORS, inflater, members, undone
from eci_convert.streams.segments import Segments
from eci_convert.streams.window import Window

MAGIC: Final = b"\x1f\x8b\x08"
_HEADER_LIMIT = 1 << 20
_HISTORY = 32 << 10


def gunzipped(chunks: Iterable[bytes], threads: int | None = None) -> Iterator[bytes]:
    """The content of the gzip members in *chunks*, inflated by up to *threads* threads (None: one for each core).

    Raises CorruptStream, and LimitExceeded for a header over 1 MiB.
    """
    source = Window(chunks)
    with closing(Segments(source, threads)) as segments:
        yield from members(source, "gzip", MAGIC, lambda source: _member(source, segments))


def _member(source: Window, segments: Segments) -> Iterator[bytes]:
    """One member: segments as long as there are any, and what is left of it from beginning to end."""
    source.take(_header(source))
    crc = length = 0
    history = b""
    for segment in segments:
        crc, length = combined(crc, segment.crc, len(segment.data)), length + len(segment.data)
        history = (segment.data if len(segment.data) >= _HISTORY else history + segment.data)[-_HISTORY:]
        if segment.data:
            yield segment.data
    for block in undone(source, inflater(history), "gzip", INFLATE_ERRORS):
        crc, length = crc32(block, crc), length + len(block)
        yield block
    if not source.at_least(8):
        raise CorruptStream("gzip: the stream ends too early")
    if bytes(source.take(8)) != crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little"):
        raise CorruptStream("gzip: the checksum or the length is not what the trailer says")


def _header(source: Window) -> int:
    """The length of the gzip header that comes next, now in view."""
    source.at_least(10)
    flags = source.view()[3:4]
    if not flags or flags[0] & 0xE0:
        raise CorruptStream("gzip: the header is cut short or has unknown flags")
    end = 10
    if flags[0] & 4:
        source.at_least(end + 2)
        end += 2 + int.from_bytes(source.view()[end : end + 2], "little")
    for flag in (8, 16):  # the name and the comment
        if flags[0] & flag:
            end = source.past_nul(end, _HEADER_LIMIT)
    if flags[0] & 2:
        end += 2
    if not source.at_least(end):
        raise CorruptStream("gzip: the stream ends too early")
    return end
