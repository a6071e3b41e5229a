"""The tree of one layer, built entry by entry.

Within a layer the last entry of a name wins, and an entry below a symbolic link of the same layer is where the link
leads. A hard link refers to its target at the time of its entry: later replacements of the target do not affect it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eci_convert.errors import CorruptStreamError, LimitExceededError
from eci_convert.rootfs.limits import MAX_LINKS, Budget
from eci_convert.rootfs.nodes import WHITEOUT, Directory, FileNode, Link, Node, Special, Symlink, Whiteout, components
from eci_convert.tar import EntryType

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_META: Final = ".wh..wh."
_ODD = {
    EntryType.CHAR: Special("a character device"),
    EntryType.BLOCK: Special("a block device"),
    EntryType.FIFO: Special("a named pipe"),
    EntryType.OTHER: Special("of unknown type"),
}


class LayerTree:
    """The tree of one layer. *unnamed*: it has directories without entries of their own."""

    def __init__(self, work: Budget) -> None:
        self.root = Directory(has_entry=True)
        self.unnamed = False
        self._work = work
        self._entries = 0

    def add(self, name: str, kind: EntryType, linkname: str = "") -> str | None:
        """Adds the layer's next entry; returns its path, or None for a whiteout.

        Raises CorruptStreamError for an invalid entry, LimitExceededError if limits are exceeded.
        """
        entry = self._entries
        self._entries += 1
        self._work.entry(name, linkname)
        path = components(name)
        if ".." in path or "\0" in name:
            raise CorruptStreamError(f"the layer has an entry with the name {name!r}")
        if not path and kind is not EntryType.DIR:
            raise CorruptStreamError(f"the layer makes {name!r}, its root, something that is not a directory")
        if not path:
            return None
        last = path.pop()
        where, parent = self._directory(path)
        if last.startswith(_WHITEOUT):
            self._white_out(parent, last, name)
            return None
        where.append(last)
        self._put(parent, last, self._node(entry, kind, where, linkname))
        return "/".join(where)

    def _node(self, entry: int, kind: EntryType, path: list[str], linkname: str) -> Node:
        match kind:
            case EntryType.FILE:
                return FileNode(entry)
            case EntryType.DIR:
                return Directory(has_entry=True)
            case EntryType.SYMLINK:
                return Symlink(linkname) if linkname else Special("a symbolic link to nothing", broken=True)
            case EntryType.HARDLINK:
                return self._linked(path, linkname)
            case _:
                return _ODD[kind]

    def _put(self, parent: Directory, name: str, node: Node) -> None:
        before = parent.children.get(name)
        if isinstance(node, Directory):
            if isinstance(before, Directory):
                before.has_entry = True
                return
            node.opaque = before is not None
        if before is None:
            self._work.node(2 if isinstance(node, Directory) else 1)
        parent.children[name] = node

    def _white_out(self, parent: Directory, name: str, full_name: str) -> None:
        if name == _OPAQUE:
            parent.opaque = True
            return
        if name.startswith(_META):  # metadata of aufs
            return
        name = name.removeprefix(_WHITEOUT)
        if name in ("", ".", ".."):
            raise CorruptStreamError(f"the layer has a whiteout of the name {full_name!r}")
        before = parent.children.get(name)
        if isinstance(before, Directory):
            before.opaque = True
        elif before is None:
            self._work.node()
            parent.children[name] = WHITEOUT

    def _directory(self, path: list[str]) -> tuple[list[str], Directory]:
        """The directory *path*, created if it does not exist; and its path with links resolved."""
        trail, where, rest = [self.root], list[str](), path[::-1]
        links = 0
        while rest:
            self._work.spend()
            part = rest.pop()
            if part == "..":  # only in targets of links
                pop_component(trail, where)
                continue
            child = trail[-1].children.get(part)
            if isinstance(child, Symlink):
                links = _followed(links, path)
                if child.target.startswith("/"):
                    trail, where = [self.root], []
                rest += components(child.target)[::-1]
                continue
            if child is None or isinstance(child, Whiteout):
                child = self._unnamed(trail[-1], part, hides=child is not None)
            if not isinstance(child, Directory):
                raise CorruptStreamError(
                    f"the layer has an entry below {'/'.join([*where, part])!r}, which is not a directory"
                )
            trail.append(child)
            where.append(part)
        return where, trail[-1]

    def _unnamed(self, parent: Directory, name: str, *, hides: bool) -> Directory:
        self._work.node(2)
        self.unnamed = True
        parent.children[name] = directory = Directory(has_entry=False, opaque=hides)
        return directory

    def _linked(self, path: list[str], linkname: str) -> Node:
        """The current target of a hard link to *linkname*."""
        if components(linkname) == path:
            return Special("a hard link to itself", broken=True)
        trail, where, rest = [self.root], list[str](), components(linkname)[::-1]
        links = 0
        while rest:
            self._work.spend()
            part = rest.pop()
            if part == "..":
                pop_component(trail, where)
                continue
            child = trail[-1].children.get(part)
            if child is None and not any(directory.opaque for directory in trail):
                return Link("/".join([*where, part, *rest[::-1]]))
            if isinstance(child, Symlink) and rest:
                links = _followed(links, path)
                if child.target.startswith("/"):
                    trail, where = [self.root], []
                rest += components(child.target)[::-1]
            elif isinstance(child, Directory):
                trail.append(child)
                where.append(part)
            elif rest or child is None or isinstance(child, Whiteout):
                return Special(f"a hard link to {linkname!r}, which does not exist", broken=True)
            else:
                return child
        return Special("a hard link to a directory", broken=True)

    def directory(self, path: list[str]) -> Directory:
        """The directory *path*, created if it does not exist."""
        return self._directory(path)[1]

    def unnamed_directories(self) -> Iterator[tuple[list[str], Directory, Directory]]:
        """The path, the parent and the node of each directory without an entry of its own, outer first."""
        trail: list[tuple[list[str], Directory]] = [([], self.root)]
        while trail:
            path, parent = trail.pop()
            for name, child in list(parent.children.items()):
                if isinstance(child, Directory):
                    self._work.spend(len(path) + 1)
                    if not child.has_entry:
                        yield [*path, name], parent, child
                    if parent.children.get(name) is child:
                        trail.append(([*path, name], child))


def pop_component(trail: list[Directory], where: list[str]) -> None:
    """Goes to the parent directory; that of the root is the root."""
    if where:
        trail.pop()
        where.pop()


def _followed(links: int, path: list[str]) -> int:
    if links == MAX_LINKS:
        raise LimitExceededError(f"too many levels of symbolic links: {'/'.join(path)!r}")
    return links + 1
