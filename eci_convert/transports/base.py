"""The interface of all transports: Source, Sink, Catalog, ContainerFiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Final, Protocol, Self

from eci_convert.errors import TransportError, UsageError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.platform import Platform
from eci_convert.transports.traits import SinkCapabilities as SinkCapabilities
from eci_convert.transports.traits import SourceTraits as SourceTraits

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

    @property
    def hides_files(self) -> bool:
        """Whether files may be hidden: the image has volumes, or the engine mounts some."""

    @property
    def follows_links(self) -> bool:
        """Whether a link at the end of a path is followed too (podman), so that it cannot be seen."""


Variants = Mapping[str, Descriptor]
"""Images of one index that get names of their own, keyed by the suffix of the index's name (`-amd64`)."""

NO_VARIANTS: Final[Variants] = MappingProxyType({})


def check_logins(source: Source, sink: Sink) -> None:
    """Raises UsageError if one Settings would send its password to two registries, of *source* and of *sink*.

    Two Settings objects that the caller made, even if equal, mean that separate logins are intended.
    """
    first, second = source.traits.explicit_login, sink.capabilities.explicit_login
    if first is None or second is None:
        return
    if first.settings.is_same_login(second.settings) and first.registry != second.registry:
        raise two_registries(first.registry, second.registry)


def two_registries(first: str, second: str) -> UsageError:
    """The error for a login that could be for either of two registries."""
    error = UsageError(f"a login is for one registry, but both {first} and {second} are accessed with it")
    error.add_note("hint: use --src-username and --dest-username of copy, or log in to both")
    return error


class Source(Protocol):
    """An image to read. A context manager: leaving it releases all resources."""

    @property
    def origin(self) -> str:
        """The reference as a user would write it, for messages."""

    @property
    def traits(self) -> SourceTraits:
        """Properties beside the image; *synthetic* is valid after `resolve`."""

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
    def capabilities(self) -> SinkCapabilities:
        """What can be stored here."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One name of an image in a catalog, or an image without a name (*name* is "" then).

    *digest* is the id of the image in its store; None if only names are listed (the repositories of a registry).
    *platforms* and *size* (bytes) are None if the store does not list them: they are in the manifests.
    """

    name: str
    digest: Digest | None
    platforms: tuple[Platform, ...] | None = None
    size: int | None = None


class Catalog(Protocol):
    """All images of one store or registry. Used as a context manager; a missing one is an error, and is not created.

    With `Settings.dry_run`, `tag` and `delete` check what they can, report what they would do, and change nothing.
    """

    @property
    def place(self) -> str:
        """The store or registry as a user would write it; equal for two references into the same one."""

    @property
    def name(self) -> str:
        """The image that the reference names; "" if it names none."""

    def images(self) -> tuple[CatalogEntry, ...]:
        """All entries, in the order of the store. Raises NotFoundError if the store does not exist."""

    def open_image(self, entry: CatalogEntry) -> Source | None:
        """A source for *entry*, usable while the catalog is open; None if that would need the whole image."""

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        """Makes each of *new* refer to the image *name*, replacing existing names; returns the image's id.

        Raises NotFoundError, and UsageError for invalid names; then nothing is changed.
        """

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        """Removes *names*, and unreferenced content if the store does not collect it itself.

        Raises UsageError for an id with several names unless *all_tags*, and NotFoundError; then nothing is changed.
        Returns the removed entries.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def shared_id_error(place: str, name: str, names: Iterable[str]) -> UsageError:
    """The error for an id with several names, if it was not requested to delete all of them."""
    error = UsageError(
        f"{place.removesuffix(':')}: {name!r} has several names: {', '.join(map(repr, sorted(set(names))))}"
    )
    error.add_note("hint: delete one of the names, or add --all-tags")
    return error


def is_available(source: Source, sink: Sink, blob: Descriptor) -> bool:
    """Whether *sink* has *blob* of *source*, or can make it available without sending it.

    If earlier runs saw it in another repository of the sink's registry, the blob is requested from the source first:
    otherwise an image could name a blob that its own transport never had, and have it mounted from a repository that
    only the user may read. Raises what the source raises for a missing blob.
    """
    if not source.traits.synthetic and sink.capabilities.recalls(blob):
        with source.fetch(blob, max(0, blob.size - 1) if source.traits.resumable else 0):
            pass
    return sink.has(replace(blob, annotations={**blob.annotations, **source.traits.mount_hints}))
