"""A part of an image as a readable file, filled by a thread and verified at its end."""

from __future__ import annotations

import io
from types import TracebackType
from typing import BinaryIO, cast

from eci_convert.model import Part
from eci_convert.oci.image import ImageMetadata
from eci_convert.operations.extract import extract_files
from eci_convert.operations.output_files import OutputTarget
from eci_convert.options import TransferOptions
from eci_convert.streams.threads import DEPTH, BoundedQueue, WorkerThread
from eci_convert.transports.base import Source


def open_part(source: Source, image: ImageMetadata, part: Part, options: TransferOptions) -> BinaryIO:
    """The content of *part* as a buffered PartStream."""
    return cast("BinaryIO", PartStream(source, image, part, options))


class _NoReader(Exception):
    """The reader has stopped: the rest of the part is not needed."""


class _QueueWriter:
    """The output that a part is written to."""

    def __init__(self, queue: BoundedQueue) -> None:
        self._queue = queue

    def write(self, chunk: bytes) -> int:
        if chunk and not self._queue.push(bytes(chunk)):
            raise _NoReader
        return len(chunk)


def _fill(queue: BoundedQueue, source: Source, image: ImageMetadata, part: Part, options: TransferOptions) -> None:
    target = OutputTarget(part=part, file=cast("BinaryIO", _QueueWriter(queue)))
    try:
        extract_files(source, image, [target], sparse=False, options=options)
    finally:
        queue.end()


class PartStream(io.RawIOBase):
    """The content of a part, read once and in order. The last read, or else `close`, raises the errors of verification.

    If the block ends with an exception, the transfer is stopped and the content is not verified.
    """

    def __init__(self, source: Source, image: ImageMetadata, part: Part, options: TransferOptions) -> None:
        self._queue = BoundedQueue(DEPTH)  # first: __del__ needs it, whatever fails below
        self.name = part.name
        self._rest = b""
        self._ended = False
        queue = self._queue  # not self: a reference from the thread would keep an abandoned stream alive
        self._thread = WorkerThread(lambda: _fill(queue, source, image, part, options), "part")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = self._next()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def read(self, size: int | None = -1) -> bytes:
        """*size* bytes, fewer only at the end; all remaining ones if *size* is negative."""
        pieces, remaining = [], -1 if size is None or size < 0 else size
        while remaining:
            if not self._rest:
                self._rest = self._next()
                if not self._rest:
                    break
            piece = self._rest if remaining < 0 else self._rest[:remaining]
            self._rest = self._rest[len(piece) :]
            pieces.append(piece)
            remaining -= len(piece) if remaining > 0 else 0
        return b"".join(pieces)

    def close(self) -> None:
        if self.closed:
            return
        try:
            self._rest = b""
            while not self._ended:
                self._next()
        finally:
            super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        self._ended = True
        self._queue.stop()
        self._thread.join_briefly()
        super().close()

    def __del__(self) -> None:
        self._ended = True
        self._queue.stop()

    def _next(self) -> bytes:
        if self._ended:
            return b""
        chunk = self._queue.pop()
        if not chunk:
            self._ended = True
            self._thread.result()
        return chunk
