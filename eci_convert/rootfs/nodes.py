"""The nodes of a layer's tree."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Directory:
    """A directory. *has_entry*: the layer has an entry for it, so it is not a link; else it occurs only in longer
    names.

    *opaque*: it hides lower layers (an opaque directory, or one that replaced something).
    """

    has_entry: bool
    opaque: bool = False
    children: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileNode:
    """A regular file: the content of the layer's entry number *entry*, counted from 0."""

    entry: int


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Link:
    """A hard link to *target* in lower layers."""

    target: str


@dataclass(frozen=True, slots=True)
class Special:
    """A node that cannot be read: *what* describes it. *broken*: invalid in a layer."""

    what: str
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Whiteout:
    """Deletes this name of lower layers."""


Node = Directory | FileNode | Symlink | Link | Special | Whiteout

WHITEOUT = Whiteout()


def components(path: str) -> list[str]:
    """The components of *path*, without empty ones and `.`.

    >>> components("/boot//./vmlinuz")
    ['boot', 'vmlinuz']
    """
    return [part for part in path.split("/") if part not in ("", ".")]
