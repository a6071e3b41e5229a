"""The interface of all transports: Source, Sink, ContainerFiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from eci_convert.errors import TransportError, UsageError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.transports.settings import Settings

IMAGE_ID_ANNOTATION = "io.eci-convert.identity"
"""An annotation of the descriptor that a source with a synthetic manifest resolves to: the digest by which the store
itself identifies the image (the Docker engine's image id)."""


class NotShown(TransportError):
    """An engine's container may differ from its image here; `ContainerFiles.full_image` has the image's file."""


class ContainerFiles(Protocol):
    """The files of an image as a store keeps them unpacked (the Docker engine): no layer is transferred."""

    def fetch(self, path: str) -> AbstractContextManager[Iterable[bytes]]:
        """A tar archive whose first entry is *path*, which is absolute; a link is returned as a link, a directory with
        all its contents. Links among the parents of *path* are resolved inside the image. A *path* that ends in "/"
        stands for the contents of a directory.

        Raises NotFoundError, and NotShown if only the whole image can tell.
        """

    def full_image(self) -> Source:
        """The same image with its original manifest and all blobs, which such a store exports only as a whole. Closed
        with the source that this belongs to."""


@runtime_checkable
class PartialView(Protocol):
    """A ContainerFiles that is not a faithful view of the image."""

    @property
    def hides_files(self) -> bool:
        """Whether files may be hidden: the image has volumes, or the engine mounts some."""

    @property
    def follows_links(self) -> bool:
        """Whether a link at the end of a path is followed too (podman), so that it cannot be seen."""


Variants = Mapping[str, Descriptor]
"""Images of one index that get names of their own, keyed by the suffix of the index's name (`-amd64`)."""

NO_VARIANTS: Final[Variants] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitLogin:
    """A login from `Settings.username`, and the registry that it would be sent to."""

    registry: str
    settings: Settings


def check_logins(source: object, sink: object) -> None:
    """Raises UsageError if one Settings would send its password to two registries, of *source* and of *sink*.

    Two Settings objects, even if equal, mean that this is intended.
    """
    first, second = (getattr(transport, "explicit_login", None) for transport in (source, sink))
    if not isinstance(first, ExplicitLogin) or not isinstance(second, ExplicitLogin):
        return
    if first.settings is second.settings and first.registry != second.registry:
        raise two_registries(first.registry, second.registry)


def two_registries(first: str, second: str) -> UsageError:
    """The error for a login that could be for either of two registries."""
    error = UsageError(f"--username applies to one registry, but both {first} and {second} are accessed")
    error.add_note(
        "hint: use --src-username and --dest-username of copy (in the library: separate Settings), or log in to both"
    )
    return error


NO_MOUNT_HINTS: Final[Mapping[str, str]] = MappingProxyType({})
"""The value for sources whose blobs cannot be mounted by any sink."""


class Source(Protocol):
    """An image to read. A context manager: leaving it releases all resources."""

    @property
    def origin(self) -> str:
        """The reference as a user would write it, for messages."""

    @property
    def mount_hints(self) -> Mapping[str, str]:
        """Annotations that tell a sink of the same kind where to mount a blob from:
        `containerd.io/distribution.source.HOST=REPOSITORY` for registries, empty for other transports."""

    @property
    def resumable(self) -> bool:
        """Whether reading is slow enough that received data is kept for the next run if this process dies."""

    @property
    def synthetic_manifest(self) -> bool:
        """True if `resolve` returns a manifest synthesised by this transport (uncompressed layers); its digest is not
        known anywhere else. Docker engines without containerd's store, archives of docker save, containers-storage for
        layers that were compressed. Valid after `resolve`."""

    def resolve(self) -> Descriptor:
        """The manifest or index that the name refers to. Raises NotFoundError, AccessDeniedError, TransportError."""

    def fetch(self, blob: Descriptor, skip: int = 0) -> AbstractContextManager[Iterable[bytes]]:
        """The bytes of *blob* from offset *skip*, unverified. Called by `reading` only."""

    def filesystem(self) -> ContainerFiles | None:
        """The unpacked files, if the store has them and can serve single ones; None: read the layers."""

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """The manifests whose subject is *subject*; empty if the transport has no referrers."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def with_all_blobs(source: Source) -> Source:
    """*source*, or if it serves files instead of layers, the source for the same image that has all blobs."""
    files = source.filesystem()
    return source if files is None else files.full_image()


class Sink(Protocol):
    """A name to write an image to. Leaving it without `publish` leaves the name unchanged."""

    @property
    def destination(self) -> str:
        """The reference as a user would write it, for messages."""

    @property
    def holds_artifacts(self) -> bool:
        """Whether other manifests than container images can be stored. False: Docker, containers-storage,
        docker-archive."""

    @property
    def holds_indexes(self) -> bool:
        """Whether an index of several images can be stored under the name."""

    @property
    def holds_sha512(self) -> bool:
        """Whether blobs can be stored and read under their sha512. False: Docker, containerd, containers-storage."""

    @property
    def stores_layers_uncompressed(self) -> bool:
        """Whether tar layers are stored uncompressed, so that compressing them is wasted work."""

    @property
    def prefers_compressed_layers(self) -> bool:
        """Whether sending an uncompressed layer costs more than compressing it: registries."""

    def has(self, blob: Descriptor) -> bool:
        """Whether *blob* exists, or can be made available without sending it. False if unknown."""

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        """Stores a blob or a manifest and returns its descriptor.

        *digest* and *size* (bytes) are given if known; content that differs raises IntegrityError. Thread-safe. Raises
        TransportError, LocalError.
        """

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        """Makes the name refer to *manifest*, which was `put`. Nothing is visible before.

        Each of *variants*, listed in *manifest*, gets a name of its own: this one with the key appended. Sinks that
        hold no indexes get none.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def lent(source: Source, sink: Sink, blob: Descriptor) -> bool:
    """Whether *sink* has *blob* of *source*, or can make it available without sending it.

    If earlier runs saw it in another repository of the sink's registry, the blob is requested from the source first:
    otherwise an image could name a blob that its own transport never had, and have it mounted from a repository that
    only the user may read. Raises what the source raises for a missing blob.
    """
    recalls: Callable[[Descriptor], bool] = getattr(sink, "recalls", lambda _: False)
    if not source.synthetic_manifest and recalls(blob):
        with source.fetch(blob, max(0, blob.size - 1) if source.resumable else 0):
            pass
    return sink.has(replace(blob, annotations={**blob.annotations, **source.mount_hints}))
