"""Deletions of files of lower layers, as recorded by each driver.

With overlay a deletion is a file in the layer: a character device 0:0, or an attribute of a directory
(Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"). With vfs, deleted files are missing from
a layer's tree.
"""

from __future__ import annotations

import os
import stat
from typing import Protocol

from eci_convert.files.safe_tree import SafeTree

PathComponents = tuple[str, ...]


class Whiteouts(Protocol):
    """Records deletions while a layer is unpacked."""

    def hide(self, tree: SafeTree, parts: PathComponents) -> None:
        """Records that *parts* of lower layers is deleted."""

    def hide_below(self, tree: SafeTree, parts: PathComponents) -> None:
        """Records that everything below *parts* of lower layers is deleted."""


class OverlayMarks:
    """Deletions in the format of overlayfs."""

    def hide(self, tree: SafeTree, parts: PathComponents) -> None:
        mode = tree.mode(parts)
        if mode is None:
            # Any user may create this device (Linux 5.8).
            os.mknod(parts[-1], stat.S_IFCHR, os.makedev(0, 0), dir_fd=tree.parent(parts, make=True))
        elif stat.S_ISDIR(mode):
            self.hide_below(tree, parts)

    def hide_below(self, tree: SafeTree, parts: PathComponents) -> None:
        directory = tree.directory(parts, make=True)
        try:
            os.setxattr(directory, "trusted.overlay.opaque", b"y")
        except PermissionError:
            os.setxattr(directory, "user.overlay.opaque", b"y")  # the attribute that unprivileged mounts use


class DeletionList:
    """A list of deletions, applied when the tree is merged."""

    def __init__(self) -> None:
        self.hidden: list[PathComponents] = []
        self.hidden_below: list[PathComponents] = []

    def hide(self, tree: SafeTree, parts: PathComponents) -> None:
        self.hidden.append(parts)

    def hide_below(self, tree: SafeTree, parts: PathComponents) -> None:
        self.hidden_below.append(parts)


def is_whiteout(name: str, directory: int) -> bool:
    """Whether *name* in *directory* is a device that overlayfs interprets as a deletion."""
    state = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return stat.S_ISCHR(state.st_mode) and state.st_rdev == os.makedev(0, 0)
