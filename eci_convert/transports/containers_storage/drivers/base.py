"""StorageDriver: what the drivers of containers/storage have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from eci_convert.transports.containers_storage.drivers.staging import Staged
from eci_convert.transports.containers_storage.drivers.whiteouts import DeletionList, OverlayMarks


class StorageDriver(Protocol):
    """How layers are kept as files."""

    name: str
    home: Path
    max_layers: int

    def whiteouts(self) -> OverlayMarks | DeletionList:
        """How deletions are to be noted while a layer is unpacked."""

    def content(self, layer: str) -> Path:
        """Where the files of a layer's archive are."""

    def complete(self, staged: Staged, parent: Path | None) -> None:
        """Makes of what was unpacked what the driver keeps, above what is in *parent*. Raises LocalError."""

    def place(self, staged: Staged, layer: str, parent: str) -> None:
        """Moves a complete layer to its place, above the layer *parent* ("": none). Raises LocalError."""

    def discard(self, layer: str) -> None:
        """Removes the files of a layer, as far as they are there. Raises LocalError."""
