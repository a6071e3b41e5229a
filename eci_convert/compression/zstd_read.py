"""zstd decompression (RFC 8878), in blocks of bounded size.

The library accepts a stream that ends in the middle of a frame. So the structure of frames is parsed here, block header
by block header, to detect truncation.

Frames are independent. As long as they are small and declare their size, as ours do, they are decoded in parallel; the
first other one, and everything behind it, sequentially.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final, cast

from eci_convert.compression.lookahead import LookaheadReader
from eci_convert.compression.parallel_decode import MIN_MEAN_BLOCK, DecodedBlock, ParallelDecoder, Piece
from eci_convert.errors import CorruptStreamError

if TYPE_CHECKING:
    from typing import IO

WINDOW_LIMIT: Final = 128 << 20
"""The largest window of a frame, in bytes, which is the memory needed to decode it."""
ZSTD_BLOCK: Final = 1 << 20
ZSTD_MAGIC: Final = 0xFD2FB528
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_FEED = 128 << 10
_RLE = 1
_LONGEST_HEADER = 18
_LONGEST_FRAME = ZSTD_BLOCK + (64 << 10)
_CHECKSUM = 4


def zstd_decompressed(chunks: Iterable[bytes], threads: int | None = None) -> Iterator[bytes]:
    """The content of the zstd frames in *chunks*, without skippable ones, decoded by up to *threads* threads (None: one
    for each core).

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
    """The content of *frame*, or None if it is corrupt."""
    import zstandard

    try:
        return DecodedBlock(zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT).decompress(frame))
    except zstandard.ZstdError:
        return None


def _read(source: LookaheadReader) -> Iterator[bytes]:
    """The content of all remaining frames, of any kind."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT)
    frames = _Frames(source)
    with decompressor.stream_reader(
        cast("IO[bytes]", frames), read_size=_FEED, read_across_frames=True, closefd=False
    ) as reader:
        while True:
            try:
                output = reader.read(ZSTD_BLOCK)
            except zstandard.ZstdError as error:
                raise CorruptStreamError(f"zstd: {error}") from error
            if not output:
                return
            yield output


def is_zstd(head: bytes) -> bool:
    """Whether *head*, at least four bytes, begins a zstd frame, skippable or not."""
    magic = int.from_bytes(head[:4], "little")
    return len(head) >= 4 and (magic == ZSTD_MAGIC or magic in _SKIPPABLE)


class _Frames:
    """The chunks as a readable file, verified to be complete frames."""

    def __init__(self, source: LookaheadReader) -> None:
        self._pieces = _frames(source)
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most *size* bytes; empty at the end, which is between frames. Raises CorruptStreamError."""
        if not self._piece:
            self._piece = next(self._pieces, self._piece)
        data = bytes(self._piece[:size])
        self._piece = self._piece[size:]
        return data


def _frames(source: LookaheadReader) -> Iterator[memoryview]:
    """The bytes of frames with content. Raises CorruptStreamError for incomplete frames."""
    started = False
    while not started or source.at_least(1):
        started = True
        source.at_least(8)
        if not is_zstd(head := bytes(source.view()[:8])):
            raise CorruptStreamError("zstd: not a zstd stream, or trailing garbage")
        if int.from_bytes(head[:4], "little") == ZSTD_MAGIC:
            yield from _frame(source, head)
        else:
            for _ in _exactly(source, 8 + int.from_bytes(head[4:], "little")):
                pass


def _frame(source: LookaheadReader, head: bytes) -> Iterator[memoryview]:
    if len(head) < 5:
        raise CorruptStreamError("zstd: unexpected EOF")
    yield from _exactly(source, _header(head[4])[0])
    last = False
    while not last:
        source.at_least(3)
        length, last = _blocks(source.view())
        yield from _exactly(source, length)
    if head[4] & 4:
        yield from _exactly(source, _CHECKSUM)


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
    """The length in bytes of the blocks whose headers are in *view*, and whether the last block of the frame is among
    them."""
    end, last = 0, 0
    while not last and end + 3 <= len(view):
        header = view[end] | view[end + 1] << 8 | view[end + 2] << 16
        last, kind = header & 1, header >> 1 & 3
        end += 3 + (1 if kind == _RLE else header >> 3)
    if not end:
        raise CorruptStreamError("zstd: unexpected EOF")
    return end, bool(last)


def _exactly(source: LookaheadReader, length: int) -> Iterator[memoryview]:
    while length:
        piece = source.take(length)
        if not piece:
            raise CorruptStreamError("zstd: unexpected EOF")
        length -= len(piece)
        yield piece
