"""The manifests and indexes that make up what a name stands for, and what refers to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from eci_convert import content
from eci_convert.errors import LimitExceeded
from eci_convert.oci import manifest
from eci_convert.oci.bundles import is_bundle
from eci_convert.oci.manifest import Descriptor, Index, Manifest, Platform
from eci_convert.oci.select import select
from eci_convert.transports.base import Source

_MAX_NESTING = 4
_MAX_DOCUMENTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A manifest or index on its way: its bytes are what the destination is to get."""

    descriptor: Descriptor
    text: bytes
    value: Manifest | Index

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The layers and the config, in that order: places that load one stream need the layers' bytes first."""
        return (*self.value.layers, self.value.config) if isinstance(self.value, Manifest) else ()


def collected(source: Source, platform: Platform | None, *, everything: bool) -> Iterator[Document]:
    """The manifests and indexes to copy, those that are referred to first: the root comes last.

    A CNAB bundle is one thing: all of it is copied. Raises IsBundle where one *platform* of it is asked for.
    """
    descriptor = source.resolve()
    document = _fetched(source, descriptor)
    if platform and isinstance(document.value, Manifest):
        content.selected(source, descriptor, document.value, platform)  # only to say now that it is for another one
    for _ in range(_MAX_NESTING):
        if everything or isinstance(document.value, Manifest) or (is_bundle(document.value) and not platform):
            break
        document = _fetched(source, select(content.flattened(source, document.value), platform, source.origin))
    yield from _tree(source, document, _MAX_NESTING, {document.descriptor.digest})


def fetch_document(source: Source, descriptor: Descriptor) -> Document:
    """The manifest or index that *descriptor* promises. Raises as `collected`."""
    return _fetched(source, descriptor)


def documents_of(source: Source, document: Document) -> list[Document]:
    """Everything that *document* lists, and last itself. Raises as `collected`."""
    return list(_tree(source, document, _MAX_NESTING, {document.descriptor.digest}))


def _tree(source: Source, document: Document, levels: int, seen: set[object]) -> Iterator[Document]:
    if isinstance(document.value, Index):
        if not levels:
            raise LimitExceeded(f"indexes are nested more than {_MAX_NESTING} deep", where=source.origin)
        for entry in document.value.manifests:
            if entry.digest in seen:
                continue
            seen.add(entry.digest)
            if len(seen) > _MAX_DOCUMENTS:
                raise LimitExceeded(f"more than {_MAX_DOCUMENTS} manifests", where=source.origin)
            yield from _tree(source, _fetched(source, entry), levels - 1, seen)
    yield document


def referring(source: Source, documents: list[Document]) -> list[Document]:
    """What refers to *documents*, to what that is made of, and to what refers to it; each after what it lists."""
    seen: set[object] = {document.descriptor.digest for document in documents}
    found: list[Document] = []
    waiting = deque(documents)
    while waiting:
        for descriptor in source.referrers(waiting.popleft().descriptor.digest):
            if descriptor.digest not in seen:
                seen.add(descriptor.digest)
                tree = list(_tree(source, _fetched(source, descriptor), _MAX_NESTING, seen))
                found += tree
                waiting += tree
            if len(seen) > _MAX_DOCUMENTS:
                raise LimitExceeded(f"more than {_MAX_DOCUMENTS} manifests", where=source.origin)
    return found


def _fetched(source: Source, descriptor: Descriptor) -> Document:
    text = content.document(source, descriptor, f"manifest {descriptor.digest.short}")
    return Document(descriptor=descriptor, text=text, value=manifest.parse(text, descriptor.media_type))
