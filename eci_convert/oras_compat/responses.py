"""Responses as `requests.Response`, which oras-py's methods return."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

import requests
from requests.structures import CaseInsensitiveDict

from eci_convert.oci.digest import Digest
from eci_convert.streams.hashing import verified
from eci_convert.transports.registry.http.response import READ_SIZE, Response

_MAX_CONTENT = 1 << 30
"""Bytes of a body that is not streamed: more has to be streamed."""


def empty_response(status: int, url: str, headers: Mapping[str, str], method: str = "PUT") -> requests.Response:
    """A response without a body, for what took several requests."""
    response = requests.Response()
    response.status_code = status
    response.reason = http.client.responses.get(status, "")
    response.url = url
    response.headers = CaseInsensitiveDict(headers)
    response.request = requests.Request(method, url).prepare()
    _set_content(response, b"")
    return response


def requests_response(response: Response, *, stream: bool) -> requests.Response:
    """*response* as one of requests. Not *stream*: its body is read, and its connection released."""
    headers = {name: ", ".join(response.header_lines(name)) for name in response.header_names()}
    converted = empty_response(response.status, str(response.url), headers, response.method)
    if stream:
        _set_unread(converted)
        converted.raw = _Raw(response.iter_bytes(), response.close)
        return converted
    with response:
        _set_content(converted, response.read(_MAX_CONTENT))
    return converted


def download_response(
    head: requests.Response,
    download: AbstractContextManager[Iterable[bytes]],
    verify: Callable[[Iterable[bytes]], Iterator[bytes]],
    *,
    stream: bool,
) -> requests.Response:
    """The response to a GET, made of *head*, that to a HEAD, and the body of *download*, passed through *verify*."""
    response = empty_response(200, str(head.url), head.headers, "GET")
    chunks = verify(download.__enter__())
    if not stream:
        try:
            _set_content(response, b"".join(chunks))
        finally:
            download.__exit__(None, None, None)
        return response
    _set_unread(response)
    response.raw = _Raw(chunks, lambda: download.__exit__(None, None, None))
    return response


def content_length(response: requests.Response, digest: Digest) -> int | None:
    """The Content-Length of *response* for the blob *digest*; None if it is missing or impossible."""
    text = response.headers.get("Content-Length", "")
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return None if size == 0 and digest != Digest.of(b"", digest.algorithm) else size


def verified_response(response: requests.Response, digest: Digest, *, stream: bool) -> requests.Response:
    """*response*, to a GET of the blob *digest* and unread, with its body verified unless it tells of an error; not
    *stream*: read."""
    raw = response.raw
    chunks = raw.stream()
    if response.ok:
        chunks = verified(chunks, digest, content_length(response, digest))
    response.raw = _Raw(chunks, raw.close)
    if not stream:
        try:
            _set_content(response, response.raw.read())
        finally:
            raw.close()
    return response


def _set_content(response: requests.Response, content: bytes) -> None:
    _put_content(response, content, consumed=True)


def _set_unread(response: requests.Response) -> None:
    """Requests' word for a body that is still to be read is False."""
    _put_content(response, False, consumed=False)


def _put_content(response: requests.Response, content: object, *, consumed: bool) -> None:
    """Sets what requests keeps to itself (requests 2.32, `Response.content` and `iter_content`)."""
    vars(response).update(_content=content, _content_consumed=consumed)


class _Raw:
    """The interface that requests expects of a body that has not been read."""

    def __init__(self, chunks: Iterator[bytes], close: Callable[[], object]) -> None:
        self._chunks = chunks
        self._close = close
        self._left = b""

    def stream(self, size: int = READ_SIZE, decode_content: bool | None = None) -> Iterator[bytes]:
        """The body, at most *size* bytes at a time, as it is stored."""
        while piece := self.read(size):
            yield piece

    def read(self, size: int | None = None, decode_content: bool | None = None) -> bytes:
        """The next bytes: up to *size* of them, or all."""
        if size is None:
            return self._left + b"".join(self._chunks)
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._left = chunk
        piece, self._left = self._left[:size], self._left[size:]
        return piece

    def close(self) -> None:
        self._close()

    def release_conn(self) -> None:
        self._close()
