"""What one layer says, as a tree of names."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Directory:
    """A directory. *named*: the layer has an entry for it, so it is no link; else it was only seen in longer names.

    *hides*: nothing of lower layers shows through (an opaque directory, or one that replaced something).
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
    """A hard link to what lower layers have at *target*."""

    target: str


@dataclass(frozen=True, slots=True)
class Special:
    """Something that cannot be read: *what* it is, for people. *broken*: it should not even be in a layer."""

    what: str
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Whiteout:
    """What lower layers have under this name is deleted."""


Node = Directory | FileNode | Symlink | Link | Special | Whiteout

WHITEOUT = Whiteout()


def components(path: str) -> list[str]:
    """The components of *path*; empty ones and `.` say nothing.

    >>> components("/boot//./vmlinuz")
    ['boot', 'vmlinuz']
    """
    return [part for part in path.split("/") if part not in ("", ".")]
