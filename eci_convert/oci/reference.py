"""References to images in registries, parsed as by Docker (grammar of github.com/distribution/reference v0.6).

    reference := [ host "/" ] path [ ":" tag ] [ "@" digest ]

The first component is a host if it contains a dot, a colon or an upper-case letter, or is `localhost`; else the host is
`docker.io`, where a name of one component is below `library/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from eci_convert.errors import FormatError, UsageError
from eci_convert.oci.digest import Digest

HUB = "docker.io"
_OLD_HUB = "index.docker.io"
HUB_API = "registry-1.docker.io"
"""The server of HUB's API; helm and oras use this name for Hub."""
_DEFAULT_TAG = "latest"
_MAX_REPOSITORY = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?", re.ASCII)
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}", re.ASCII)
_SHORTENED = re.compile(r"(?:sha256:)?[a-f0-9]{1,63}", re.ASCII)


def registry_name(host: str) -> str:
    """One name for each registry, to compare hosts: Docker Hub has several.

    >>> registry_name("registry-1.docker.io"), registry_name("R.io:5000")
    ('docker.io', 'r.io:5000')
    """
    lower = host.lower()
    return HUB if lower in (HUB, _OLD_HUB, HUB_API) else lower


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference to an image in a registry. *host* may include a port; *tag* is "" for a digest alone.

    If both are given, the digest takes precedence.
    """

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference *text*; a name without tag and digest has the tag `latest`. Raises UsageError.

        >>> str(Reference.parse("ubuntu"))
        'docker.io/library/ubuntu:latest'
        >>> str(Reference.parse("localhost/machine:1"))
        'localhost/machine:1'
        """
        if _IDENTIFIER.fullmatch(text):
            raise UsageError(f"{text!r} is an image id, not a reference to an image in a registry")
        name, at, digits = text.partition("@")
        if "/" in digits:
            error = UsageError("credentials are not allowed in an image reference")
            error.add_note("hint: log in, or use --username")
            raise error
        name, tag = _untagged(name)
        host, repository = _split(name)
        if not _HOST.fullmatch(host):
            raise UsageError(f"{host!r} in {text!r} is not a valid registry name")
        if not _REPOSITORY.fullmatch(repository):
            raise _bad_repository(repository, text)
        if len(repository) > _MAX_REPOSITORY:
            raise UsageError(f"the repository's name in {text[:80]!r}… is longer than {_MAX_REPOSITORY} characters")
        if tag is not None and not _TAG.fullmatch(tag):
            raise UsageError(f"{tag!r} in {text!r} is not a valid tag")
        digest = _digest(digits) if at else None
        return cls(host=host, repository=repository, tag=tag or ("" if digest else _DEFAULT_TAG), digest=digest)

    @property
    def name(self) -> str:
        """Host and repository, without tag and digest."""
        return f"{self.host}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The reference as Docker shows it: without defaults.

        >>> Reference.parse("docker.io/library/ubuntu:22.04").familiar
        'ubuntu:22.04'
        """
        first, slash, rest = self.repository.partition("/")
        alone = first == "library" and "/" not in rest and not _IDENTIFIER.fullmatch(rest)
        if self.host != HUB or (slash and _names_host(first)):
            return str(self)
        return (rest if alone else self.repository) + self._suffix

    @property
    def store_name(self) -> str:
        """The name under which a store keeps the image: with its tag, and with its digest only if it has no tag.

        >>> Reference.parse("localhost/machine:1@sha256:" + 64 * "0").store_name
        'localhost/machine:1'
        """
        return f"{self.name}:{self.tag}" if self.tag else str(self)

    def __str__(self) -> str:
        return self.name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def is_repository(name: str) -> bool:
    """Whether *name* is a valid repository name.

    >>> is_repository("team/machine"), is_repository("a repository:b:push")
    (True, False)
    """
    return len(name) <= _MAX_REPOSITORY and _REPOSITORY.fullmatch(name) is not None


def _untagged(name: str) -> tuple[str, str | None]:
    """The text before the last colon, and that behind it, unless the colon belongs to a port."""
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail and "]" not in tail else (name, None)


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not _names_host(first):
        first, rest = HUB, name
    if first == _OLD_HUB:
        first = HUB
    if first == HUB and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _names_host(component: str) -> bool:
    return "." in component or ":" in component or component == "localhost" or component != component.lower()


def _digest(digits: str) -> Digest:
    """The digest *digits*. Errors do not repeat what precedes the `@`: it may be a password."""
    if _SHORTENED.fullmatch(digits):
        short = UsageError(f"{digits!r} is a shortened digest, and only a whole one can follow '@'")
        short.add_note("hint: list -q and list --json print whole digests")
        raise short
    try:
        return Digest.parse(digits)
    except FormatError as error:
        raise UsageError(f"invalid digest after '@': {error}") from error


def _bad_repository(repository: str, text: str) -> UsageError:
    if _REPOSITORY.fullmatch(repository.lower()):
        return UsageError(f"{text!r}: repository name must be lowercase: {repository!r}")
    return UsageError(f"{text!r} is not a valid image reference")
