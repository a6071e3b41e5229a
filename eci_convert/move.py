"""An image moves as it is: every blob, every document, every digest.

With a codec, layers that lie uncompressed are compressed on their way, as `docker push` and `skopeo copy` do it with
those of an engine: configs stay, and with them image ids and diff ids; manifests and indexes name the new blobs. What
the destination's name stands for already is not made again.
"""

from __future__ import annotations

import shlex
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from eci_convert import content, diffids
from eci_convert.blueprint import Packed
from eci_convert.documents import Document
from eci_convert.errors import AccessDenied, NotFound, TransportError
from eci_convert.journal import Journal
from eci_convert.model import Image
from eci_convert.oci import mediatype
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor, Index, Manifest, rendered
from eci_convert.progress import Reporter
from eci_convert.streams.compress import Codec, Compression, compressed, peeked, sniffed
from eci_convert.transports.again import lasting
from eci_convert.transports.base import Sink, Source, lent


class Move:
    """From *source* to *sink*; *codec* is for layers that are not compressed yet, None keeps those too. *existing* is
    the image that the name of *sink* stands for now."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        reporter: Reporter,
        concurrency: int,
        journal: Journal | None,
        codec: Codec | None = None,
        existing: Image | None = None,
    ) -> None:
        self._journal = journal
        self._source = source
        self._sink = sink
        self._reporter = reporter
        self._concurrency = concurrency
        self._codec = None if sink.wants_raw_layers else codec
        self._layers = diffids.layers(existing) if self._codec else {}
        self._became: dict[Digest, Descriptor] = {}
        self._sizes: dict[Digest, int] = {}
        self._lock = threading.Lock()
        self._press = threading.Lock()
        self._written = self._reused = 0

    def all(self, documents: list[Document], *, dry_run: bool) -> Packed:
        """Moves what *documents* list, then themselves: the last is what the name is to stand for. *dry_run* counts
        what would be moved; what would be compressed is counted as it lies there."""
        return self.put(documents, dry_run=dry_run, publish=True)

    def put(self, documents: list[Document], *, dry_run: bool, publish: bool = False) -> Packed:
        """The same, without a name for the last unless *publish*."""
        blobs = {blob.digest: blob for document in documents for blob in document.blobs}
        with ThreadPoolExecutor(self._concurrency) as pool:
            list(pool.map(lambda blob: self._blob(blob, dry_run=dry_run), blobs.values()))
        self._sizes = {document.descriptor.digest: len(document.text) for document in documents}
        moved = [self._renamed(document) for document in documents]
        last = moved[-1]
        if not dry_run:
            self._put(moved, publish=publish)
        return Packed(
            descriptor=last.descriptor,
            manifest=last.value,
            bytes_written=self._written + sum(len(document.text) for document in moved),
            bytes_reused=self._reused,
        )

    def _put(self, documents: list[Document], *, publish: bool) -> None:
        kinds = [document.descriptor.media_type or document.value.media_type for document in documents]
        try:
            for document, kind in zip(documents, kinds, strict=True):
                digest, size = document.descriptor.digest, len(document.text)
                self._sink.put(kind, iter((document.text,)), digest=digest, size=size)
            if publish:
                self._sink.publish(replace(documents[-1].descriptor, media_type=kinds[-1]))
        except (AccessDenied, NotFound):
            raise
        except TransportError as error:  # docker-registry 2.8 says 500 to it
            if any(document.value.schema_version != 2 for document in documents):
                repair = repair_command(self._source, self._sink)
                error.add_note(f"hint: its schemaVersion is not 2; {repair} writes it again as it should be")
            raise

    def _blob(self, blob: Descriptor, *, dry_run: bool) -> None:
        codec = self._codec if self._codec and mediatype.is_raw_layer(blob.media_type) else None
        kind = mediatype.compressed_type(blob.media_type, codec.compression) if codec else blob.media_type
        there = self._there(blob, kind) if codec else self._lent(blob)
        if there or dry_run:
            return self._count((there or blob).size, written=not there)
        stored = lasting(lambda: self._pressed(blob, kind, codec) if codec else self._moved(blob))
        return self._count(stored.size, written=True)

    def _lent(self, blob: Descriptor) -> Descriptor | None:
        """*blob*, if the sink has it, or can have it without its being sent."""
        return blob if lent(self._source, self._sink, blob) else None

    def _there(self, blob: Descriptor, kind: str) -> Descriptor | None:
        """What an earlier copy made of the raw layer *blob*, if the sink still has it."""
        known = self._layers.get((blob.digest, kind))
        if known is None or not self._sink.has(known):
            return None
        self._became[blob.digest] = known
        return known

    def _moved(self, blob: Descriptor) -> Descriptor:
        with content.opened(self._source, blob, self._reporter, self._journal) as chunks:
            return self._sink.put(blob.media_type, chunks, digest=blob.digest, size=blob.size)

    def _pressed(self, blob: Descriptor, kind: str, codec: Codec) -> Descriptor:
        """The layer *blob*, compressed: one at a time, for it takes all cores. What is compressed, whatever its type
        says, is moved as it is."""
        with self._press, content.opened(self._source, blob, self._reporter, self._journal) as chunks:
            head, whole = peeked(chunks)
            if sniffed(head) is not Compression.NONE:
                return self._sink.put(blob.media_type, whole, digest=blob.digest, size=blob.size)
            stored = self._sink.put(kind, compressed(whole, codec))
        self._became[blob.digest] = replace(stored, media_type=kind)
        return stored

    def _renamed(self, document: Document) -> Document:
        """*document* with what became of the blobs and manifests that it lists."""
        found = document.value
        if isinstance(found, Manifest):
            value: Manifest | Index = replace(found, layers=self._renaming(found.layers))
        else:
            value = replace(found, manifests=self._renaming(found.manifests))
        if value == found:
            return document
        if isinstance(value, Index):
            value = replace(value, manifests=tuple(map(self._right_sized, value.manifests)))
        text = rendered(value)
        descriptor = replace(document.descriptor, digest=Digest.of(text), size=len(text), data=None)
        self._became[document.descriptor.digest] = descriptor
        return Document(descriptor=descriptor, text=text, value=value)

    def _renaming(self, listed: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
        return tuple(self._now(entry) for entry in listed)

    def _now(self, entry: Descriptor) -> Descriptor:
        became = self._became.get(entry.digest)
        if became is None:
            return entry
        return replace(entry, media_type=became.media_type, digest=became.digest, size=became.size, data=None, urls=())

    def _right_sized(self, entry: Descriptor) -> Descriptor:
        """*entry* with the size that its document has, whatever the index said: KraftKit's may lie."""
        return replace(entry, size=self._sizes.get(entry.digest, entry.size))

    def _count(self, size: int, *, written: bool) -> None:
        with self._lock:
            if written:
                self._written += size
            else:
                self._reused += size


def repair_command(source: Source, sink: Sink) -> str:
    """What to type for an image of the original `eci`, whose diff ids and schema version are wrong."""
    return f"`eci-convert {shlex.join(('verify', source.origin, '--fix', sink.destination))}`"
