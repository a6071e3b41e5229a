"""StorageDriver: the interface of the drivers of containers/storage."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from eci_convert.transports.containers_storage.drivers.staging import Staged
from eci_convert.transports.containers_storage.drivers.whiteouts import DeletionList, OverlayMarks


class StorageDriver(Protocol):
    """How layers are stored as files."""

    name: str
    home: Path
    max_layers: int

    def whiteouts(self) -> OverlayMarks | DeletionList:
        """How deletions are recorded while a layer is unpacked."""

    def content(self, layer: str) -> Path:
        """The directory with the files of a layer."""

    def complete(self, staged: Staged, parent: Path | None) -> None:
        """Turns the unpacked layer into what the driver stores, above the content of *parent*. Raises LocalError."""

    def place(self, staged: Staged, layer: str, parent: str) -> None:
        """Moves a complete layer into place, above the layer *parent* ("": none). Raises LocalError."""

    def discard(self, layer: str) -> None:
        """Removes the files of a layer, if they exist. Raises LocalError."""
