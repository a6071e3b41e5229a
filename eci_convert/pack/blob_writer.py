"""Writes the blob of a recipe to a sink, unless the sink has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from eci_convert.compression.codec import Codec, Compression, compressed
from eci_convert.dialects.blueprint import Recipe, StoredBlob
from eci_convert.dialects.part_names import describe
from eci_convert.disks.detect import detect_disk_type
from eci_convert.disks.probe import ContentProbe
from eci_convert.errors import CannotHoldError, LimitExceededError, MissingPartError
from eci_convert.model import DISK_ROLES, DiskType, LocalFile, Memory, RemoteBlob, part_label
from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.diff_ids import layers_by_diff_id
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.pack.once import Once
from eci_convert.pack.tar_layer import archive_part, blob_size, header_length
from eci_convert.progress import COMPRESSING, HASHING, NULL_REPORTER, WRITING, Reporter
from eci_convert.reading.local_content import LocalContent, open_local
from eci_convert.reading.local_disks import check_complete, type_by_name
from eci_convert.streams.hashing import HashingStream
from eci_convert.streams.repeatable import SinglePassStream, SparseStream, retry_lost_uploads
from eci_convert.tasks import Task
from eci_convert.transports.base import Sink

NO_CODEC = Codec(compression=Compression.NONE, level=0)
_SMALL = 64 << 20
"""Bytes that are hashed as they pass: less is compressed before a hash of its own would be ahead."""
_BYTES = "application/octet-stream"


class BlobWriter:
    """Makes blobs in *sink*, from several threads if need be, and counts the bytes of those sent and those reused."""

    def __init__(
        self,
        sink: Sink,
        codec: Codec = NO_CODEC,
        *,
        existing: ImageMetadata | None = None,
        probe: bool = False,
        max_size: int | None = None,
        reporter: Reporter = NULL_REPORTER,
    ) -> None:
        self.sink = sink
        self._max_size = max_size
        self.reporter = reporter
        self.bytes_sent = self.bytes_reused = 0
        self._codec = codec
        self._layers = layers_by_diff_id(existing)
        self._sizes = {layer.size for layer in existing.manifest.layers} if existing else set()
        self._probe = probe
        self._lock = threading.Lock()
        self._once = Once()

    def write_local(self, recipe: Recipe) -> StoredBlob:
        """The blob of a part that is on this computer, or that is known to be in the sink."""
        match recipe.part.locator:
            case RemoteBlob() as known:
                return self._known(recipe, known)
            case LocalFile() | Memory() as locator:
                with open_local(locator) as content, Task(self.reporter, recipe.part.name, content.size) as task:
                    settled = _with_local_type(recipe, content)
                    key = (content.identity, settled.entry, self._codec_for(settled))
                    return self._once.make(
                        key,
                        lambda: self._made(settled, content, task),
                        lambda made: self._again(settled, content, made, task),
                    )
            case other:
                raise TypeError(f"{other} is not on this computer")

    def _made(self, recipe: Recipe, content: LocalContent, task: Task) -> StoredBlob:
        """The blob of *content*, found in the sink or sent; other files with the same bytes are not sent either."""
        digest = self._digest(recipe, content, task)
        if reused := self._reuse(recipe, content, digest, task):
            return reused
        store = partial(retry_lost_uploads, lambda: self._store(recipe, content, digest, task))
        if digest is None:
            return store()
        return self._once.make(digest, store, lambda made: self._again(recipe, content, made, task))

    def _again(self, recipe: Recipe, content: LocalContent, made: StoredBlob, task: Task) -> StoredBlob:
        """The blob that was *made* of the same bytes, as that of another part."""
        self.check_size(recipe, content.size)
        task.reused(content.size)
        self.count(made.descriptor.size, sent=False)
        return self._written(recipe, made.descriptor, made.diff_id, content.size)

    def write_once(self, recipe: Recipe, chunks: Iterable[bytes], seen: Callable[[], tuple[Recipe, int]]) -> StoredBlob:
        """The blob of a part that can be read once, and is not wrapped in an archive. After the last byte, *seen*
        returns the recipe with the type of the disk, and the size."""
        with Task(self.reporter, recipe.part.name, None) as task:
            self._enter(task, recipe, None)
            sent = compressed(task.counted(chunks), self._codec_for(recipe))
            stored = self.sink.put(self._type(recipe), SinglePassStream(sent))
        self.count(stored.size, sent=True)
        settled, size = seen()
        return self._written(settled, stored, stored.digest, size)

    def write_passing(self, recipe: Recipe, size: int, chunks: Iterable[bytes]) -> StoredBlob:
        """The blob of a part of another image, whose *size* bytes pass by once, as a task of its own."""
        with Task(self.reporter, recipe.part.name, size) as task:
            self._enter(task, recipe, size)
            return self.write_stream(recipe, size, task.counted(chunks), task=task)

    def write_stream(
        self,
        recipe: Recipe,
        size: int,
        chunks: Iterable[bytes],
        digest: Digest | None = None,
        supply: LocalContent | None = None,
        task: Task | None = None,
    ) -> StoredBlob:
        """The blob of a part whose *size* bytes pass by once; *digest* is the blob's, where it is known. *supply* is
        where the same bytes can be read again. *task* is what the bytes are counted for, here only as they are hashed.

        Raises LimitExceededError before the first of too many.
        """
        self.check_size(recipe, size)
        probe = _probe(recipe, chunks)
        plain: Iterable[bytes] = archive_part(recipe, size, probe or chunks)
        codec, lead = self._codec_for(recipe), header_length(recipe, size)
        if codec.compression is Compression.NONE:
            if supply:
                plain = SparseStream(plain, lambda: _shift(lead, supply.extents()))
            stored = self.sink.put(self._type(recipe), plain, digest=digest, size=blob_size(recipe, size))
            diff_id = stored.digest
        else:
            again = supply.chunks(lead) if supply and size > _SMALL else None
            apart = archive_part(recipe, size, again) if again else None
            measured = HashingStream(plain, threaded=True, again=apart, hashed=task.lane() if task else None)
            stored = self.sink.put(self._type(recipe), compressed(measured, codec))
            diff_id = measured.digest
        self.count(stored.size, sent=True)
        return self._written(_settled(recipe, probe), stored, diff_id, size)

    def check_size(self, recipe: Recipe, size: int) -> None:
        """Raises LimitExceededError for a part of more bytes than the user allows."""
        if self._max_size is not None and size > self._max_size:
            raise LimitExceededError(f"{recipe.part.name!r} is larger than the limit of {self._max_size} bytes")

    def verbatim(self, recipe: Recipe, blob: Descriptor, chunks: Iterable[bytes], *, send: bool) -> StoredBlob:
        """The blob *blob* as it is, whose bytes pass by; not *send*: the sink has it, and they only tell its type."""
        probe = None if recipe.compression else _probe(recipe, chunks)
        if send:
            self.sink.put(self._type(recipe), probe or chunks, digest=blob.digest, size=blob.size)
        else:
            for _ in probe or chunks:
                pass
        return self.reused(_settled(recipe, probe), blob, sent=send)

    def reused(self, recipe: Recipe, blob: Descriptor, *, sent: bool = False) -> StoredBlob:
        """*blob*, which the sink has: it was *sent* just now, or need not be."""
        self.count(blob.size, sent=sent)
        return self._written(recipe, blob, blob.digest, blob.size)

    def write_manifest(self, content: bytes, media_type: str, *, again: bool = True) -> Descriptor:
        """Writes a manifest or config; *again*, also if the sink has it: tags and garbage collection depend on it."""
        if len(content) > json_fields.MAX_DOCUMENT:
            raise LimitExceededError(
                f"{self.sink.destination}: a document of {len(content)} bytes (limit {json_fields.MAX_DOCUMENT})"
            )
        promised = Descriptor.of(content, media_type)
        sent = again or not self.sink.has(promised)
        if sent:
            retry_lost_uploads(
                lambda: self.sink.put(media_type, (content,), digest=promised.digest, size=promised.size)
            )
        self.count(promised.size, sent=sent)
        return promised

    def count(self, size: int, *, sent: bool) -> None:
        """*size* bytes were *sent*, or were there."""
        with self._lock:
            if sent:
                self.bytes_sent += size
            else:
                self.bytes_reused += size

    def _known(self, recipe: Recipe, remote: RemoteBlob) -> StoredBlob:
        name = recipe.part.name
        if recipe.entry or recipe.compression:
            raise MissingPartError(f"{name!r} is known by its digest alone, and this format wraps its bytes")
        blob = Descriptor(media_type=recipe.media_type, digest=remote.digest, size=remote.size)
        stored = self._written(recipe, blob, blob.digest, blob.size)
        if not self.sink.has(blob):
            raise MissingPartError(f"{self.sink.destination} has no blob {remote.digest}, which {name!r} is to be")
        self.count(blob.size, sent=False)
        return stored

    def _digest(self, recipe: Recipe, content: LocalContent, task: Task) -> Digest | None:
        """What the digest of a blob that is *content* as it is will be; None where that is not worth an extra reading,
        or cannot be known."""
        if recipe.entry or recipe.compression or not (self._probe or content.size in self._sizes):
            return None
        task.enter(HASHING, content.size, side=True)
        return _digested(task.counted(content.chunks())).digest

    def _reuse(self, recipe: Recipe, content: LocalContent, digest: Digest | None, task: Task) -> StoredBlob | None:
        """The blob of *content*, if the sink has it: its digest is computed before anything is compressed or sent."""
        if recipe.entry and self._layers:
            task.enter(HASHING, content.size, side=True)
            digest = _digested(archive_part(recipe, content.size, task.counted(content.chunks()))).digest
            blob = self._layers.get((digest, self._type(recipe)))
        elif digest:
            blob = Descriptor(media_type=recipe.media_type, digest=digest, size=content.size)
        else:
            return None
        if not blob or not digest or not self.sink.has(blob):
            return None
        task.reused(content.size)
        self.count(blob.size, sent=False)
        return self._written(recipe, blob, digest, content.size)

    def _written(self, recipe: Recipe, stored: Descriptor, diff_id: Digest, size: int) -> StoredBlob:
        if not recipe.media_type:
            raise _unknown_type(recipe)
        notes = {**recipe.annotations, **dict.fromkeys(recipe.size_annotations, str(size))}
        media_type = self._type(recipe)
        descriptor = Descriptor(media_type=media_type, digest=stored.digest, size=stored.size, annotations=notes)
        return StoredBlob(recipe=recipe, descriptor=descriptor, diff_id=diff_id)

    def _store(self, recipe: Recipe, content: LocalContent, digest: Digest | None, task: Task) -> StoredBlob:
        self._enter(task, recipe, content.size)
        chunks = task.counted(content.chunks(header_length(recipe, content.size)))
        return self.write_stream(recipe, content.size, chunks, digest, content, task)

    def _enter(self, task: Task, recipe: Recipe, size: int | None) -> None:
        task.enter(WRITING if self._codec_for(recipe).compression is Compression.NONE else COMPRESSING, size)

    def _codec_for(self, recipe: Recipe) -> Codec:
        if recipe.entry:
            return self._codec if recipe.may_compress else NO_CODEC
        return Codec.parse(recipe.compression) if recipe.compression else NO_CODEC

    def _type(self, recipe: Recipe) -> str:
        """The media type of the blob that *recipe* becomes."""
        codec = self._codec_for(recipe)
        if recipe.entry and codec.compression is not Compression.NONE:
            return f"{recipe.media_type}+{codec.compression}"
        return recipe.media_type or _BYTES


def _probe(recipe: Recipe, chunks: Iterable[bytes]) -> ContentProbe | None:
    """A probe of *chunks*, if they are those of a disk."""
    return ContentProbe(chunks) if recipe.part.role in DISK_ROLES or recipe.with_disk_type else None


def _settled(recipe: Recipe, probe: ContentProbe | None) -> Recipe:
    """*recipe* after *probe* has seen the bytes, with the type of the disk if that was not known.

    Raises CannotHoldError for a disk that needs other files.
    """
    if probe is None:
        return recipe
    check_complete(probe.foreign_reference, describe(recipe.part))
    return _typed(recipe, probe.disk_type, probe.head)


def _with_local_type(recipe: Recipe, content: LocalContent) -> Recipe:
    """The same, where the bytes are here and their ends can be looked at before any is sent."""
    if not recipe.with_disk_type:
        return recipe
    head, tail = content.head_and_tail()
    return _typed(recipe, detect_disk_type(head, content.size, tail), head)


def _typed(recipe: Recipe, detected: DiskType | None, head: bytes) -> Recipe:
    """*recipe* with the type of its disk, if it needs one: *detected*, or by the disk's name."""
    found = detected or type_by_name(recipe.part.name, head)
    return recipe.with_disk_type(found) if recipe.with_disk_type and found else recipe


def _unknown_type(recipe: Recipe) -> CannotHoldError:
    error = CannotHoldError(
        f"the type of the {part_label(recipe.part)} {recipe.part.name!r} is not known, and this format has to name it"
    )
    error.add_note("hint: use --format legacy")
    return error


def _shift(lead: int, data: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """*data* as it is behind *lead* bytes, which are data too."""
    yield 0, lead
    for offset, length in data:
        yield lead + offset, length


def _digested(chunks: Iterable[bytes]) -> HashingStream:
    measured = HashingStream(chunks)
    for _ in measured:
        pass
    return measured
