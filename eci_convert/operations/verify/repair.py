"""Writes an image again with right diff ids and schema version, an index with right sizes; blobs are unchanged.

The original `eci` writes wrong diff ids into legacy images (docs/specs/eci.md#D1 and docs/specs/eci.md#D2), which
engines then refuse to unpack; KraftKit writes wrong sizes into the index of several images (docs/specs/unikraft.md#K2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eci_convert.errors import CannotHoldError, FormatError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.platform import Platform
from eci_convert.operations.copy import BlobCopier
from eci_convert.options import TransferOptions
from eci_convert.pack.result import PushResult
from eci_convert.progress import Reused, note, planned
from eci_convert.reading import images
from eci_convert.reading.blobs import blob_name, open_blob
from eci_convert.reading.images import load_root, select_image
from eci_convert.reading.manifests import tree
from eci_convert.transports.base import Sink, Source, check_logins, is_available, with_all_blobs

_DEFAULTS = TransferOptions()


def repair_source(
    source: Source,
    sink: Sink,
    diff_ids: Mapping[Digest, Digest],
    *,
    platform: Platform | None = None,
    options: TransferOptions = _DEFAULTS,
) -> PushResult:
    """Writes what *source* names to *sink*, repaired: an index as an index, if *sink* can hold one and no *platform* is
    requested; otherwise the one image. Raises as `fixed_index` and `repair` do."""
    source = with_all_blobs(source)
    if not platform and sink.capabilities.indexes and isinstance(load_root(source)[1], Index):
        return fixed_index(source, sink, diff_ids, options)
    return repair(source, images.load_image(source, platform), sink, diff_ids, options)


def repair(
    source: Source,
    image: ImageMetadata,
    sink: Sink,
    diff_ids: Mapping[Digest, Digest],
    options: TransferOptions = _DEFAULTS,
) -> PushResult:
    """Writes *image*, which *source* has, to *sink* with the *diff_ids* that a Report has found, and publishes it.

    Raises FormatError for a config that is no container image's, CannotHoldError where the sink holds none but
    container images and this is no such, and what source and sink raise.
    """
    packed = _rewritten(source, image, sink, diff_ids, options)
    if not options.dry_run:
        sink.publish(packed.descriptor)
    return packed


def fixed_index(
    source: Source,
    sink: Sink,
    diff_ids: Mapping[Digest, Digest],
    options: TransferOptions = _DEFAULTS,
) -> PushResult:
    """Writes the index that *source* names to *sink*, with the sizes that its entries have, and each image in it that
    needs it as `repair` does; what is right stays as it is, byte for byte.

    Raises FormatError where it is no index, and what source and sink raise.
    """
    _, root = load_root(source)
    if not isinstance(root, Index):
        raise FormatError("is no index", where=source.origin)
    written = [_entry(source, entry, sink, diff_ids, options) for entry in root.manifests]
    entries = (
        replace(entry, digest=packed.descriptor.digest, size=packed.descriptor.size, data=None)
        for entry, packed in zip(root.manifests, written, strict=True)
    )
    index = replace(root, manifests=tuple(entries), schema_version=2)
    text = to_json(index)
    top = Descriptor.of(text, index.media_type)
    if not options.dry_run:
        sink.put(index.media_type, (text,), digest=top.digest, size=top.size)
        sink.publish(top)
    return PushResult(
        descriptor=top,
        manifest=index,
        bytes_sent=sum(packed.bytes_sent for packed in written) + len(text),
        bytes_reused=sum(packed.bytes_reused for packed in written),
    )


def _entry(
    source: Source,
    entry: Descriptor,
    sink: Sink,
    diff_ids: Mapping[Digest, Digest],
    options: TransferOptions,
) -> PushResult:
    """What became of one entry of an index: an image with right diff ids and schema version, or what it was."""
    documents = list(tree(source, entry))
    root = documents[-1]
    if isinstance(root.value, Manifest) and root.value.config.media_type in media_types.CONFIGS:
        image = select_image(images.Documents(source), root.descriptor, root.value, None)
        has_diff_ids = image.config.diff_ids and {layer.digest for layer in root.value.layers} <= diff_ids.keys()
        right = tuple(diff_ids.get(layer.digest, layer.digest) for layer in root.value.layers)
        if root.value.schema_version != 2 or (has_diff_ids and right != image.config.diff_ids):
            return _rewritten(source, image, sink, diff_ids, options)
    return BlobCopier(source, sink, options, None).put(documents)


def _rewritten(
    source: Source,
    image: ImageMetadata,
    sink: Sink,
    diff_ids: Mapping[Digest, Digest],
    options: TransferOptions,
) -> PushResult:
    layers = image.manifest.layers
    check_logins(source, sink)
    if image.manifest.config.media_type not in media_types.CONFIGS:
        raise FormatError(f"{image.manifest.config.media_type!r} has no diff ids to repair", where="config.mediaType")
    if not sink.capabilities.artifacts and not all(media_types.is_tar_layer(layer.media_type) for layer in layers):
        raise CannotHoldError(f"{sink.destination} holds container images alone, and this is none")
    config = to_json(_config(image, [diff_ids.get(layer.digest, layer.digest) for layer in layers]))
    manifest = replace(image.manifest, config=_config_descriptor(image, config), schema_version=2)
    text = to_json(manifest)
    written = len(config) + len(text)
    blobs = {layer.digest: layer for layer in layers}.values()
    with planned(options.reporter, len(blobs), sum(layer.size for layer in blobs)):
        for layer in blobs:
            if is_available(source, sink, layer):
                note(options.reporter, Reused(task=blob_name(layer), size=layer.size))
                continue
            written += layer.size
            if options.dry_run:
                continue
            with open_blob(source, layer, options.reporter) as chunks:
                sink.put(layer.media_type, chunks, digest=layer.digest, size=layer.size)
    total = sum(blob.size for blob in blobs) + len(config) + len(text)
    if options.dry_run:
        would_be = Descriptor.of(text, manifest.media_type)
        return PushResult(descriptor=would_be, manifest=manifest, bytes_sent=written, bytes_reused=total - written)
    sink.put(manifest.config.media_type, (config,), digest=manifest.config.digest, size=len(config))
    stored = sink.put(manifest.media_type, (text,))
    return PushResult(descriptor=stored, manifest=manifest, bytes_sent=written, bytes_reused=total - written)


def _config(image: ImageMetadata, diff_ids: list[Digest]) -> dict[str, Any]:
    fields = dict(image.config.fields)
    rootfs = fields.get("rootfs")
    kept = rootfs if isinstance(rootfs, dict) else {}
    return fields | {"rootfs": {"type": "layers", **kept, "diff_ids": [str(diff_id) for diff_id in diff_ids]}}


def _config_descriptor(image: ImageMetadata, config: bytes) -> Descriptor:
    digest = Digest.of(config)
    return replace(image.manifest.config, digest=digest, size=len(config), data=None)
