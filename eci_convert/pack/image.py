"""Writes an artifact as an image to a sink; several images as an index."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

from eci_convert.compression.codec import Codec
from eci_convert.dialects.blueprint import Blueprint, IndexSpec, Recipe, StoredBlob
from eci_convert.errors import CannotHoldError, ManifestRefusedError, UsageError
from eci_convert.model import Blob, LocalFile, Member, Memory, Pipe, RootfsFile
from eci_convert.oci.descriptor import MAX_LAYERS, Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.options import TransferOptions
from eci_convert.pack import manifests
from eci_convert.pack.blob_writer import NO_CODEC, BlobWriter
from eci_convert.pack.dry_run import DryRunSink
from eci_convert.pack.manifests import store_index, store_manifest, without_index_fields
from eci_convert.pack.preflight import check_pack_fits
from eci_convert.pack.result import PushResult
from eci_convert.progress import planned, warn
from eci_convert.reading.local_content import size_of_part
from eci_convert.reading.resume import PartialDownloads
from eci_convert.streams import interrupts
from eci_convert.transports.base import Sink, Source

_HINT = "hint: a registry that takes container images alone takes --format legacy"
_DEFAULTS = TransferOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrigin:
    """The *image* that parts lie in, and the *source* that has it."""

    source: Source
    image: ImageMetadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """An image to be packed. Parts that lie in another image are read from *origin*."""

    blueprint: Blueprint
    origin: ImageOrigin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredImage:
    blueprint: Blueprint
    blobs: dict[int, StoredBlob]


def pack(
    blueprint: Blueprint,
    sink: Sink,
    *,
    codec: Codec,
    origin: ImageOrigin | None = None,
    existing: ImageMetadata | None = None,
    options: TransferOptions = _DEFAULTS,
    publish: bool = True,
) -> PushResult:
    """Writes the image of *blueprint* to *sink*, and publishes it under its name. Options and errors as of `pack_all`.

    Unless *publish*, the image gets no name yet, and the result describes its entry in an index.
    """
    packing = Packing(blueprint=blueprint, origin=origin)
    return _pack([packing], sink, codec, existing, options, publish=publish)


def pack_all(
    images: Sequence[Packing],
    sink: Sink,
    *,
    codec: Codec,
    existing: ImageMetadata | None = None,
    options: TransferOptions = _DEFAULTS,
) -> PushResult:
    """Writes *images* to *sink*, and publishes the one, or an index of several, under its name.

    *existing* is what the sink's name stands for now: layers that are in it are not packed again. Where sending is slow
    files that become blobs as they are are hashed first, so that the sink can be asked for them. A manifest that may
    have been refused for its artifactType is sent without.

    Raises CannotHoldError before the first byte; MissingPartError, IntegrityError and what the origins raise;
    LocalError for files that cannot be read, or change while they are; and what the sink raises.
    """
    return _pack(images, sink, codec, existing, options, publish=True)


def _pack(
    images: Sequence[Packing],
    sink: Sink,
    codec: Codec,
    existing: ImageMetadata | None,
    options: TransferOptions,
    *,
    publish: bool,
) -> PushResult:
    if len(images) > MAX_LAYERS:
        raise CannotHoldError(
            f"{sink.destination}: an index of {len(images)} images cannot be read again (limit {MAX_LAYERS})"
        )
    for image in images:
        check_pack_fits(image.blueprint, sink)
    capabilities = sink.capabilities
    writer = BlobWriter(
        DryRunSink(sink) if options.dry_run else sink,
        NO_CODEC if capabilities.stores_uncompressed else codec,
        existing=existing,
        probe=capabilities.prefers_compressed,
        max_size=options.max_size,
        reporter=options.reporter,
    )
    directory = options.resume_directory
    keeping = PartialDownloads(directory, partial(warn, options.reporter)) if directory else nullcontext()
    with planned(options.reporter, *_plan(images)), keeping as downloads:
        stored = [
            _StoredImage(
                blueprint=image.blueprint,
                blobs=_blobs(image.blueprint, writer, image.origin, options.concurrency, downloads),
            )
            for image in images
        ]
        return _store_allowing_refusal(stored, writer, artifact_types=capabilities.artifact_types, publish=publish)


def _store_allowing_refusal(
    images: list[_StoredImage], writer: BlobWriter, *, artifact_types: bool | None, publish: bool
) -> PushResult:
    if artifact_types is False:
        images = [_without_artifact_type(image) for image in images]
    try:
        return _store_manifests(images, writer, publish=publish)
    except ManifestRefusedError as refusal:
        if artifact_types is True or not any(image.blueprint.artifact_type for image in images):
            refusal.add_note(_HINT)
            raise
    try:
        return _store_manifests([_without_artifact_type(image) for image in images], writer, publish=publish)
    except ManifestRefusedError as refusal:  # refused for another reason, such as an immutable tag or a quota
        refusal.add_note(_HINT)
        raise


def _plan(images: Sequence[Packing]) -> tuple[int | None, int | None]:
    """How many parts *images* have and how many bytes they are; None where parts of other images are among them."""
    parts = [recipe.part for image in images for recipe in manifests.recipes(image.blueprint).values()]
    sizes = [size_of_part(part) for part in parts if isinstance(part.locator, (LocalFile, Memory))]
    if len(sizes) < len(parts):
        return None, None
    return len(parts), sum(size or 0 for size in sizes)


def _without_artifact_type(image: _StoredImage) -> _StoredImage:
    return replace(image, blueprint=replace(image.blueprint, artifact_type=""))


def _store_manifests(images: Sequence[_StoredImage], writer: BlobWriter, *, publish: bool) -> PushResult:
    """Writes the manifests of *images*, and an index where there are several or their format wants one. Unless
    *publish*, writes the one manifest alone."""
    stored = [store_manifest(image.blueprint, image.blobs, writer) for image in images]
    entries = tuple(entry for _, entry in stored)
    spec = images[0].blueprint.index_spec
    if not publish:
        root = entries[0]
    elif spec or len(images) > 1:
        root = store_index(spec or IndexSpec(), entries, writer)
        _publish(writer.sink, root, spec, entries)
    else:
        root = without_index_fields(entries[0])
        writer.sink.publish(root)
    return PushResult(
        descriptor=root,
        manifest=stored[0][0] if len(stored) == 1 else manifests.index_of(spec or IndexSpec(), entries),
        bytes_sent=writer.bytes_sent,
        bytes_reused=writer.bytes_reused,
        index_spec=spec,
    )


def _publish(sink: Sink, index: Descriptor, spec: IndexSpec | None, entries: tuple[Descriptor, ...]) -> None:
    """Publishes *index*, which lists *entries*, under the name of *sink*; variants get names if *spec* says so."""
    variants = {
        f"-{entry.platform.architecture}": without_index_fields(entry)
        for entry in entries
        if spec and spec.names_variants and entry.platform
    }
    if variants:
        sink.publish(index, variants)
    else:
        sink.publish(index)


def _blobs(
    blueprint: Blueprint,
    writer: BlobWriter,
    origin: ImageOrigin | None,
    concurrency: int,
    partial: PartialDownloads | None,
) -> dict[int, StoredBlob]:
    """What became of each recipe of *blueprint*, by its number; the last is the config's, where that is a recipe."""
    recipes = manifests.recipes(blueprint)
    afar = {
        number: recipe
        for number, recipe in recipes.items()
        if isinstance(recipe.part.locator, (Blob, Member, RootfsFile))
    }
    piped = {number: recipe for number, recipe in recipes.items() if isinstance(recipe.part.locator, Pipe)}
    near = {number: recipe for number, recipe in recipes.items() if number not in (*afar, *piped)}
    stored = _local(near, writer, concurrency)
    if piped:  # last: what fails with the others fails before the bytes of a pipe are used up
        from eci_convert.pack.from_pipe import write_pipes

        stored |= write_pipes(piped, writer)
    if afar:
        if origin is None:
            raise UsageError("parts of an image need the image that they are in")
        from eci_convert.pack.from_image import ImageParts

        stored |= ImageParts(origin.source, origin.image, writer, partial).read_all(afar)
    return stored


def _local(recipes: dict[int, Recipe], writer: BlobWriter, concurrency: int) -> dict[int, StoredBlob]:
    """Layers are compressed on all cores, one after the other; blobs that are only sent go at once."""
    sent = {number: recipe for number, recipe in recipes.items() if recipe.entry is None and not recipe.compression}
    with ThreadPoolExecutor(concurrency, thread_name_prefix="pack") as pool:
        futures = {number: pool.submit(writer.write_local, recipe) for number, recipe in sent.items()}
        try:
            stored = {number: writer.write_local(recipe) for number, recipe in recipes.items() if number not in sent}
            return stored | {number: interrupts.result(future) for number, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
