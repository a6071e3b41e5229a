"""Converts text arguments to values; values are returned unchanged. Raises UsageError, listing the valid texts."""

from __future__ import annotations

from collections.abc import Iterable

from eci_convert.compression.codec import Codec
from eci_convert.dialects import WRITERS
from eci_convert.errors import UsageError
from eci_convert.model import Role
from eci_convert.oci.platform import Platform, parse_platform

ALL = "all"
"""The platform argument for all images of an index."""

ENGINE = "docker-daemon"
"""The transport of a bare name, for images to be read."""

_SHORT = {"root": Role.ROOT_DISK, "disk": Role.EXTRA_DISK}


def as_platform(word: Platform | str | None) -> Platform | None:
    """The platform *word*; None for None and ""."""
    return parse_platform(word) if isinstance(word, str) and word else word or None


def as_codec(word: Codec | str) -> Codec:
    """The compression *word*: `gzip`, `zstd:19`, `none`."""
    return Codec.parse(word) if isinstance(word, str) else word


def as_format(word: str, *others: str) -> str:
    """The format *word*, a row of `WRITERS` or one of *others*."""
    if word not in WRITERS and word not in others:
        raise UsageError(f"{word!r} is not a format: use one of {', '.join((*others, *WRITERS))}")
    return word


def as_role(word: Role | str) -> Role:
    """The role *word*: `kernel`, `root` or `disk-root`, …"""
    if word in _SHORT:
        return _SHORT[word]
    if word not in set(Role):
        raise UsageError(f"{word!r} is not a role: use one of {', '.join((*_SHORT, *Role))}")
    return Role(word)


def as_roles(words: Iterable[Role | str]) -> tuple[Role, ...]:
    """The roles *words*."""
    return tuple(map(as_role, as_words(words)))


def as_words(words: Iterable[str]) -> tuple[str, ...]:
    """*words* as a tuple. A single text is one word, not a sequence of characters."""
    return (words,) if isinstance(words, str) else tuple(words)
