"""ContainerdSink: writes an image into containerd's content store."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from eci_convert.errors import DigestMismatchError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.referrers import ReferrerIndex
from eci_convert.transports.base import NO_VARIANTS, Variants
from eci_convert.transports.containerd import content
from eci_convert.transports.containerd.gc_labels import label_referrer, label_tree
from eci_convert.transports.containerd.images import set_target
from eci_convert.transports.containerd.ingest import ingest, share_from_namespace
from eci_convert.transports.containerd.lease import ContainerdSession
from eci_convert.transports.containerd.names import RecordName
from eci_convert.transports.settings import Settings
from eci_convert.transports.verified_input import VerifiedInput


def open_sink(rest: str, settings: Settings) -> ContainerdSink:
    """The sink for the name *rest*. Raises UsageError."""
    return ContainerdSink(RecordName.parse(rest), settings)


class ContainerdSink:
    """An image record and its blobs in containerd, written."""

    holds_artifacts = True
    holds_indexes = True
    holds_sha512 = False
    stores_layers_uncompressed = False
    prefers_compressed_layers = False

    def __init__(self, name: RecordName, settings: Settings) -> None:
        self._name = name.written()
        self._digest = name.digest
        self._session = ContainerdSession(settings)
        self._referrers = ReferrerIndex()

    @property
    def destination(self) -> str:
        return f"containerd:{self._name}"

    def has(self, blob: Descriptor) -> bool:
        connection, lease = self._session.connection, self._session.lease
        lease.keep(blob.digest)
        info = content.content_info(connection, blob.digest)
        return info.size == blob.size if info else share_from_namespace(connection, lease, blob)

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        if digest:
            self._session.lease.keep(digest)
        received = VerifiedInput(self._referrers.record(media_type, chunks, digest), digest, size)
        return ingest(self._session.connection, self._session.lease, media_type, received, digest)

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        if self._digest not in (None, manifest.digest):
            raise DigestMismatchError(self._digest, manifest.digest, "the manifest")
        connection, lease = self._session.connection, self._session.lease
        for entry, subject in self._referrers.others(manifest.digest):
            label_tree(connection, lease, entry)
            label_referrer(connection, entry, subject)
        label_tree(connection, lease, manifest)
        for suffix, variant in variants.items():
            set_target(connection, self._name + suffix, variant)
        set_target(connection, self._name, manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
