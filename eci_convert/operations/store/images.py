"""The images of a name, as entries of an index, each with the platform in its config."""

from __future__ import annotations

from dataclasses import replace

from eci_convert.dialects.container_images import unikraft
from eci_convert.errors import UnsupportedImageError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.index import Index, candidates, is_bundle, select
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.operations.store import entries
from eci_convert.reading.images import Documents, flatten_index, load_manifest, load_root, right_sized, select_image
from eci_convert.transports.base import Source


def images(source: Source, platform: Platform | None) -> tuple[Index | None, tuple[Descriptor, ...]]:
    """The entries for what *source* names, and the index that it is, if it is one."""
    root, document = load_root(source)
    if isinstance(document, Manifest):
        return None, (entry_of(source, root, document, platform),)
    if is_bundle(document):
        raise UnsupportedImageError(f"{source.origin} is a CNAB bundle, and no image for a platform")
    flat = flatten_index(Documents(source), document)
    chosen = (select(flat, platform, source.origin),) if platform else candidates(flat)
    listed = entries.with_attestations(flat, chosen)
    return document, tuple(_listed(source, right_sized(source, entry), platform) for entry in listed)


def _listed(source: Source, entry: Descriptor, platform: Platform | None) -> Descriptor:
    """*entry* of an index as another one lists it, with its platform, which an index need not tell."""
    if entry.platform or entries.is_attestation(entry):
        return entries.without_data(entry)
    document = load_manifest(source, entry)
    own_platform = entry_of(source, entry, document, platform).platform if isinstance(document, Manifest) else platform
    return replace(entries.without_data(entry), platform=own_platform)


def entry_of(source: Source, root: Descriptor, manifest: Manifest, platform: Platform | None) -> Descriptor:
    """The entry of an index for an image that is in none."""
    image = select_image(Documents(source), root, manifest, platform)
    runs_on = _platform(image) or platform
    if runs_on is None:
        error = UnsupportedImageError(f"{source.origin} does not say which platform it is for")
        error.add_note("hint: say it with --platform OS/ARCH")
        raise error
    annotations = manifest.annotations if unikraft.MARK in manifest.annotations else {}
    return Descriptor(
        media_type=root.media_type or manifest.media_type,
        digest=root.digest,
        size=root.size,
        annotations=annotations,
        platform=runs_on,
        artifact_type=manifest.artifact_type,
        data=root.data,
    )


def _platform(image: ImageMetadata) -> Platform | None:
    return image.platform if image.platform and image.platform.os and image.platform.architecture else None
