"""The URL a blob is fetched from: the registry's own, or that of the store it redirects to."""

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
    """One blob. The target of the registry's redirect is reused until requests to it fail."""

    def __init__(self, client: RegistryClient, url: Url) -> None:
        self.url = url
        self._client = client
        self._store: Url | None = None

    def get(self, byte_range: str = "") -> Response:
        """The response to a GET with the Range header *byte_range*, if any. Raises as `send_once` does."""
        store_url = self._store
        if store_url is not None:
            try:
                return self._get(store_url, byte_range)
            except TransientError:
                raise
            except TransportError:
                self._store = None  # its signature may have expired
        response = self._get(self.url, byte_range)
        self._store = response.url if response.url != self.url else None
        return response

    def _get(self, url: Url, byte_range: str) -> Response:
        headers = {"Range": byte_range} if byte_range else {}
        return self._client.send_once(Request(method="GET", url=url, headers=headers), accept=(200, 206, 416))


def matches_range(response: Response, first: int, last: int | None) -> bool:
    """Whether the Content-Range of a 206 *response* is from *first* to *last* (None: to the end), consistently."""
    content_range = _CONTENT_RANGE.fullmatch(response.header("Content-Range").strip())
    if content_range is None or int(content_range[1]) != first or (last is not None and int(content_range[2]) != last):
        return False
    whole = last is not None or content_range[3] == "*" or int(content_range[2]) == int(content_range[3]) - 1
    return whole and response.length in (None, int(content_range[2]) - first + 1)
