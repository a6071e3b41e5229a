"""An artifact becomes an image in a sink.
image.py            pack: layers, config, manifest; join_into_index
blob_writer.py      one blob: hashed, compressed, sent, or found to be there
from_image.py       parts that lie in another image
manifests.py        configs, manifests and indexes of a blueprint
preflight.py        whether a sink can hold an image
dry_run.py          a sink that stores nothing
once.py             what several parts share, made once
result.py           PushResult: what was written
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from eci_convert.compression.codec import Codec
from eci_convert.dialects.blueprint import Blueprint, Packed, Recipe, Wrapper, Written
from eci_convert.errors import CannotHold, ManifestRefused, UsageError
from eci_convert.model import Blob, Image, Member, Rootfs
from eci_convert.oci.manifest import MAX_LAYERS, Descriptor
from eci_convert.pack import manifests
from eci_convert.pack.blob_writer import NO_CODEC, Press
from eci_convert.pack.dry_run import Rehearsal
from eci_convert.progress import SILENT, Reporter
from eci_convert.reading.resume import Journal
from eci_convert.streams import interrupts
from eci_convert.transports.base import Sink, Source

_HINT = "hint: a registry that takes container images alone takes --format legacy"


class Strict(Protocol):
    """What is known of a place that may refuse an `artifactType`."""

    @property
    def known(self) -> bool:
        """Whether it did before."""

    def learn(self, refusal: ManifestRefused) -> None:
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
    reporter: Reporter = SILENT,
    concurrency: int = 1,
    publish: bool = True,
    dry_run: bool = False,
    strict: Strict | None = None,
    journal: Journal | None = None,
) -> Packed:
    """Writes the image that *blueprint* says to *sink* and, with *publish*, makes its name stand for it.

    Parts that lie in another image are read from *origin*, which names *image*. *existing* is what the sink's name
    stands for now: layers that are in it are not packed again. With *probe*, files that become blobs as they are are
    hashed first, so that the sink can be asked for them: worth while where sending is slow. *max_size* (bytes) bounds
    each part. *dry_run* stores nothing and counts what would be sent. *strict*: a manifest that is refused for its
    artifactType is sent without. *journal* keeps what arrives from *origin*.

    Raises CannotHold before the first byte; MissingPart, IntegrityError and what *origin* raises; LocalError for files
    that cannot be read, or change while they are; and what the sink raises.
    """
    _check_holds(blueprint, sink)
    there = Rehearsal(sink) if dry_run else sink
    chosen = NO_CODEC if sink.wants_raw_layers else codec
    press = Press(there, chosen, existing=existing, probe=probe, max_size=max_size, reporter=reporter)
    written = _blobs(blueprint, press, origin, image, concurrency, journal)
    if strict and strict.known:
        blueprint = replace(blueprint, artifact_type="")
    try:
        return _finished(blueprint, written, press, publish=publish)
    except ManifestRefused as refusal:
        if not (strict and blueprint.artifact_type):
            refusal.add_note(_HINT)
            raise
        try:
            packed = _finished(replace(blueprint, artifact_type=""), written, press, publish=publish)
        except ManifestRefused as other:  # a tag that must stay what it is, a quota: that type was not the reason
            other.add_note(_HINT)
            raise other from None
        strict.learn(refusal)
        return packed


def _finished(blueprint: Blueprint, written: dict[int, Written], press: Press, *, publish: bool) -> Packed:
    """The documents of the image, and with *publish* its name."""
    manifest, entry = manifests.put(blueprint, written, press)
    top = manifests.put_index(blueprint.index, (entry,), press) if publish and blueprint.index else None
    if publish:
        _publish(press.sink, top or manifests.plain(entry), blueprint.index, (entry,))
    return Packed(
        descriptor=(top or manifests.plain(entry)) if publish else entry,
        manifest=manifest,
        bytes_written=press.bytes_written,
        bytes_reused=press.bytes_reused,
        wrapper=blueprint.index,
    )


def joined(packed: Sequence[Packed], sink: Sink, *, dry_run: bool = False) -> Packed:
    """The images in *packed*, which were not published, under one name: an index of them. Raises what *sink* raises."""
    if len(packed) > MAX_LAYERS:
        raise CannotHold(
            f"{sink.destination}: an index of {len(packed)} images cannot be read again (limit {MAX_LAYERS})"
        )
    there = Rehearsal(sink) if dry_run else sink
    press = Press(there)
    wrapper = packed[0].wrapper or Wrapper()
    entries = tuple(one.descriptor for one in packed)
    top = manifests.put_index(wrapper, entries, press)
    _publish(there, top, wrapper, entries)
    return Packed(
        descriptor=top,
        manifest=manifests.index_of(wrapper, entries),
        bytes_written=sum(one.bytes_written for one in packed) + press.bytes_written,
        bytes_reused=sum(one.bytes_reused for one in packed) + press.bytes_reused,
        wrapper=wrapper,
    )


def _publish(sink: Sink, top: Descriptor, wrapper: Wrapper | None, entries: tuple[Descriptor, ...]) -> None:
    """Makes the name of *sink* stand for *top*, which is the index of *entries* where there is a *wrapper*."""
    variants = {
        f"-{entry.platform.architecture}": manifests.plain(entry)
        for entry in entries
        if wrapper and wrapper.names_variants and entry.platform
    }
    if variants:
        sink.publish(top, variants)
    else:
        sink.publish(top)


def _check_holds(blueprint: Blueprint, sink: Sink) -> None:
    layers = len(blueprint.recipes)
    if layers > MAX_LAYERS:
        raise CannotHold(f"{sink.destination}: an image of {layers} layers cannot be read again (limit {MAX_LAYERS})")
    problem = ""
    if not blueprint.container and not sink.holds_artifacts:
        problem = "holds container images alone, and this format makes none"
    elif blueprint.index and not sink.holds_indexes:
        problem = "holds no index, which this format needs"
    if problem:
        error = CannotHold(f"{sink.destination} {problem}")
        error.add_note("hint: use --format legacy")
        raise error


def _blobs(
    blueprint: Blueprint,
    press: Press,
    origin: Source | None,
    image: Image | None,
    concurrency: int,
    journal: Journal | None,
) -> dict[int, Written]:
    """What became of each recipe of *blueprint*, by its number; the last is the config's, where that is a recipe."""
    recipes = manifests.recipes(blueprint)
    afar = {
        number: recipe for number, recipe in recipes.items() if isinstance(recipe.part.locator, (Blob, Member, Rootfs))
    }
    near = {number: recipe for number, recipe in recipes.items() if number not in afar}
    found = _local(near, press, concurrency)
    if afar:
        if origin is None or image is None:
            raise UsageError("parts of an image need the image that they are in")
        from eci_convert.pack.from_image import Passage

        found |= Passage(origin, image, press, journal).all(afar)
    return found


def _local(recipes: dict[int, Recipe], press: Press, concurrency: int) -> dict[int, Written]:
    """Layers are compressed on all cores, one after the other; blobs that are only sent go at once."""
    sent = {number: recipe for number, recipe in recipes.items() if recipe.entry is None and not recipe.compression}
    with ThreadPoolExecutor(concurrency, thread_name_prefix="pack") as pool:
        futures = {number: pool.submit(press.local, recipe) for number, recipe in sent.items()}
        try:
            found = {number: press.local(recipe) for number, recipe in recipes.items() if number not in sent}
            return found | {number: interrupts.result(future) for number, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
