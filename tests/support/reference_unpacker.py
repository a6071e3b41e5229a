"""Layers unpacked one after the other into a filesystem in memory, the way umoci 0.4.7 does it: an oracle, and slow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from eci_convert.tar import EntryType

FILE, DIR, SYMLINK, HARDLINK = EntryType.FILE, EntryType.DIR, EntryType.SYMLINK, EntryType.HARDLINK


@dataclass(frozen=True)
class LayerEntry:
    """An entry of a layer: *text* is the content of a file, or the target of a link."""

    name: str
    kind: EntryType = FILE
    text: str = ""


@dataclass(eq=False)
class Inode:
    kind: EntryType
    text: str = ""
    children: dict[str, Inode] = field(default_factory=dict)


class RefusedError(Exception):
    """umoci would stop here."""


class Naive:
    """The filesystem after so many layers."""

    def __init__(self) -> None:
        self.root = Inode(DIR)

    def unpack(self, layer: Sequence[LayerEntry]) -> None:
        self.fresh: set[Inode] = set()
        for entry in layer:
            self._apply(entry)

    def read(self, path: str) -> str | None:
        """The content of the regular file at *path*, all links followed, or None."""
        try:
            found = self._resolve(path.split("/"), last=True)[1]
        except RefusedError:
            return None
        return found.text if found and found.kind is FILE else None

    def _apply(self, entry: LayerEntry) -> None:
        words = [word for word in entry.name.split("/") if word not in ("", ".")]
        if not words:
            return
        parent = self._parent(words[:-1])
        name = words[-1]
        if name == ".wh..wh..opq":
            self._empty(parent)
        elif name.startswith(".wh."):
            self._remove(parent, name.removeprefix(".wh."))
        else:
            self._create(parent, name, entry)

    def _create(self, parent: Inode, name: str, entry: LayerEntry) -> None:
        before = parent.children.get(name)
        if entry.kind is DIR and before and before.kind is DIR:
            self.fresh.add(before)
            return
        parent.children.pop(name, None)
        if entry.kind is HARDLINK:
            made = self._resolve(entry.text.split("/"), last=False)[1]
            if made is None or made.kind is DIR:
                raise RefusedError(entry.text)
        else:
            made = Inode(entry.kind, entry.text)
        parent.children[name] = made
        self.fresh.add(made)

    def _empty(self, directory: Inode) -> None:
        for name in list(directory.children):
            self._remove(directory, name)

    def _remove(self, parent: Inode, name: str) -> None:
        """What lower layers brought is removed; what this layer did stays."""
        node = parent.children.get(name)
        if node is None:
            return
        if node.kind is DIR:
            for child in list(node.children):
                self._remove(node, child)
        if node not in self.fresh and not node.children:
            del parent.children[name]

    def _parent(self, words: list[str]) -> Inode:
        """The directory, links followed, made where it is not there."""
        trail, rest, links = [self.root], words[::-1], 0
        while rest:
            word = rest.pop()
            if word == "..":
                del trail[max(1, len(trail) - 1) :]
                continue
            if word in ("", "."):
                continue
            node = trail[-1].children.get(word)
            if node is None:
                node = trail[-1].children[word] = Inode(DIR)
                self.fresh.add(node)
            if node.kind is SYMLINK:
                links += 1
                if links > 40:
                    raise RefusedError("loop")
                trail = [self.root] if node.text.startswith("/") else trail
                rest += node.text.split("/")[::-1]
                continue
            if node.kind is not DIR:
                raise RefusedError("not a directory")
            trail.append(node)
        return trail[-1]

    def _resolve(self, words: list[str], *, last: bool) -> tuple[list[Inode], Inode | None]:
        trail, rest, links = [self.root], words[::-1], 0
        while rest:
            word = rest.pop()
            if word == "..":
                del trail[max(1, len(trail) - 1) :]
                continue
            if word in ("", "."):
                continue
            if trail[-1].kind is not DIR:
                return trail, None
            node = trail[-1].children.get(word)
            if node is None:
                return trail, None
            more = any(other not in ("", ".") for other in rest)
            if node.kind is SYMLINK and (more or last):
                links += 1
                if links > 40:
                    raise RefusedError("loop")
                trail = [self.root] if node.text.startswith("/") else trail
                rest += node.text.split("/")[::-1]
                continue
            if node.kind is not DIR:
                return trail, None if more else node
            trail.append(node)
        return trail, trail[-1]
