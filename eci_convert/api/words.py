"""Converts text arguments to values; a value is returned as it is. An unknown text is a UsageError that lists the known
ones."""

from __future__ import annotations

from collections.abc import Iterable

from eci_convert.compression.codec import Codec
from eci_convert.dialects import WRITERS
from eci_convert.errors import UsageError
from eci_convert.model import Role
from eci_convert.oci.platform import Platform, parse_platform

ALL = "all"
"""The platform that means every one of an index."""

ENGINE = "docker-daemon"
"""The transport of a name without one, where an image is read."""

_SHORT = {"root": Role.ROOT_DISK, "disk": Role.EXTRA_DISK}


def as_platform(word: Platform | str | None) -> Platform | None:
    """The platform that *word* spells; None and "" are none."""
    return parse_platform(word) if isinstance(word, str) and word else word or None


def as_codec(word: Codec | str) -> Codec:
    """The compression that *word* spells: `gzip`, `zstd:19`, `none`."""
    return Codec.parse(word) if isinstance(word, str) else word


def as_format(word: str, *others: str) -> str:
    """The format that *word* names, a row of `WRITERS` or one of *others*."""
    if word not in WRITERS and word not in others:
        raise UsageError(f"{word!r} is no format: write one of {', '.join((*others, *WRITERS))}")
    return word


def as_role(word: Role | str) -> Role:
    """The role that *word* names: `kernel`, `root` or `disk-root`, …"""
    if word in _SHORT:
        return _SHORT[word]
    if word not in set(Role):
        raise UsageError(f"{word!r} is no role of a part: write one of {', '.join((*_SHORT, *Role))}")
    return Role(word)


def as_roles(words: Iterable[Role | str]) -> tuple[Role, ...]:
    """The roles that *words* name."""
    return tuple(map(as_role, as_words(words)))


def as_words(words: Iterable[str]) -> tuple[str, ...]:
    """*words*, where one word may stand by itself: it is no sequence of letters."""
    return (words,) if isinstance(words, str) else tuple(words)
