"""Pieces of a compressed stream that know nothing of each other, undone by several threads and handed on in order.

What repeats the piece before it, as the zeros of a disk do, is not undone again.
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
"""Bytes that a piece must hold on average, or handing it to a thread takes longer than undoing it."""
_INITIAL_CREDIT = 64
_SMALL = 8 << 10

Piece = memoryview


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """What one piece holds, at most 1 MiB, and the CRC-32 of that where it is of use."""

    data: bytes
    crc: int = 0


class ParallelDecoder:
    """What *undo* makes of the pieces that *cut* takes from *source*, whenever it is iterated over; *source* then
    stands behind the last of them.

    *cut* is given 1, or 2 for a longer piece where the last one was none, and ends the iteration with None; so does
    *undo*, for what turns out to be no piece: it is put back, and left to whoever can read it. There is memory for a
    few pieces for each of *threads* (None: one for each core). Close it to end the threads.
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
        self._made: Future[DecodedBlock | None] = Future()

    @property
    def worthwhile(self) -> bool:
        """Whether the pieces so far were long enough to be worth it."""
        return self._credit >= 0

    def __iter__(self) -> Iterator[DecodedBlock]:
        waiting = deque[tuple[Piece, Future[DecodedBlock | None]]]()
        begun = cutting = self.worthwhile
        while cutting or waiting:
            while cutting and len(waiting) <= 2 * self._threads and not (waiting and waiting[0][1].done()):
                if piece := self._cut(1):
                    waiting.append((piece, self._submit(piece, alone=begun)))
                cutting, begun = piece is not None, False
            if not waiting:
                break
            piece, future = waiting.popleft()
            found = interrupts.result(future) if self.worthwhile else None
            if found is None:
                self._source.push_back([piece, *(later for later, _ in waiting)])
                waiting.clear()
                found = self._retry_longer() if self.worthwhile else None
                cutting = found is not None
            if found:
                self._credit += len(found.data) // MIN_MEAN_BLOCK - 1
                yield found

    def close(self) -> None:
        """Ends the threads, soon."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def _retry_longer(self) -> DecodedBlock | None:
        piece = self._cut(2)
        found = self._undo(piece) if piece else None
        if piece and not found:
            self._source.push_back([piece])
        return found

    def _submit(self, piece: Piece, *, alone: bool) -> Future[DecodedBlock | None]:
        small = bytes(piece) if len(piece) <= _SMALL else b""
        if small and small == self._small:
            return self._made
        if alone:  # it may be the only one, for which no thread is begun
            made = Future[DecodedBlock | None]()
            made.set_result(self._shared(piece))
        else:
            self._pool = self._pool or ThreadPoolExecutor(self._threads, thread_name_prefix="undo")
            made = self._pool.submit(self._shared, piece)
        if small:
            self._small, self._made = small, made
        return made

    def _shared(self, piece: Piece) -> DecodedBlock | None:
        """What *undo* makes of *piece*; a block of zeros is the one that everybody shares."""
        found = self._undo(piece)
        return DecodedBlock(ZERO_BLOCK, found.crc) if found and found.data == ZERO_BLOCK else found
