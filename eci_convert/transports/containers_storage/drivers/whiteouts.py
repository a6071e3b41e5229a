"""What a layer deletes from the layers below it, as each driver notes it.

overlay keeps layers apart, so a deletion is a file in the layer: a character device 0:0, or an attribute of a directory
(Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"). vfs has no layers below: what is deleted
is missing from a layer's tree.
"""

from __future__ import annotations

import os
import stat
from typing import Protocol

from eci_convert.files.safe_tree import SafeTree

PathComponents = tuple[str, ...]


class Whiteouts(Protocol):
    """How deletions are noted while a layer is unpacked."""

    def hide(self, tree: SafeTree, parts: PathComponents) -> None:
        """What lower layers have at *parts* is deleted."""

    def hide_below(self, tree: SafeTree, parts: PathComponents) -> None:
        """What lower layers have below *parts* is deleted."""


class OverlayMarks:
    """As overlayfs reads them."""

    def hide(self, tree: SafeTree, parts: PathComponents) -> None:
        mode = tree.mode(parts)
        if mode is None:
            # Any user may make this one device (Linux 5.8).
            os.mknod(parts[-1], stat.S_IFCHR, os.makedev(0, 0), dir_fd=tree.parent(parts, make=True))
        elif stat.S_ISDIR(mode):
            self.hide_below(tree, parts)

    def hide_below(self, tree: SafeTree, parts: PathComponents) -> None:
        directory = tree.directory(parts, make=True)
        try:
            os.setxattr(directory, "trusted.overlay.opaque", b"y")
        except PermissionError:
            os.setxattr(directory, "user.overlay.opaque", b"y")  # what a mount by such a user looks at


class DeletionList:
    """Kept aside, for a tree that is put together afterwards."""

    def __init__(self) -> None:
        self.hidden: list[PathComponents] = []
        self.hidden_below: list[PathComponents] = []

    def hide(self, tree: SafeTree, parts: PathComponents) -> None:
        self.hidden.append(parts)

    def hide_below(self, tree: SafeTree, parts: PathComponents) -> None:
        self.hidden_below.append(parts)


def is_whiteout(name: str, directory: int) -> bool:
    """Whether *name* in *directory* is the device that overlayfs takes for a deletion."""
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(0, 0)
