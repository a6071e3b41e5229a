"""Paths that an engine's container does not show as they are in the image.

Docker places files of its own over the image when a container is created (moby, daemon/initlayer/setup_unix.go): empty
files, directories, and a link, replacing links of the image. podman adds others when it starts a container. Volumes and
other mounts hide what is below them, and podman populates volumes only when a container starts.
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
"""Paths that the engine turns into directories, whatever they are in the image."""
_ABOUT_PATHS: Final = ("too many links", "too many levels of symbolic links", "not a directory")
_PATTERNS: Final = frozenset("*?[]\\{}")
"""Characters that podman interprets as a pattern (containers/buildah, copier.Get)."""


def is_hidden(path: str, mounts: Iterable[str]) -> bool:
    """Whether the container shows something else at *path*; or in it, if it ends in a slash.

    >>> is_hidden("/etc/hosts", ()), is_hidden("/dev/disk/root", ()), is_hidden("/etc/fstab", ())
    (True, True, False)
    >>> is_hidden("/boot/", ["/boot/data"]), is_hidden("/boot", ["/boot/data"])
    (True, False)
    """
    components = _components(path)
    hidden = (*_ADDED, *map(_components, mounts))
    below = path.endswith("/")
    return any(_is_below(components, each) or (below and _is_below(each, components)) for each in hidden)


def may_be_replaced(path: str) -> bool:
    """Whether a directory on the way to *path* may be a link in the image, so that an existing file is not shown."""
    return not _REPLACED.isdisjoint(_components(path)[:1])


def is_pattern(path: str) -> bool:
    """Whether an engine that interprets *path* as a pattern could find another file."""
    return not _PATTERNS.isdisjoint(path)


def is_encodable(path: str) -> bool:
    """Whether *path* is valid UTF-8: engines speak JSON, and podman does not find other names."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_about_path(message: str) -> bool:
    """Whether an engine's error is about a path in the image: a loop of links, or a file instead of a directory."""
    return any(each in message for each in _ABOUT_PATHS)


def _components(path: str) -> tuple[str, ...]:
    return tuple(word for word in posixpath.normpath("/" + path).split("/") if word)


def _is_below(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether *path* is *other* or below it."""
    return path[: len(other)] == other
