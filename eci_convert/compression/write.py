"""Compression on several cores, with the same bytes whatever their number.

The input is cut at every MiB. For gzip each block is deflated separately up to a full flush, and all blocks form one
member (as with `pigz -i`), which every consumer supports. A block of zeros is deflated once. A block whose samples do
not shrink is stored, which is several times faster to write and read. For zstd each block is a frame.

The last bytes of the input are in the final deflate block: Go's gzip reader then returns io.EOF together with them.
With an empty final block after them, consumers that stop at the trailer of a tar archive, such as oras-go's untar,
would leave it unread, and the original `eci pullfiles` would hang.
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

from eci_convert.compression.crc32 import crc32, crc32_combine
from eci_convert.streams import interrupts
from eci_convert.streams.blocks import ZERO_BLOCK, reblocked
from eci_convert.streams.threads import worker_count

try:
    from isal import isal_zlib
except ImportError:  # no wheel for this platform: zlib is used, several times slower
    isal_zlib = None  # type: ignore[assignment]

FAST_LEVELS: Final = range(1, 4)
"""The gzip levels implemented by isal if it is installed; the others are zlib's."""
_HEADER = bytes.fromhex("1f8b08000000000000ff")  # no name, time or operating system, as Go writes it
_EMPTY_STREAM = b"\x03\x00"
_STORED = 0xFFFF
_SAMPLE = 16 << 10
_TAIL = 8 << 10
"""Bytes that are deflated separately at the end: fewer than the symbols in one block of zlib and isal, so that the
final block cannot be empty."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    data: bytes
    crc: int
    length: int


def gzipped(chunks: Iterable[bytes], level: int, threads: int | None = None) -> Iterator[bytes]:
    """*chunks* as one gzip member."""
    crc = length = 0
    yield _HEADER
    for block in _ordered_parallel_map(
        reblocked(chunks), lambda data, final: _deflated(data, level, final=final), threads
    ):
        crc = crc32_combine(crc, block.crc, block.length)
        length += block.length
        yield block.data
    if not length:
        yield _EMPTY_STREAM
    yield crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little")


def zstd_compressed(chunks: Iterable[bytes], level: int, threads: int | None = None) -> Iterator[bytes]:
    """*chunks* as zstd frames with checksums, one for each MiB; an empty frame for no data."""
    empty = True
    for block in _ordered_parallel_map(reblocked(chunks), lambda data, final: _zstd_frame(data, level), threads):
        empty = False
        yield block.data
    if empty:
        yield _zstd_frame(b"", level).data


def _ordered_parallel_map(
    inputs: Iterable[bytes], encode: Callable[[bytes, bool], _Encoded], threads: int | None
) -> Iterator[_Encoded]:
    """*encode*(input, whether it is the last one) for each of *inputs*, in order, a few of them in parallel."""
    count = worker_count(threads)
    waiting: deque[Future[_Encoded]] = deque()
    zeros: Future[_Encoded] | None = None
    pool = ThreadPoolExecutor(count, thread_name_prefix="compress", initializer=_lower_thread_priority)
    try:
        for data, final in _with_final(inputs):
            if data == ZERO_BLOCK and not final:
                zeros = zeros or pool.submit(encode, ZERO_BLOCK, False)
                waiting.append(zeros)
            else:
                waiting.append(pool.submit(encode, data, final))
            if len(waiting) > 2 * count + 2:
                yield interrupts.result(waiting.popleft())
        while waiting:
            yield interrupts.result(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _with_final(inputs: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each of *inputs*, and whether it is the last one."""
    previous: bytes | None = None
    for data in inputs:
        if previous is not None:
            yield previous, False
        previous = data
    if previous is not None:
        yield previous, True


def _lower_thread_priority() -> None:
    """Lowers the priority of this thread, so that it does not slow down the hashing thread, which all others wait for
    (sched(7): on Linux, niceness is per thread)."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19))


def _deflated(data: bytes, level: int, *, final: bool) -> _Encoded:
    """*data* as deflate blocks that end at a byte boundary and refer to nothing before them; *final* ones end the
    stream."""
    encoded = b""
    if _shrinks(data):
        encoded = _finished(data, level) if final else _flushed(data, level)
    if not encoded or len(encoded) > _max_useful_length(len(data)):
        encoded = _stored(data, final=final)
    return _Encoded(encoded, crc32(data), len(data))


def _finished(data: bytes, level: int) -> bytes:
    """*data* up to the end of the stream, whose final block contains the last bytes."""
    head, tail = data[:-_TAIL], data[-_TAIL:]
    return (_flushed(head, level) if head else b"") + _flushed(tail, level, zlib.Z_FINISH)


def _flushed(data: bytes, level: int, mode: int = zlib.Z_FULL_FLUSH) -> bytes:
    library = zlib if isal_zlib is None or level not in FAST_LEVELS else isal_zlib
    stream = library.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    encoded: bytes = stream.compress(data) + stream.flush(mode)
    return encoded


def _max_useful_length(length: int) -> int:
    """The compressed size below which compressing *length* bytes is worthwhile."""
    return length * 97 // 100


def _shrinks(data: bytes) -> bool:
    """Whether any of four samples shrinks; for short data, whether all of it does."""
    if len(data) <= 4 * _SAMPLE:
        return True
    samples = (data[at : at + _SAMPLE] for at in range(0, len(data) - _SAMPLE + 1, (len(data) - _SAMPLE) // 3))
    return any(len(_flushed(sample, 1)) <= _max_useful_length(len(sample)) for sample in samples)


def _stored(data: bytes, *, final: bool) -> bytes:
    pieces = []
    for at in range(0, len(data), _STORED):
        piece = data[at : at + _STORED]
        length = len(piece).to_bytes(2, "little")
        last = b"\1" if final and at + _STORED >= len(data) else b"\0"
        pieces += [last, length, bytes(byte ^ 0xFF for byte in length), piece]
    return b"".join(pieces)


def _zstd_frame(data: bytes, level: int) -> _Encoded:
    from eci_convert.compression.libzstd import zstd

    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.compression_level: level, parameter.checksum_flag: 1}
    compressor = zstd.ZstdCompressor(options=options)
    return _Encoded(compressor.compress(data, compressor.FLUSH_FRAME), 0, len(data))
