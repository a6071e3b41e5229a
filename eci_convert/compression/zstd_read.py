"""Decompresses zstd frames (RFC 8878) in blocks of bounded size.

Frames are independent of each other. As long as they are short and declare their content size, as ours do, they are
decompressed in parallel; the first other frame and all that follow are decompressed one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Final

from eci_convert.compression.decoder import Decoder, decode_member
from eci_convert.compression.lookahead import LookaheadReader
from eci_convert.compression.parallel_decode import MIN_MEAN_BLOCK, DecodedBlock, ParallelDecoder, Piece
from eci_convert.errors import CorruptStreamError

_WINDOW_LOG_LIMIT: Final = 27
WINDOW_LIMIT: Final = 1 << _WINDOW_LOG_LIMIT
"""The largest window in bytes that a frame may declare: reading it takes that much memory."""
ZSTD_BLOCK: Final = 1 << 20
ZSTD_MAGIC: Final = 0xFD2FB528
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_RLE = 1
_LONGEST_HEADER = 18
_LONGEST_FRAME = ZSTD_BLOCK + (64 << 10)
_CHECKSUM = 4


def zstd_decompressed(chunks: Iterable[bytes], threads: int | None = None) -> Iterator[bytes]:
    """The content of the zstd frames in *chunks*, decompressed by up to *threads* threads (None: one for each core).

    Raises CorruptStreamError for malformed or truncated streams, and for windows over 128 MiB.
    """
    source, started = LookaheadReader(chunks), False
    with closing(ParallelDecoder(source, lambda _: _whole_frame(source), _content, threads)) as frames:
        for frame in frames:
            started = True
            yield frame.data
    if not started or source.at_least(1):
        yield from _read(source)


def _whole_frame(source: LookaheadReader) -> Piece | None:
    """The next frame, if it has content and declares a size that is neither large nor tiny."""
    source.at_least(_LONGEST_HEADER)
    head = bytes(source.view()[:_LONGEST_HEADER])
    if int.from_bytes(head[:4], "little") != ZSTD_MAGIC or len(head) < _LONGEST_HEADER:
        return None
    end, size = _header(head[4])
    content_size = int.from_bytes(head[end - size : end], "little") + (256 if size == 2 else 0)
    if not MIN_MEAN_BLOCK <= content_size <= ZSTD_BLOCK or _window(head[4], head[5]) > WINDOW_LIMIT:
        return None
    last = False
    while not last:
        if end > _LONGEST_FRAME or not source.at_least(end + 3):
            return None
        length, last = _blocks(source.view()[end:])
        end += length
    end += _CHECKSUM if head[4] & 4 else 0
    return source.take(end) if end <= _LONGEST_FRAME and source.at_least(end) else None


def _content(frame: Piece) -> DecodedBlock | None:
    """The content of *frame*, or None if it is damaged or is not one whole frame."""
    from eci_convert.compression.libzstd import zstd

    decoder = frame_decoder()
    try:
        content = decoder.decompress(frame, ZSTD_BLOCK)
    except zstd.ZstdError:
        return None
    return DecodedBlock(content) if decoder.eof and not decoder.unused_data else None


def _read(source: LookaheadReader) -> Iterator[bytes]:
    """The content of the frames that are left, of any kind; the library skips skippable ones."""
    from eci_convert.compression.libzstd import zstd

    in_frame = False
    while not in_frame or source.at_least(1):
        in_frame = True
        source.at_least(4)
        if not is_zstd(bytes(source.view()[:4])):
            raise CorruptStreamError("zstd: not a zstd stream, or trailing garbage after one")
        yield from decode_member(source, frame_decoder(), "zstd", (zstd.ZstdError,))


def frame_decoder() -> Decoder:
    """A Decoder of one frame, which refuses a window over the limit."""
    from eci_convert.compression.libzstd import zstd

    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_LIMIT})


def is_zstd(head: bytes) -> bool:
    """Whether *head*, at least four bytes, begins a zstd frame, skippable or not."""
    magic = int.from_bytes(head[:4], "little")
    return len(head) >= 4 and (magic == ZSTD_MAGIC or magic in _SKIPPABLE)


def _window(descriptor: int, window: int) -> int:
    """The window size that a frame declares, in bytes (RFC 8878 §3.1.1.1.2)."""
    return 0 if descriptor >> 5 & 1 else (8 + (window & 7)) << (window >> 3) + 7


def _header(descriptor: int) -> tuple[int, int]:
    """The length of the frame header that begins with *descriptor*, and the length of the content size field at its
    end."""
    single = descriptor >> 5 & 1
    content_size = (single, 2, 4, 8)[descriptor >> 6]
    return 6 - single + (0, 1, 2, 4)[descriptor & 3] + content_size, content_size


def _blocks(view: memoryview) -> tuple[int, bool]:
    """The length in bytes of the blocks whose headers are in *view*, at least one, and whether the frame's last is
    among them."""
    end, last = 0, 0
    while not last and end + 3 <= len(view):
        header = view[end] | view[end + 1] << 8 | view[end + 2] << 16
        last, kind = header & 1, header >> 1 & 3
        end += 3 + (1 if kind == _RLE else header >> 3)
    return end, bool(last)
