"""Which paths an engine's container does not show as the image has them.

Docker puts files of its own over the image when a container is created (moby, daemon/initlayer/setup_unix.go): empty
files, directories, and a link; a link of the image in their way is removed. podman adds others when it starts one.
Volumes and other mounts hide what is below them, and podman fills volumes only when a container starts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Final

_ADDED: Final = (
    ("etc", "hosts"),
    ("etc", "hostname"),
    ("etc", "resolv.conf"),
    ("etc", "mtab"),
    ("dev",),
    ("proc",),
    ("sys",),
    (".dockerenv",),
    (".dockerinit",),
    ("run", ".containerenv"),
    ("run", "secrets"),
)
_REPLACED: Final = frozenset({"etc", "dev", "proc", "sys"})
"""What the engine makes a directory of, whatever it is in the image."""
_ABOUT_PATHS: Final = ("too many links", "too many levels of symbolic links", "not a directory")
_PATTERNS: Final = frozenset("*?[]\\{}")
"""Characters that podman takes for a pattern (containers/buildah, copier.Get)."""


def is_hidden(path: str, mounts: Iterable[str]) -> bool:
    """Whether the container shows something else at *path*; or in it, if it ends in a slash.

    >>> is_hidden("/etc/hosts", ()), is_hidden("/dev/disk/root", ()), is_hidden("/etc/fstab", ())
    (True, True, False)
    >>> is_hidden("/boot/", ["/boot/data"]), is_hidden("/boot", ["/boot/data"])
    (True, False)
    """
    where = _components(path)
    hidden = (*_ADDED, *map(_components, mounts))
    below = path.endswith("/")
    return any(_is_below(where, each) or (below and _is_below(each, where)) for each in hidden)


def may_be_replaced(path: str) -> bool:
    """Whether a directory on the way to *path* may be a link in the image, so that a file is there and not shown."""
    return not _REPLACED.isdisjoint(_components(path)[:1])


def is_pattern(path: str) -> bool:
    """Whether an engine that takes *path* for a pattern could find another file."""
    return not _PATTERNS.isdisjoint(path)


def is_encodable(path: str) -> bool:
    """Whether *path* is text: engines speak JSON, and podman finds no name that is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_about_path(words: str) -> bool:
    """Whether an engine's error says what is at a path in the image: a loop of links, or a file for a directory."""
    return any(each in words for each in _ABOUT_PATHS)


def _components(path: str) -> tuple[str, ...]:
    return tuple(word for word in posixpath.normpath("/" + path).split("/") if word)


def _is_below(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether *path* is *other* or below it."""
    return path[: len(other)] == other
