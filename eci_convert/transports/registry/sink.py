"""An image in a registry, written (distribution-spec v1.1.1, "Push"): blobs first, manifests after, the tag last."""

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
from eci_convert.transports.base import NO_VARIANTS, ExplicitLogin, SinkCapabilities, Variants
from eci_convert.transports.registry import manifests, referrers
from eci_convert.transports.registry.client import PUSH, RegistryClient
from eci_convert.transports.registry.push.buffer import ExpectedBlob
from eci_convert.transports.registry.push.mounts import BlobMounts
from eci_convert.transports.registry.push.upload import Upload
from eci_convert.transports.registry.push.upload_log import UploadRecord
from eci_convert.transports.registry.state.host_facts import ArtifactTypeRefusals
from eci_convert.transports.settings import Settings

_NO_HEAD = (400, 403, 405, 501)
_THERE = (200, 206, 416)
"""416: a blob without a first byte."""
_ARTIFACT_TYPE = b'"artifactType"'


class RegistrySink:
    """The place for an image under a reference. `put` may be called from several threads.

    Manifests wait here until they are needed: the tagged one is sent once, by `publish`; others when one that may
    name them is sent. So a push that fails leaves blobs behind, which nobody sees, and no name.
    """

    def __init__(self, reference: Reference, settings: Settings, client: RegistryClient | None = None) -> None:
        self._reference = reference
        self._client = client or RegistryClient(reference, settings)
        self._mounts = BlobMounts(self._client, self._is_there)
        self._lock = threading.Lock()
        self._waiting: dict[Digest, tuple[str, bytes]] = {}
        self._present: set[Digest] = set()
        self._absent: set[Digest] = set()
        self._entries: list[UploadRecord] = []
        self._falls_back = settings.compat == "auto"
        self._reporter = settings.reporter
        self._refusal: ManifestRefusedError | None = None

    @property
    def destination(self) -> str:
        return f"docker://{self._reference}"

    @property
    def explicit_login(self) -> ExplicitLogin | None:
        """The login out of the settings that would be used here, for `check_logins`."""
        return self._client.explicit_login

    @property
    def capabilities(self) -> SinkCapabilities:
        return SinkCapabilities(prefers_compressed=True, artifact_types=self._artifact_types())

    def has(self, blob: Descriptor) -> bool:
        """Whether the repository has *blob*, or another of this registry has it and lets it be mounted here."""
        if blob.media_type in media_types.DOCUMENTS:
            return blob.digest in self._waiting or self._answers(f"manifests/{blob.digest}")
        there = self._is_there(blob.digest) or self._mounts.mount(blob)
        (self._present if there else self._absent).add(blob.digest)
        if there:
            self._client.whereabouts.record(blob.digest, self._reference.repository, blob.size)
        return there

    def recalls(self, blob: Descriptor) -> bool:
        """Whether earlier runs saw *blob* in another repository of the registry, from which `has` would mount it."""
        seen = self._client.whereabouts.of(blob.digest)
        return blob.digest not in self._present and any(name != self._reference.repository for name in seen)

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        """Sends a blob; keeps a manifest until it is needed.

        Where an upload has to begin again, *chunks* that are a list, a tuple or `Again` are sent again; of any other
        that is impossible, and UploadLost tells the caller to call once more with a fresh one.
        """
        if media_type in media_types.DOCUMENTS:
            return self._kept(media_type, chunks, digest)
        if digest is not None and size is not None:
            blob = Descriptor(media_type=media_type, digest=digest, size=size)
            if self._is_known(blob):
                return blob
        promise = ExpectedBlob(media_type=media_type, digest=digest, size=size)
        upload = Upload(self._client, promise, self._is_there, partial(self._mounts.begin, digest))
        sent, count = upload.send(chunks)
        self._present.add(sent)
        if upload.entry:
            self._entries.append(upload.entry)
        self._client.whereabouts.record(sent, self._reference.repository, count)
        return Descriptor(media_type=media_type, digest=sent, size=count)

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        """Sends *manifest* under the reference's tag, or digest where it has no tag; *variants* before it.

        Raises ManifestRefused, DigestMismatch where the reference has another digest, and TransportError.
        """
        if self._reference.digest not in (None, manifest.digest):
            raise DigestMismatchError(self._reference.digest, manifest.digest, "the manifest")
        with self._lock:
            media_type, content = self._waiting.pop(manifest.digest, ("", b""))
        if not media_type:
            raise TransportError(f"{self.destination}: {manifest.digest} was not put here")
        self._flush()
        self._tag(variants)
        sent = Descriptor(media_type=media_type, digest=manifest.digest, size=len(content))
        self._send(self._reference.tag or str(manifest.digest), sent, content)
        for entry in self._entries:
            entry.delete()
        self._mounts.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:  # else a registry that cannot be reached would be waited for once more
            self._mounts.close()
        for entry in self._entries:
            entry.close()
        self._client.close()

    def _refusals(self) -> ArtifactTypeRefusals:
        return ArtifactTypeRefusals(self._client.host, self._reporter)

    def _artifact_types(self) -> bool | None:
        """None while it is not known, and where something can be done about a refusal."""
        if not self._falls_back:
            return True
        return False if self._refusals().known else None

    def _is_there(self, digest: Digest) -> bool:
        return self._answers(f"blobs/{digest}")

    def _is_known(self, blob: Descriptor) -> bool:
        """Whether a blob is there, asked unless `has` was asked before."""
        return blob.digest in self._present or (blob.digest not in self._absent and self.has(blob))

    def _answers(self, path: str) -> bool:
        """Some registries know no HEAD, and a store that one leads to may have signed for GET alone: they are asked for
        the thing itself, of a blob for its first byte."""
        url, document = self._client.url(path), path.startswith("manifests/")
        headers = {"Accept": manifests.ACCEPT} if document else {}
        with self._client.request("HEAD", url, headers=headers, accept=(200, 404, *_NO_HEAD), scope=PUSH) as answer:
            if answer.status in (200, 404):
                return answer.status == 200 and not manifests.is_page(answer)
        headers = headers if document else {"Range": "bytes=0-0"}
        with self._client.request(
            "GET", url, headers=headers, accept=(*_THERE, 400, 404, 405, 501), scope=PUSH
        ) as answer:
            return answer.status in _THERE and not manifests.is_page(answer)

    def _kept(self, media_type: str, chunks: Iterable[bytes], digest: Digest | None) -> Descriptor:
        content = b"".join(at_most(chunks, json_fields.MAX_DOCUMENT, "the manifest"))
        if digest is not None:
            digest.check(content, "the manifest")
        descriptor = Descriptor(media_type=media_type, digest=digest or Digest.of(content), size=len(content))
        if media_type in media_types.INDEXES:
            self._flush()
        with self._lock:
            self._waiting[descriptor.digest] = (media_type, content)
        return descriptor

    def _flush(self) -> None:
        """Sends what waits under its digest, in the order in which it came."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for digest, (media_type, content) in waiting.items():
            self._send(str(digest), Descriptor(media_type=media_type, digest=digest, size=len(content)), content)

    def _tag(self, variants: Variants) -> None:
        """Gives manifests that are there names of their own beside the reference's tag, where it has one."""
        for suffix, variant in variants.items() if self._reference.tag else ():
            found, content = manifests.get(self._client, str(variant.digest))
            self._send(self._reference.tag + suffix, found, content)

    def _send(self, name: str, manifest: Descriptor, content: bytes) -> None:
        try:
            noted = manifests.put(self._client, name, manifest.media_type, content)
        except manifests.BlobLost:
            self._mounts.forget_all()
            raise
        except ManifestRefusedError as refusal:
            self._refusal = refusal if _ARTIFACT_TYPE in content else None
            raise
        if self._falls_back and self._refusal and _ARTIFACT_TYPE not in content:
            self._refusals().learn(self._refusal)
            self._refusal = None
        if not noted and b'"subject"' in content:
            referrers.note(self._client, manifest, content)
