"""Compression on several cores at once, the same bytes whatever their number.

The input is cut at every MiB, however it comes. For gzip each block is deflated by itself up to a full flush, and all
of them make one member (what `pigz -i` does): every consumer takes that. A block of zeros is deflated once. A block
whose samples do not shrink is stored: that is packed and inflated several times faster. For zstd each block is a frame.
"""

from __future__ import annotations

import os
import sys
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from eci_convert.streams import interrupts
from eci_convert.streams.crc import combined, crc32
from eci_convert.streams.pipeline import workers
from eci_convert.streams.zeros import BLOCK, ZEROS

try:
    from isal import isal_zlib
except ImportError:  # no build for this computer: zlib does the same in several times the time
    isal_zlib = None  # type: ignore[assignment]

FAST_LEVELS: Final = range(1, 4)
"""The gzip levels that are isal's where it is installed; the others are zlib's."""
_HEADER = bytes.fromhex("1f8b08000000000000ff")  # no name, no time, no system: as Go writes it
_LAST_BLOCK = b"\x03\x00"
_STORED = 0xFFFF
_SAMPLE = 16 << 10


@dataclass(frozen=True, slots=True)
class _Encoded:
    data: bytes
    crc: int
    length: int


def gzipped(chunks: Iterable[bytes], level: int, threads: int | None = None) -> Iterator[bytes]:
    """*chunks* as one gzip member."""
    crc = length = 0
    yield _HEADER
    for block in _in_parallel(blocks(chunks), lambda data: _deflated(data, level), threads):
        crc = combined(crc, block.crc, block.length)
        length += block.length
        yield block.data
    yield _LAST_BLOCK + crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little")


def zstd_compressed(chunks: Iterable[bytes], level: int, threads: int | None = None) -> Iterator[bytes]:
    """*chunks* as zstd frames with checksums, one for each MiB; an empty one if there is nothing."""
    empty = True
    for block in _in_parallel(blocks(chunks), lambda data: _zstd_frame(data, level), threads):
        empty = False
        yield block.data
    if empty:
        yield _zstd_frame(b"", level).data


def blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """*chunks* cut anew at every MiB. Chunks that are cut there already are passed on uncopied."""
    pieces: list[bytes] = []
    have = 0
    for chunk in chunks:
        at = 0
        while at < len(chunk):
            piece = chunk[at : at + BLOCK - have] if at or len(chunk) > BLOCK - have else chunk
            at += len(piece)
            have += len(piece)
            pieces.append(piece)
            if have == BLOCK:
                yield b"".join(pieces) if len(pieces) > 1 else piece
                pieces, have = [], 0
    if pieces:
        yield b"".join(pieces)


def _in_parallel(
    inputs: Iterable[bytes], encode: Callable[[bytes], _Encoded], threads: int | None
) -> Iterator[_Encoded]:
    """What *encode* makes of each of *inputs*, in order, a few of them at a time."""
    count = workers(threads)
    waiting: deque[Future[_Encoded]] = deque()
    zeros: Future[_Encoded] | None = None
    pool = ThreadPoolExecutor(count, thread_name_prefix="compress", initializer=_yield_to_others)
    try:
        for data in inputs:
            if data == ZEROS:
                zeros = zeros or pool.submit(encode, ZEROS)
            waiting.append(zeros if zeros and data == ZEROS else pool.submit(encode, data))
            if len(waiting) > 2 * count + 2:
                yield interrupts.result(waiting.popleft())
        while waiting:
            yield interrupts.result(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _yield_to_others() -> None:
    """This thread takes what the others of the process leave of the cores: all of them wait for the one that hashes,
    which cannot be shared out (sched(7): on Linux, niceness is a thread's own)."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19))


def _deflated(data: bytes, level: int) -> _Encoded:
    """*data* as deflate blocks that end at a byte and refer to nothing before them."""
    encoded = b""
    if _shrinks(data):
        encoded = _flushed(data, level)
    if not encoded or len(encoded) > _worth(len(data)):
        encoded = _stored(data)
    return _Encoded(encoded, crc32(data), len(data))


def _flushed(data: bytes, level: int) -> bytes:
    library = zlib if isal_zlib is None or level not in FAST_LEVELS else isal_zlib
    stream = library.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    encoded: bytes = stream.compress(data) + stream.flush(zlib.Z_FULL_FLUSH)
    return encoded


def _worth(length: int) -> int:
    """What *length* bytes must shrink to for inflating them to be worth while."""
    return length * 97 // 100


def _shrinks(data: bytes) -> bool:
    """Whether any of four samples shrinks; of a short text, whether all of it might."""
    if len(data) <= 4 * _SAMPLE:
        return True
    samples = (data[at : at + _SAMPLE] for at in range(0, len(data) - _SAMPLE + 1, (len(data) - _SAMPLE) // 3))
    return any(len(_flushed(sample, 1)) <= _worth(len(sample)) for sample in samples)


def _stored(data: bytes) -> bytes:
    pieces = []
    for at in range(0, len(data), _STORED):
        piece = data[at : at + _STORED]
        length = len(piece).to_bytes(2, "little")
        pieces += [b"\0", length, bytes(byte ^ 0xFF for byte in length), piece]
    return b"".join(pieces)


def _zstd_frame(data: bytes, level: int) -> _Encoded:
    import zstandard

    frame = zstandard.ZstdCompressor(level, write_checksum=True, write_content_size=True).compress(data)
    return _Encoded(frame, 0, len(data))
