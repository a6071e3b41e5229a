"""Blobs in containerd's content store: info, reading, labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from eci_convert.errors import LimitExceededError, NotFoundError
from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, parse_manifest
from eci_convert.streams.hashing import verified
from eci_convert.transports.containerd.connection import ContainerdConnection, translated_grpc_errors
from eci_convert.transports.containerd.proto import containerd_pb2 as api
from eci_convert.transports.containerd.stall_watch import WatchedStream
from eci_convert.transports.containerd.writer import CONTENT


def content_info(connection: ContainerdConnection, digest: Digest) -> api.Info | None:
    """containerd's information on the blob *digest*; None if there is no such blob."""
    request = api.InfoRequest(digest=str(digest))
    try:
        return connection.call(f"{CONTENT}Info", request, api.InfoResponse, f"content {digest.short}").info
    except NotFoundError:
        return None


@contextmanager
def read_content(connection: ContainerdConnection, digest: Digest, skip: int = 0) -> Iterator[Iterator[bytes]]:
    """The blob *digest* from offset *skip*, in chunks of 1 MiB, unverified. Raises NotFoundError, TransportError."""
    request = api.ReadRequest(digest=str(digest), offset=skip)
    with connection.server_stream(f"{CONTENT}Read", request, api.ReadResponse) as responses:
        yield _chunks(responses, f"content {digest.short}")


def _chunks(responses: WatchedStream[api.ReadResponse], what: str) -> Iterator[bytes]:
    while True:
        with translated_grpc_errors(what, responses):
            try:
                response = responses.next()
            except StopIteration:
                return
        yield response.data


def read_manifest(connection: ContainerdConnection, descriptor: Descriptor) -> Manifest | Index:
    """The manifest or index *descriptor*, verified. Raises NotFoundError, IntegrityError, FormatError."""
    if descriptor.size > json_fields.MAX_DOCUMENT:
        raise LimitExceededError(
            f"{descriptor.size} bytes (limit {json_fields.MAX_DOCUMENT})", where=f"{descriptor.digest.short}"
        )
    with read_content(connection, descriptor.digest) as chunks:
        content = b"".join(verified(chunks, descriptor.digest, descriptor.size))
    return parse_manifest(content, descriptor.media_type)


def set_labels(connection: ContainerdConnection, digest: Digest, labels: Mapping[str, str]) -> None:
    """Adds *labels* to the blob *digest*; other labels are kept. Raises NotFoundError."""
    info = content_info(connection, digest)
    if info is None:
        raise NotFoundError(f"containerd has no blob {str(digest)!r}")
    changed = {key: value for key, value in labels.items() if info.labels.get(key) != value}
    if not changed:
        return
    update = api.UpdateInfoRequest(info=api.Info(digest=str(digest), labels=changed))
    update.update_mask.paths.extend(f"labels.{key}" for key in changed)
    connection.call(f"{CONTENT}Update", update, api.InfoResponse, f"labels of {digest.short}")
