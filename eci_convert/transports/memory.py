"""Images in memory: for tests, and for temporary images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from eci_convert.errors import NotFoundError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.referrers import referrer
from eci_convert.transports.base import (
    NO_VARIANTS,
    ContainerFiles,
    SinkCapabilities,
    SourceTraits,
    Variants,
)
from eci_convert.transports.verified_input import VerifiedInput

_CHUNK = 1 << 20


@dataclass(slots=True)
class MemoryStore:
    """A store in memory: *blobs* by digest, and the *names* of images.

    Like any store it does not verify: content may differ from its digest until `reading` verifies it.
    """

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    names: dict[str, Descriptor] = field(default_factory=dict)


class MemorySource:
    """The image *name* in *store*."""

    traits = SourceTraits()

    def __init__(self, store: MemoryStore, name: str = "image", *, filesystem: ContainerFiles | None = None) -> None:
        self.store = store
        self.name = name
        self._filesystem = filesystem

    @property
    def blobs(self) -> dict[Digest, bytes]:
        """The store's blobs, for tests to corrupt."""
        return self.store.blobs

    @property
    def origin(self) -> str:
        return f"memory:{self.name}"

    def resolve(self) -> Descriptor:
        if self.name not in self.store.names:
            raise NotFoundError(f"{self.origin}: no such image")
        return self.store.names[self.name]

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        if blob.digest not in self.store.blobs:
            raise NotFoundError(f"{self.origin}: no blob {blob.digest}")
        content = self.store.blobs[blob.digest]
        yield (content[start : start + _CHUNK] for start in range(skip, len(content), _CHUNK))

    def filesystem(self) -> ContainerFiles | None:
        return self._filesystem

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        verified = (
            referrer(Descriptor(media_type="", digest=digest, size=len(content)), content, subject)
            for digest, content in self.store.blobs.items()
        )
        return tuple(entry for entry in verified if entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class MemorySink:
    """Writes an image to *store* under *name*. The caller chooses its capabilities."""

    def __init__(
        self,
        store: MemoryStore,
        name: str = "image",
        *,
        capabilities: SinkCapabilities = SinkCapabilities(),  # noqa: B008 - frozen
    ) -> None:
        self.store = store
        self.name = name
        self.capabilities = capabilities

    @property
    def destination(self) -> str:
        return f"memory:{self.name}"

    def has(self, blob: Descriptor) -> bool:
        return blob.digest in self.store.blobs

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        received = VerifiedInput(chunks, digest, size)
        content = b"".join(received)
        stored = received.descriptor(media_type)
        self.store.blobs[stored.digest] = content
        return stored

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        if manifest.digest not in self.store.blobs:
            raise NotFoundError(f"{self.destination}: no blob {manifest.digest}")
        self.store.names |= {self.name + suffix: variant for suffix, variant in variants.items()}
        self.store.names[self.name] = manifest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
