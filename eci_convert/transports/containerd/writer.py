"""One open ingest: requests go out through a queue, answers come back a few blocks behind."""

from __future__ import annotations

import queue
from contextlib import ExitStack

from eci_convert.errors import TransportError
from eci_convert.oci.digest import Digest
from eci_convert.transports.containerd.connection import ContainerdConnection, status, translated_grpc_errors
from eci_convert.transports.containerd.libgrpc import grpc
from eci_convert.transports.containerd.proto import containerd_pb2 as api

CONTENT = "/containerd.services.content.v1.Content/"
_UNDER_WAY = 4
"""Blocks that are sent before the first of them is answered."""
_SLOWEST_DISK = 8 << 20
"""Bytes a second: what containerd is given time for when it has to bring a whole blob to its disk."""


class Writer:
    """An exclusive hold on the ingest *ref*. *offset* is how many bytes it has, *begun* the digest of the first ones.

    Raises TransportError whose status is ALREADY_EXISTS if containerd has *digest*, and UNAVAILABLE if somebody else
    holds the ingest.
    """

    def __init__(self, connection: ContainerdConnection, ref: str, digest: Digest | None, size: int | None) -> None:
        self.ref = ref
        self._requests: queue.SimpleQueue[api.WriteRequest | None] = queue.SimpleQueue()
        self._unanswered = 0
        self._stack = ExitStack()
        self._stack.callback(self._requests.put, None)
        exchange = connection.exchange(f"{CONTENT}Write", iter(self._requests.get, None), api.WriteResponse)
        self._answers = self._stack.enter_context(exchange)
        try:
            self._send(api.WriteRequest(action=api.STAT, total=size or 0, expected=str(digest) if digest else ""))
            state = self._answer()
        except BaseException:
            self.close()
            raise
        self.offset, self.begun = state.offset, state.digest

    def write(self, block: bytes) -> None:
        """Sends *block*. An error of it may come with a later one."""
        self._send(api.WriteRequest(action=api.WRITE, offset=self.offset, data=block))
        self.offset += len(block)
        while self._unanswered > _UNDER_WAY:
            self._answer()

    def commit(self, digest: Digest) -> None:
        """Makes content of the ingest, which containerd hashes to *digest*. That somebody was faster is as good."""
        while self._unanswered:
            self._answer()
        self._answers.patience += self.offset / _SLOWEST_DISK
        self._send(api.WriteRequest(action=api.COMMIT, offset=self.offset, total=self.offset, expected=str(digest)))
        try:
            self._answer()
        except TransportError as error:
            if status(error) is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    def close(self) -> None:
        """Lets go of the ingest, which stays as it is unless it was committed."""
        self._stack.close()

    def _send(self, request: api.WriteRequest) -> None:
        request.ref = self.ref
        self._requests.put(request)
        self._unanswered += 1

    def _answer(self) -> api.WriteResponse:
        what = f"content {self.ref!r}"
        with translated_grpc_errors(what, self._answers):
            try:
                answer = self._answers.next()
            except StopIteration as error:
                raise TransportError(f"{what}: containerd ended the exchange") from error
        self._unanswered -= 1
        return answer
