"""A recipe and its bytes become a blob in a sink; what is there already is not made again."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from eci_convert.compression.codec import Codec, Compression, compressed
from eci_convert.dialects.blueprint import Recipe, Written
from eci_convert.disks import detect
from eci_convert.errors import CannotHold, LimitExceeded, MissingPart
from eci_convert.files.sparse import Mapped
from eci_convert.model import File, Image, Known, Memory, described
from eci_convert.oci import diff_ids, json_fields
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor
from eci_convert.pack.once import Once
from eci_convert.progress import SILENT, Reporter
from eci_convert.reading import local_content
from eci_convert.reading.local_content import Supply
from eci_convert.streams.hashing import Measured
from eci_convert.streams.repeatable import lasting
from eci_convert.tar import TarMember, archive_size, archived, header
from eci_convert.transports.base import Sink

NO_CODEC = Codec(compression=Compression.NONE, level=0)
_SMALL = 64 << 20
"""Bytes that are hashed as they pass: less is compressed before a hash of its own would be ahead."""
_BYTES = "application/octet-stream"


class Press:
    """Makes blobs in *sink*, from several threads if need be, and counts the bytes of those sent and those reused."""

    def __init__(
        self,
        sink: Sink,
        codec: Codec = NO_CODEC,
        *,
        existing: Image | None = None,
        probe: bool = False,
        max_size: int | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        self.sink = sink
        self._max_size = max_size
        self.reporter = reporter
        self.bytes_written = self.bytes_reused = 0
        self._codec = codec
        self._layers = diff_ids.layers(existing)
        self._sizes = {layer.size for layer in existing.manifest.layers} if existing else set()
        self._probe = probe
        self._lock = threading.Lock()
        self._once = Once()

    def local(self, recipe: Recipe) -> Written:
        """The blob of a part that is on this computer, or that is known to be in the sink."""
        match recipe.part.locator:
            case Known() as known:
                return self._known(recipe, known)
            case File() | Memory() as locator:
                with local_content.opened(locator) as content:
                    settled = _retyped(recipe, *content.ends(), content.size)
                    key = (content.identity, settled.entry, self._codec_for(settled))
                    return self._once.make(
                        key, lambda: self._made(settled, content), lambda made: self._again(settled, content, made)
                    )
            case other:
                raise TypeError(f"{other} is not on this computer")

    def _made(self, recipe: Recipe, content: Supply) -> Written:
        """The blob of *content*, found in the sink or sent; other files with the same bytes are not sent either."""
        digest = self._digest(recipe, content)
        found = self._found(recipe, content, digest)
        if found:
            return found
        if digest is None:
            return lasting(lambda: self._fresh(recipe, content, None))
        return self._once.make(
            digest,
            lambda: lasting(lambda: self._fresh(recipe, content, digest)),
            lambda made: self._again(recipe, content, made),
        )

    def _again(self, recipe: Recipe, content: Supply, made: Written) -> Written:
        """The blob that was *made* of the same bytes, as that of another part."""
        self.check_size(recipe, content.size)
        self.count(made.descriptor.size, sent=False)
        return self._written(recipe, made.descriptor, made.diff_id, content.size)

    def stream(
        self,
        recipe: Recipe,
        size: int,
        chunks: Iterable[bytes],
        digest: Digest | None = None,
        supply: Supply | None = None,
    ) -> Written:
        """The blob of a part whose *size* bytes pass by once; *digest* is the blob's, where it is known. *supply* is
        where the same bytes can be read again.

        Raises LimitExceeded before the first of too many.
        """
        self.check_size(recipe, size)
        ends = _Ends(chunks, wanted=recipe.retyped is not None)
        plain: Iterable[bytes] = archived([(_member(recipe, size), ends)]) if recipe.entry else ends
        codec, lead = self._codec_for(recipe), _lead(recipe, size)
        if codec.compression is Compression.NONE:
            if supply:
                plain = Mapped(plain, lambda: _behind(lead, supply.data()))
            stored = self.sink.put(self._type(recipe), plain, digest=digest, size=_plain_size(recipe, size))
            diff_id = stored.digest
        else:
            again = supply.chunks(lead) if supply and size > _SMALL else None
            apart = archived([(_member(recipe, size), again)]) if again and recipe.entry else again
            measured = Measured(plain, threaded=True, again=apart)
            stored = self.sink.put(self._type(recipe), compressed(measured, codec))
            diff_id = measured.digest
        self.count(stored.size, sent=True)
        return self._written(_retyped(recipe, ends.head, ends.tail, size), stored, diff_id, size)

    def check_size(self, recipe: Recipe, size: int) -> None:
        """Raises LimitExceeded for a part of more bytes than the user allows."""
        if self._max_size is not None and size > self._max_size:
            raise LimitExceeded(f"{recipe.part.name!r} is larger than the limit of {self._max_size} bytes")

    def verbatim(self, recipe: Recipe, blob: Descriptor, chunks: Iterable[bytes], *, send: bool) -> Written:
        """The blob *blob* as it is, whose bytes pass by; not *send*: the sink has it, and they only tell its type."""
        ends = _Ends(chunks, wanted=recipe.retyped is not None)
        if send:
            self.sink.put(self._type(recipe), ends, digest=blob.digest, size=blob.size)
        else:
            for _ in ends:
                pass
        return self.reused(_retyped(recipe, ends.head, ends.tail, blob.size), blob, sent=send)

    def reused(self, recipe: Recipe, blob: Descriptor, *, sent: bool = False) -> Written:
        """*blob*, which the sink has: it was *sent* just now, or need not be."""
        self.count(blob.size, sent=sent)
        return self._written(recipe, blob, blob.digest, blob.size)

    def document(self, content: bytes, media_type: str, *, again: bool = True) -> Descriptor:
        """A small document. What the sink has is told it *again*, for names and what keeps things hang on manifests."""
        if len(content) > json_fields.MAX_DOCUMENT:
            raise LimitExceeded(
                f"{self.sink.destination}: a document of {len(content)} bytes (limit {json_fields.MAX_DOCUMENT})"
            )
        promised = Descriptor.of(content, media_type)
        sent = again or not self.sink.has(promised)
        if sent:
            lasting(lambda: self.sink.put(media_type, (content,), digest=promised.digest, size=promised.size))
        self.count(promised.size, sent=sent)
        return promised

    def count(self, size: int, *, sent: bool) -> None:
        """*size* bytes were *sent*, or were there."""
        with self._lock:
            if sent:
                self.bytes_written += size
            else:
                self.bytes_reused += size

    def _known(self, recipe: Recipe, known: Known) -> Written:
        name = recipe.part.name
        if recipe.entry or recipe.compression:
            raise MissingPart(f"{name!r} is known by its digest alone, and this format wraps its bytes")
        blob = Descriptor(media_type=recipe.media_type, digest=known.digest, size=known.size)
        found = self._written(recipe, blob, blob.digest, blob.size)
        if not self.sink.has(blob):
            raise MissingPart(f"{self.sink.destination} has no blob {known.digest}, which {name!r} is to be")
        self.count(blob.size, sent=False)
        return found

    def _digest(self, recipe: Recipe, content: Supply) -> Digest | None:
        """What the digest of a blob that is *content* as it is will be; None where that is not worth an extra reading,
        or cannot be known."""
        if recipe.entry or recipe.compression or not (self._probe or content.size in self._sizes):
            return None
        return _digested(content.chunks()).digest

    def _found(self, recipe: Recipe, content: Supply, digest: Digest | None) -> Written | None:
        """The blob that *content* would become, if the sink has it: a hash tells, before any work or sending."""
        if recipe.entry and self._layers:
            digest = _digested(archived([(_member(recipe, content.size), content.chunks())])).digest
            blob = self._layers.get((digest, self._type(recipe)))
        elif digest:
            blob = Descriptor(media_type=recipe.media_type, digest=digest, size=content.size)
        else:
            return None
        if not blob or not digest or not self.sink.has(blob):
            return None
        self.count(blob.size, sent=False)
        return self._written(recipe, blob, digest, content.size)

    def _written(self, recipe: Recipe, stored: Descriptor, diff_id: Digest, size: int) -> Written:
        if not recipe.media_type:
            raise _unknown_type(recipe)
        notes = {**recipe.annotations, **dict.fromkeys(recipe.sized, str(size))}
        media_type = self._type(recipe)
        descriptor = Descriptor(media_type=media_type, digest=stored.digest, size=stored.size, annotations=notes)
        return Written(recipe=recipe, descriptor=descriptor, diff_id=diff_id)

    def _fresh(self, recipe: Recipe, content: Supply, digest: Digest | None) -> Written:
        return self.stream(recipe, content.size, self._reported(recipe, content), digest, content)

    def _codec_for(self, recipe: Recipe) -> Codec:
        if recipe.entry:
            return self._codec if recipe.compressible else NO_CODEC
        return Codec.parse(recipe.compression) if recipe.compression else NO_CODEC

    def _type(self, recipe: Recipe) -> str:
        """The media type of the blob that *recipe* becomes."""
        codec = self._codec_for(recipe)
        if recipe.entry and codec.compression is not Compression.NONE:
            return f"{recipe.media_type}+{codec.compression}"
        return recipe.media_type or _BYTES

    def _reported(self, recipe: Recipe, content: Supply) -> Iterator[bytes]:
        """The content, as it is; the reporter is told of it."""
        self.reporter.started(recipe.part.name, content.size)
        try:
            for chunk in content.chunks(_lead(recipe, content.size)):
                self.reporter.advanced(recipe.part.name, len(chunk))
                yield chunk
        finally:
            self.reporter.finished(recipe.part.name)


class _Ends:
    """*chunks* as they are; *head* and *tail* are their first and last bytes, where they are *wanted*."""

    def __init__(self, chunks: Iterable[bytes], *, wanted: bool) -> None:
        self._chunks = chunks
        self._wanted = wanted
        self.head = self.tail = b""

    def __iter__(self) -> Iterator[bytes]:
        if not self._wanted:
            yield from self._chunks
            return
        for chunk in self._chunks:
            if len(self.head) < detect.HEAD:
                self.head += chunk[: detect.HEAD - len(self.head)]
            self.tail = (self.tail + chunk[-detect.TAIL :])[-detect.TAIL :]
            yield chunk


def _retyped(recipe: Recipe, head: bytes, tail: bytes, size: int) -> Recipe:
    """*recipe* as it is once the bytes have told the type of the disk, if it did not know it."""
    if not recipe.retyped:
        return recipe
    found = detect.detect(head, size, tail)
    return recipe.retyped(found) if found else recipe


def _unknown_type(recipe: Recipe) -> CannotHold:
    error = CannotHold(
        f"the type of the {described(recipe.part)} {recipe.part.name!r} is not known, and this format has to name it"
    )
    error.add_note("hint: use --format legacy")
    return error


def _member(recipe: Recipe, size: int) -> TarMember:
    entry = recipe.entry
    if entry is None:
        raise TypeError(f"{recipe.part.name!r} becomes no tar entry")
    return TarMember(name=entry.path, size=size, mode=entry.mode, uid=entry.uid, gid=entry.gid, mtime=entry.mtime)


def _lead(recipe: Recipe, size: int) -> int:
    """How many bytes the archive that *recipe* becomes has before the part, which is *size* bytes."""
    return len(header(_member(recipe, size))) if recipe.entry else 0


def _behind(lead: int, data: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """*data* as it is behind *lead* bytes, which are data too."""
    yield 0, lead
    for offset, length in data:
        yield lead + offset, length


def _plain_size(recipe: Recipe, size: int) -> int:
    return archive_size([_member(recipe, size)]) if recipe.entry else size


def _digested(chunks: Iterable[bytes]) -> Measured:
    measured = Measured(chunks)
    for _ in measured:
        pass
    return measured
