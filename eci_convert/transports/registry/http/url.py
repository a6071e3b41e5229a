"""URLs as values: what a registry says in a header becomes one of these, or is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from eci_convert.errors import TransportError

_PORTS = {"http": 80, "https": 443}
_STRANGE = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._~-]+)?", re.ASCII)
_BRACKETED = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?", re.ASCII)
_ENCODED = re.compile(r" |[^\x00-\x7f]")
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://[^/?#]*)?")
_MAX_LENGTH = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """An http or https URL without user information and fragment. *host* is lower case, an IPv6 address bare.

    *target* is the path with the query, as it goes into a request line.
    """

    scheme: str
    host: str
    port: int
    target: str = "/"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The URL that *text* spells. Raises TransportError, whose message does not repeat the query."""
        shown = text.partition("?")[0][:200]
        if "@" in text:  # a password may hold anything
            shown = f"{shown.partition('//')[0]}//***"
        if len(text) > _MAX_LENGTH or _STRANGE.search(text):
            raise TransportError(f"{shown!r}… is not a URL")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:  # which repeats a part of it
            raise TransportError(f"{shown!r} is not a URL") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise TransportError(f"{shown!r} is not an http or https URL")
        if parts.username is not None or parts.password is not None:
            raise TransportError(f"a URL of {parts.hostname!r} carries a user's name, which is refused")
        if not _HOST.fullmatch(parts.hostname) or ("[" in parts.netloc and not _BRACKETED.fullmatch(parts.netloc)):
            raise TransportError(f"{parts.hostname[:200]!r} in a URL is not the name of a host")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            target=target,
        )

    @classmethod
    def of_host(cls, scheme: str, host: str) -> Self:
        """The root of the registry *host*, which may carry a port."""
        return cls.parse(f"{scheme}://{host}/")

    def at(self, target: str) -> Self:
        """The URL of *target* on the same server."""
        return replace(self, target=target)

    def joined(self, location: str) -> Url:
        """What *location*, a header's relative or absolute URL, means when this URL was asked for. Spaces and letters
        beyond ASCII are encoded, but for those of a host.

        Raises TransportError.
        """
        location = _encoded(location.strip(" \t"))
        try:
            return Url.parse(location if _STRANGE.search(location) else urljoin(str(self), location))
        except ValueError as error:
            raise TransportError(f"{self.authority} leads to what is not a URL") from error

    def secured(self, asked: Url, registry: Url) -> Url | None:
        """This URL, to which *asked* leads; None where that would be from TLS to plain text.

        A server behind a TLS proxy may not know that it is: a plain URL of itself, or of a *registry* over TLS, with
        its own port or none, means that very server.
        """
        if asked.scheme != "https" or self.scheme != "http":
            return self
        for server in (asked, registry):
            if server.scheme == "https" and server.host == self.host and self.port in (server.port, _PORTS["http"]):
                return server.at(self.target)
        return None

    def with_query(self, name: str, value: str) -> Self:
        """The URL with one more parameter; what is there is left exactly as the server spelt it."""
        mark = "&" if "?" in self.target else "?"
        return replace(self, target=f"{self.target}{mark}{name}={quote(value, safe='', errors='surrogateescape')}")

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what credentials are for."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as the Host header wants them: without the port that the scheme implies."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """The URL for people and logs: queries hold signatures and states, so only their names are told."""
        path, mark, query = self.target.partition("?")
        names = "&".join(f"{name}=…" for name, _ in parse_qsl(query, keep_blank_values=True)[:20])
        return f"{self.scheme}://{self.authority}{path}{mark}{names}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def _encoded(location: str) -> str:
    """*location* with spaces and letters beyond ASCII in its path and query as browsers and Go encode them. Header
    fields are read as Latin-1, so that each letter is a byte."""
    match = _AUTHORITY.match(location)
    start = match.end() if match else 0
    if _STRANGE.search(location, 0, start):
        return location
    return location[:start] + _ENCODED.sub(_percent, location[start:])


def _percent(match: re.Match[str]) -> str:
    letter = match[0]
    return quote(letter.encode("latin-1" if ord(letter) < 256 else "utf-8"), safe="")
