"""A gRPC channel to one containerd, in one namespace: errors are translated, and every call has a time limit.

Methods are called by their path, with containerd's own names on the wire (containerd API v1, 1.6 to 2.x).
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
    ("grpc.default_authority", "localhost"),  # the default is the percent-encoded path, which Go's server refuses
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),  # with it, reading takes more memory on a busy computer, and no less time
)

ResponseT = TypeVar("ResponseT", bound=Message)


class ContainerdConnection:
    """A channel that is opened on first use. Thread-safe."""

    def __init__(self, address: str, namespace: str, timeout: float, reporter: Reporter = NULL_REPORTER) -> None:
        self.address = address
        self._reporter = reporter
        self.namespace = namespace
        self._metadata = (("containerd-namespace", namespace),)
        self._timeout = timeout
        _check_reachable(address, timeout)
        self._channel = grpc.insecure_channel(f"unix:{address}", options=_OPTIONS)
        self._watch = StallWatch(timeout)

    def call(self, method: str, request: Message, response_type: type[ResponseT], what: str) -> ResponseT:
        """The response to one request. *what* names the request in errors. Raises subclasses of TransportError."""
        call = self._channel.unary_unary(
            method, request_serializer=_serialized, response_deserializer=response_type.FromString
        )
        with translated_grpc_errors(what), waiting(self._reporter, "containerd to answer"):
            response: ResponseT = call(request, timeout=self._timeout, metadata=self._metadata)
        return response

    @contextmanager
    def server_stream(
        self, method: str, request: Message, response_type: type[ResponseT]
    ) -> Iterator[WatchedStream[ResponseT]]:
        """The stream of responses to one request, for the duration of the block."""
        stub = self._channel.unary_stream(
            method, request_serializer=_serialized, response_deserializer=response_type.FromString
        )
        grpc_call: CancellableCall[ResponseT] = stub(request, metadata=self._metadata)
        with self._watch.over(grpc_call) as stream:
            yield stream

    @contextmanager
    def bidirectional_stream(
        self, method: str, requests: Iterator[Message], response_type: type[ResponseT]
    ) -> Iterator[WatchedStream[ResponseT]]:
        """The stream of responses to the stream *requests*, which another thread iterates, for the duration of the
        block."""
        stub = self._channel.stream_stream(
            method, request_serializer=_serialized, response_deserializer=response_type.FromString
        )
        grpc_call: CancellableCall[ResponseT] = stub(requests, metadata=self._metadata)
        with self._watch.over(grpc_call) as stream:
            yield stream

    def close(self) -> None:
        """Ends all calls and threads."""
        self._channel.close()
        self._watch.close()


def connected(settings: Settings) -> ContainerdConnection:
    """A connection to the containerd configured by *settings* or the environment.

    Raises UsageError, AccessDeniedError, and TransportError if the connection is refused.
    """
    environ: Mapping[str, str] = settings.environ
    address = settings.address or environ.get("CONTAINERD_ADDRESS", "") or DEFAULT_ADDRESS
    namespace = settings.namespace or environ.get("CONTAINERD_NAMESPACE", "") or DEFAULT_NAMESPACE
    if len(namespace) > 76 or not _NAMESPACE.fullmatch(namespace):
        raise UsageError(f"{namespace!r} is not a valid containerd namespace")
    path = address.removeprefix("unix://").removeprefix("unix:")
    if not path.startswith("/"):
        raise UsageError(f"{address!r} is not an absolute path to containerd's socket")
    return ContainerdConnection(path, namespace, settings.timeout, settings.reporter)


@contextmanager
def translated_grpc_errors(what: str, watched: WatchedStream[ResponseT] | None = None) -> Iterator[None]:
    """Translates gRPC errors in the block. *what* names the request in errors."""
    try:
        yield
    except grpc.RpcError as error:
        if watched and watched.stalled:
            raise TransportError(f"{what}: timed out: no response from containerd for {watched.timeout:g} s") from error
        raise _translate(error, what) from error


def grpc_status(error: BaseException | None) -> grpc.StatusCode | None:
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


def _translate(error: grpc.RpcError, what: str) -> EciError:
    if not isinstance(error, grpc.Call):
        return TransportError(f"{what}: {type(error).__name__}")
    details = " ".join((error.details() or error.code().name).split())
    if any(words in details for words in _NO_SPACE):
        local_error: EciError = LocalError(f"{what}: containerd: {details!r}")
        local_error.add_note("hint: free some space in containerd's root directory")
        return local_error
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TransportError(f"{what}: timed out waiting for containerd")
    return _KINDS.get(error.code(), TransportError)(f"{what}: containerd: {details!r}")


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _check_reachable(address: str, timeout: float) -> None:
    """Connects to the socket once: gRPC would retry silently, and would not report the reason."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(address)
        except OSError as error:
            raise _connect_error(address, error) from error


def _connect_error(address: str, error: OSError) -> TransportError:
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError):
        denied = AccessDeniedError(f"containerd's socket {address!r}: {reason.lower()}")
        denied.add_note("hint: run as root, or as a user with access to the socket")
        return denied
    failure = TransportError(f"containerd's socket {address!r}: {reason.lower()}")
    failure.add_note("hint: is containerd running? --address or CONTAINERD_ADDRESS sets the path of its socket")
    return failure
