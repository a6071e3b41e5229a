"""Where a blob is fetched from: the registry, or the store that it sends us to."""

from __future__ import annotations

import re

from eci_convert.errors import TransportError
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.connection import Request
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import TransientError
from eci_convert.transports.registry.http.url import Url

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)


class BlobEndpoint:
    """One blob. A registry that redirects to a store is asked once, and again when the store has had enough."""

    def __init__(self, client: RegistryClient, url: Url) -> None:
        self.url = url
        self._client = client
        self._store: Url | None = None

    def opened(self, wanted: str = "") -> Response:
        """The answer to a request for the range *wanted*, or for everything. Raises as `RegistryClient.send_once` does."""
        store = self._store
        if store is not None:
            try:
                return self._asked(store, wanted)
            except TransientError:
                raise
            except TransportError:
                self._store = None  # its signature has expired
        answer = self._asked(self.url, wanted)
        self._store = answer.url if answer.url != self.url else None
        return answer

    def _asked(self, url: Url, wanted: str) -> Response:
        headers = {"Range": wanted} if wanted else {}
        return self._client.send_once(Request(method="GET", url=url, headers=headers), accept=(200, 206, 416))


def matches_range(answer: Response, first: int, last: int | None) -> bool:
    """Whether the 206 *answer* says that it is the bytes from *first* to *last* (None: to the end), and means them."""
    said = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
    if said is None or int(said[1]) != first or (last is not None and int(said[2]) != last):
        return False
    whole = last is not None or said[3] == "*" or int(said[2]) == int(said[3]) - 1
    return whole and answer.length in (None, int(said[2]) - first + 1)
