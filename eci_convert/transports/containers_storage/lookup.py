"""Names of images in a store: whole ones, by which podman, buildah and CRI-O know them."""

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

_AT_ID: Final = re.compile(r"[0-9a-f]{3,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuery:
    """What a reference asks for: *spelt*, names that may be meant, the likeliest first; the first digits of an *id*,
    which come after them; a *digest*."""

    spelt: tuple[str, ...]
    id: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """`NAME[:TAG][@DIGEST]`, `NAME@ID`, `@ID`, `ID` or `sha256:ID`."""
        name, _, suffix = text.rpartition("@")
        if is_id(text):
            return cls(spelt=(), id=digits(text), digest="")
        if "@" not in text:
            return cls(spelt=_spelt(text), id=digits(text), digest="")
        if _AT_ID.fullmatch(suffix):
            return cls(spelt=(), id=suffix, digest="")
        try:
            Digest.parse(suffix)
        except FormatError as error:
            raise UsageError(f"{suffix!r} in {text!r} is neither a digest nor an id") from error
        return cls(spelt=_spelt(name), id="", digest=suffix)


def find_image(stores: Sequence[ContainersStore], place: StoreLocation) -> tuple[ContainersStore, StoredImage]:
    """The image that *place* names, and the store that has it. Raises NotFound and UsageError."""
    there = [store for store in stores if store.exists()]
    if not there:
        raise NotFoundError(f"{str(place.root)!r} is not an image store of the driver {place.driver!r}")
    wanted = ImageQuery.parse(place.name)
    known = [(store, store.images()) for store in there]
    for store, image in _suiting(known, wanted):
        return store, image
    raise NotFoundError(f"the image store {str(place.root)!r} has no image {place.name!r}")


def _suiting(
    known: list[tuple[ContainersStore, tuple[StoredImage, ...]]], wanted: ImageQuery
) -> Iterator[tuple[ContainersStore, StoredImage]]:
    everything = [(store, image) for store, images in known for image in images]
    if wanted.digest:
        repositories = {_repository(name) for name in wanted.spelt}
        for store, image in everything:
            if _has_digest(image, wanted.digest) and repositories & set(map(_repository, image.names)):
                yield store, image
    else:
        for name in wanted.spelt:
            yield from (found for found in everything if name in found[1].names)
        if wanted.id:
            yield from _by_id(everything, wanted.id)


def _by_id(
    everything: list[tuple[ContainersStore, StoredImage]], beginning: str
) -> Iterator[tuple[ContainersStore, StoredImage]]:
    """The one whose id begins with *beginning*. Raises LayoutError if there are several."""
    begun = [(store, image) for store, image in everything if image.id.startswith(beginning)]
    ids = sorted({image.id for _, image in begun})
    if len(ids) > 1:
        error = UnsupportedImageError(f"{beginning!r} is ambiguous, it matches {len(ids)} images: {quoted_list(ids)}")
        error.add_note("hint: give more digits")
        raise error
    yield from begun


def _has_digest(image: StoredImage, digest: str) -> bool:
    return digest == image.digest or f"manifest-{digest}" in image.keys


def _spelt(name: str) -> tuple[str, ...]:
    """The name itself, as Docker completes it, and as podman names what was built here."""
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
