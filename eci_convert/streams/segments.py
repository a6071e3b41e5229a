"""The segments of a deflate stream (RFC 1951) that can be inflated without what is before them, several at a time.

A compressor that flushes fully (zlib's Z_FULL_FLUSH, `pigz -i`, `deflate` here) ends at a byte, writes an empty stored
block, whose last bytes are 00 00 FF FF, and refers to nothing before it from then on. Those bytes are looked for. They
may be there by chance or by malice, so what they seem to end must prove that it ends there: a decoder that knows
nothing but the segment is given a last stored block with a secret in it behind it. It gives the secret back, and says
that this was the end, only if it stood between two blocks, at the first bit of a byte. If moreover the segment
begins where the one before it was proved to end, a decoder of the whole stream would have made the same of it.

Stored blocks say how long they are: a row of them is a segment whose end needs no proof. What repeats the segment
before it, as the zeros of a disk do, is not inflated again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from eci_convert.streams.crc import crc32
from eci_convert.streams.inflate import BLOCK, INFLATE_ERRORS, inflater
from eci_convert.streams.pipeline import workers
from eci_convert.streams.window import Window
from eci_convert.streams.zeros import ZEROS

_MARK: Final = b"\0\0\xff\xff"
_SECRET: Final = os.urandom(16)
_PROOF: Final = b"\x01\x10\0\xef\xff" + _SECRET
_LONGEST = BLOCK
"""Compressed bytes: who flushes more rarely is not waited for."""
_SMALL = 8 << 10
_WORTH = 64 << 10
"""Bytes that a segment must hold on average, or handing it to a thread takes longer than inflating it."""
_CREDIT = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """What one segment holds, at most 1 MiB, and the CRC-32 of that."""

    data: bytes
    crc: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of the stream that seems to be a segment; *stored*: whole stored blocks, of which this is sure."""

    bytes_: memoryview
    stored: bool


class Segments:
    """The segments that come next in *source*, each time it is iterated over; it then stands behind the last of them.

    What is no segment ends the iteration, and is left to whoever can inflate it. It takes memory for a few segments
    for each of *threads* (None: one for each core). Close it to end the threads.
    """

    def __init__(self, source: Window, threads: int | None = None) -> None:
        self._source = source
        self._threads = workers(threads)
        self._pool: ThreadPoolExecutor | None = None
        self._promising = True
        self._credit = _CREDIT
        self._small = b""
        self._made: Future[Segment | None] = Future()

    def __iter__(self) -> Iterator[Segment]:
        waiting = deque[tuple[_Piece, Future[Segment | None]]]()
        begun = cut = self._promising
        while cut or waiting:
            while cut and len(waiting) <= 2 * self._threads and not (waiting and waiting[0][1].done()):
                if piece := _cut(self._source, 1):
                    waiting.append((piece, self._inflating(piece, alone=begun)))
                cut, begun = piece is not None, False
            if not waiting:
                break
            piece, future = waiting.popleft()
            segment = future.result() if self._credit >= 0 else None
            if segment is None:
                self._source.put_back([piece.bytes_, *(later.bytes_ for later, _ in waiting)])
                waiting.clear()
                segment = self._longer() if self._credit >= 0 else None
                cut = segment is not None
            if segment:
                self._credit += len(segment.data) // _WORTH - 1
                yield segment
        self._promising = self._credit >= 0 and _last_block_next(self._source)

    def close(self) -> None:
        """Ends the threads, soon."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def _longer(self) -> Segment | None:
        """The segment up to the mark after the next, where the next was none: there is one in every 4 GiB by chance."""
        piece = _cut(self._source, 2)
        segment = _inflated(piece) if piece else None
        if piece and not segment:
            self._source.put_back([piece.bytes_])
        return segment

    def _inflating(self, piece: _Piece, *, alone: bool) -> Future[Segment | None]:
        small = bytes(piece.bytes_) if len(piece.bytes_) <= _SMALL else b""
        if small and small == self._small:
            return self._made
        if alone:  # it may be the only one, for which no thread is begun
            made = Future[Segment | None]()
            made.set_result(_inflated(piece))
        else:
            self._pool = self._pool or ThreadPoolExecutor(self._threads, thread_name_prefix="inflate")
            made = self._pool.submit(_inflated, piece)
        if small:
            self._small, self._made = small, made
        return made


def _cut(source: Window, marks: int) -> _Piece | None:
    """What may be a segment, up to the last of *marks* marks; None where there is none that is short enough."""
    if stored := _stored(source):
        return _Piece(source.take(stored), stored=True)
    if _last_block_next(source):
        return None
    end = 0
    for _ in range(marks):
        found = source.find(_MARK, end, _LONGEST)
        if found < 0:
            return None
        end = found + len(_MARK)
    return _Piece(source.take(end), stored=False)


def _last_block_next(source: Window) -> bool:
    """Whether what comes next is the last block of the stream, or nothing at all."""
    return not source.at_least(1) or bool(source.view()[0] & 1)


def _stored(source: Window) -> int:
    """How long the stored blocks are that come next, as far as they hold no more than 1 MiB: 0 if there is none."""
    end = held = 0
    while source.at_least(end + 5):
        head = source.view()[end : end + 5]
        length = head[1] | head[2] << 8
        if head[0] & 7 or length ^ 0xFFFF != head[3] | head[4] << 8 or held + length > BLOCK:
            break
        if not source.at_least(end + 5 + length):
            break
        end, held = end + 5 + length, held + length
    return end


def _inflated(piece: _Piece) -> Segment | None:
    """What *piece* holds, or None if it is no segment."""
    data = _unstored(piece.bytes_) if piece.stored else _proved(piece.bytes_)
    if data is None:
        return None
    if data == ZEROS:
        data = ZEROS
    return Segment(data, crc32(data))


def _unstored(piece: memoryview) -> bytes:
    held, at = [], 0
    while at < len(piece):
        end = at + 5 + (piece[at + 1] | piece[at + 2] << 8)
        held.append(piece[at + 5 : end])
        at = end
    return b"".join(held)


def _proved(piece: memoryview) -> bytes | None:
    decoder = inflater()
    try:
        data = decoder.decompress(piece, BLOCK + 1)
        if decoder.eof or len(data) > BLOCK:
            return None
        secret = decoder.decompress(_PROOF, len(_SECRET) + 1)
    except INFLATE_ERRORS:
        return None
    return data if decoder.eof and not decoder.unused_data and secret == _SECRET else None
