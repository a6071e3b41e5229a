"""The vfs driver: each layer as the complete tree of itself and all layers below
(docs/specs/containers-storage.md#11)."""

from __future__ import annotations

import os
from pathlib import Path

from eci_convert.files.errors import local_errors
from eci_convert.transports.containers_storage.drivers.copy_tree import copy_tree, merge_tree
from eci_convert.transports.containers_storage.drivers.staging import TOP_MODE, Staged, remove_tree
from eci_convert.transports.containers_storage.drivers.whiteouts import DeletionList


class Vfs:
    """The vfs driver of the store *root*."""

    name = "vfs"
    max_layers = 2000

    def __init__(self, root: Path) -> None:
        self.home = root / self.name

    def whiteouts(self) -> DeletionList:
        return DeletionList()

    def content(self, layer: str) -> Path:
        return self.home / "dir" / layer

    def complete(self, staged: Staged, parent: Path | None) -> None:
        """Merges the content of *parent*, the tree below, with what was unpacked."""
        if parent is not None:
            tree = staged.directory / "tree"
            copy_tree(parent, tree)
            merge_tree(staged.diff, tree, staged.deleted or DeletionList())
            remove_tree(staged.diff)
            with local_errors(staged.diff):
                os.rename(tree, staged.diff)
        with local_errors(staged.diff):
            os.chmod(staged.diff, TOP_MODE)

    def place(self, staged: Staged, layer: str, parent: str) -> None:
        target = self.content(layer)
        remove_tree(target)  # left by a killed process
        with local_errors(target):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(staged.diff, 0o700)  # otherwise only root could move it
            os.rename(staged.diff, target)
            os.chmod(target, TOP_MODE)
        remove_tree(staged.directory)

    def discard(self, layer: str) -> None:
        target = self.content(layer)
        if os.path.isdir(target) and not os.path.islink(target):
            with local_errors(target):
                os.chmod(target, 0o700)
        remove_tree(target)
