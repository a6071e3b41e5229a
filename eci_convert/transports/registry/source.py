"""Pulls an image from a registry (distribution-spec v1.1.1, "Pull")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from eci_convert.errors import NotFoundError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.transports.base import ContainerFiles, SourceTraits
from eci_convert.transports.registry import manifests, referrers
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.file_request import file_request
from eci_convert.transports.registry.mount_hints import mount_hints
from eci_convert.transports.registry.pull.download import Download
from eci_convert.transports.settings import Settings
from eci_convert.transports.traits import FileRequest


class RegistrySource:
    """The image that a reference names. The resolved manifest is requested once."""

    def __init__(self, reference: Reference, settings: Settings, client: RegistryClient | None = None) -> None:
        self._reference = reference
        self._client = client or RegistryClient(reference, settings)
        self._manifests: dict[Digest, bytes] = {}
        self._listed: set[Digest] = set()
        self._missing = False

    @property
    def origin(self) -> str:
        return f"docker://{self._reference}"

    @property
    def traits(self) -> SourceTraits:
        return SourceTraits(
            resumable=True,
            mount_hints=mount_hints(self._reference),
            explicit_login=self._client.explicit_login,
            nearest_names=self._nearest_names,
            file_request=self.file_request,
        )

    def tags(self) -> tuple[str, ...]:
        """One page of the repository's tags; empty if the registry does not list them."""
        from eci_convert.transports.registry.tags import first_tags

        return first_tags(self._client)

    def resolve(self) -> Descriptor:
        """The descriptor of the manifest, determined from its content; digests in headers are verified.

        Raises DigestMismatchError if the content does not match the reference's digest or the header's.
        """
        try:
            descriptor, content = manifests.get(self._client, str(self._reference.digest or self._reference.tag))
        except NotFoundError:
            self._missing = True
            raise
        self._manifests = {descriptor.digest: content}
        return descriptor

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        """The bytes of a blob or a manifest. `urls` of foreign layers are ignored: they may lead anywhere."""
        content = self._manifests.get(blob.digest)
        if content is None and blob.media_type in media_types.DOCUMENTS:
            _, content = manifests.get(self._client, str(blob.digest))
        if content is not None:
            yield (content[skip:],)
            return
        with Download(self._client, blob, skip) as pieces:
            yield pieces
        self._client.blob_locations.record(blob.digest, self._reference.repository, blob.size)

    def file_request(self, blob: Descriptor, *, follow: bool) -> FileRequest:
        """The request with which another HTTP client gets *blob*, a blob or manifest of the resolved image.

        The image's own manifest is requested by its tag unless the reference has a digest. Raises as `fetch` does.
        """
        named = blob.digest in self._manifests
        name = str(self._reference.digest or self._reference.tag) if named else str(blob.digest)
        return file_request(self._client, blob, name, follow=follow)

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        found = referrers.of(self._client, subject)
        if subject not in self._listed:
            referrers.warn_of_cosign_tags(self._client, subject)
        self._listed.update(one.digest for one in found)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def _nearest_names(self) -> tuple[str, ...]:
        """The repository's tags that resemble the missing one; asks the registry."""
        from eci_convert.transports.registry.tags import nearest_tags

        is_tag = self._missing and not self._reference.digest
        return nearest_tags(self._client, self._client.reference.tag) if is_tag else ()
