"""Bytes that can be had more than once: what a sink has lost of them is sent again, by itself or by who called it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from eci_convert.errors import UploadLostError

_ATTEMPTS = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RepeatableStream:
    """Chunks for `Sink.put` that *opened* gives afresh, the same every time.

    Of any other iterator a sink must assume that what went by is gone, and raises UploadLost where it needs it again.
    """

    opened: Callable[[], Iterable[bytes]]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.opened())


def is_repeatable(chunks: Iterable[bytes]) -> bool:
    """Whether iterating over *chunks* a second time gives the same bytes."""
    return isinstance(chunks, RepeatableStream | list | tuple)


def retry_lost_uploads(attempt: Callable[[], T]) -> T:
    """What *attempt* comes to. It is made again where a sink lost what it was sent (UploadLost), a few times; so each
    time it has to begin with the first byte."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(UploadLostError):
            return attempt()
    return attempt()


class SparseStream:
    """*chunks* as they are, and before they come, where in them there can be anything but zeros: what *data* makes,
    (offset, length) in ascending order, is for whoever can save himself the holes."""

    def __init__(self, chunks: Iterable[bytes], data: Callable[[], Iterable[tuple[int, int]]]) -> None:
        self._chunks = chunks
        self.data = data

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)
