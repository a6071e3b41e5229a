"""The overlay driver: each layer in a directory of its own, with a short name for mount(8), and a list of lower layers
(docs/specs/containers-storage.md#1, docs/specs/containers-storage.md#2, docs/specs/containers-storage.md#9)."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from eci_convert.errors import FormatError, LocalError, NotFoundError, TransportError
from eci_convert.files.errors import local_errors
from eci_convert.files.safe_open import read_small_file
from eci_convert.transports.containers_storage.drivers.staging import TOP_MODE, Staged, link_name, remove_tree
from eci_convert.transports.containers_storage.drivers.whiteouts import OverlayMarks

_LOWER = re.compile(r"l/[0-9A-Za-z]{1,64}(?::l/[0-9A-Za-z]{1,64})*", re.ASCII)


class Overlay:
    """The overlay driver of the store *root*."""

    name = "overlay"
    max_layers = 128

    def __init__(self, root: Path) -> None:
        self.home = root / self.name

    def whiteouts(self) -> OverlayMarks:
        return OverlayMarks()

    def content(self, layer: str) -> Path:
        return self.home / layer / "diff"

    def complete(self, staged: Staged, parent: Path | None) -> None:
        """Nothing to do: layers are stored separately."""
        with local_errors(staged.diff):
            os.chmod(staged.diff, TOP_MODE)

    def place(self, staged: Staged, layer: str, parent: str) -> None:
        directory, target = staged.directory, self.home / layer
        remove_tree(target)  # left by a killed process
        with local_errors(target):
            (self.home / "l").mkdir(mode=0o755, exist_ok=True)
            for name in ("merged", "work") if parent else ("empty", "merged", "work"):
                (directory / name).mkdir(mode=0o700, exist_ok=True)
            if parent:
                (directory / "lower").write_text(self._lower(parent))
            link = self._linked(layer)
            (directory / "link").write_text(link)
            os.rename(directory, target)

    def discard(self, layer: str) -> None:
        directory = self.home / layer
        with local_errors(directory), suppress(FileNotFoundError, NotFoundError, FormatError, LocalError):
            name = os.path.basename(_short_text(directory, "link"))
            path = self.home / "l" / name
            if name and path.is_symlink() and os.readlink(path) == f"../{layer}/diff":
                path.unlink()
        remove_tree(directory)

    def _linked(self, layer: str) -> str:
        """Creates and returns the short name of *layer*."""
        name, target = link_name(layer), f"../{layer}/diff"
        while True:
            path = self.home / "l" / name
            try:
                os.symlink(target, path)
            except FileExistsError:
                if os.path.islink(path) and os.readlink(path) == target:
                    return name
                name = link_name(secrets.token_hex(16))
            else:
                return name

    def _lower(self, parent: str) -> str:
        below = self.home / parent
        try:
            names = f"l/{_short_text(below, 'link')}"
        except NotFoundError as error:
            raise TransportError(f"{below}: the layer is damaged: it has no 'link'") from error
        with suppress(NotFoundError):
            names = f"{names}:{_short_text(below, 'lower')}"
        if not _LOWER.fullmatch(names):
            raise FormatError(f"'link' and 'lower' are not names of layers: {names[:80]!r}", where=str(below))
        return names


def _short_text(directory: Path, name: str) -> str:
    return read_small_file(directory, name).decode("utf-8", "replace").strip()
