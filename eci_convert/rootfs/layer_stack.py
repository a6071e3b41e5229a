"""Looks paths up in the layers read so far, the top one first.

A result is final: no layer that was not read yet can change it. If one could, the result is Undecided, with the name
that the next layer would have to contain.
"""

from __future__ import annotations

from dataclasses import dataclass

from eci_convert.rootfs.layer_tree import LayerTree
from eci_convert.rootfs.limits import MAX_LINKS, Budget
from eci_convert.rootfs.nodes import WHITEOUT, Directory, FileNode, Link, Node, Special, Symlink, Whiteout, components


@dataclass(frozen=True, slots=True)
class MergedDirectory:
    """A directory merged from several layers, the top one first. *open*: lower layers may have more entries."""

    layers: tuple[tuple[int, Directory], ...]
    open: bool

    def names(self) -> list[str]:
        """The visible names in it, without directories."""
        seen: dict[str, Node] = {}
        for _, directory in self.layers:
            for name, node in directory.children.items():
                seen.setdefault(name, node)
        return [name for name, node in seen.items() if not isinstance(node, Whiteout | Directory)]


@dataclass(frozen=True, slots=True)
class Found:
    """*path*, with links resolved, is *node*: of layer number *layer* (0 is the top one), or a directory."""

    path: str
    node: FileNode | Special | Symlink | MergedDirectory
    layer: int = 0


@dataclass(frozen=True, slots=True)
class Undecided:
    """The result depends on lower layers: the next one may have *path*."""

    path: str


@dataclass(frozen=True, slots=True)
class Missing:
    """*path*, with links resolved, does not exist."""

    path: str


Lookup = Found | Undecided | Missing


class Stack:
    """The layers of an image, read from the top down. *complete*: all were read."""

    def __init__(self, work: Budget) -> None:
        self.layers: list[LayerTree] = []
        self.complete = False
        self.work = work

    def lookup(self, path: str, *, below: int = 0, follow: bool = True) -> Lookup:
        """Looks *path* up in the layers from number *below* on; links are followed, one at the end if *follow*.

        `..` stops at the root. More than 40 links are a broken Special.
        """
        return _Lookup(self, self.work).lookup(components(path), below, follow=follow)

    def root(self, below: int) -> MergedDirectory:
        """The root directory of the layers from number *below* on."""
        directories: list[tuple[int, Directory]] = []
        for number in range(below, len(self.layers)):
            directories.append((number, self.layers[number].root))
            if self.layers[number].root.opaque:
                return MergedDirectory(tuple(directories), open=False)
        return MergedDirectory(tuple(directories), open=not self.complete)

    def child(self, view: MergedDirectory, name: str) -> tuple[int, Node] | MergedDirectory | None:
        """The entry *name* of *view*; None if lower layers decide, GONE if it does not exist."""
        directories: list[tuple[int, Directory]] = []
        for number, directory in view.layers:
            self.work.spend()
            node = directory.children.get(name)
            if node is None:
                continue
            if not isinstance(node, Directory):
                return MergedDirectory(tuple(directories), open=False) if directories else (number, node)
            directories.append((number, node))
            if node.opaque:
                return MergedDirectory(tuple(directories), open=False)
        if directories:
            return MergedDirectory(tuple(directories), open=view.open)
        return None if view.open else (len(self.layers), WHITEOUT)


TOO_MANY_LINKS = Special("behind too many levels of symbolic links", broken=True)


class _Lookup:
    """One lookup, and those for the targets of hard links, with a common limit on links."""

    def __init__(self, stack: Stack, work: Budget) -> None:
        self._stack = stack
        self._work = work
        self._links = 0

    def lookup(self, path: list[str], below: int, *, follow: bool) -> Lookup:
        trail, where, rest = [self._stack.root(below)], list[str](), path[::-1]
        while rest:
            self._work.spend()
            part = rest.pop()
            if part == "..":
                if where:
                    trail.pop()
                    where.pop()
                continue
            entry = self._child(trail[-1], part)
            match entry:
                case MergedDirectory():
                    trail.append(entry)
                    where.append(part)
                case None:
                    return Undecided(_normalise([*where, part, *rest[::-1]]))
                case Undecided():
                    return entry
                case _, Symlink(target=target) if rest or follow:
                    self._links += 1
                    if self._links > MAX_LINKS:
                        return Found("/".join([*where, part]), TOO_MANY_LINKS, len(self._stack.layers))
                    if target.startswith("/"):
                        trail, where = trail[:1], []
                    rest += components(target)[::-1]
                case number, (FileNode() | Special() | Symlink()) as node if not rest:
                    return Found("/".join([*where, part]), node, number)
                case _:
                    return Missing("/".join([*where, part, *rest[::-1]]))
        return Found("/".join(where), trail[-1])

    def _child(self, view: MergedDirectory, name: str) -> tuple[int, Node] | MergedDirectory | Undecided | None:
        entry = self._stack.child(view, name)
        if isinstance(entry, tuple) and isinstance(entry[1], Link):
            return self._linked(entry[0], entry[1].target)
        return entry

    def _linked(self, number: int, target: str) -> tuple[int, Node] | Undecided:
        """The target of a hard link in the layers below number *number*."""
        self._links += 1
        if self._links > MAX_LINKS:
            return len(self._stack.layers), TOO_MANY_LINKS
        match self.lookup(components(target), number + 1, follow=False):
            case Undecided() as answer:
                return answer
            case Found(node=FileNode() | Special() | Symlink() as node, layer=layer):
                return layer, node
            case Found():
                return number, Special("a hard link to a directory", broken=True)
            case Missing():
                return number, Special(f"a hard link to {target!r}, which does not exist", broken=True)


def _normalise(path: list[str]) -> str:
    """*path* with `..` resolved lexically: correct as long as it contains no links."""
    components: list[str] = []
    for part in path:
        if part == "..":
            components = components[:-1]
        else:
            components.append(part)
    return "/".join(components)
