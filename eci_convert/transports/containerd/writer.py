"""An open ingest: requests are sent through a queue, responses are read a few blocks later."""

from __future__ import annotations

import queue
from contextlib import ExitStack

from eci_convert.errors import TransportError
from eci_convert.oci.digest import Digest
from eci_convert.transports.containerd.connection import ContainerdConnection, grpc_status, translated_grpc_errors
from eci_convert.transports.containerd.libgrpc import grpc
from eci_convert.transports.containerd.proto import containerd_pb2 as api

CONTENT = "/containerd.services.content.v1.Content/"
_MAX_IN_FLIGHT = 4
"""Blocks in flight without a response."""
_SLOWEST_DISK = 8 << 20
"""Bytes a second: how long containerd may take to write a whole blob to its disk."""


class ContentWriter:
    """An exclusive lock on the ingest *ref*, with *offset* bytes written and *digest_so_far* their digest.

    Raises TransportError with status ALREADY_EXISTS if containerd has *digest*, and UNAVAILABLE if another process
    holds the ingest.
    """

    def __init__(self, connection: ContainerdConnection, ref: str, digest: Digest | None, size: int | None) -> None:
        self.ref = ref
        self._requests: queue.SimpleQueue[api.WriteRequest | None] = queue.SimpleQueue()
        self._in_flight = 0
        self._stack = ExitStack()
        self._stack.callback(self._requests.put, None)
        stream = connection.bidirectional_stream(f"{CONTENT}Write", iter(self._requests.get, None), api.WriteResponse)
        self._responses = self._stack.enter_context(stream)
        try:
            self._send(api.WriteRequest(action=api.STAT, total=size or 0, expected=str(digest) if digest else ""))
            state = self._receive()
        except BaseException:
            self.close()
            raise
        self.offset, self.digest_so_far = state.offset, state.digest

    def write(self, block: bytes) -> None:
        """Sends *block*. Its error may be raised by a later call."""
        self._send(api.WriteRequest(action=api.WRITE, offset=self.offset, data=block))
        self.offset += len(block)
        while self._in_flight > _MAX_IN_FLIGHT:
            self._receive()

    def commit(self, digest: Digest) -> None:
        """Commits the ingest as a blob with *digest*. A blob that exists already counts as success."""
        while self._in_flight:
            self._receive()
        self._responses.timeout += self.offset / _SLOWEST_DISK
        self._send(api.WriteRequest(action=api.COMMIT, offset=self.offset, total=self.offset, expected=str(digest)))
        try:
            self._receive()
        except TransportError as error:
            if grpc_status(error) is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    def close(self) -> None:
        """Unlocks the ingest, which is kept unless it was committed."""
        self._stack.close()

    def _send(self, request: api.WriteRequest) -> None:
        request.ref = self.ref
        self._requests.put(request)
        self._in_flight += 1

    def _receive(self) -> api.WriteResponse:
        what = f"content {self.ref!r}"
        with translated_grpc_errors(what, self._responses):
            try:
                response = self._responses.next()
            except StopIteration as error:
                raise TransportError(f"{what}: unexpected EOF: containerd closed the stream") from error
        self._in_flight -= 1
        return response
