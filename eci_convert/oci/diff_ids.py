"""Diff ids: the layers they refer to, and which of them are certainly wrong, without reading a layer.

Diff ids are digests of uncompressed archives: that of an uncompressed layer is its digest, and that of a compressed one
is not the digest of any blob. The original `eci` writes wrong ones (docs/specs/eci.md#D1), together with schemaVersion
0 (ECI D2).
"""

from __future__ import annotations

from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig, ImageMetadata
from eci_convert.oci.manifest import Manifest


def layers_by_diff_id(image: ImageMetadata | None) -> dict[tuple[Digest, str], Descriptor]:
    """The layers of *image*, by diff id and media type (with compression)."""
    if image is None or len(image.config.diff_ids) != len(image.manifest.layers):
        return {}
    return {
        (diff_id, layer.media_type): layer
        for diff_id, layer in zip(image.config.diff_ids, image.manifest.layers, strict=True)
        if media_types.is_tar_layer(layer.media_type)
    }


def doubtful(manifest: Manifest, config: ImageConfig) -> tuple[Descriptor, ...]:
    """Layers whose diff ids are wrong if they are uncompressed, as their media types say."""
    if not _is_container(manifest) or len(manifest.layers) != len(config.diff_ids):
        return ()
    compressed = _compressed_digests(manifest)
    return tuple(
        layer
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
        if layer.digest not in compressed and layer.digest != diff_id
    )


def certainly_wrong(manifest: Manifest, config: ImageConfig) -> bool:
    """Whether diff ids are wrong even if compression differs from the media types, which engines accept: so a layer
    with the type of an uncompressed archive may have another diff id than its digest."""
    if not _is_container(manifest):
        return False
    compressed = _compressed_digests(manifest)
    return len(manifest.layers) != len(config.diff_ids) or any(
        diff_id in compressed and (diff_id != layer.digest or manifest.schema_version != 2)
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
    )


def _is_container(manifest: Manifest) -> bool:
    return all(media_types.is_tar_layer(layer.media_type) for layer in manifest.layers)


def _compressed_digests(manifest: Manifest) -> set[Digest]:
    return {layer.digest for layer in manifest.layers if layer.media_type.endswith(("gzip", "zstd"))}
