"""Bytes that can be had more than once: a sink that lost some may begin again by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Again:
    """Chunks for `Sink.put` that *opened* gives afresh, the same every time.

    Of any other iterator a sink must assume that what went by is gone, and raises UploadLost where it needs it again.
    """

    opened: Callable[[], Iterable[bytes]]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.opened())


def can_be_had_again(chunks: Iterable[bytes]) -> bool:
    """Whether iterating over *chunks* a second time gives the same bytes."""
    return isinstance(chunks, Again | list | tuple)
