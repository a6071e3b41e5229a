"""Digests (image-spec v1.1.1, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from eci_convert.errors import DigestMismatchError, FormatError

_REGISTERED = {"sha256": 64, "sha512": 128}
_SYNTAX = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


class Hasher(Protocol):
    """The interface of hashes in `hashlib`."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest with a registered algorithm (sha256 or sha512) and lower-case hexadecimal digits.

    >>> Digest.parse("sha256:" + 64 * "0").short
    'sha256:000000000000'
    """

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str, *, where: str = "digest") -> Self:
        """The digest *text*. Raises FormatError for invalid text and unregistered algorithms."""
        if len(text) > 256 or not _SYNTAX.fullmatch(text):
            raise FormatError(f"{text[:80]!r} is not a digest", where=where)
        algorithm, _, digits = text.partition(":")
        if algorithm not in _REGISTERED:
            raise FormatError(f"digest algorithm {algorithm!r} is not supported (sha256 and sha512 are)", where=where)
        if len(digits) != _REGISTERED[algorithm] or not _HEX.fullmatch(digits):
            raise FormatError(f"{text!r} is not a {algorithm} digest", where=where)
        return cls(algorithm, digits)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """The digest of *content*."""
        return cls(algorithm, hashlib.new(algorithm, content, usedforsecurity=False).hexdigest())

    def hasher(self) -> Hasher:
        """A new hash with this digest's algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def check(self, content: bytes, what: str = "content") -> None:
        """Raises DigestMismatchError unless *content* has this digest."""
        actual = Digest.of(content, self.algorithm)
        if actual != self:
            raise DigestMismatchError(self, actual, what)

    @property
    def short(self) -> str:
        """The first twelve digits, for display."""
        return f"{self.algorithm}:{self.hex[:12]}"

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
