"""Pushes an image to a registry (distribution-spec v1.1.1, "Push"): blobs first, then manifests, the tag last."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Self

from eci_convert.errors import DigestMismatchError, ManifestRefusedError, TransportError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.streams.hashing import at_most
from eci_convert.transports.base import NO_VARIANTS, SinkCapabilities, Variants
from eci_convert.transports.registry import manifests, referrers
from eci_convert.transports.registry.client import PUSH, RegistryClient
from eci_convert.transports.registry.push.buffer import ExpectedBlob
from eci_convert.transports.registry.push.mounts import BlobMounts
from eci_convert.transports.registry.push.upload import Upload
from eci_convert.transports.registry.push.upload_log import UploadRecord
from eci_convert.transports.registry.state.host_facts import ArtifactTypeRefusals
from eci_convert.transports.settings import Settings

_NO_HEAD = (400, 403, 405, 501)
_EXISTS = (200, 206, 416)
"""Statuses for a blob that exists; 416: an empty one, which has no first byte."""
_ARTIFACT_TYPE = b'"artifactType"'


class RegistrySink:
    """The sink for a reference. `put` is thread-safe.

    Manifests are kept here until they are needed: the tagged one is pushed once, by `publish`; others when an index
    that may list them is. So a failed push leaves unreferenced blobs, and no tag.
    """

    def __init__(self, reference: Reference, settings: Settings, client: RegistryClient | None = None) -> None:
        self._reference = reference
        self._client = client or RegistryClient(reference, settings)
        self._mounts = BlobMounts(self._client, self._has_blob)
        self._lock = threading.Lock()
        self._pending: dict[Digest, tuple[str, bytes]] = {}
        self._present: set[Digest] = set()
        self._absent: set[Digest] = set()
        self._records: list[UploadRecord] = []
        self._falls_back = settings.compat == "auto"
        self._reporter = settings.reporter
        self._refusal: ManifestRefusedError | None = None

    @property
    def destination(self) -> str:
        return f"docker://{self._reference}"

    @property
    def capabilities(self) -> SinkCapabilities:
        return SinkCapabilities(
            prefers_compressed=True,
            artifact_types=self._artifact_types(),
            explicit_login=self._client.explicit_login,
            recalls=self._recalls,
        )

    def has(self, blob: Descriptor) -> bool:
        """Whether the repository holds *blob*, or could mount it from another one of this registry."""
        if blob.media_type in media_types.DOCUMENTS:
            return blob.digest in self._pending or self._exists(f"manifests/{blob.digest}")
        is_present = self._has_blob(blob.digest) or self._mounts.mount(blob)
        (self._present if is_present else self._absent).add(blob.digest)
        if is_present:
            self._client.blob_locations.record(blob.digest, self._reference.repository, blob.size)
        return is_present

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        """Uploads a blob; keeps a manifest until it is needed.

        If an upload has to start over, *chunks* that are a list, a tuple or a repeatable stream are sent again;
        otherwise UploadLostError tells the caller to call once more with a fresh stream.
        """
        if media_type in media_types.DOCUMENTS:
            return self._keep(media_type, chunks, digest)
        if digest is not None and size is not None:
            blob = Descriptor(media_type=media_type, digest=digest, size=size)
            if self._known_to_exist(blob):
                return blob
        expected = ExpectedBlob(media_type=media_type, digest=digest, size=size)
        upload = Upload(self._client, expected, self._has_blob, partial(self._mounts.begin, digest))
        actual_digest, actual_size = upload.send(chunks)
        self._present.add(actual_digest)
        if upload.record:
            self._records.append(upload.record)
        self._client.blob_locations.record(actual_digest, self._reference.repository, actual_size)
        return Descriptor(media_type=media_type, digest=actual_digest, size=actual_size)

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        """Pushes *manifest* under the reference's tag, or its digest if it has none; *variants* before it.

        Raises ManifestRefusedError, DigestMismatchError if the reference has another digest, and TransportError.
        """
        if self._reference.digest not in (None, manifest.digest):
            raise DigestMismatchError(self._reference.digest, manifest.digest, "the manifest")
        with self._lock:
            media_type, content = self._pending.pop(manifest.digest, ("", b""))
        if not media_type:
            raise TransportError(f"{self.destination}: manifest {manifest.digest} was not pushed")
        self._flush()
        self._tag(variants)
        sent = Descriptor(media_type=media_type, digest=manifest.digest, size=len(content))
        self._send(self._reference.tag or str(manifest.digest), sent, content)
        for record in self._records:
            record.delete()
        self._mounts.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:  # else an unreachable registry would cause another timeout
            self._mounts.close()
        for record in self._records:
            record.close()
        self._client.close()

    def _recalls(self, blob: Descriptor) -> bool:
        """Whether earlier runs saw *blob* in another repository of the registry, from which `has` would mount it."""
        repositories = self._client.blob_locations.of(blob.digest)
        return blob.digest not in self._present and any(name != self._reference.repository for name in repositories)

    def _refusals(self) -> ArtifactTypeRefusals:
        return ArtifactTypeRefusals(self._client.host, self._reporter)

    def _artifact_types(self) -> bool | None:
        """Whether the registry accepts `artifactType`; None if that is unknown and a refusal can be worked around."""
        if not self._falls_back:
            return True
        return False if self._refusals().known else None

    def _has_blob(self, digest: Digest) -> bool:
        return self._exists(f"blobs/{digest}")

    def _known_to_exist(self, blob: Descriptor) -> bool:
        """Whether the blob exists; asks the registry unless `has` did before."""
        return blob.digest in self._present or (blob.digest not in self._absent and self.has(blob))

    def _exists(self, path: str) -> bool:
        """Whether *path* exists. Some registries do not support HEAD, and signed URLs of a store may allow GET only:
        then a GET is sent, of a blob for its first byte."""
        url, is_manifest = self._client.url(path), path.startswith("manifests/")
        headers = {"Accept": manifests.ACCEPT} if is_manifest else {}
        with self._client.request("HEAD", url, headers=headers, accept=(200, 404, *_NO_HEAD), scope=PUSH) as response:
            if response.status in (200, 404):
                return response.status == 200 and not response.is_html
        headers = headers if is_manifest else {"Range": "bytes=0-0"}
        with self._client.request(
            "GET", url, headers=headers, accept=(*_EXISTS, 400, 404, 405, 501), scope=PUSH
        ) as response:
            return response.status in _EXISTS and not response.is_html

    def _keep(self, media_type: str, chunks: Iterable[bytes], digest: Digest | None) -> Descriptor:
        content = b"".join(at_most(chunks, json_fields.MAX_DOCUMENT, "the manifest"))
        if digest is not None:
            digest.check(content, "the manifest")
        descriptor = Descriptor(media_type=media_type, digest=digest or Digest.of(content), size=len(content))
        if media_type in media_types.INDEXES:
            self._flush()
        with self._lock:
            self._pending[descriptor.digest] = (media_type, content)
        return descriptor

    def _flush(self) -> None:
        """Pushes all kept manifests under their digests, in the order in which they were put."""
        with self._lock:
            pending, self._pending = self._pending, {}
        for digest, (media_type, content) in pending.items():
            self._send(str(digest), Descriptor(media_type=media_type, digest=digest, size=len(content)), content)

    def _tag(self, variants: Variants) -> None:
        """Pushes *variants* under the reference's tag with their suffixes, if it has a tag."""
        for suffix, variant in variants.items() if self._reference.tag else ():
            descriptor, content = manifests.get(self._client, str(variant.digest))
            self._send(self._reference.tag + suffix, descriptor, content)

    def _send(self, name: str, manifest: Descriptor, content: bytes) -> None:
        try:
            subject_processed = manifests.put(self._client, name, manifest.media_type, content)
        except manifests.BlobLost:
            self._mounts.forget_all()
            raise
        except ManifestRefusedError as refusal:
            self._refusal = refusal if _ARTIFACT_TYPE in content else None
            raise
        if self._falls_back and self._refusal and _ARTIFACT_TYPE not in content:
            self._refusals().record(self._refusal)
            self._refusal = None
        if not subject_processed and b'"subject"' in content:
            referrers.add_to_tag(self._client, manifest, content)
