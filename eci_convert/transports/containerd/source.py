"""Images in containerd: `containerd:NAME[:TAG][@DIGEST]`, over its gRPC socket, in one namespace.

Docker's own containerd is one of those: its socket is containerd/containerd.sock below Docker's exec root, its
namespace `moby`. What is read or written is under a lease until we leave, so that the garbage collector does not take
it meanwhile; afterwards labels and an image record keep it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from eci_convert.errors import DigestMismatch
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor
from eci_convert.oci.referrers import Referrers
from eci_convert.transports.base import NO_PROVENANCE, NO_VARIANTS, Filesystem, Settings, Variants
from eci_convert.transports.containerd import content, gc_labels, images, ingest
from eci_convert.transports.containerd.connection import Connection, connected
from eci_convert.transports.containerd.lease import Lease
from eci_convert.transports.containerd.names import ImageName
from eci_convert.transports.verified_input import Received


def open_source(rest: str, settings: Settings) -> ContainerdSource:
    """The image that *rest* names. Raises UsageError."""
    return ContainerdSource(ImageName.parse(rest), settings)


def open_sink(rest: str, settings: Settings) -> ContainerdSink:
    """The name *rest*, to be written. Raises UsageError."""
    return ContainerdSink(ImageName.parse(rest), settings)


class _Session:
    """A connection and a lease, both from the first use until `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._open: tuple[Connection, Lease] | None = None

    @property
    def connection(self) -> Connection:
        return self._both()[0]

    @property
    def lease(self) -> Lease:
        return self._both()[1]

    def close(self) -> None:
        with self._lock:
            found, self._open = self._open, None
        if found:
            connection, lease = found
            try:
                lease.release()
            finally:
                connection.close()

    def _both(self) -> tuple[Connection, Lease]:
        with self._lock:
            if self._open is None:
                connection = connected(self._settings)
                self._open = connection, Lease(connection)
            return self._open


class ContainerdSource:
    """An image in containerd, to be read."""

    provenance = NO_PROVENANCE
    resumable = False
    made_up = False

    def __init__(self, name: ImageName, settings: Settings) -> None:
        self._name = name
        self._session = _Session(settings)

    @property
    def origin(self) -> str:
        return f"containerd:{self._name.text}"

    def resolve(self) -> Descriptor:
        found = images.resolved(self._session.connection, self._name)
        self._session.lease.keep(found.digest)
        return found

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        self._session.lease.keep(blob.digest)
        with content.content_read(self._session.connection, blob.digest, skip) as chunks:
            yield () if blob.size and skip >= blob.size else chunks

    def filesystem(self) -> Filesystem | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Those that were written beside it by us: of others containerd has no list."""
        self._session.lease.keep(subject)
        return gc_labels.referring(self._session.connection, subject)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()


class ContainerdSink:
    """A name in containerd, to be written."""

    holds_artifacts = True
    holds_indexes = True
    holds_sha512 = False
    wants_raw_layers = False
    wants_compressed_layers = False

    def __init__(self, name: ImageName, settings: Settings) -> None:
        self._name = name.written()
        self._digest = name.digest
        self._session = _Session(settings)
        self._referrers = Referrers()

    @property
    def destination(self) -> str:
        return f"containerd:{self._name}"

    def has(self, blob: Descriptor) -> bool:
        connection, lease = self._session.connection, self._session.lease
        lease.keep(blob.digest)
        info = content.content_info(connection, blob.digest)
        return info.size == blob.size if info else ingest.adopted(connection, lease, blob)

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        if digest:
            self._session.lease.keep(digest)
        received = Received(self._referrers.noting(media_type, chunks, digest), digest, size)
        return ingest.ingested(self._session.connection, self._session.lease, media_type, received, digest)

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        if self._digest not in (None, manifest.digest):
            raise DigestMismatch(self._digest, manifest.digest, "the manifest")
        connection, lease = self._session.connection, self._session.lease
        for entry, subject in self._referrers.beside(manifest.digest):
            gc_labels.tie(connection, lease, entry)
            gc_labels.tie_referrer(connection, entry, subject)
        gc_labels.tie(connection, lease, manifest)
        for suffix, variant in variants.items():
            images.call(connection, self._name + suffix, variant)
        images.call(connection, self._name, manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
