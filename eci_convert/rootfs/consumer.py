"""Who gets the files, and what is told of them afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from eci_convert.oci.descriptor import Descriptor


class FileConsumer(Protocol):
    """Takes files as they pass, in an order that is not of its choice."""

    @property
    def can_retake(self) -> bool:
        """Whether a file may be taken on suspicion, and again: the later one is then meant."""

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        """The file that all of *paths* are passes now: exactly *size* bytes, to be consumed before this returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLocation:
    """Where a file was: at *path*, without links on the way, in *layer* (None: not in a layer)."""

    path: str
    layer: Descriptor | None
