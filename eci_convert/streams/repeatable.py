"""Which streams can be read more than once, so that lost data can be sent again; and streams with known holes."""

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
    """Chunks for `Sink.put` that *opened* returns afresh, the same every time.

    Any other iterator can be read once only: a sink raises UploadLostError if it needs data again, and its caller makes
    a new one, unless it is a `SinglePassStream`.
    """

    opened: Callable[[], Iterable[bytes]]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.opened())


def is_repeatable(chunks: Iterable[bytes]) -> bool:
    """Whether *chunks* can be iterated again, with the same bytes."""
    return isinstance(chunks, RepeatableStream | list | tuple)


class SinglePassStream:
    """*chunks* unchanged, which nobody can read a second time: they come through a pipe.

    So a sink does not compare them with what an earlier run left unfinished: if they differ, those that were read for
    the comparison are lost.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


def is_single_pass(chunks: Iterable[bytes]) -> bool:
    """Whether neither a sink nor its caller can read *chunks* a second time."""
    return isinstance(chunks, SinglePassStream)


def retry_lost_uploads(attempt: Callable[[], T]) -> T:
    """The result of *attempt*, which is repeated a few times after UploadLostError; it has to begin with the first byte
    each time."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(UploadLostError):
            return attempt()
    return attempt()


class SparseStream:
    """*chunks* unchanged, and *data*: the regions that may be non-zero, (offset, length) in ascending order, for
    consumers that can skip holes (`data_regions`)."""

    def __init__(self, chunks: Iterable[bytes], data: Callable[[], Iterable[tuple[int, int]]]) -> None:
        self._chunks = chunks
        self.data = data

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


def data_regions(chunks: Iterable[bytes]) -> Iterable[tuple[int, int]] | None:
    """The regions of *chunks* that may be non-zero, (offset, length) in ascending order; None if unknown."""
    return chunks.data() if isinstance(chunks, SparseStream) else None
