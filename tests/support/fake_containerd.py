"""A containerd for tests: its API over a real socket, its content in memory, and a log of what was asked of it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from eci_convert.oci.digest import Digest
from eci_convert.transports.containerd.proto import containerd_pb2 as api
from eci_convert.transports.settings import Settings

_PREFIX = "containerd.services."


@dataclass(slots=True)
class AContainerd:
    """What it has. *log* holds one line a request; *fails* and *silent* say how it misbehaves."""

    address: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    ingests: dict[str, bytearray] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    images: dict[str, api.Image] = field(default_factory=dict)
    leases: dict[str, set[str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    namespaces: set[str] = field(default_factory=set)
    received: int = 0
    chunk: int = 1 << 20
    fails: dict[str, tuple[grpc.StatusCode, str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def settings(self) -> Settings:
        return Settings(address=self.address, timeout=5)

    def begin(self, what: str, detail: str, context: grpc.ServicerContext) -> None:
        self.log.append(f"{what} {detail}".strip())
        self.namespaces |= {str(text) for key, text in context.invocation_metadata() if key == "containerd-namespace"}
        if what in self.fails:
            context.abort(*self.fails[what])
        if what in self.silent:
            self.released.wait(60)

    # content

    def info(self, request: api.InfoRequest, context: grpc.ServicerContext) -> api.InfoResponse:
        self.begin("Info", request.digest, context)
        if request.digest not in self.blobs:
            context.abort(grpc.StatusCode.NOT_FOUND, f"content {request.digest}: not found")
        size, labels = len(self.blobs[request.digest]), self.labels.get(request.digest, {})
        return api.InfoResponse(info=api.Info(digest=request.digest, size=size, labels=labels))

    def update(self, request: api.UpdateInfoRequest, context: grpc.ServicerContext) -> api.InfoResponse:
        self.begin("Label", request.info.digest, context)
        for path in request.update_mask.paths:
            key = path.removeprefix("labels.")
            self.labels.setdefault(request.info.digest, {})[key] = request.info.labels[key]
        return api.InfoResponse(info=request.info)

    def read(self, request: api.ReadRequest, context: grpc.ServicerContext) -> Iterator[api.ReadResponse]:
        self.begin("Read", f"{request.digest} from {request.offset}", context)
        if request.digest not in self.blobs:
            context.abort(grpc.StatusCode.NOT_FOUND, f"content {request.digest}: not found")
        blob = self.blobs[request.digest]
        for start in range(request.offset, len(blob), self.chunk):
            yield api.ReadResponse(offset=start, data=blob[start : start + self.chunk])
            if "Chunk" in self.silent:
                self.released.wait(60)

    def write(self, requests: Iterator[api.WriteRequest], context: grpc.ServicerContext) -> Iterator[api.WriteResponse]:
        ref = ""
        try:
            for request in requests:
                name = api.WriteAction.Name(request.action)
                if not ref:
                    self.begin("Stat", request.ref, context)
                    ref = self._held(request, context)
                yield self._written(request, name, context)
        finally:
            self.held.discard(ref)

    def _held(self, request: api.WriteRequest, context: grpc.ServicerContext) -> str:
        if request.expected in self.blobs:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"content {request.expected}: already exists")
        if request.ref in self.held:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"ref {request.ref} locked for 1s")
        self.held.add(request.ref)
        self.ingests.setdefault(request.ref, bytearray())
        return request.ref

    def _written(self, request: api.WriteRequest, name: str, context: grpc.ServicerContext) -> api.WriteResponse:
        there = self.ingests[request.ref]
        if name != "STAT":
            self.begin(name.title(), request.expected, context)
            if not request.offset:
                there.clear()
            if request.offset != len(there):
                context.abort(grpc.StatusCode.OUT_OF_RANGE, "write must occur at current offset")
            there += request.data
            self.received += len(request.data)
        digest = f"sha256:{hashlib.sha256(there).hexdigest()}"
        if name == "COMMIT":
            if request.expected != digest:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "unexpected commit digest")
            self.blobs[digest] = bytes(self.ingests.pop(request.ref))
        return api.WriteResponse(action=request.action, offset=len(there), digest=digest)

    def abort(self, request: api.AbortRequest, context: grpc.ServicerContext) -> api.Empty:
        self.begin("Abort", request.ref, context)
        self.ingests.pop(request.ref, None)
        return api.Empty()

    # images

    def get(self, request: api.GetImageRequest, context: grpc.ServicerContext) -> api.ImageResponse:
        self.begin("Get", request.name, context)
        if request.name not in self.images:
            context.abort(grpc.StatusCode.NOT_FOUND, f"image {request.name!r}: not found")
        return api.ImageResponse(image=self.images[request.name])

    def list(self, request: api.ListImagesRequest, context: grpc.ServicerContext) -> api.ListImagesResponse:
        self.begin("List", "", context)
        return api.ListImagesResponse(images=self.images.values())

    def create(self, request: api.CreateImageRequest, context: grpc.ServicerContext) -> api.ImageResponse:
        self.begin("Create", request.image.name, context)
        self.images[request.image.name] = request.image
        return api.ImageResponse(image=request.image)

    def move(self, request: api.UpdateImageRequest, context: grpc.ServicerContext) -> api.ImageResponse:
        self.begin("Update", " ".join((request.image.name, *request.update_mask.paths)), context)
        self.images[request.image.name].target.CopyFrom(request.image.target)
        return api.ImageResponse(image=self.images[request.image.name])

    def delete(self, request: api.DeleteImageRequest, context: grpc.ServicerContext) -> api.Empty:
        self.begin("Delete", f"{request.name}{' and collect' if request.sync else ''}", context)
        if self.images.pop(request.name, None) is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"image {request.name!r}: not found")
        return api.Empty()

    # leases

    def lease(self, request: api.CreateLeaseRequest, context: grpc.ServicerContext) -> api.CreateLeaseResponse:
        self.begin("Lease", " ".join(request.labels), context)
        self.leases[request.id] = set()
        return api.CreateLeaseResponse(lease=api.Lease(id=request.id))

    def keep(self, request: api.AddResourceRequest, context: grpc.ServicerContext) -> api.Empty:
        self.begin("Keep", request.resource.id, context)
        self.leases[request.id].add(request.resource.id)
        return api.Empty()

    def release(self, request: api.DeleteLeaseRequest, context: grpc.ServicerContext) -> api.Empty:
        self.begin("Release", "", context)
        if self.leases.pop(request.id, None) is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"lease {request.id}: not found")
        return api.Empty()

    def spoil(self, digest: Digest) -> None:
        blob = bytearray(self.blobs[str(digest)])
        blob[len(blob) // 2] ^= 1
        self.blobs[str(digest)] = bytes(blob)


@contextmanager
def a_containerd(folder: Path) -> Iterator[AContainerd]:
    """One that listens on a socket in *folder* until the block ends."""
    there = AContainerd(address=str(folder / "containerd.sock"))
    server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    for service, methods in _services(there).items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_PREFIX + service, methods),))
    server.add_insecure_port(f"unix:{there.address}")
    server.start()
    try:
        yield there
    finally:
        there.released.set()
        server.stop(0).wait()


def _services(there: AContainerd) -> dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]:
    return {
        "content.v1.Content": {
            "Info": _one(there.info, api.InfoRequest),
            "Update": _one(there.update, api.UpdateInfoRequest),
            "Read": _handler(grpc.unary_stream_rpc_method_handler, there.read, api.ReadRequest),
            "Write": _handler(grpc.stream_stream_rpc_method_handler, there.write, api.WriteRequest),
            "Abort": _one(there.abort, api.AbortRequest),
        },
        "version.v1.Version": {
            "Version": _one(lambda request, context: api.VersionResponse(version="v1.7.99"), api.Empty),
        },
        "images.v1.Images": {
            "Get": _one(there.get, api.GetImageRequest),
            "List": _one(there.list, api.ListImagesRequest),
            "Create": _one(there.create, api.CreateImageRequest),
            "Update": _one(there.move, api.UpdateImageRequest),
            "Delete": _one(there.delete, api.DeleteImageRequest),
        },
        "leases.v1.Leases": {
            "Create": _one(there.lease, api.CreateLeaseRequest),
            "AddResource": _one(there.keep, api.AddResourceRequest),
            "Delete": _one(there.release, api.DeleteLeaseRequest),
        },
    }


def _one(behaviour: Callable[..., Any], request: Any) -> grpc.RpcMethodHandler[Any, Any]:
    return _handler(grpc.unary_unary_rpc_method_handler, behaviour, request)


def _handler(
    make: Callable[..., grpc.RpcMethodHandler[Any, Any]], behaviour: Callable[..., Any], request: Any
) -> grpc.RpcMethodHandler[Any, Any]:
    return make(
        behaviour,
        request_deserializer=request.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
