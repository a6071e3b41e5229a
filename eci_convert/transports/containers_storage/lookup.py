"""Finds images in a store by full name, as podman, buildah and CRI-O do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from eci_convert.errors import FormatError, NotFoundError, UnsupportedImageError, UsageError, quoted_list
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.transports.containers_storage.index_files import StoredImage
from eci_convert.transports.containers_storage.location import StoreLocation
from eci_convert.transports.containers_storage.store import ContainersStore
from eci_convert.transports.ids import digits, is_id
from eci_convert.transports.schemes import nearest_names, other_meaning

_AT_ID: Final = re.compile(r"[0-9a-f]{3,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuery:
    """A parsed image name: the candidate names *spelt*, in order; the first digits of an *id*, tried after them; a
    *digest*."""

    spelt: tuple[str, ...]
    id: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """`NAME[:TAG][@DIGEST]`, `NAME@ID`, `@ID`, `ID` or `sha256:ID`, parsed."""
        name, _, suffix = text.rpartition("@")
        if is_id(text):
            return cls(spelt=(), id=digits(text), digest="")
        if "@" not in text:
            return cls(spelt=_candidate_names(text), id=digits(text), digest="")
        if _AT_ID.fullmatch(suffix):
            return cls(spelt=(), id=suffix, digest="")
        try:
            Digest.parse(suffix)
        except FormatError as error:
            raise UsageError(f"{suffix!r} in {text!r} is neither a digest nor an id") from error
        return cls(spelt=_candidate_names(name), id="", digest=suffix)


def find_image(stores: Sequence[ContainersStore], location: StoreLocation) -> tuple[ContainersStore, StoredImage]:
    """The image that *location* names, and the store that has it. Raises NotFoundError and UsageError."""
    existing = existing_stores(stores, location)
    query = ImageQuery.parse(location.name)
    images_by_store = [(store, store.images()) for store in existing]
    for store, image in _matching(images_by_store, query):
        return store, image
    error = NotFoundError(f"the image store {str(location.root)!r} has no image {location.name!r}")
    names = [name for _, images in images_by_store for image in images for name in image.names]
    if meaning := other_meaning(location.name):
        error.add_note(f"hint: {meaning}")
    elif nearest := [name for spelt in query.spelt[::-1] for name in nearest_names(spelt, names)]:
        error.add_note(f"hint: the store has {quoted_list(dict.fromkeys(nearest), 3)}")
    raise error


def existing_stores(stores: Sequence[ContainersStore], location: StoreLocation) -> list[ContainersStore]:
    """Those of *stores* that exist. Raises NotFoundError if none does."""
    existing = [store for store in stores if store.exists()]
    if not existing:
        raise NotFoundError(f"{str(location.root)!r} is not an image store of the driver {location.driver!r}")
    return existing


def _matching(
    images_by_store: list[tuple[ContainersStore, tuple[StoredImage, ...]]], query: ImageQuery
) -> Iterator[tuple[ContainersStore, StoredImage]]:
    everything = [(store, image) for store, images in images_by_store for image in images]
    if query.digest:
        repositories = {_repository(name) for name in query.spelt}
        for store, image in everything:
            if _has_digest(image, query.digest) and repositories & set(map(_repository, image.names)):
                yield store, image
    else:
        for name in query.spelt:
            yield from (entry for entry in everything if name in entry[1].names)
        if query.id:
            yield from _by_id(everything, query.id)


def _by_id(
    images: list[tuple[ContainersStore, StoredImage]], prefix: str
) -> Iterator[tuple[ContainersStore, StoredImage]]:
    """The one image whose id begins with *prefix*. Raises UnsupportedImageError if there are several."""
    matches = [(store, image) for store, image in images if image.id.startswith(prefix)]
    ids = sorted({image.id for _, image in matches})
    if len(ids) > 1:
        error = UnsupportedImageError(f"{prefix!r} is ambiguous, it matches {len(ids)} images: {quoted_list(ids)}")
        error.add_note("hint: give more digits")
        raise error
    yield from matches


def _has_digest(image: StoredImage, digest: str) -> bool:
    return digest == image.digest or f"manifest-{digest}" in image.keys


def _candidate_names(name: str) -> tuple[str, ...]:
    """The name itself, as Docker expands it, and as podman names local builds."""
    try:
        full = str(Reference.parse(name))
        local = str(Reference.parse(f"localhost/{name}"))
    except UsageError:
        return (name,)
    return tuple(dict.fromkeys((name, full, local)))


def _repository(name: str) -> str:
    try:
        return Reference.parse(name).name
    except UsageError:
        return name
