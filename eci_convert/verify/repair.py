"""An image written again with right diff ids and schema version, blobs as they are.

The original `eci` writes wrong ones into legacy images (specs/eci.md, D1 and D2), which engines then refuse to unpack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eci_convert import content
from eci_convert.errors import CannotHold, FormatError
from eci_convert.model import Image
from eci_convert.oci import mediatype
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor, rendered
from eci_convert.pack import Packed
from eci_convert.progress import SILENT, Reporter
from eci_convert.transports.base import Sink, Source, check_logins, lent


def fixed(
    source: Source,
    image: Image,
    sink: Sink,
    diff_ids: Mapping[Digest, Digest],
    reporter: Reporter = SILENT,
    *,
    dry_run: bool = False,
) -> Packed:
    """Writes *image*, which *source* has, to *sink* with the *diff_ids* that a Report has found, and publishes it.

    *dry_run* says what would be written, and writes nothing.

    Raises FormatError for a config that is no container image's, CannotHold where the sink holds none but container
    images and this is no such, and what source and sink raise.
    """
    layers = image.manifest.layers
    check_logins(source, sink)
    if image.manifest.config.media_type not in mediatype.CONFIGS:
        raise FormatError(f"{image.manifest.config.media_type!r} has no diff ids to repair", where="config.mediaType")
    if not sink.holds_artifacts and not all(mediatype.is_tar_layer(layer.media_type) for layer in layers):
        raise CannotHold(f"{sink.destination} holds container images alone, and this is none")
    config = rendered(_config(image, [diff_ids.get(layer.digest, layer.digest) for layer in layers]))
    manifest = replace(image.manifest, config=_config_descriptor(image, config), schema_version=2)
    text = rendered(manifest)
    written = len(config) + len(text)
    blobs = {layer.digest: layer for layer in layers}.values()
    for layer in blobs:
        if not lent(source, sink, layer):
            written += layer.size
            if dry_run:
                continue
            with content.opened(source, layer, reporter) as chunks:
                sink.put(layer.media_type, chunks, digest=layer.digest, size=layer.size)
    total = sum(blob.size for blob in blobs) + len(config) + len(text)
    if dry_run:
        would_be = Descriptor.of(text, manifest.media_type)
        return Packed(descriptor=would_be, manifest=manifest, bytes_written=written, bytes_reused=total - written)
    sink.put(manifest.config.media_type, (config,), digest=manifest.config.digest, size=len(config))
    stored = sink.put(manifest.media_type, (text,))
    sink.publish(stored)
    return Packed(descriptor=stored, manifest=manifest, bytes_written=written, bytes_reused=total - written)


def _config(image: Image, diff_ids: list[Digest]) -> dict[str, Any]:
    fields = dict(image.config.fields)
    rootfs = fields.get("rootfs")
    kept = rootfs if isinstance(rootfs, dict) else {}
    return fields | {"rootfs": {"type": "layers", **kept, "diff_ids": [str(diff_id) for diff_id in diff_ids]}}


def _config_descriptor(image: Image, config: bytes) -> Descriptor:
    digest = Digest.of(config)
    return replace(image.manifest.config, digest=digest, size=len(config), data=None)
