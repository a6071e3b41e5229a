"""Loads images from a source: manifests and configs, verified, then parsed, for the selected platform."""

from __future__ import annotations

from dataclasses import replace
from operator import is_
from typing import Final

from eci_convert.dialects import index_sizes
from eci_convert.errors import EciError, FormatError, LimitExceededError, NotFoundError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig, ImageMetadata
from eci_convert.oci.index import Index, candidates, check_no_bundle, select
from eci_convert.oci.manifest import Manifest, parse_manifest
from eci_convert.oci.platform import Platform, check_platform, effective_platform
from eci_convert.reading.blobs import load_document
from eci_convert.transports.base import Source

MAX_DOCUMENTS: Final = 32 << 20
"""The total size in bytes of the manifests, indexes and configs of one name."""
_MAX_NESTING = 4
_MAX_INNER = 64


def existing_image(source: Source | None) -> ImageMetadata | None:
    """The existing image, or None if there is none or it cannot be read: then nothing of it is reused."""
    try:
        return load_image(source) if source else None
    except EciError:
        return None


class Documents:
    """Loads the manifests, indexes and configs of one name from *source*, each once. Raises LimitExceededError if they
    are more than *budget* bytes in total."""

    def __init__(self, source: Source, budget: int = MAX_DOCUMENTS) -> None:
        self.source = source
        self._budget = budget
        self._manifests: dict[tuple[Digest, str], Manifest | Index] = {}
        self._configs: dict[tuple[Digest, str], ImageConfig] = {}

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index *descriptor*. Raises as `load_root`."""
        key = (descriptor.digest, descriptor.media_type)
        if key not in self._manifests:
            self.account(descriptor.size)
            self._manifests[key] = load_manifest(self.source, descriptor)
        return self._manifests[key]

    def config(self, blob: Descriptor) -> ImageConfig:
        """The config *blob*; an empty one if it is not that of a container image."""
        key = (blob.digest, blob.media_type)
        if key not in self._configs:
            self.account(min(blob.size, json_fields.MAX_DOCUMENT))
            self._configs[key] = _config(self.source, blob)
        return self._configs[key]

    def account(self, size: int) -> None:
        """Charges *size* bytes. Raises LimitExceededError."""
        self._budget -= size
        if self._budget < 0:
            raise LimitExceededError(
                "the total size of its manifests and configs is too large", where=self.source.origin
            )


def load_root(source: Source) -> tuple[Descriptor, Manifest | Index]:
    """The manifest or index that the source resolves to. Raises FormatError, IntegrityError and what the source
    raises."""
    descriptor = right_sized(source, source.resolve())
    return descriptor, parse_manifest(load_document(source, descriptor, "manifest"), descriptor.media_type)


def load_image(source: Source, platform: Platform | None = None) -> ImageMetadata:
    """The image that the source resolves to; of several, the one for *platform* (see `oci.index.select`)."""
    descriptor, manifest = load_root(source)
    return select_image(Documents(source), descriptor, manifest, platform)


def select_image(
    documents: Documents, descriptor: Descriptor, manifest: Manifest | Index, platform: Platform | None
) -> ImageMetadata:
    """The image for *platform* in *manifest*, the manifest or index *descriptor*.

    An image that is not listed in an index declares its platform in its config. Raises UnsupportedImageError if that is
    another one.
    """
    described, source = False, documents.source
    for _ in range(_MAX_NESTING):
        if isinstance(manifest, Manifest):
            image = _image(documents, descriptor, manifest)
            if platform and not described:
                check_platform(image.platform, platform, source.origin)
            return image
        descriptor = right_sized(documents.source, select(flatten_index(documents, manifest), platform, source.origin))
        described, manifest = True, documents.manifest(descriptor)
    raise LimitExceededError(f"indexes are nested more than {_MAX_NESTING} deep", where=source.origin)


def flatten_index(documents: Documents, index: Index, *, bundle: bool = False) -> Index:
    """*index* with nested indexes replaced by their entries, except for those with a platform. Duplicates are removed.

    Raises LimitExceededError if they are too deep or too many, IsBundleError if *index* is a CNAB bundle, unless
    *bundle*, and as `load_root`.
    """
    where = documents.source.origin
    if not bundle:
        check_no_bundle(index, where)
    seen: set[Digest] = set()
    for _ in range(_MAX_NESTING):
        inner = {id(entry) for entry in candidates(index) if entry.media_type in media_types.INDEXES}
        entries: list[Descriptor] = []
        for entry in index.manifests:
            if id(entry) not in inner or entry.platform:
                entries.append(entry)
            elif entry.digest not in seen:
                seen.add(entry.digest)
                if len(seen) > _MAX_INNER:
                    raise LimitExceededError(f"more than {_MAX_INNER} indexes in an index", where=where)
                within = documents.manifest(entry)
                entries += within.manifests if isinstance(within, Index) else (entry,)
        if len(entries) == len(index.manifests) and all(map(is_, entries, index.manifests)):
            return index
        index = replace(index, manifests=tuple(entries))
    raise LimitExceededError(f"indexes are nested more than {_MAX_NESTING} deep", where=where)


def right_sized(source: Source, entry: Descriptor) -> Descriptor:
    """*entry* of an index, with corrected size and embedded content if the index has a wrong size. Raises as
    `load_root`."""
    return index_sizes.with_right_size(
        entry, lambda expected: load_document(source, expected, f"manifest {entry.digest.short}")
    )


def load_manifest(source: Source, descriptor: Descriptor) -> Manifest | Index:
    """The manifest or index *descriptor*. Raises as `load_root`."""
    descriptor = right_sized(source, descriptor)
    return parse_manifest(
        load_document(source, descriptor, f"manifest {descriptor.digest.short}"), descriptor.media_type
    )


def _image(documents: Documents, descriptor: Descriptor, manifest: Manifest) -> ImageMetadata:
    config = documents.config(manifest.config)
    platform = effective_platform(descriptor.platform, config.platform, manifest.config.platform)
    return ImageMetadata(descriptor=descriptor, manifest=manifest, config=config, platform=platform)


def _config(source: Source, blob: Descriptor) -> ImageConfig:
    if blob.media_type in media_types.CONFIGS:
        return ImageConfig.parse(load_document(source, blob, "config"))
    if blob.size > json_fields.MAX_DOCUMENT:
        return ImageConfig()
    try:
        return ImageConfig(fields=json_fields.document(load_document(source, blob, "config"), "config"))
    except (NotFoundError, FormatError):
        return ImageConfig()
