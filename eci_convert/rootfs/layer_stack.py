"""Paths looked up in the layers known so far, the top one first.

An answer is final: no layer that is not known yet can change it. Where one could, the answer is Unknown, and says which
name the next layer would have to have.
"""

from __future__ import annotations

from dataclasses import dataclass

from eci_convert.rootfs.layer_tree import LayerTree
from eci_convert.rootfs.limits import MAX_LINKS, Budget
from eci_convert.rootfs.nodes import WHITEOUT, Directory, FileNode, Link, Node, Special, Symlink, Whiteout, components


@dataclass(frozen=True, slots=True)
class MergedDirectory:
    """A directory as the layers show it: what each has of it, the top one first. *open*: lower layers may have more."""

    layers: tuple[tuple[int, Directory], ...]
    open: bool

    def names(self) -> list[str]:
        """What can be seen in it, directories left out."""
        seen: dict[str, Node] = {}
        for _, directory in self.layers:
            for name, node in directory.children.items():
                seen.setdefault(name, node)
        return [name for name, node in seen.items() if not isinstance(node, Whiteout | Directory)]


@dataclass(frozen=True, slots=True)
class Found:
    """*path*, without links on the way, is *node*: of layer number *layer* (0 is the top one), or a directory."""

    path: str
    node: FileNode | Special | Symlink | MergedDirectory
    layer: int = 0


@dataclass(frozen=True, slots=True)
class Undecided:
    """Lower layers decide: the next may have *path*."""

    path: str


@dataclass(frozen=True, slots=True)
class Missing:
    """There is nothing at *path*, which is where the links led."""

    path: str


Lookup = Found | Undecided | Missing


class Stack:
    """The layers of an image, known from the top down. *complete*: the lowest of them is known too."""

    def __init__(self, work: Budget) -> None:
        self.layers: list[LayerTree] = []
        self.complete = False
        self.work = work

    def lookup(self, path: str, *, below: int = 0, follow: bool = True) -> Lookup:
        """What *path* is, as the layers from number *below* on show it; links are followed, a last one if *follow*.

        `..` stops at the root. More than 40 links are an Odd thing that is broken.
        """
        return _Lookup(self, self.work).lookup(components(path), below, follow=follow)

    def root(self, below: int) -> MergedDirectory:
        """The root directory as the layers from number *below* on show it."""
        found: list[tuple[int, Directory]] = []
        for number in range(below, len(self.layers)):
            found.append((number, self.layers[number].root))
            if self.layers[number].root.opaque:
                return MergedDirectory(tuple(found), open=False)
        return MergedDirectory(tuple(found), open=not self.complete)

    def child(self, view: MergedDirectory, name: str) -> tuple[int, Node] | MergedDirectory | None:
        """What *view* shows under *name*; None if lower layers decide, GONE if nothing is there."""
        found: list[tuple[int, Directory]] = []
        for number, directory in view.layers:
            self.work.spend()
            node = directory.children.get(name)
            if node is None:
                continue
            if not isinstance(node, Directory):
                return MergedDirectory(tuple(found), open=False) if found else (number, node)
            found.append((number, node))
            if node.opaque:
                return MergedDirectory(tuple(found), open=False)
        if found:
            return MergedDirectory(tuple(found), open=view.open)
        return None if view.open else (len(self.layers), WHITEOUT)


TOO_MANY_LINKS = Special("behind too many levels of symbolic links", broken=True)


class _Lookup:
    """One lookup, and those that hard links make of it. They share one limit on links."""

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
            found = self._child(trail[-1], part)
            match found:
                case MergedDirectory():
                    trail.append(found)
                    where.append(part)
                case None:
                    return Undecided(_normalise([*where, part, *rest[::-1]]))
                case Undecided():
                    return found
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
        found = self._stack.child(view, name)
        if isinstance(found, tuple) and isinstance(found[1], Link):
            return self._linked(found[0], found[1].target)
        return found

    def _linked(self, number: int, target: str) -> tuple[int, Node] | Undecided:
        """What the layers below number *number* have where a hard link leads."""
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
    """*path* with `..` taken by its letters: a guess, as long as nobody knows of links in it."""
    found: list[str] = []
    for part in path:
        if part == "..":
            found = found[:-1]
        else:
            found.append(part)
    return "/".join(found)
