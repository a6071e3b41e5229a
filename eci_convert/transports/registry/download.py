"""A blob's bytes in order, however often the connection is cut (RFC 9110 §14).

After a cut the rest is asked for with `Range`. A server that ignores it, or says it sends something else than was
asked, is sent back to the beginning, and what is known already is read past.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import TracebackType

from eci_convert.oci.manifest import Descriptor
from eci_convert.transports.registry.client import Client
from eci_convert.transports.registry.patience import Transient
from eci_convert.transports.registry.wire import Answer, Request

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)


class Download:
    """A context manager whose value is the iterator of a blob's bytes from offset *skip*, unverified.

    Entering it asks for the blob, so that a missing one is missed at once.
    """

    def __init__(self, client: Client, blob: Descriptor, skip: int) -> None:
        self._client = client
        self._url = client.url(f"blobs/{blob.digest}")
        self._size = blob.size
        self._offset = skip
        self._answer: Answer | None = None
        self._ranges = True

    def __enter__(self) -> Iterator[bytes]:
        patience = self._client.patience(self._size)
        while self._offset < self._size and self._answer is None:
            try:
                self._answer = self._opened()
            except Transient as error:
                patience.after(error)
        return self._pieces()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _pieces(self) -> Iterator[bytes]:
        patience = self._client.patience(self._size)
        while self._offset < self._size:
            try:
                for piece in self._rest():
                    self._offset += len(piece)
                    patience.progressed(len(piece))
                    yield piece
                return
            except Transient as error:
                self._close()
                patience.after(error)

    def _rest(self) -> Iterator[bytes]:
        """What one connection gives from where we are, and a byte more than promised at most, which tells on it.

        Raises Transient where it gives less than it said it would.
        """
        answer = self._answer = self._answer or self._opened()
        at, ends = (self._offset, None) if answer.status == 206 else (0, answer.length)
        for piece in answer.pieces():
            known = max(0, self._offset - at)
            at += len(piece)
            if len(piece) > known:
                yield piece[known : known + self._size - self._offset + 1] if known or at > self._size else piece
            if at > self._size:
                return
        if at < self._size and at != ends:
            raise Transient(f"{answer.url.shown}: the answer ended after {at} of {self._size} bytes")

    def _opened(self) -> Answer:
        headers = {"Range": f"bytes={self._offset}-"} if self._offset and self._ranges else {}
        answer = self._client.once(
            Request(method="GET", url=self._url, headers=headers), accept=(200, 206, 416) if headers else (200,)
        )
        if answer.status == 200 or (answer.status == 206 and is_as_asked(answer, self._offset, None)):
            return answer
        answer.close()
        self._ranges = False
        return self._opened()

    def _close(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()


def is_as_asked(answer: Answer, first: int, last: int | None) -> bool:
    """Whether the 206 *answer* says that it is the bytes from *first* to *last* (None: to the end), and means them."""
    said = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
    if said is None or int(said[1]) != first or (last is not None and int(said[2]) != last):
        return False
    whole = last is not None or said[3] == "*" or int(said[2]) == int(said[3]) - 1
    return whole and answer.length in (None, int(said[2]) - first + 1)
