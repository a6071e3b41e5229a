"""Labels that protect the blobs of an image from containerd's garbage collector.

`ctr` and everything built on containerd's client set `containerd.io/gc.ref.content.config`, `….l.N` and `….m.N` on
manifests and indexes; the original `eci` set `….N` (docs/specs/eci.md#3.7). `ctr content prune references` removes both
from layers, because containers do not need layers that are unpacked. Machines do, so each layer has a second label
here, which that command keeps.
"""

from __future__ import annotations

from dataclasses import replace

from eci_convert.errors import NotFoundError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest
from eci_convert.transports.containerd.connection import ContainerdConnection
from eci_convert.transports.containerd.content import content_info, read_manifest, set_labels
from eci_convert.transports.containerd.lease import Lease

_REFERENCE = "containerd.io/gc.ref.content."
_SECOND_LABEL = f"{_REFERENCE}eci-convert.l."
_REFERRER = f"{_REFERENCE}eci-convert.r."
_MAX_NESTING = 4


def label_tree(connection: ContainerdConnection, lease: Lease, root: Descriptor, levels: int = _MAX_NESTING) -> None:
    """Labels *root* and all manifests below it with the blobs they refer to, depth first.

    Raises NotFoundError if a blob of an image is missing. Images of an index may be missing: containerd stores only the
    platforms that were pulled.
    """
    lease.keep(root.digest)
    manifest = read_manifest(connection, root)
    if isinstance(manifest, Index):
        for child in manifest.manifests:
            info = content_info(connection, child.digest)
            if levels and child.media_type in media_types.DOCUMENTS | {""} and info:
                # The actual size: KraftKit's indexes have wrong ones.
                label_tree(connection, lease, replace(child, size=info.size), levels - 1)
    else:
        _check_complete(connection, root, manifest)
    set_labels(connection, root.digest, reference_labels(manifest))


def reference_labels(manifest: Manifest | Index) -> dict[str, str]:
    """The labels for the manifest or index *manifest*."""
    if isinstance(manifest, Index):
        return {f"{_REFERENCE}m.{number}": str(child.digest) for number, child in enumerate(manifest.manifests)}
    layers = [str(layer.digest) for layer in manifest.layers]
    return (
        {f"{_REFERENCE}config": str(manifest.config.digest)}
        | {f"{_REFERENCE}l.{number}": layer for number, layer in enumerate(layers)}
        | {f"{_SECOND_LABEL}{number}": layer for number, layer in enumerate(layers)}
    )


def label_referrer(connection: ContainerdConnection, referrer: Descriptor, subject: Digest) -> None:
    """Labels the blob *subject*, if it exists, so that *referrer* is kept as long as it is."""
    if content_info(connection, subject):
        set_labels(connection, subject, {f"{_REFERRER}{referrer.digest.hex}": str(referrer.digest)})


def labelled_referrers(connection: ContainerdConnection, subject: Digest) -> tuple[Descriptor, ...]:
    """The referrers that `label_referrer` attached to *subject*, as far as they still exist."""
    info = content_info(connection, subject)
    values = sorted(value for key, value in info.labels.items() if key.startswith(_REFERRER)) if info else []
    digests = [Digest.parse(text, where=f"labels of {subject.short}") for text in values]
    blobs = [(digest, content_info(connection, digest)) for digest in digests]
    entries = (Descriptor(media_type="", digest=digest, size=info.size) for digest, info in blobs if info)
    return tuple(replace(entry, media_type=read_manifest(connection, entry).media_type) for entry in entries)


def _check_complete(connection: ContainerdConnection, root: Descriptor, manifest: Manifest) -> None:
    """Raises NotFoundError unless all blobs of *manifest* exist, or have urls."""
    required = {blob.digest for blob in (manifest.config, *manifest.layers) if not blob.urls and blob.data is None}
    for digest in required:
        if content_info(connection, digest) is None:
            raise NotFoundError(f"containerd has no blob {str(digest)!r}, which the image {root.digest.short} needs")
