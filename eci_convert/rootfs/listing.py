"""Lists all files of an image's root filesystem, with their metadata from the layers."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from eci_convert.errors import LimitExceededError
from eci_convert.rootfs.layer_stack import Found, MergedDirectory, Stack
from eci_convert.rootfs.layer_tree import LayerTree
from eci_convert.rootfs.limits import MAX_TEXT, Budget
from eci_convert.rootfs.nodes import Directory, FileNode, Link, Node, Special, Symlink, Whiteout
from eci_convert.rootfs.symlink_writes import resolve_symlink_writes
from eci_convert.tar import EntryType, TarEntry

_DEFAULT_MODE: Final = 0o755
_LINK_MODE: Final = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """One file: its absolute *path*; its *kind*: "file", "directory", "symlink" or "special"; its permission bits; its
    size in bytes, of files only; the target of a symbolic link; the number of its layer, 0 being the top one."""

    path: str
    kind: str
    mode: int
    size: int | None = None
    link: str | None = None
    layer: int | None = None


class LayerListing:
    """The files of a stack of layers, which are added from the top one down. All methods raise CorruptStreamError and
    LimitExceededError for malformed and hostile layers."""

    def __init__(self) -> None:
        self._stack = Stack(Budget())
        self.input = self._stack.work.metered
        """Wraps an archive so that reading it is charged to the limits."""
        self._files: list[list[tuple[int, int]]] = []
        self._modes: list[dict[str, int]] = []

    def add_layer(self, entries: Iterable[TarEntry]) -> None:
        """Adds the next lower layer."""
        layer = LayerTree(self._stack.work)
        files, modes = list[tuple[int, int]](), dict[str, int]()
        for entry in entries:
            path = layer.add(entry.name, entry.type, entry.linkname)
            mode = stat.S_IMODE(entry.mode)
            files.append((mode, entry.size))
            if path is not None and entry.type is not EntryType.FILE:
                modes[path] = mode
        self._stack.layers.append(layer)
        self._files.append(files)
        self._modes.append(modes)

    def files(self) -> Iterator[ListedFile]:
        """All files, directories before their contents, sorted by name."""
        self._stack.complete = True
        resolve_symlink_writes(self._stack, len(self._stack.layers))
        text = 0
        pending: list[tuple[str, MergedDirectory]] = [("", self._stack.root(0))]
        while pending:
            path, view = pending.pop()
            inner: list[tuple[str, MergedDirectory]] = []
            for listed, directory in self._children(path, view):
                text += len(listed.path)
                if text > MAX_TEXT:
                    raise LimitExceededError(f"the paths in the image are longer than {MAX_TEXT} characters")
                yield listed
                if directory:
                    inner.append((listed.path, directory))
            pending += reversed(inner)

    def _children(self, path: str, view: MergedDirectory) -> Iterator[tuple[ListedFile, MergedDirectory | None]]:
        names = sorted({name for _, directory in view.layers for name in directory.children})
        for name in names:
            child = self._stack.child(view, name)
            full = f"{path}/{name}"
            if isinstance(child, MergedDirectory):
                yield self._directory(full, child), child
            elif child is not None and (listed := self._listed(full, *child)):
                yield listed, None

    def _directory(self, path: str, view: MergedDirectory) -> ListedFile:
        modes = (self._modes[number].get(path[1:]) for number, _ in view.layers)
        mode = next((mode for mode in modes if mode is not None), _DEFAULT_MODE)
        return ListedFile(path=path, kind="directory", mode=mode, layer=view.layers[0][0])

    def _listed(self, path: str, number: int, node: Node) -> ListedFile | None:
        if isinstance(node, Link):
            match self._stack.lookup(path, follow=False):
                case Found(node=FileNode() | Special() | Symlink() as node, layer=number):
                    pass
                case _:
                    return ListedFile(path=path, kind="special", mode=0, layer=number)
        match node:
            case FileNode(entry=entry):
                mode, size = self._files[number][entry]
                return ListedFile(path=path, kind="file", mode=mode, size=size, layer=number)
            case Symlink(target=target):
                return ListedFile(path=path, kind="symlink", mode=_LINK_MODE, link=target, layer=number)
            case Special():
                at = min(number, len(self._modes) - 1)
                return ListedFile(path=path, kind="special", mode=self._modes[at].get(path[1:], 0), layer=number)
            case Whiteout() | Directory():
                return None
