"""Decodes independent pieces of a compressed stream in several threads, in order.

A piece equal to the one before it, such as a block of zeros, is not decoded again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from eci_convert.compression.lookahead import LookaheadReader
from eci_convert.streams import interrupts
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.streams.threads import worker_count

MIN_MEAN_BLOCK: Final = 64 << 10
"""The mean size in bytes of decoded pieces below which threads cost more than they gain."""
_INITIAL_CREDIT = 64
_SMALL = 8 << 10

Piece = memoryview


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """The content of one piece, at most 1 MiB, and its CRC-32 if that is needed."""

    data: bytes
    crc: int = 0


class ParallelDecoder:
    """Decodes independent pieces of a compressed stream in parallel and yields them in order. After iteration *source*
    is positioned after the last decoded piece.

    *cut*(1) takes the next piece from *source*, *cut*(2) a longer one if decoding the first failed; None ends the
    iteration. *undo* decodes a piece; None means that it is not one: it is pushed back for another decoder. A few
    pieces for each of *threads* (None: one for each core) are in memory. Close it to end the threads.
    """

    def __init__(
        self,
        source: LookaheadReader,
        cut: Callable[[int], Piece | None],
        undo: Callable[[Piece], DecodedBlock | None],
        threads: int | None = None,
    ) -> None:
        self._source = source
        self._cut = cut
        self._undo = undo
        self._threads = worker_count(threads)
        self._pool: ThreadPoolExecutor | None = None
        self._credit = _INITIAL_CREDIT
        self._small = b""
        self._submitted: Future[DecodedBlock | None] = Future()

    @property
    def worthwhile(self) -> bool:
        """Whether the pieces so far were large enough."""
        return self._credit >= 0

    def __iter__(self) -> Iterator[DecodedBlock]:
        waiting = deque[tuple[Piece, Future[DecodedBlock | None]]]()
        started = cutting = self.worthwhile
        while cutting or waiting:
            while cutting and len(waiting) <= 2 * self._threads and not (waiting and waiting[0][1].done()):
                if piece := self._cut(1):
                    waiting.append((piece, self._submit(piece, alone=started)))
                cutting, started = piece is not None, False
            if not waiting:
                break
            piece, future = waiting.popleft()
            decoded = interrupts.result(future) if self.worthwhile else None
            if decoded is None:
                self._source.push_back([piece, *(later for later, _ in waiting)])
                waiting.clear()
                decoded = self._retry_longer() if self.worthwhile else None
                cutting = decoded is not None
            if decoded:
                self._credit += len(decoded.data) // MIN_MEAN_BLOCK - 1
                yield decoded

    def close(self) -> None:
        """Ends the threads soon."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def _retry_longer(self) -> DecodedBlock | None:
        piece = self._cut(2)
        decoded = self._undo(piece) if piece else None
        if piece and not decoded:
            self._source.push_back([piece])
        return decoded

    def _submit(self, piece: Piece, *, alone: bool) -> Future[DecodedBlock | None]:
        small = bytes(piece) if len(piece) <= _SMALL else b""
        if small and small == self._small:
            return self._submitted
        if alone:  # a single piece needs no thread
            future = Future[DecodedBlock | None]()
            future.set_result(self._shared(piece))
        else:
            self._pool = self._pool or ThreadPoolExecutor(self._threads, thread_name_prefix="undo")
            future = self._pool.submit(self._shared, piece)
        if small:
            self._small, self._submitted = small, future
        return future

    def _shared(self, piece: Piece) -> DecodedBlock | None:
        """The decoded *piece*; all blocks of zeros are the same shared object."""
        decoded = self._undo(piece)
        return DecodedBlock(ZERO_BLOCK, decoded.crc) if decoded and decoded.data == ZERO_BLOCK else decoded
