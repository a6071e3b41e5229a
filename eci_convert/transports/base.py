"""What every place where images live can be asked: a Source and a Sink of one name, a Catalog of all names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import MappingProxyType, TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from eci_convert.errors import TransportError, UsageError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.platform import Platform
from eci_convert.transports.settings import Settings

IMAGE_ID_ANNOTATION = "io.eci-convert.identity"
"""An annotation of the descriptor that a source resolves to, where the image's documents are made up: the digest by
which the place itself knows the image (the Docker engine's image id)."""


class NotShown(TransportError):
    """An engine's container may show something else than the image has, which is in `ContainerFiles.full_image`."""


class ContainerFiles(Protocol):
    """The files of an image as a place keeps them unpacked (the Docker engine): no layer travels."""

    def fetch(self, path: str) -> AbstractContextManager[Iterable[bytes]]:
        """A tar archive whose first entry is *path*, which is absolute; a link comes as a link, a directory with all
        below it. Links among the parents of *path* are followed inside the image. A *path* that ends in "/" is a
        directory whose content counts. Raises NotFound, and NotShown where only the whole image can tell."""

    def full_image(self) -> Source:
        """The same image with its real documents and with every blob, which such a place gives only all at once. It
        lasts as long as the source that this belongs to."""


@runtime_checkable
class PartialView(Protocol):
    """A Filesystem that is not a faithful view of the image."""

    @property
    def hides_files(self) -> bool:
        """Whether a file that is not shown may still be in the image: it has volumes, or the engine mounts some."""

    @property
    def follows_links(self) -> bool:
        """Whether a link at the end of a path is followed as well (podman), so that it cannot be seen."""


Variants = Mapping[str, Descriptor]
"""Images of one index that get names of their own, by what is put behind the index's name (`-amd64`)."""

NO_VARIANTS: Final[Variants] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitLogin:
    """A login out of `Settings.username`, and the registry that would be told it."""

    registry: str
    settings: Settings


def check_logins(source: object, sink: object) -> None:
    """Raises UsageError where one Settings would tell its password to two registries, of *source* and of *sink*.

    Two Settings, though equal, say that this is meant.
    """
    one, other = (getattr(place, "explicit_login", None) for place in (source, sink))
    if not isinstance(one, ExplicitLogin) or not isinstance(other, ExplicitLogin):
        return
    if one.settings is other.settings and one.registry != other.registry:
        raise two_registries(one.registry, other.registry)


def two_registries(one: str, other: str) -> UsageError:
    """The error for one login of which nobody knows for which of two registries it is."""
    error = UsageError(f"one --username is for one registry, and {one} and {other} are two")
    error.add_note(
        "hint: copy has --src-username and --dest-username, in Python destination_options; or log in to both"
    )
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTraits:
    """What can be known of a source beside its image.

    *resumable*: reading is slow enough that bytes already received are worth keeping when the process dies.
    *synthetic*: the manifest that `resolve` names is of our making, with raw layers, because the transport keeps none:
    nobody else knows it by its digest. Docker engines without containerd's store, their archives, podman's store for
    what came compressed. *mount_hints*: annotations that tell a sink of the same kind where it could take a blob from
    without it being sent: `containerd.io/distribution.source.HOST=REPOSITORY` of a registry.
    """

    resumable: bool = False
    synthetic: bool = False
    mount_hints: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkCapabilities:
    """What a sink can store, and what it is best given.

    *artifacts*: anything, and not container images alone. *indexes*: several images under one name. *sha512*: a blob
    under its sha512, to be read again by it. *stores_uncompressed*: tar layers are stored uncompressed, so compressing
    them is lost work. *prefers_compressed*: sending a raw layer costs more than compressing it, and more than hashing
    a file to see whether it is there. *artifact_types*: whether manifests may have an `artifactType` (image-spec v1.1);
    None where that is not known: one that is refused may be sent without.
    """

    artifacts: bool = True
    indexes: bool = True
    sha512: bool = True
    stores_uncompressed: bool = False
    prefers_compressed: bool = False
    artifact_types: bool | None = True


class Source(Protocol):
    """A name in a place, to be read. Used as a context manager: leaving it lets go of what the place lent."""

    @property
    def origin(self) -> str:
        """The reference as a user would write it, for messages."""

    @property
    def traits(self) -> SourceTraits:
        """What can be known of it beside its image; *synthetic* is known once `resolve` was called."""

    def resolve(self) -> Descriptor:
        """What the name stands for: a manifest or an index. Raises NotFound, AccessDenied, TransportError."""

    def fetch(self, blob: Descriptor, skip: int = 0) -> AbstractContextManager[Iterable[bytes]]:
        """The bytes of *blob* from offset *skip*, unverified. Only `content` calls this."""

    def filesystem(self) -> ContainerFiles | None:
        """The unpacked files, where the place keeps them and can hand out one alone; None: walk the layers."""

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """The manifests whose subject is *subject*; none where the place does not know of such things."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def with_all_blobs(source: Source) -> Source:
    """*source*, or where it hands out files and no layers, the one for the same image that has every blob."""
    files = source.filesystem()
    return source if files is None else files.full_image()


class Sink(Protocol):
    """A name in a place, to be written. Leaving it without `publish` leaves the name as it was."""

    @property
    def destination(self) -> str:
        """The reference as a user would write it, for messages."""

    @property
    def capabilities(self) -> SinkCapabilities:
        """What can be stored here."""

    def has(self, blob: Descriptor) -> bool:
        """Whether *blob* is there, or could be had from nearby without sending it. "I cannot tell" is False."""

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        """Stores a blob or a document and says what it turned out to be.

        *digest* and *size* (bytes) are given where they are known beforehand; content that differs from them is
        refused with IntegrityError. May be called from several threads. Raises TransportError, LocalError.
        """

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        """Makes the name stand for *manifest*, which was `put`. Until then nothing was to be seen.

        Each of *variants*, which *manifest* lists, gets a name of its own: this one with the key behind it. A place
        that holds no indexes is given none.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One name of an image in a place, or an image without a name (*name* is "" then).

    *digest* is the id by which the place knows the image; None where only names are listed (the repositories of a
    registry). *platforms* and *size* (bytes) are known where the place tells them; None: the manifests do.
    """

    name: str
    digest: Digest | None
    platforms: tuple[Platform, ...] | None = None
    size: int | None = None


class Catalog(Protocol):
    """All images of a place. Used as a context manager; a place that is not there is an error, and is not made.

    With `Settings.dry_run`, `tag` and `delete` check what they can, tell what they would do, and change nothing.
    """

    @property
    def place(self) -> str:
        """The place as a user would write it; equal for two references into the same place."""

    @property
    def name(self) -> str:
        """Which image the reference named; "" where it named the place alone."""

    def images(self) -> tuple[CatalogEntry, ...]:
        """What the place lists, in its order. Raises NotFoundError where there is no such place."""

    def open_image(self, entry: CatalogEntry) -> Source | None:
        """*entry*, to be described while the catalog is open; None where that would take the whole image."""

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        """Make each of *new* stand for the image *name*, whatever it stood for before; the image's id.

        Raises NotFoundError, and UsageError for what is not a name here; then nothing is changed.
        """

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        """Remove *names*, and what nothing refers to any more where the place does not see to that itself.

        An id that several names share is UsageError unless *all_tags*. Returns what was removed. Raises NotFoundError,
        and then nothing is changed.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def shared_id_error(place: str, name: str, names: Iterable[str]) -> UsageError:
    """The error for an id that several names share, of which nobody said that all are to go."""
    error = UsageError(
        f"{place.removesuffix(':')}: {name!r} has several names: {', '.join(map(repr, sorted(set(names))))}"
    )
    error.add_note("hint: delete one of the names, or add --all-tags")
    return error


def lent(source: Source, sink: Sink, blob: Descriptor) -> bool:
    """Whether *sink* has *blob* of *source*, or takes it from nearby without its being sent.

    Where earlier runs saw it in another repository of the sink's registry, the source is asked for it first: an image
    may name a blob that its own place never had, and have it taken from where the user alone may read. Raises what the
    source raises for a blob that is not there.
    """
    recalls: Callable[[Descriptor], bool] = getattr(sink, "recalls", lambda _: False)
    if not source.traits.synthetic and recalls(blob):
        with source.fetch(blob, max(0, blob.size - 1) if source.traits.resumable else 0):
            pass
    return sink.has(replace(blob, annotations={**blob.annotations, **source.traits.mount_hints}))
