"""The manifests and indexes of an image, and its referrers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from eci_convert.dialects.container_images import unikraft
from eci_convert.errors import LimitExceededError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.index import Index, candidates, is_bundle, select
from eci_convert.oci.manifest import Manifest, parse_manifest
from eci_convert.oci.platform import Platform
from eci_convert.progress import NULL_REPORTER, Reporter, warn
from eci_convert.reading import images
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import flatten_index, select_image
from eci_convert.transports.base import Source

_MAX_NESTING = 4
_MAX_DOCUMENTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A manifest or index to copy, with its original bytes."""

    descriptor: Descriptor
    text: bytes
    value: Manifest | Index

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The layers and the config, in this order: transports that load one stream need layers first."""
        return (*self.value.layers, self.value.config) if isinstance(self.value, Manifest) else ()


def manifests_of(
    source: Source,
    platform: Platform | None,
    *,
    everything: bool,
    holds_indexes: bool = True,
    reporter: Reporter = NULL_REPORTER,
) -> Iterator[Document]:
    """The manifests and indexes to copy, children first: the root is the last.

    An index that is a unit is copied as a whole, unless a platform is requested or the destination cannot hold it
    (*holds_indexes*). Of other indexes the image for *platform* is selected, unless *everything* is requested;
    *reporter* is warned if *platform* was not given. Raises IsBundleError if one *platform* of a CNAB bundle is
    requested.
    """
    descriptor, budget = source.resolve(), images.Documents(source)
    document = _load(budget, descriptor)
    if platform and isinstance(document.value, Manifest):
        select_image(
            budget, descriptor, document.value, platform
        )  # only to report early that it is for another platform
    everything = everything or (holds_indexes and not platform and is_one_thing(document.value))
    for _ in range(_MAX_NESTING):
        if everything or isinstance(document.value, Manifest) or (is_bundle(document.value) and not platform):
            break
        listed = flatten_index(budget, document.value)
        if holds_indexes and not platform and len(candidates(listed)) == 1 < len(listed.manifests):
            warn(reporter, f"{source.origin}: {_left_out(listed)} (--all-platforms includes everything)")
        document = _load(budget, chosen(listed, platform, source.origin, reporter, holds_indexes=holds_indexes))
    yield from _walk(budget, document, _MAX_NESTING, {document.descriptor.digest})


def is_one_thing(document: Manifest | Index) -> bool:
    """Whether *document* is an index that is copied as a unit: one with a single entry, a package of KraftKit's, or a
    CNAB bundle."""
    if isinstance(document, Manifest):
        return False
    return len(document.manifests) == 1 or unikraft.is_package(document) or is_bundle(document)


def chosen(
    index: Index, platform: Platform | None, origin: str, reporter: Reporter, *, holds_indexes: bool = True
) -> Descriptor:
    """The entry of *index* for *platform*, as `select` returns it; *reporter* is warned if it is one of several by
    default."""
    entry = select(index, platform, origin)
    count = len(candidates(index))
    if platform is None and count > 1:
        others = ", --all-platforms all" if holds_indexes else ""
        warn(
            reporter,
            f"{origin} is an index of {count} images: using the one for {entry.platform} "
            f"(--platform selects another one{others})",
        )
    return entry


def _left_out(index: Index) -> str:
    """What is not copied of an index of one image: BuildKit's attestations."""
    count = len(index.manifests) - 1
    return f"ignoring {count} other {'entries' if count > 1 else 'entry'} of the index, such as attestations"


def tree(source: Source, entry: Descriptor) -> Iterator[Document]:
    """The manifest or index *entry*, after everything it lists."""
    budget = images.Documents(source)
    yield from _walk(budget, _load(budget, entry), _MAX_NESTING, {entry.digest})


def fetch_document(source: Source, descriptor: Descriptor) -> Document:
    """The manifest or index *descriptor*. Raises as `manifests_of`."""
    return _load(images.Documents(source), descriptor)


def documents_of(source: Source, document: Document) -> list[Document]:
    """Everything that *document* lists, and itself as the last. Raises as `manifests_of`."""
    return list(_walk(images.Documents(source), document, _MAX_NESTING, {document.descriptor.digest}))


def _walk(budget: images.Documents, document: Document, levels: int, seen: set[object]) -> Iterator[Document]:
    where = budget.source.origin
    if isinstance(document.value, Index):
        if not levels:
            raise LimitExceededError(f"indexes are nested more than {_MAX_NESTING} deep", where=where)
        for entry in document.value.manifests:
            if entry.digest in seen:
                continue
            seen.add(entry.digest)
            if len(seen) > _MAX_DOCUMENTS:
                raise LimitExceededError(f"more than {_MAX_DOCUMENTS} manifests", where=where)
            yield from _walk(budget, _load(budget, entry), levels - 1, seen)
    yield document


def referrers_of(source: Source, documents: list[Document]) -> list[Document]:
    """The referrers of *documents*, of their children, and of referrers; each after what it lists."""
    seen: set[object] = {document.descriptor.digest for document in documents}
    collected: list[Document] = []
    waiting, budget = deque(documents), images.Documents(source)
    while waiting:
        for descriptor in source.referrers(waiting.popleft().descriptor.digest):
            if descriptor.digest not in seen:
                seen.add(descriptor.digest)
                tree = list(_walk(budget, _load(budget, descriptor), _MAX_NESTING, seen))
                collected += tree
                waiting += tree
            if len(seen) > _MAX_DOCUMENTS:
                raise LimitExceededError(f"more than {_MAX_DOCUMENTS} manifests", where=source.origin)
    return collected


def _load(budget: images.Documents, entry: Descriptor) -> Document:
    descriptor = images.right_sized(budget.source, entry)
    budget.account(descriptor.size)
    text = load_document(budget.source, descriptor, f"manifest {descriptor.digest.short}")
    return Document(
        descriptor=replace(descriptor, data=entry.data), text=text, value=parse_manifest(text, descriptor.media_type)
    )
