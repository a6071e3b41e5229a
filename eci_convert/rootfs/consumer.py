"""FileConsumer, which receives files, and FileLocation, which is returned for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from eci_convert.oci.descriptor import Descriptor


class FileConsumer(Protocol):
    """Receives files in the order in which layers are read."""

    @property
    def can_retake(self) -> bool:
        """Whether a file may be passed speculatively, and another one later for the same path, which then replaces
        it."""

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        """Receives the file for all of *paths*: exactly *size* bytes, to be read before this returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLocation:
    """Where a file was found: *path* with links resolved, in *layer* (None: not in a layer)."""

    path: str
    layer: Descriptor | None
