"""Labels that keep the garbage collector from what an image needs.

`ctr` and everything built on containerd's client put `containerd.io/gc.ref.content.config`, `….l.N` and `….m.N` on
manifests and indexes; the original `eci` put `….N` (docs/specs/eci.md#3.7). `ctr content prune references` takes both
away from layers again, because a container that is unpacked needs none of them. A machine does: each layer has a second
label here, which that command leaves alone.
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
from eci_convert.transports.containerd.content import content_info, read_small_blob, set_labels
from eci_convert.transports.containerd.lease import Lease

_REFERENCE = "containerd.io/gc.ref.content."
_KEPT = f"{_REFERENCE}eci-convert.l."
_REFERRER = f"{_REFERENCE}eci-convert.r."
_MAX_NESTING = 4


def label_tree(connection: ContainerdConnection, lease: Lease, root: Descriptor, levels: int = _MAX_NESTING) -> None:
    """Labels *root* and all manifests below it with what they need, those below first.

    Raises NotFound if a blob of an image is not there. An index may name images that are not: containerd has the
    platforms that somebody wanted.
    """
    lease.keep(root.digest)
    found = read_small_blob(connection, root)
    if isinstance(found, Index):
        for child in found.manifests:
            info = content_info(connection, child.digest)
            if levels and child.media_type in media_types.DOCUMENTS | {""} and info:
                label_tree(
                    connection, lease, replace(child, size=info.size), levels - 1
                )  # KraftKit's indexes tell another
    else:
        _check_complete(connection, root, found)
    set_labels(connection, root.digest, references(found))


def references(found: Manifest | Index) -> dict[str, str]:
    """The labels for the content that *found* is."""
    if isinstance(found, Index):
        return {f"{_REFERENCE}m.{place}": str(child.digest) for place, child in enumerate(found.manifests)}
    layers = [str(layer.digest) for layer in found.layers]
    return (
        {f"{_REFERENCE}config": str(found.config.digest)}
        | {f"{_REFERENCE}l.{place}": layer for place, layer in enumerate(layers)}
        | {f"{_KEPT}{place}": layer for place, layer in enumerate(layers)}
    )


def label_referrer(connection: ContainerdConnection, referrer: Descriptor, subject: Digest) -> None:
    """Labels the content *subject* with *referrer*, which is kept as long as that is; nothing if it is not there."""
    if content_info(connection, subject):
        set_labels(connection, subject, {f"{_REFERRER}{referrer.digest.hex}": str(referrer.digest)})


def labelled_referrers(connection: ContainerdConnection, subject: Digest) -> tuple[Descriptor, ...]:
    """What `label_referrer` tied to *subject*, as far as it is still there."""
    info = content_info(connection, subject)
    named = sorted(value for key, value in info.labels.items() if key.startswith(_REFERRER)) if info else []
    digests = [Digest.parse(text, where=f"labels of {subject.short}") for text in named]
    found = [(digest, content_info(connection, digest)) for digest in digests]
    entries = (Descriptor(media_type="", digest=digest, size=info.size) for digest, info in found if info)
    return tuple(replace(entry, media_type=read_small_blob(connection, entry).media_type) for entry in entries)


def _check_complete(connection: ContainerdConnection, root: Descriptor, found: Manifest) -> None:
    """Raises NotFound unless all blobs of *found* are there, or elsewhere by their urls."""
    needed = {blob.digest for blob in (found.config, *found.layers) if not blob.urls and blob.data is None}
    for digest in needed:
        if content_info(connection, digest) is None:
            raise NotFoundError(f"containerd has no content {str(digest)!r}, which the image {root.digest.short} needs")
