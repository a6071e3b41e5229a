"""Writes blobs to containerd as a stream, resuming the ingest of an earlier attempt.

An ingest has a name, its `ref`, derived from what is known at its start: the digest, or else the first block. The same
command therefore finds the ingest that a killed one left, hashes the bytes that containerd already has instead of
sending them, and compares the hashes. An ingest belongs to no lease, so it survives its command for containerd's 24
hours; the blob is added to the lease before it is committed.
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
from eci_convert.transports.containerd.connection import ContainerdConnection, grpc_status
from eci_convert.transports.containerd.lease import Lease
from eci_convert.transports.containerd.libgrpc import grpc
from eci_convert.transports.containerd.proto import containerd_pb2 as api
from eci_convert.transports.containerd.writer import CONTENT, ContentWriter
from eci_convert.transports.verified_input import VerifiedInput

_BLOCK = 1 << 20
_WORTH_RESUMING = 8 * _BLOCK
_PAUSES = (0.1, 0.3, 0.6)
"""Seconds between attempts to open an ingest that is locked: containerd takes a moment to notice that its writer was
killed."""


def ingest(
    connection: ContainerdConnection,
    lease: Lease,
    media_type: str,
    received: VerifiedInput,
    digest: Digest | None,
    *,
    resumable: bool = True,
) -> Descriptor:
    """Stores *received*, expected to have *digest* if that is not None; returns its descriptor. Not *resumable*: nobody
    can read it again, so the ingest of an earlier attempt is not gone on with, and none is left for a later one.

    A blob that exists already is not read. Raises IntegrityError for content with another digest or size,
    UploadLostError if an earlier attempt began with other content, CannotHoldError for a digest that is not sha256,
    LocalError and TransportError.
    """
    if digest and digest.algorithm != "sha256":
        raise CannotHoldError(f"containerd stores blobs under sha256 digests only, not {digest.short!r}")
    with closing(_blocks(received)) as blocks:
        first = b"" if digest else next(blocks, b"")
        ref = _ref(digest, first) if resumable else f"eci-convert-once-{uuid.uuid4().hex}"
        writer = _open_ingest(connection, ref, digest, 0)
        if writer is None:
            return _existing(connection, media_type, digest)
        with closing(writer):
            try:
                for block in _unsent(writer, chain((first,), blocks)):
                    writer.write(block)
            except BaseException as error:
                if not resumable or isinstance(error, IntegrityError | UploadLostError):
                    _abort(connection, writer)
                raise
            stored = received.descriptor(media_type)
            lease.keep(stored.digest)
            writer.commit(stored.digest)
        return stored


def share_from_namespace(connection: ContainerdConnection, lease: Lease, blob: Descriptor) -> bool:
    """Whether *blob* was available in another namespace of the same containerd, and is now shared with this one."""
    if blob.digest.algorithm != "sha256" or not blob.size:
        return False
    writer = _open_ingest(connection, _ref(blob.digest, b""), blob.digest, blob.size)
    if writer is None:
        return True
    with closing(writer):
        if (writer.offset, writer.digest_so_far) == (blob.size, str(blob.digest)):
            lease.keep(blob.digest)
            writer.commit(blob.digest)
            return True
        if not writer.offset:
            _abort(connection, writer)
        return False


def _ref(digest: Digest | None, first: bytes) -> str:
    return f"eci-convert-{digest or f'from-{Digest.of(first)}'}"


def _open_ingest(connection: ContainerdConnection, ref: str, digest: Digest | None, size: int) -> ContentWriter | None:
    """The ingest *ref*, or None if containerd has *digest*. If it is locked by another process, one of another name."""
    with suppress(_Existing):
        for pause in _PAUSES:
            if writer := _try_open(connection, ref, digest, size):
                return writer
            interrupts.check()
            time.sleep(pause)
        return _try_open(connection, f"{ref}-{uuid.uuid4().hex[:12]}", digest, size)
    return None


class _Existing(Exception):
    """containerd has the blob already."""


def _try_open(connection: ContainerdConnection, ref: str, digest: Digest | None, size: int) -> ContentWriter | None:
    """The ingest *ref*; None if it is locked. Raises _Existing."""
    try:
        return ContentWriter(connection, ref, digest, size)
    except TransportError as error:
        if grpc_status(error) is grpc.StatusCode.ALREADY_EXISTS:
            raise _Existing from error
        if grpc_status(error) is not grpc.StatusCode.UNAVAILABLE or "locked" not in str(error):
            raise
        return None


def _existing(connection: ContainerdConnection, media_type: str, digest: Digest | None) -> Descriptor:
    if digest is None:
        raise TransportError("containerd reports that a blob without digest exists already")
    request = api.InfoRequest(digest=str(digest))
    info = connection.call(f"{CONTENT}Info", request, api.InfoResponse, f"content {digest.short}").info
    return Descriptor(media_type=media_type, digest=digest, size=info.size)


def _unsent(writer: ContentWriter, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The part of *blocks* that containerd does not have yet. Raises UploadLostError if it has something else."""
    if writer.offset < _WORTH_RESUMING:
        writer.offset = 0  # containerd drops what it has at the first write to offset 0
    remaining, hasher = writer.offset, hashlib.sha256()
    for block in blocks:
        skipped = block[:remaining]
        hasher.update(skipped)
        remaining -= len(skipped)
        if skipped and not remaining and f"sha256:{hasher.hexdigest()}" != writer.digest_so_far:
            raise _other_content(writer)
        if len(skipped) < len(block):
            yield block[len(skipped) :] if skipped else block
    if remaining:
        raise _other_content(writer)


def _other_content(writer: ContentWriter) -> UploadLostError:
    return UploadLostError(f"containerd's unfinished ingest {writer.ref!r} has other content, and was discarded")


def _abort(connection: ContainerdConnection, writer: ContentWriter) -> None:
    writer.close()
    with suppress(TransportError):
        connection.call(f"{CONTENT}Abort", api.AbortRequest(ref=writer.ref), api.Empty, f"content {writer.ref!r}")


def _blocks(chunks: Iterable[bytes]) -> Generator[bytes]:
    """*chunks* in blocks of 1 MiB, so that neither small nor large ones cost more."""
    buffered: list[bytes] = []
    length = 0
    for chunk in chunks:
        buffered.append(chunk)
        length += len(chunk)
        if length < _BLOCK:
            continue
        joined = buffered[0] if len(buffered) == 1 else b"".join(buffered)
        whole = length - length % _BLOCK
        for start in range(0, whole, _BLOCK):
            yield joined[start : start + _BLOCK]
        buffered, length = [joined[whole:]], length - whole
    if length:
        yield b"".join(buffered)
