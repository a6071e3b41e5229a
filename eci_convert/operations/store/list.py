"""Lists the images of a store with names, platforms, dialect and size, from manifests and configs alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eci_convert import dialects
from eci_convert.errors import EciError, UnsupportedImageError, UsageError, one_line
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.index import Index, candidates, is_bundle
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.progress import warn
from eci_convert.reading import images
from eci_convert.reading.images import flatten_index, load_root, select_image
from eci_convert.transports import open_catalog
from eci_convert.transports.base import Catalog, CatalogEntry, Source
from eci_convert.transports.settings import Settings

_BUNDLE = "cnab"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """An image under one of its names. *name* and *tag* are "" where it has none.

    *digest* is its id in the place; None where the place tells names alone. *dialect* is "" where none recognises the
    image or nothing tells; *size* is of all blobs, in bytes, None where that is not known.
    """

    name: str
    tag: str
    digest: Digest | None
    platforms: tuple[Platform, ...]
    dialect: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    platforms: tuple[Platform, ...] = ()
    dialect: str = ""
    size: int | None = None


def list_images(place: str, settings: Settings | None = None) -> tuple[ListedImage, ...]:
    """The images of *place*, such as `oci:DIR` or `docker://HOST/REPO`, sorted by name, tag and digest.

    An image whose documents cannot be read is listed without what they would tell, and `settings.reporter` is warned.
    Raises UsageError where *place* names an image, NotFoundError where there is no such place, and as sources do.
    """
    settings = settings or Settings()
    with open_catalog(place, settings) as catalog:
        if catalog.name:
            error = UsageError(f"{place!r} names an image, and a place is to be listed: {catalog.place}")
            error.add_note("hint: inspect shows one image")
            raise error
        described: dict[Digest | None, _Description] = {}
        listed = []
        for entry in catalog.images():
            if entry.digest not in described:
                described[entry.digest] = _describe(catalog, entry, settings)
            listed.append(_listed_image(entry, described[entry.digest]))
    return tuple(sorted(listed, key=lambda image: (image.name, image.tag, str(image.digest or ""))))


def split_name(text: str) -> tuple[str, str]:
    """What stands before the tag in an image's name, and the tag; a digest is part of neither.

    >>> split_name("localhost:5000/machine:1"), split_name("localhost:5000/machine"), split_name("edge")
    (('localhost:5000/machine', '1'), ('localhost:5000/machine', ''), ('edge', ''))
    """
    text = text.partition("@")[0]
    head, colon, tail = text.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (text, "")


def _listed_image(entry: CatalogEntry, description: _Description) -> ListedImage:
    name, tag = split_name(entry.name)
    return ListedImage(
        name=name,
        tag=tag,
        digest=entry.digest,
        platforms=description.platforms if entry.platforms is None else entry.platforms,
        dialect=description.dialect,
        size=description.size if entry.size is None else entry.size,
    )


def _describe(catalog: Catalog, entry: CatalogEntry, settings: Settings) -> _Description:
    if entry.digest is None:
        return _Description()
    try:
        source = catalog.open_image(entry)
        return _description(source) if source else _Description()
    except EciError as error:
        warn(settings.reporter, f"{catalog.place}: {entry.name or entry.digest}: {one_line(error)}")
        return _Description()


def _description(source: Source) -> _Description:
    root, document = load_root(source)
    documents = images.Documents(source)
    if isinstance(document, Index):
        flat = flatten_index(documents, document, bundle=True)
        entries = list(candidates(flat))
    else:
        flat, entries = Index(manifests=()), [root]
    sizes = {root.digest: root.size, **{entry.digest: entry.size for entry in flat.manifests}}
    names: list[str] = []
    platforms: list[Platform] = []
    for entry in entries:
        manifest = document if isinstance(document, Manifest) else documents.manifest(images.right_sized(source, entry))
        if isinstance(manifest, Index):
            continue
        sizes |= _blob_sizes(manifest)
        image = select_image(documents, replace(entry, data=None), manifest, None)
        platforms += [image.platform] if image.platform else []
        names.append(_dialect_of(image))
    dialect = (
        _BUNDLE
        if isinstance(document, Index) and is_bundle(document)
        else ", ".join(dict.fromkeys(filter(None, names)))
    )
    return _Description(platforms=tuple(dict.fromkeys(platforms)), dialect=dialect, size=sum(sizes.values()))


def _blob_sizes(manifest: Manifest) -> dict[Digest, int]:
    blobs: list[Descriptor] = [manifest.config, *manifest.layers]
    return {blob.digest: blob.size for blob in blobs}


def _dialect_of(image: ImageMetadata) -> str:
    try:
        return dialects.read(image)[0]
    except UnsupportedImageError:
        return ""
