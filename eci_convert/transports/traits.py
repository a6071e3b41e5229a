"""Properties of a source and of a sink, as values: what each can do, and what it prefers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from eci_convert.oci.descriptor import Descriptor
from eci_convert.transports.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitLogin:
    """A login from `Settings.username`, and the registry that it would be sent to."""

    registry: str
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """A GET request. *headers* may hold an Authorization, which is as secret as the credential it was made from."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


class BlobUrls(Protocol):
    """Returns the request with which another HTTP client gets a blob or a manifest of the image."""

    def __call__(self, blob: Descriptor, *, follow: bool) -> FileRequest:
        """The request for *blob*. *follow*: the URL that the server redirects to, if any. Raises as `Source.fetch`."""


def no_names() -> tuple[str, ...]:
    """For sources that cannot suggest another name."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTraits:
    """Properties of a source beside its image, and what few sources can do: a default says that this one cannot.

    *resumable*: reading is slow enough that received data is kept for the next run if this process dies. *synthetic*:
    `resolve` returns a manifest synthesised by the transport (uncompressed layers); its digest is not known anywhere
    else. Docker engines without containerd's store, archives of docker save, containers-storage for layers that were
    compressed. *mount_hints*: annotations that tell a sink of the same kind where to mount a blob from:
    `containerd.io/distribution.source.HOST=REPOSITORY` for registries, empty for other transports.

    *explicit_login*: the login from the settings that would be used, for `check_logins`. *nearest_names*: the names
    that resemble the one that `resolve` did not find, to suggest to the user; may ask the store. *file_request*
    returns the URLs of blobs; None if they have none.
    """

    resumable: bool = False
    synthetic: bool = False
    mount_hints: Mapping[str, str] = field(default_factory=dict, hash=False)
    explicit_login: ExplicitLogin | None = None
    nearest_names: Callable[[], tuple[str, ...]] = no_names
    file_request: BlobUrls | None = None


def recalls_nothing(blob: Descriptor) -> bool:
    """For sinks that keep no record of other names."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkCapabilities:
    """What a sink can store, what it prefers, and what few sinks can do: a default says that this one cannot.

    *artifacts*: other manifests than container images can be stored. *indexes*: an index of several images can be
    stored under the name. *sha512*: blobs can be stored and read under their sha512. *stores_uncompressed*: tar layers
    are stored uncompressed, so that compressing them is wasted work. *prefers_compressed*: sending an uncompressed
    layer costs more than compressing it, and more than hashing a file to find out whether it exists: registries.
    *artifact_types*: whether manifests may have an `artifactType` (image-spec v1.1); None if unknown: a manifest that
    is refused may be sent without it.

    *explicit_login*: as of SourceTraits. *recalls*: whether earlier runs saw a blob under another name, from which
    `has` would make it available without sending it.
    """

    artifacts: bool = True
    indexes: bool = True
    sha512: bool = True
    stores_uncompressed: bool = False
    prefers_compressed: bool = False
    artifact_types: bool | None = True
    explicit_login: ExplicitLogin | None = None
    recalls: Callable[[Descriptor], bool] = recalls_nothing
