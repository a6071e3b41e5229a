"""The tree of one layer, filled entry by entry as the layer passes.

Within a layer the last entry of a name wins, and an entry below a symbolic link of the same layer lies where the link
leads. A hard link is what its target is when the link comes by: what replaces the target later does not matter to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eci_convert.errors import CorruptStream, LimitExceeded
from eci_convert.rootfs.limits import MAX_LINKS, Work
from eci_convert.rootfs.nodes import GONE, Dir, File, Gone, Link, Node, Odd, Symlink, parts
from eci_convert.tar import EntryType

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_META: Final = ".wh..wh."
_ODD = {
    EntryType.CHAR: Odd("a character device"),
    EntryType.BLOCK: Odd("a block device"),
    EntryType.FIFO: Odd("a named pipe"),
    EntryType.OTHER: Odd("of a type that nobody knows"),
}


class Layer:
    """What one layer says of the filesystem. *unnamed*: some directory was only seen in longer names."""

    def __init__(self, work: Work) -> None:
        self.root = Dir(named=True)
        self.unnamed = False
        self._work = work
        self._entries = 0

    def add(self, name: str, kind: EntryType, linkname: str = "") -> str | None:
        """Notes the layer's next entry; the path that it has, or None if it is none (a whiteout).

        Raises CorruptStream for an entry that no layer can have, LimitExceeded for more than anybody needs.
        """
        entry = self._entries
        self._entries += 1
        self._work.entry(name, linkname)
        path = parts(name)
        if ".." in path or "\0" in name:
            raise CorruptStream(f"the layer has an entry with the name {name!r}")
        if not path and kind is not EntryType.DIR:
            raise CorruptStream(f"the layer makes {name!r}, its root, something that is no directory")
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
                return File(entry)
            case EntryType.DIR:
                return Dir(named=True)
            case EntryType.SYMLINK:
                return Symlink(linkname) if linkname else Odd("a symbolic link to nothing", broken=True)
            case EntryType.HARDLINK:
                return self._linked(path, linkname)
            case _:
                return _ODD[kind]

    def _put(self, parent: Dir, name: str, node: Node) -> None:
        before = parent.children.get(name)
        if isinstance(node, Dir):
            if isinstance(before, Dir):
                before.named = True
                return
            node.hides = before is not None
        if before is None:
            self._work.node(2 if isinstance(node, Dir) else 1)
        parent.children[name] = node

    def _white_out(self, parent: Dir, name: str, full_name: str) -> None:
        if name == _OPAQUE:
            parent.hides = True
            return
        if name.startswith(_META):  # what aufs kept for itself
            return
        name = name.removeprefix(_WHITEOUT)
        if name in ("", ".", ".."):
            raise CorruptStream(f"the layer has a whiteout of the name {full_name!r}")
        before = parent.children.get(name)
        if isinstance(before, Dir):
            before.hides = True
        elif before is None:
            self._work.node()
            parent.children[name] = GONE

    def _directory(self, path: list[str]) -> tuple[list[str], Dir]:
        """The directory at *path*, made if it is not there; and where it really is."""
        trail, where, rest = [self.root], list[str](), path[::-1]
        links = 0
        while rest:
            self._work.steps()
            part = rest.pop()
            if part == "..":  # only out of links
                up(trail, where)
                continue
            child = trail[-1].children.get(part)
            if isinstance(child, Symlink):
                links = _followed(links, path)
                if child.target.startswith("/"):
                    trail, where = [self.root], []
                rest += parts(child.target)[::-1]
                continue
            if child is None or isinstance(child, Gone):
                child = self._unnamed(trail[-1], part, hides=child is not None)
            if not isinstance(child, Dir):
                raise CorruptStream(f"the layer has an entry below {'/'.join([*where, part])!r}, which is no directory")
            trail.append(child)
            where.append(part)
        return where, trail[-1]

    def _unnamed(self, parent: Dir, name: str, *, hides: bool) -> Dir:
        self._work.node(2)
        self.unnamed = True
        parent.children[name] = made = Dir(named=False, hides=hides)
        return made

    def _linked(self, path: list[str], linkname: str) -> Node:
        """What a hard link to *linkname* is, at this moment."""
        if parts(linkname) == path:
            return Odd("a hard link to itself", broken=True)
        trail, where, rest = [self.root], list[str](), parts(linkname)[::-1]
        links = 0
        while rest:
            self._work.steps()
            part = rest.pop()
            if part == "..":
                up(trail, where)
                continue
            child = trail[-1].children.get(part)
            if child is None and not any(directory.hides for directory in trail):
                return Link("/".join([*where, part, *rest[::-1]]))
            if isinstance(child, Symlink) and rest:
                links = _followed(links, path)
                if child.target.startswith("/"):
                    trail, where = [self.root], []
                rest += parts(child.target)[::-1]
            elif isinstance(child, Dir):
                trail.append(child)
                where.append(part)
            elif rest or child is None or isinstance(child, Gone):
                return Odd(f"a hard link to {linkname!r}, which is not there", broken=True)
            else:
                return child
        return Odd("a hard link to a directory", broken=True)

    def directory(self, path: list[str]) -> Dir:
        """The directory at *path*, made if it is not there."""
        return self._directory(path)[1]

    def unnamed_directories(self) -> Iterator[tuple[list[str], Dir, Dir]]:
        """The path, the parent and the directory itself of each that was only seen in longer names, outer first."""
        trail: list[tuple[list[str], Dir]] = [([], self.root)]
        while trail:
            path, parent = trail.pop()
            for name, child in list(parent.children.items()):
                if isinstance(child, Dir):
                    self._work.steps(len(path) + 1)
                    if not child.named:
                        yield [*path, name], parent, child
                    if parent.children.get(name) is child:
                        trail.append(([*path, name], child))


def up(trail: list[Dir], where: list[str]) -> None:
    """Goes to the parent directory; that of the root is the root."""
    if where:
        trail.pop()
        where.pop()


def _followed(links: int, path: list[str]) -> int:
    if links == MAX_LINKS:
        raise LimitExceeded(f"more than {MAX_LINKS} symbolic links lead to {'/'.join(path)!r}")
    return links + 1
