"""One channel to one containerd, in one namespace: foreign errors become ours, and nothing waits for ever.

Calls are made by the path of their method, so the wire carries containerd's own names (containerd API v1, 1.6 to 2.x).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from google.protobuf.message import Message

from eci_convert.errors import AccessDeniedError, EciError, LocalError, NotFoundError, TransportError, UsageError
from eci_convert.progress import NULL_REPORTER, Reporter, waiting
from eci_convert.transports.containerd.libgrpc import grpc
from eci_convert.transports.containerd.stall_watch import CancellableCall, StallWatch, WatchedStream
from eci_convert.transports.settings import Settings

DEFAULT_ADDRESS = "/run/containerd/containerd.sock"
DEFAULT_NAMESPACE = "default"
_NAMESPACE = re.compile(r"[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*", re.ASCII)
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.default_authority", "localhost"),  # else it is the percent-encoded path, which Go's server refuses
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),  # with it, reading takes more memory where the computer is busy, and no less time
)

Answer = TypeVar("Answer", bound=Message)


class ContainerdConnection:
    """A channel that is opened when first used. Methods may be called from several threads."""

    def __init__(self, address: str, namespace: str, timeout: float, reporter: Reporter = NULL_REPORTER) -> None:
        self.address = address
        self._reporter = reporter
        self.namespace = namespace
        self._metadata = (("containerd-namespace", namespace),)
        self._timeout = timeout
        _reachable(address, timeout)
        self._channel = grpc.insecure_channel(f"unix:{address}", options=_OPTIONS)
        self._watch = StallWatch(timeout)

    def ask(self, method: str, request: Message, answer: type[Answer], what: str) -> Answer:
        """The answer to one request. *what* says in an error what was asked for. Raises TransportError and its kin."""
        call = self._channel.unary_unary(
            method, request_serializer=_serialized, response_deserializer=answer.FromString
        )
        with translated_grpc_errors(what), waiting(self._reporter, "containerd to answer"):
            found: Answer = call(request, timeout=self._timeout, metadata=self._metadata)
        return found

    @contextmanager
    def answers(self, method: str, request: Message, answer: type[Answer]) -> Iterator[WatchedStream[Answer]]:
        """The stream of answers to one request; it ends with the `with` block."""
        stub = self._channel.unary_stream(
            method, request_serializer=_serialized, response_deserializer=answer.FromString
        )
        call: CancellableCall[Answer] = stub(request, metadata=self._metadata)
        with self._watch.over(call) as watched:
            yield watched

    @contextmanager
    def exchange(
        self, method: str, requests: Iterator[Message], answer: type[Answer]
    ) -> Iterator[WatchedStream[Answer]]:
        """The stream of answers to the stream *requests*, which another thread takes; it ends with the `with` block."""
        stub = self._channel.stream_stream(
            method, request_serializer=_serialized, response_deserializer=answer.FromString
        )
        call: CancellableCall[Answer] = stub(requests, metadata=self._metadata)
        with self._watch.over(call) as watched:
            yield watched

    def close(self) -> None:
        """Ends every call and every thread."""
        self._channel.close()
        self._watch.close()


def connected(settings: Settings) -> ContainerdConnection:
    """A connection to the containerd that *settings* or the environment name.

    Raises UsageError, AccessDenied, and TransportError where nothing listens.
    """
    environ: Mapping[str, str] = settings.environ
    address = settings.address or environ.get("CONTAINERD_ADDRESS", "") or DEFAULT_ADDRESS
    namespace = settings.namespace or environ.get("CONTAINERD_NAMESPACE", "") or DEFAULT_NAMESPACE
    if len(namespace) > 76 or not _NAMESPACE.fullmatch(namespace):
        raise UsageError(f"{namespace!r} cannot be a namespace of containerd")
    path = address.removeprefix("unix://").removeprefix("unix:")
    if not path.startswith("/"):
        raise UsageError(f"{address!r} is not the path of containerd's socket: it begins with no slash")
    return ContainerdConnection(path, namespace, settings.timeout, settings.reporter)


@contextmanager
def translated_grpc_errors(what: str, watched: WatchedStream[Answer] | None = None) -> Iterator[None]:
    """What gRPC raises in the `with` block, as errors of ours. *what* is what was asked for."""
    try:
        yield
    except grpc.RpcError as error:
        if watched and watched.stalled:
            raise TransportError(f"{what}: containerd said nothing for {watched.patience:g} seconds") from error
        raise _ours(error, what) from error


def status(error: BaseException | None) -> grpc.StatusCode | None:
    """The gRPC status behind *error*, which `translated_grpc_errors` raised; None if there is none."""
    cause = error.__cause__ if error else None
    return cause.code() if isinstance(cause, grpc.Call) else None


_KINDS: dict[grpc.StatusCode, type[EciError]] = {
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.PERMISSION_DENIED: AccessDeniedError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDeniedError,
    grpc.StatusCode.INVALID_ARGUMENT: UsageError,
}
_NO_SPACE = ("no space left on device", "disk quota exceeded")


def _ours(error: grpc.RpcError, what: str) -> EciError:
    if not isinstance(error, grpc.Call):
        return TransportError(f"{what}: {type(error).__name__}")
    said = " ".join((error.details() or error.code().name).split())
    if any(words in said for words in _NO_SPACE):
        found: EciError = LocalError(f"{what}: containerd says {said!r}")
        found.add_note("hint: free space where containerd keeps its content (its `root`)")
        return found
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TransportError(f"{what}: containerd did not answer in time")
    return _KINDS.get(error.code(), TransportError)(f"{what}: containerd says {said!r}")


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _reachable(address: str, timeout: float) -> None:
    """Knock at the socket: gRPC would wait and try again, and would not tell why."""
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(timeout)
        try:
            knock.connect(address)
        except OSError as error:
            raise _connect_error(address, error) from error


def _connect_error(address: str, error: OSError) -> TransportError:
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError):
        denied = AccessDeniedError(f"containerd's socket {address!r}: {reason.lower()}")
        denied.add_note("hint: run as root, or as a user who may use the socket")
        return denied
    found = TransportError(f"containerd's socket {address!r}: {reason.lower()}")
    found.add_note("hint: is containerd running? --address or CONTAINERD_ADDRESS says where its socket is")
    return found
