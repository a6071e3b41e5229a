"""The parts of an artifact become an image in a sink."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from eci_convert.compression.codec import Codec
from eci_convert.dialects.blueprint import Blueprint, IndexSpec, Recipe, StoredBlob
from eci_convert.errors import CannotHoldError, ManifestRefusedError, UsageError
from eci_convert.model import Blob, LocalFile, Member, Memory, RootfsFile
from eci_convert.oci.descriptor import MAX_LAYERS, Descriptor
from eci_convert.oci.image import Image
from eci_convert.pack import manifests
from eci_convert.pack.blob_writer import NO_CODEC, BlobWriter
from eci_convert.pack.dry_run import DryRunSink
from eci_convert.pack.manifests import store_index, store_manifest, without_index_fields
from eci_convert.pack.preflight import check_pack_fits
from eci_convert.pack.result import PushResult
from eci_convert.progress import NULL_REPORTER, Reporter, planned
from eci_convert.reading.local_content import size_of_part
from eci_convert.reading.resume import PartialDownloads
from eci_convert.streams import interrupts
from eci_convert.transports.base import Sink, Source

_HINT = "hint: a registry that takes container images alone takes --format legacy"


class ArtifactTypeSupport(Protocol):
    """What is known of a place that may refuse an `artifactType`."""

    @property
    def known(self) -> bool:
        """Whether it did before."""

    def learn(self, refusal: ManifestRefusedError) -> None:
        """It did now."""


def pack(
    blueprint: Blueprint,
    sink: Sink,
    *,
    codec: Codec,
    origin: Source | None = None,
    image: Image | None = None,
    existing: Image | None = None,
    probe: bool = False,
    max_size: int | None = None,
    reporter: Reporter = NULL_REPORTER,
    concurrency: int = 1,
    publish: bool = True,
    dry_run: bool = False,
    strict: ArtifactTypeSupport | None = None,
    journal: PartialDownloads | None = None,
) -> PushResult:
    """Writes the image that *blueprint* says to *sink* and, with *publish*, makes its name stand for it.

    Parts that lie in another image are read from *origin*, which names *image*. *existing* is what the sink's name
    stands for now: layers that are in it are not packed again. With *probe*, files that become blobs as they are are
    hashed first, so that the sink can be asked for them: worth while where sending is slow. *max_size* (bytes) bounds
    each part. *dry_run* stores nothing and counts what would be sent. *strict*: a manifest that is refused for its
    artifactType is sent without. *journal* keeps what arrives from *origin*.

    Raises CannotHold before the first byte; MissingPart, IntegrityError and what *origin* raises; LocalError for files
    that cannot be read, or change while they are; and what the sink raises.
    """
    check_pack_fits(blueprint, sink)
    there = DryRunSink(sink) if dry_run else sink
    chosen = NO_CODEC if sink.stores_layers_uncompressed else codec
    press = BlobWriter(there, chosen, existing=existing, probe=probe, max_size=max_size, reporter=reporter)
    with planned(reporter, *_plan(blueprint)):
        return _packed(blueprint, press, origin, image, concurrency, journal, strict, publish=publish)


def _packed(
    blueprint: Blueprint,
    press: BlobWriter,
    origin: Source | None,
    image: Image | None,
    concurrency: int,
    journal: PartialDownloads | None,
    strict: ArtifactTypeSupport | None,
    *,
    publish: bool,
) -> PushResult:
    written = _blobs(blueprint, press, origin, image, concurrency, journal)
    if strict and strict.known:
        blueprint = replace(blueprint, artifact_type="")
    try:
        return _finished(blueprint, written, press, publish=publish)
    except ManifestRefusedError as refusal:
        if not (strict and blueprint.artifact_type):
            refusal.add_note(_HINT)
            raise
        try:
            packed = _finished(replace(blueprint, artifact_type=""), written, press, publish=publish)
        except ManifestRefusedError as other:  # a tag that must stay what it is, a quota: that type was not the reason
            other.add_note(_HINT)
            raise other from None
        strict.learn(refusal)
        return packed


def _plan(blueprint: Blueprint) -> tuple[int | None, int | None]:
    """How many parts *blueprint* has and how many bytes they are; None where parts of other images are among them."""
    parts = [recipe.part for recipe in manifests.recipes(blueprint).values()]
    sizes = [size_of_part(part) for part in parts if isinstance(part.locator, (LocalFile, Memory))]
    if len(sizes) < len(parts):
        return None, None
    return len(parts), sum(size or 0 for size in sizes)


def _finished(blueprint: Blueprint, written: dict[int, StoredBlob], press: BlobWriter, *, publish: bool) -> PushResult:
    """The documents of the image, and with *publish* its name."""
    manifest, entry = store_manifest(blueprint, written, press)
    top = store_index(blueprint.index_spec, (entry,), press) if publish and blueprint.index_spec else None
    if publish:
        _publish(press.sink, top or without_index_fields(entry), blueprint.index_spec, (entry,))
    return PushResult(
        descriptor=(top or without_index_fields(entry)) if publish else entry,
        manifest=manifest,
        bytes_written=press.bytes_written,
        bytes_reused=press.bytes_reused,
        wrapper=blueprint.index_spec,
    )


def join_into_index(packed: Sequence[PushResult], sink: Sink, *, dry_run: bool = False) -> PushResult:
    """The images in *packed*, which were not published, under one name: an index of them. Raises what *sink* raises."""
    if len(packed) > MAX_LAYERS:
        raise CannotHoldError(
            f"{sink.destination}: an index of {len(packed)} images cannot be read again (limit {MAX_LAYERS})"
        )
    there = DryRunSink(sink) if dry_run else sink
    press = BlobWriter(there)
    wrapper = packed[0].wrapper or IndexSpec()
    entries = tuple(one.descriptor for one in packed)
    top = store_index(wrapper, entries, press)
    _publish(there, top, wrapper, entries)
    return PushResult(
        descriptor=top,
        manifest=manifests.index_of(wrapper, entries),
        bytes_written=sum(one.bytes_written for one in packed) + press.bytes_written,
        bytes_reused=sum(one.bytes_reused for one in packed) + press.bytes_reused,
        wrapper=wrapper,
    )


def _publish(sink: Sink, top: Descriptor, wrapper: IndexSpec | None, entries: tuple[Descriptor, ...]) -> None:
    """Makes the name of *sink* stand for *top*, which is the index of *entries* where there is a *wrapper*."""
    variants = {
        f"-{entry.platform.architecture}": without_index_fields(entry)
        for entry in entries
        if wrapper and wrapper.names_variants and entry.platform
    }
    if variants:
        sink.publish(top, variants)
    else:
        sink.publish(top)


def _blobs(
    blueprint: Blueprint,
    press: BlobWriter,
    origin: Source | None,
    image: Image | None,
    concurrency: int,
    journal: PartialDownloads | None,
) -> dict[int, StoredBlob]:
    """What became of each recipe of *blueprint*, by its number; the last is the config's, where that is a recipe."""
    recipes = manifests.recipes(blueprint)
    afar = {
        number: recipe
        for number, recipe in recipes.items()
        if isinstance(recipe.part.locator, (Blob, Member, RootfsFile))
    }
    near = {number: recipe for number, recipe in recipes.items() if number not in afar}
    found = _local(near, press, concurrency)
    if afar:
        if origin is None or image is None:
            raise UsageError("parts of an image need the image that they are in")
        from eci_convert.pack.from_image import ImageParts

        found |= ImageParts(origin, image, press, journal).read_all(afar)
    return found


def _local(recipes: dict[int, Recipe], press: BlobWriter, concurrency: int) -> dict[int, StoredBlob]:
    """Layers are compressed on all cores, one after the other; blobs that are only sent go at once."""
    sent = {number: recipe for number, recipe in recipes.items() if recipe.entry is None and not recipe.compression}
    with ThreadPoolExecutor(concurrency, thread_name_prefix="pack") as pool:
        futures = {number: pool.submit(press.write_local, recipe) for number, recipe in sent.items()}
        try:
            found = {number: press.write_local(recipe) for number, recipe in recipes.items() if number not in sent}
            return found | {number: interrupts.result(future) for number, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
