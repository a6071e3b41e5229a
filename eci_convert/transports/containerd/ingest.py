"""Content written to containerd in a stream, and taken up again where an earlier attempt was cut off.

An ingest has a name, its `ref`, made from what is known when it begins: the digest, or else the first block. The same
command therefore finds the ingest that a killed one left, hashes the bytes that containerd already has instead of
sending them, and compares the two hashes. An ingest belongs to no lease, so it outlives its command by containerd's
24 hours; what it becomes is put under the lease before it is committed.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain

from eci_convert.errors import CannotHoldError, IntegrityError, TransportError, UploadLostError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.streams import interrupts
from eci_convert.transports.containerd.connection import ContainerdConnection, status
from eci_convert.transports.containerd.lease import Lease
from eci_convert.transports.containerd.libgrpc import grpc
from eci_convert.transports.containerd.proto import containerd_pb2 as api
from eci_convert.transports.containerd.writer import CONTENT, Writer
from eci_convert.transports.verified_input import VerifiedInput

_BLOCK = 1 << 20
_WORTH_RESUMING = 8 * _BLOCK
_PAUSES = (0.1, 0.3, 0.6)
"""Seconds between looks at an ingest that is in use: containerd takes a moment to see that its writer was killed."""


def ingest(
    connection: ContainerdConnection, lease: Lease, media_type: str, received: VerifiedInput, digest: Digest | None
) -> Descriptor:
    """Stores what is *received*, of which *digest* is promised if it is not None; says what it was.

    Content that containerd has already is not read. Raises IntegrityError for content that is not what was promised,
    UploadLost where an earlier attempt began with other content, CannotHold for a digest that is not sha256, and
    LocalError and TransportError.
    """
    if digest and digest.algorithm != "sha256":
        raise CannotHoldError(f"containerd keeps content by its sha256, which {digest.short!r} is not")
    with closing(_blocks(received)) as blocks:
        return _ingested(connection, lease, media_type, received, blocks, digest)


def _ingested(
    connection: ContainerdConnection,
    lease: Lease,
    media_type: str,
    received: VerifiedInput,
    blocks: Iterator[bytes],
    digest: Digest | None,
) -> Descriptor:
    first = b"" if digest else next(blocks, b"")
    writer = _opened(connection, _ref(digest, first), digest, 0)
    if writer is None:
        return _existing(connection, media_type, digest)
    with closing(writer):
        try:
            for block in _unsent(writer, chain((first,), blocks)):
                writer.write(block)
        except (IntegrityError, UploadLostError):
            _abort(connection, writer)
            raise
        stored = received.descriptor(media_type)
        lease.keep(stored.digest)
        writer.commit(stored.digest)
    return stored


def share_from_namespace(connection: ContainerdConnection, lease: Lease, blob: Descriptor) -> bool:
    """Whether *blob* could be had from another namespace of the same containerd, and now has been."""
    if blob.digest.algorithm != "sha256" or not blob.size:
        return False
    writer = _opened(connection, _ref(blob.digest, b""), blob.digest, blob.size)
    if writer is None:
        return True
    with closing(writer):
        if (writer.offset, writer.begun) == (blob.size, str(blob.digest)):
            lease.keep(blob.digest)
            writer.commit(blob.digest)
            return True
        if not writer.offset:
            _abort(connection, writer)
        return False


def _ref(digest: Digest | None, first: bytes) -> str:
    return f"eci-convert-{digest or f'from-{Digest.of(first)}'}"


def _opened(connection: ContainerdConnection, ref: str, digest: Digest | None, size: int) -> Writer | None:
    """The ingest *ref*, or None where containerd has *digest*. If it is in use elsewhere, one of another name."""
    with suppress(_Existing):
        for pause in _PAUSES:
            if writer := _free(connection, ref, digest, size):
                return writer
            interrupts.check()
            time.sleep(pause)
        return _free(connection, f"{ref}-{uuid.uuid4().hex[:12]}", digest, size)
    return None


class _Existing(Exception):
    """containerd has the content already."""


def _free(connection: ContainerdConnection, ref: str, digest: Digest | None, size: int) -> Writer | None:
    """The ingest *ref*; None if it is in use. Raises _Existing."""
    try:
        return Writer(connection, ref, digest, size)
    except TransportError as error:
        if status(error) is grpc.StatusCode.ALREADY_EXISTS:
            raise _Existing from error
        if status(error) is not grpc.StatusCode.UNAVAILABLE or "locked" not in str(error):
            raise
        return None


def _existing(connection: ContainerdConnection, media_type: str, digest: Digest | None) -> Descriptor:
    if digest is None:
        raise TransportError("containerd says that it has content of which it knows no digest")
    request = api.InfoRequest(digest=str(digest))
    info = connection.ask(f"{CONTENT}Info", request, api.InfoResponse, f"content {digest.short}").info
    return Descriptor(media_type=media_type, digest=digest, size=info.size)


def _unsent(writer: Writer, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """What of *blocks* containerd does not have yet. Raises UploadLost if it has something else."""
    if writer.offset < _WORTH_RESUMING:
        writer.offset = 0  # containerd drops what it has at the first write to offset 0
    there, hasher = writer.offset, hashlib.sha256()
    for block in blocks:
        known = block[:there]
        hasher.update(known)
        there -= len(known)
        if known and not there and f"sha256:{hasher.hexdigest()}" != writer.begun:
            raise _other_content(writer)
        if len(known) < len(block):
            yield block[len(known) :] if known else block
    if there:
        raise _other_content(writer)


def _other_content(writer: Writer) -> UploadLostError:
    return UploadLostError(f"containerd's unfinished {writer.ref!r} began with other content, and has been dropped")


def _abort(connection: ContainerdConnection, writer: Writer) -> None:
    writer.close()
    with suppress(TransportError):
        connection.ask(f"{CONTENT}Abort", api.AbortRequest(ref=writer.ref), api.Empty, f"content {writer.ref!r}")


def _blocks(chunks: Iterable[bytes]) -> Generator[bytes]:
    """*chunks* cut anew: into blocks of 1 MiB, so that neither small nor large ones cost more."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length < _BLOCK:
            continue
        joined = held[0] if len(held) == 1 else b"".join(held)
        whole = length - length % _BLOCK
        for start in range(0, whole, _BLOCK):
            yield joined[start : start + _BLOCK]
        held, length = [joined[whole:]], length - whole
    if length:
        yield b"".join(held)
