"""Checks whether a sink can hold an image, before the first byte is sent."""

from __future__ import annotations

import shlex

from eci_convert.dialects.blueprint import Blueprint
from eci_convert.errors import CannotHoldError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import MAX_LAYERS
from eci_convert.oci.index import Index, is_bundle
from eci_convert.oci.manifest import Manifest
from eci_convert.progress import Reporter, warn
from eci_convert.reading.blobs import DECRYPT_HINT
from eci_convert.reading.manifests import Document
from eci_convert.transports.base import Sink, Source


def check_copy_fits(sink: Sink, source: Source, documents: list[Document]) -> None:
    """Raises CannotHoldError, with the format that would do, unless *sink* can hold every one of *documents*."""
    root = documents[-1].value
    if not sink.capabilities.indexes and isinstance(root, Index) and is_bundle(root):
        raise cannot_hold(sink, "a CNAB bundle", "copy its images one by one, each by its digest")
    if not sink.capabilities.indexes and any(isinstance(document.value, Index) for document in documents):
        raise cannot_hold(sink, "an index of several images", "choose one image with --platform OS/ARCH")
    if not sink.capabilities.sha512:
        for blob in (blob for document in documents for blob in (document.descriptor, *document.blobs)):
            if blob.digest.algorithm != "sha256":
                raise cannot_hold(
                    sink, f"a blob under its {blob.digest.algorithm}", "--format legacy gives it a sha256"
                )
    for document in documents:
        if isinstance(document.value, Manifest) and not sink.capabilities.artifacts:
            if any(media_types.is_encrypted(layer.media_type) for layer in document.value.layers):
                raise cannot_hold(sink, "an encrypted image: it has to unpack the layers", DECRYPT_HINT)
            reason = _no_container(source, document.value)
            if reason:
                raise cannot_hold(
                    sink, f"an image with {reason}: it holds container images alone", "use --format legacy"
                )


def _no_container(source: Source, manifest: Manifest) -> str:
    """Why *manifest* is no image that an engine could unpack; "" where it is one."""
    if manifest.config.media_type not in media_types.CONFIGS:
        return f"a config of type {manifest.config.media_type!r}"
    strange = next((layer for layer in manifest.layers if not media_types.is_tar_layer(layer.media_type)), None)
    return f"a layer of type {strange.media_type!r}" if strange else ""


def cannot_hold(sink: Sink, what: str, hint: str) -> CannotHoldError:
    error = CannotHoldError(f"{sink.destination} cannot hold {what}")
    error.add_note(f"hint: {hint}")
    return error


def check_pack_fits(blueprint: Blueprint, sink: Sink) -> None:
    layers = len(blueprint.recipes)
    if layers > MAX_LAYERS:
        raise CannotHoldError(
            f"{sink.destination}: an image of {layers} layers cannot be read again (limit {MAX_LAYERS})"
        )
    problem = ""
    if not blueprint.is_container_image and not sink.capabilities.artifacts:
        problem = "holds container images alone, and this format makes none"
    elif blueprint.index_spec and not sink.capabilities.indexes:
        problem = "holds no index, which this format needs"
    if problem:
        error = CannotHoldError(f"{sink.destination} {problem}")
        error.add_note("hint: use --format legacy")
        raise error


def repair_command(source: Source, sink: Sink) -> str:
    """What to type for an image of the original `eci`, whose diff ids and schema version are wrong."""
    return f"`eci-convert {shlex.join(('verify', source.origin, '--fix', sink.destination))}`"


def warn_of_bundle(source: Source, root: Document, reporter: Reporter) -> None:
    if isinstance(root.value, Index) and is_bundle(root.value):
        warn(reporter, f"{source.origin} is a CNAB bundle: all of its images are copied")
