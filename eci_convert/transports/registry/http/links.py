"""Link headers (RFC 8288 §3), of which one says where a list goes on."""

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
    """Where the Link headers *link*, joined by commas, say that the list of *url* goes on: on the same server, or
    TransportError. None where it ends."""
    target = next((target for target, relations in _links(link[:_MAX_LENGTH]) if "next" in relations), None)
    if target is None:
        return None
    following = url.joined(target)
    following = following.secured(url, url) or following
    if following.origin != url.origin:
        raise TransportError(f"{url.authority} says that its list goes on at {following.authority}: refused")
    return following


def _links(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """The targets in *text* with their relations; of two parameters `rel` the first counts (RFC 8288, section 3.3). Targets and quoted
    values may hold commas and semicolons. What is no link ends the reading."""
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
