"""ContainerdSink: writes an image into containerd's content store."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from eci_convert.errors import DigestMismatchError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.referrers import ReferrerIndex
from eci_convert.progress import waiting
from eci_convert.streams.repeatable import is_single_pass
from eci_convert.tasks import current_task
from eci_convert.transports.base import NO_VARIANTS, SinkCapabilities, Variants
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


def open_referrer_sink(rest: str, settings: Settings) -> ContainerdSink:
    """The sink for manifests that refer to the image *rest*: they have no name, and are kept as long as the image."""
    return ContainerdSink(None, settings)


class ContainerdSink:
    """An image record and its blobs in containerd, written; without a name, manifests that refer to images."""

    capabilities = SinkCapabilities(sha512=False)

    def __init__(self, name: RecordName | None, settings: Settings) -> None:
        self._name = name.written() if name else ""
        self._digest = name.digest if name else None
        self._session = ContainerdSession(settings)
        self._reporter = settings.reporter
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
        if task := current_task():
            task.travels()
        with waiting(self._reporter, "containerd to store the content"):
            return ingest(
                self._session.connection, self._session.lease, media_type, received, digest,
                resumable=not is_single_pass(chunks),
            )  # fmt: skip

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        if self._digest not in (None, manifest.digest):
            raise DigestMismatchError(self._digest, manifest.digest, "the manifest")
        connection, lease = self._session.connection, self._session.lease
        for entry, subject in self._referrers.others(manifest.digest if self._name else None):
            label_tree(connection, lease, entry)
            label_referrer(connection, entry, subject)
        if not self._name:
            return
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
