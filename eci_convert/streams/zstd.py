"""zstd frames (RFC 8878), undone in blocks of bounded size.

The library's reader takes a stream that ends in the middle of a frame for a complete one. So the frames are walked
here, block header by block header, on their way to it: where a stream may end is known before it has been inflated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Final, cast

from eci_convert.errors import CorruptStream
from eci_convert.streams.window import Window

WINDOW_LIMIT: Final = 128 << 20
"""The largest window that a frame may ask for, in bytes: that much memory reading it takes."""
BLOCK: Final = 1 << 20
MAGIC: Final = 0xFD2FB528
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_FEED = 128 << 10
_RLE = 1


def unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the zstd frames in *chunks*, skippable ones passed over.

    Raises CorruptStream for anything malformed, cut short, or with a window over 128 MiB.
    """
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT)
    frames = _Frames(chunks)
    with decompressor.stream_reader(
        cast("IO[bytes]", frames), read_size=_FEED, read_across_frames=True, closefd=False
    ) as reader:
        while True:
            try:
                output = reader.read(BLOCK)
            except zstandard.ZstdError as error:
                raise CorruptStream(f"zstd: {error}") from error
            if not output:
                return
            yield output


def is_zstd(head: bytes) -> bool:
    """Whether *head*, at least four bytes, begins a zstd frame, skippable or not."""
    magic = int.from_bytes(head[:4], "little")
    return len(head) >= 4 and (magic == MAGIC or magic in _SKIPPABLE)


class _Frames:
    """The chunks as a file to be read from, with a check on the way that they are whole frames."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._pieces = _frames(Window(chunks))
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most *size* bytes; none at the end, which is between frames. Raises CorruptStream."""
        if not self._piece:
            self._piece = next(self._pieces, self._piece)
        data = bytes(self._piece[:size])
        self._piece = self._piece[size:]
        return data


def _frames(source: Window) -> Iterator[memoryview]:
    """The bytes of the frames that hold content. Raises CorruptStream for what is not whole frames."""
    begun = False
    while not begun or source.at_least(1):
        begun = True
        source.at_least(8)
        if not is_zstd(head := bytes(source.view()[:8])):
            raise CorruptStream("zstd: this is no zstd stream, or something follows one")
        if int.from_bytes(head[:4], "little") == MAGIC:
            yield from _frame(source, head)
        else:
            for _ in _exactly(source, 8 + int.from_bytes(head[4:], "little")):
                pass


def _frame(source: Window, head: bytes) -> Iterator[memoryview]:
    if len(head) < 5:
        raise CorruptStream("zstd: the stream ends too early")
    descriptor = head[4]
    single = descriptor >> 5 & 1
    content_size = (single, 2, 4, 8)[descriptor >> 6]
    yield from _exactly(source, 6 - single + (0, 1, 2, 4)[descriptor & 3] + content_size)
    last = False
    while not last:
        source.at_least(3)
        length, last = _blocks(source.view())
        yield from _exactly(source, length)
    if descriptor & 4:
        yield from _exactly(source, 4)  # the checksum


def _blocks(view: memoryview) -> tuple[int, bool]:
    """The length in bytes of the blocks whose headers are in *view*, and whether the frame's last is among them."""
    end, last = 0, 0
    while not last and end + 3 <= len(view):
        header = view[end] | view[end + 1] << 8 | view[end + 2] << 16
        last, kind = header & 1, header >> 1 & 3
        end += 3 + (1 if kind == _RLE else header >> 3)
    if not end:
        raise CorruptStream("zstd: the stream ends too early")
    return end, bool(last)


def _exactly(source: Window, length: int) -> Iterator[memoryview]:
    while length:
        piece = source.take(length)
        if not piece:
            raise CorruptStream("zstd: the stream ends too early")
        length -= len(piece)
        yield piece
