"""URLs as values, parsed strictly from what registries send in headers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from eci_convert.errors import TransportError

_PORTS = {"http": 80, "https": 443}
_INVALID = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._~-]+)?", re.ASCII)
_BRACKETED = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?", re.ASCII)
_ENCODED = re.compile(r" |[^\x00-\x7f]")
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://[^/?#]*)?")
_MAX_LENGTH = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """An http or https URL without user information and fragment. *host* is lower case, IPv6 addresses without
    brackets.

    *target* is the path with the query, as in a request line.
    """

    scheme: str
    host: str
    port: int
    target: str = "/"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The URL *text*. Raises TransportError, whose message does not contain the query."""
        shown_text = text.partition("?")[0][:200]
        if "@" in text:  # a password may contain any character
            shown_text = f"{shown_text.partition('//')[0]}//***"
        if len(text) > _MAX_LENGTH or _INVALID.search(text):
            raise TransportError(f"{shown_text!r}… is not a valid URL")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:  # whose message repeats part of the URL
            raise TransportError(f"{shown_text!r} is not a valid URL") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise TransportError(f"{shown_text!r} is not an http or https URL")
        if parts.username is not None or parts.password is not None:
            raise TransportError(f"credentials are not allowed in a URL of {parts.hostname!r}")
        if not _HOST.fullmatch(parts.hostname) or ("[" in parts.netloc and not _BRACKETED.fullmatch(parts.netloc)):
            raise TransportError(f"{parts.hostname[:200]!r} in a URL is not a valid host name")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            target=target,
        )

    @classmethod
    def of_host(cls, scheme: str, host: str) -> Self:
        """The root URL of the registry *host*, which may include a port."""
        return cls.parse(f"{scheme}://{host}/")

    def at(self, target: str) -> Self:
        """The URL of *target* on the same server."""
        return replace(self, target=target)

    def joined(self, location: str) -> Url:
        """The URL of *location*, a relative or absolute URL in a header of the response to this URL. Spaces and
        non-ASCII characters are percent-encoded, except in a host name.

        Raises TransportError.
        """
        location = _encoded(location.strip(" \t"))
        try:
            return Url.parse(location if _INVALID.search(location) else urljoin(str(self), location))
        except ValueError as error:
            raise TransportError(f"{self.authority} redirects to an invalid URL") from error

    def secured(self, request_url: Url, registry: Url) -> Url | None:
        """This URL, to which *request_url* redirects; None if that would downgrade from TLS to plain text.

        A server behind a TLS proxy may not know that it is: a plain URL of its own host, or of a *registry* over TLS,
        with its own port or none, means that server over TLS.
        """
        if request_url.scheme != "https" or self.scheme != "http":
            return self
        for server in (request_url, registry):
            if server.scheme == "https" and server.host == self.host and self.port in (server.port, _PORTS["http"]):
                return server.at(self.target)
        return None

    def with_query(self, name: str, value: str) -> Self:
        """The URL with one more query parameter; the existing query is left exactly as the server sent it."""
        separator = "&" if "?" in self.target else "?"
        return replace(self, target=f"{self.target}{separator}{name}={quote(value, safe='', errors='surrogateescape')}")

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: the scope of credentials."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as in the Host header: without the scheme's default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """The URL for display and logs: only the names of query parameters, because values hold signatures and
        state."""
        path, separator, query = self.target.partition("?")
        names = "&".join(f"{name}=…" for name, _ in parse_qsl(query, keep_blank_values=True)[:20])
        return f"{self.scheme}://{self.authority}{path}{separator}{names}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def _encoded(location: str) -> str:
    """*location* with spaces and non-ASCII characters in its path and query percent-encoded, as browsers and Go do.
    Header fields are read as Latin-1, so that each character is a byte."""
    match = _AUTHORITY.match(location)
    start = match.end() if match else 0
    if _INVALID.search(location, 0, start):
        return location
    return location[:start] + _ENCODED.sub(_percent, location[start:])


def _percent(match: re.Match[str]) -> str:
    character = match[0]
    return quote(character.encode("latin-1" if ord(character) < 256 else "utf-8"), safe="")
