"""Link headers (RFC 8288 §3) for pagination."""

from __future__ import annotations

import re
from collections.abc import Iterator

from eci_convert.errors import TransportError
from eci_convert.transports.registry.http.url import Url

_MAX_LENGTH = 16384
_TARGET = re.compile(r"[\s,]*<([^<>]*)>", re.ASCII)
_PARAMETER = re.compile(
    r"\s*;\s*(?P<name>[^\s;,=\"<>]*)\s*(?:=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"?|(?P<bare>[^\s;,\"<>]*)))?",
    re.ASCII | re.DOTALL,
)


def next_page(url: Url, link: str) -> Url | None:
    """The next page of *url* according to the Link headers *link*, joined by commas; None on the last page.

    Raises TransportError if it is on another server.
    """
    target = next((target for target, relations in _links(link[:_MAX_LENGTH]) if "next" in relations), None)
    if target is None:
        return None
    next_url = url.joined(target)
    next_url = next_url.secured(url, url) or next_url
    if next_url.origin != url.origin:
        raise TransportError(f"{url.authority} links to the next page on another server, {next_url.authority}: refused")
    return next_url


def _links(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """The targets in *text* with their relations; the first of two `rel` parameters counts (RFC 8288 §3.3). Targets and
    quoted values may contain commas and semicolons. Parsing ends at the first malformed link."""
    at = 0
    while target := _TARGET.match(text, at):
        at = target.end()
        relations: frozenset[str] | None = None
        while (parameter := _PARAMETER.match(text, at)) and parameter.end() > at:
            at = parameter.end()
            if relations is None and parameter["name"].lower() == "rel":
                value = parameter["bare"] if parameter["quoted"] is None else parameter["quoted"]
                relations = frozenset((value or "").lower().split())
        yield target[1], relations or frozenset()
