"""Creates an index of images, adds images to it and removes them.

Platforms are read from the images. What stays in an index stays byte for byte, with the size that it has: KraftKit
writes 32 for all that it did not just make (docs/specs/unikraft.md#13 and docs/specs/unikraft.md#K2). Blobs are never
deleted here, so nothing that another image shares is lost (K6). Where a name changes while the images of it are sent,
it is read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from eci_convert.dialects.container_images import unikraft
from eci_convert.dialects.oci_artifacts import ironcore
from eci_convert.errors import CannotHoldError, NotFoundError, TransportError, UnsupportedImageError, UsageError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.platform import Platform
from eci_convert.operations import copy
from eci_convert.operations.copy import BlobCopier
from eci_convert.operations.store import entries
from eci_convert.operations.store.images import entry_of, images
from eci_convert.operations.store.strategy import AppendOptions, Strategy
from eci_convert.pack.result import PushResult
from eci_convert.reading import manifests
from eci_convert.reading.images import load_root, right_sized
from eci_convert.transports.base import Sink, Source, check_logins, with_all_blobs

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _New:
    """New *entries* of an index, and its *annotations*. *variants* are those that get names of their own."""

    entries: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    variants: Mapping[str, Descriptor]
    bytes_sent: int
    bytes_reused: int


def check_name(reference: str) -> None:
    """Raises UsageError where *reference*, at which an index is to be, is a digest: what changes has another one."""
    if "@sha256:" in reference or "@sha512:" in reference:
        raise UsageError(f"{reference!r} names a digest, and an index that changes has another one")


def create(sources: Sequence[Source], sink: Sink, platform: Platform | None, settings: AppendOptions) -> PushResult:
    """Makes the name of *sink* stand for an index of the images that *sources* name.

    Of a source that is an index all images come, or the one for *platform*; which is also what an image is for that
    does not say so itself. Raises CannotHoldError for a place without indexes, UsageError for two images of one
    platform, UnsupportedImageError for an image of none, and what sources and sink raise.
    """
    return _write_index(_send_images(sources, sink, platform, settings), sink, None, Strategy.OVERWRITE, settings)


def add(
    sources: Sequence[Source],
    sink: Sink,
    before: Source,
    platform: Platform | None,
    strategy: Strategy,
    settings: AppendOptions,
) -> PushResult:
    """Puts the images that *sources* name into the index that *before*, the same name as that of *sink*, stands for;
    into a new one where it stands for nothing. An image that stands there alone becomes part of the index.

    Raises UsageError where *strategy* is to abort and something is there, and as `create`.
    """
    strategy = resolve_strategy(strategy, sink, before, settings)
    return _write_index(_send_images(sources, sink, platform, settings), sink, before, strategy, settings)


def append(packed: PushResult, sink: Sink, before: Source, strategy: Strategy, settings: AppendOptions) -> PushResult:
    """Puts an image that was just written to *sink*, and not published, into the index that its name stands for.

    *strategy* is one that `resolve_strategy` has returned. Raises as `add`.
    """
    spec = packed.index_spec
    entry = packed.descriptor
    variants = {f"-{entry.platform.architecture}": _without_index_fields(entry)} if spec and entry.platform else {}
    new = _New(
        entries=(entry,),
        annotations=spec.annotations if spec else {},
        variants=variants if spec and spec.names_variants else {},
        bytes_sent=packed.bytes_sent,
        bytes_reused=packed.bytes_reused,
    )
    return _write_index(new, sink, before, strategy, settings)


def resolve_strategy(strategy: Strategy, sink: Sink, before: Source, settings: AppendOptions) -> Strategy:
    """*strategy* once it is clear that it can be done, before anything is sent. Raises CannotHoldError, UsageError."""
    _check_holds_indexes(sink)
    if strategy is Strategy.MERGE or _current_root(before) is None:
        return Strategy.MERGE
    chosen = settings.choose() if strategy is Strategy.PROMPT else strategy
    if chosen is Strategy.ABORT:
        error = UsageError(f"{before.origin} is there already, and the strategy is to abort")
        error.add_note("hint: --strategy merge keeps its images of other platforms, overwrite none")
        raise error
    return chosen


def remove(
    before: Source, sink: Sink, *, platform: Platform | None = None, digest: str = "", settings: AppendOptions
) -> PushResult:
    """Takes the image for *platform*, or whose id is or begins with *digest*, out of the index that *before* and *sink*
    stand for.

    Raises UsageError where several could be meant, NotFoundError where it is not in there, UnsupportedImageError where
    the name stands for no index.
    """
    if (platform is None) == (not digest):
        raise UsageError("say which image to remove: --platform OS/ARCH or --digest DIGEST, one of the two")
    _check_holds_indexes(sink)
    for _ in range(_ATTEMPTS):
        root, index = load_root(before)
        if not isinstance(index, Index):
            raise UnsupportedImageError(f"{before.origin} is one image and no index")
        left = entries.without(index.manifests, platform, digest)
        nothing = _New(entries=(), annotations={}, variants={}, bytes_sent=0, bytes_reused=0)
        packed = _store_index(replace(index, manifests=left), nothing, before, sink, settings)
        if _publish_unless_changed(packed, sink, before, root.digest, nothing, settings):
            return packed
    raise _changed_error(before)


def _send_images(sources: Sequence[Source], sink: Sink, platform: Platform | None, settings: AppendOptions) -> _New:
    """Sends the images to *sink*, which has no name for them yet. What cannot be is refused before the first byte."""
    _check_holds_indexes(sink)
    if not sources:
        raise UsageError("an index needs an image")
    for source in sources:
        check_logins(source, sink)
    listings = [(source, *images(source, platform)) for source in map(with_all_blobs, sources)]
    new = [(source, entry) for source, _, listed in listings for entry in listed]
    entries.check_distinct_platforms([(source.origin, entry) for source, entry in new])
    plans = [(source, entry, list(manifests.tree(source, entry))) for source, entry in new]
    for source, _, documents in plans:
        copy.check_documents(sink, source, documents, settings.transfer)
    sent: list[Descriptor] = []
    annotations: dict[str, str] = {}
    variants: dict[str, Descriptor] = {}
    written = reused = 0
    for source, entry, documents in plans:
        codec = copy.layer_codec(None, source, sink)
        packed = BlobCopier(source, sink, settings.transfer, None, codec).put(documents)
        stored = replace(entry, digest=packed.descriptor.digest, size=packed.descriptor.size, data=None)
        sent.append(stored)
        written, reused = written + packed.bytes_sent, reused + packed.bytes_reused
        if isinstance(packed.manifest, Manifest):
            annotations = {**unikraft.package_annotations(packed.manifest, settings.name), **annotations}
            if ironcore.is_one(packed.manifest) and entry.platform:
                variants[f"-{entry.platform.architecture}"] = _without_index_fields(stored)
    for _, index, _ in listings:
        annotations = {**(index.annotations if index else {}), **annotations}
    return _New(
        entries=tuple(dict.fromkeys(sent)),
        annotations=annotations,
        variants=variants,
        bytes_sent=written,
        bytes_reused=reused,
    )


def _write_index(
    new: _New, sink: Sink, before: Source | None, strategy: Strategy, settings: AppendOptions
) -> PushResult:
    """Publishes the index with the *new* entries under the name of *sink*."""
    for _ in range(_ATTEMPTS):
        current = _current_root(before) if before else None
        old = Index(manifests=())
        if current and before and strategy is Strategy.MERGE:
            old = _as_index(before, *current)
        merged = replace(old, manifests=entries.merged(old.manifests, new.entries))
        packed = _store_index(merged, new, before, sink, settings)
        if _publish_unless_changed(packed, sink, before, current[0].digest if current else None, new, settings):
            return packed
    raise _changed_error(before)


def _as_index(before: Source, root: Descriptor, document: Manifest | Index) -> Index:
    if isinstance(document, Index):
        return document
    entry = entry_of(before, root, document, None)
    return Index(manifests=(entry,), annotations=unikraft.package_annotations(document, ""))


def _store_index(index: Index, new: _New, before: Source | None, sink: Sink, settings: AppendOptions) -> PushResult:
    """Stores *index*, and what it lists beside what is *new*, where the place does not keep that by itself."""
    fresh = {entry.digest for entry in new.entries}
    written, reused = new.bytes_sent, new.bytes_reused
    listed = []
    for entry in index.manifests:
        if before is None or entry.digest in fresh:
            listed.append(entry)
            continue
        right, packed = _keep_entry(before, entry, sink, settings)
        listed.append(right)
        if packed:
            written, reused = written + packed.bytes_sent, reused + packed.bytes_reused
    index = replace(
        index,
        manifests=tuple(listed),
        media_type=entries.index_type(listed),
        annotations={**new.annotations, **index.annotations, **settings.annotations},
        schema_version=2,
    )
    text = to_json(index)
    top = Descriptor.of(text, index.media_type)
    return PushResult(descriptor=top, manifest=index, bytes_sent=written + len(text), bytes_reused=reused)


def _keep_entry(
    before: Source, entry: Descriptor, sink: Sink, settings: AppendOptions
) -> tuple[Descriptor, PushResult | None]:
    """*entry* with the size that it has, and what was moved for it: nothing where the place keeps it by itself.

    An index may list images that are not there: containerd has those that somebody wanted. It goes on doing so.
    """
    try:
        right = entries.without_data(right_sized(before, entry))
        if sink.has(right):
            return right, None
        return right, BlobCopier(before, sink, settings.transfer, None).put(list(manifests.tree(before, entry)))
    except NotFoundError:
        return entry, None


def _publish_unless_changed(
    packed: PushResult, sink: Sink, before: Source | None, root: Digest | None, new: _New, settings: AppendOptions
) -> bool:
    """Whether the name stands for the index now; not if it changed since it stood for *root*."""
    if settings.dry_run:
        return True
    text = to_json(packed.manifest)
    sink.put(packed.descriptor.media_type, (text,), digest=packed.descriptor.digest, size=len(text))
    if before:
        current = _current_root(before)
        if (current[0].digest if current else None) != root:
            return False
    if new.variants:
        sink.publish(packed.descriptor, new.variants)
    else:
        sink.publish(packed.descriptor)
    return True


def _current_root(before: Source) -> tuple[Descriptor, Manifest | Index] | None:
    """What the name stands for now, or None if for nothing."""
    try:
        return load_root(before)
    except NotFoundError:
        return None


def _check_holds_indexes(sink: Sink) -> None:
    if not sink.capabilities.indexes:
        error = CannotHoldError(f"{sink.destination} cannot hold an index of several images")
        error.add_note("hint: a registry, an OCI layout, an archive of one, and containerd can")
        raise error


def _without_index_fields(entry: Descriptor) -> Descriptor:
    return replace(entry, platform=None, annotations={}, data=None)


def _changed_error(before: Source | None) -> TransportError:
    name = before.origin if before else "the name"
    return TransportError(f"{name} changed {_ATTEMPTS} times while it was written: others write it too")
