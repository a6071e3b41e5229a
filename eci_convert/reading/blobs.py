"""Descriptors become believable bytes. This module alone calls `Source.fetch`, so nothing is read unverified.

Documents are buffered, verified, then parsed; blobs are verified on the way through, to their very last byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from operator import is_
from typing import Final

from eci_convert import tar
from eci_convert.compression.codec import Compression, decompressed, sniffed
from eci_convert.compression.codec import is_archive as is_archive
from eci_convert.dialects import index_sizes
from eci_convert.errors import EciError, FormatError, IntegrityError, LayoutError, LimitExceeded, NotFound
from eci_convert.model import Image
from eci_convert.oci import json_fields, manifest, media_types
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import check_no_bundle
from eci_convert.oci.manifest import Descriptor, ImageConfig, Index, Manifest, Platform
from eci_convert.oci.platform import candidates, check, select, told_platform
from eci_convert.progress import SILENT, Reporter, counted
from eci_convert.reading.resume import Journal, Kept
from eci_convert.streams.hashing import verified
from eci_convert.streams.threads import threaded
from eci_convert.tar import Entry
from eci_convert.tar.input import ExtensionBudget, Input
from eci_convert.transports.base import Source

MAX_DOCUMENTS: Final = 32 << 20
"""Bytes that all manifests, indexes and configs of what one name stands for may have together."""
_MAX_NESTING = 4
_MAX_INNER = 64
_SMALL = 1 << 20
_HEAD = 256 << 10

Through = Callable[[Iterable[bytes]], Iterable[bytes] | Input]


def standing(source: Source | None) -> Image | None:
    """The image that is there, or None where there is none or it cannot be read: then nothing of it is reused."""
    try:
        return image(source) if source else None
    except EciError:
        return None


@contextmanager
def opened(
    source: Source, blob: Descriptor, reporter: Reporter = SILENT, journal: Journal | None = None
) -> Iterator[Iterator[bytes]]:
    """The bytes of *blob*, to be used inside the `with`; leaving it without an error reads what is left and gives
    the verdict on the whole. Raises SizeMismatch, DigestMismatch, and what the source raises.

    Where the block finds the bytes malformed (FormatError), the verdict comes all the same: bytes that are not the
    promised ones are the truer reason. Big blobs are received and hashed in a thread of its own. *journal* keeps what
    arrived, where that is slow, for the case that all of this ends too early.
    """
    task = blob.annotations.get("org.opencontainers.image.title") or blob.digest.short
    reporter.started(task, blob.size)
    try:
        with _fetched(source, blob, journal) as received:
            verdict: list[IntegrityError] = []
            checked = _blamed(
                verified(counted(received, task, reporter), blob.digest, blob.size), source, blob, verdict
            )
            with threaded(checked) if blob.size > _SMALL else nullcontext(checked) as running:
                chunks = chain(running)  # which nobody can close: a stage that ends early cannot take the verdict along
                try:
                    yield chunks
                except FormatError:
                    deque(chunks, maxlen=0)
                    if verdict:  # it was given to another thread, which read to the end
                        raise verdict[0] from None
                    raise
                deque(chunks, maxlen=0)
    except IntegrityError as error:
        if journal and journal.discard(blob):
            error.add_note("hint: what an earlier run had received may be to blame, and is gone now: run it again")
        raise
    finally:
        reporter.finished(task)


def begins_as(source: Source, blob: Descriptor) -> Compression | None:
    """How *blob* seems to be compressed by its first bytes, None where it cannot be read. Nothing is verified: this
    is for warnings alone."""
    try:
        with source.fetch(blob) as chunks:
            return sniffed(next(iter(chunks), b""))
    except EciError:
        return None


@contextmanager
def archive(
    source: Source,
    layer: Descriptor,
    reporter: Reporter = SILENT,
    journal: Journal | None = None,
    through: Through = iter,
    budget: ExtensionBudget | None = None,
) -> Iterator[Iterator[Entry]]:
    """The members of the tar archive that *layer* is, wrapped or not, to be used inside the `with`.

    Leaving it without an error reads what is left, and gives the verdict on the whole blob. Raises as `opened` and
    `check_readable`, and CorruptStream and LimitExceeded for what is malformed.
    """
    check_readable(layer)
    with opened(source, layer, reporter, journal) as chunks, members(chunks, through, budget) as entries:
        yield entries


def check_readable(blob: Descriptor) -> None:
    """Raises LayoutError where *blob* is encrypted: nobody here has the key."""
    if media_types.is_encrypted(blob.media_type):
        error = LayoutError(f"{blob.digest.short} is encrypted, and cannot be read here: it is {blob.media_type!r}")
        error.add_note("hint: skopeo copy --decryption-key makes an image that can")
        raise error


@contextmanager
def members(
    chunks: Iterator[bytes], through: Through = iter, budget: ExtensionBudget | None = None
) -> Iterator[Iterator[Entry]]:
    """The members of the tar archive that is, wrapped or not, in *chunks*. Inflating has a thread of its own.

    The archive passes *through* what is given by whoever wants to see all of it, or to see how it is read.
    *budget* is that of several archives for extension headers.
    """
    head, chunks = peeked(chunks)
    compression = sniffed(head)
    unwrapped = decompressed(chunks, compression)
    with nullcontext(unwrapped) if compression is Compression.NONE else threaded(unwrapped) as unwrapped:
        entries = tar.entries(through(unwrapped), budget=budget)
        yield entries
        for _ in entries:
            pass


def peeked(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of *chunks*, 256 KiB if there are so many, and all of them still to be read."""
    head = b""
    while len(head) < _HEAD and (chunk := next(chunks, b"")):
        head += chunk
    return head, chain((head,), chunks) if head else chunks


def document(source: Source, blob: Descriptor, what: str = "document") -> bytes:
    """The whole of a small blob, verified. Raises LimitExceeded over 4 MiB, whatever the source claims or sends."""
    if blob.size > json_fields.MAX_DOCUMENT:
        raise LimitExceeded(f"{blob.size} bytes (limit {json_fields.MAX_DOCUMENT})", where=what)
    with opened(source, blob) as chunks:
        return b"".join(chunks)


class Documents:
    """The manifests, indexes and configs that *source* has of what one name stands for: each is read once, whatever
    lists it how often, and all together are no more than *budget* bytes, or LimitExceeded is raised."""

    def __init__(self, source: Source, budget: int = MAX_DOCUMENTS) -> None:
        self.source = source
        self._budget = budget
        self._manifests: dict[tuple[Digest, str], Manifest | Index] = {}
        self._configs: dict[tuple[Digest, str], ImageConfig] = {}

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that an entry of an index promises. Raises as `root` does."""
        key = (descriptor.digest, descriptor.media_type)
        if key not in self._manifests:
            self.account(descriptor.size)
            self._manifests[key] = child(self.source, descriptor)
        return self._manifests[key]

    def config(self, blob: Descriptor) -> ImageConfig:
        """The config that a manifest promises; an empty one where it is that of no container."""
        key = (blob.digest, blob.media_type)
        if key not in self._configs:
            self.account(min(blob.size, json_fields.MAX_DOCUMENT))
            self._configs[key] = _config(self.source, blob)
        return self._configs[key]

    def account(self, size: int) -> None:
        """*size* bytes more are read. Raises LimitExceeded."""
        self._budget -= size
        if self._budget < 0:
            raise LimitExceeded("its manifests and configs are too many and too long", where=self.source.origin)


def root(source: Source) -> tuple[Descriptor, Manifest | Index]:
    """What the source's name stands for. Raises FormatError, IntegrityError and what the source raises."""
    descriptor = right_sized(source, source.resolve())
    return descriptor, manifest.parse(document(source, descriptor, "manifest"), descriptor.media_type)


def image(source: Source, platform: Platform | None = None) -> Image:
    """The image that the source's name stands for; of several, the one for *platform* (see `oci.select`)."""
    descriptor, found = root(source)
    return selected(Documents(source), descriptor, found, platform)


def selected(documents: Documents, descriptor: Descriptor, found: Manifest | Index, platform: Platform | None) -> Image:
    """The image that *found*, which *descriptor* promises, holds for *platform*.

    An image that no index describes says itself what it is for. Raises LayoutError where that is another platform.
    """
    described, source = False, documents.source
    for _ in range(_MAX_NESTING):
        if isinstance(found, Manifest):
            image = _image(documents, descriptor, found)
            if platform and not described:
                check(image.platform, platform, source.origin)
            return image
        descriptor = right_sized(documents.source, select(flattened(documents, found), platform, source.origin))
        described, found = True, documents.manifest(descriptor)
    raise LimitExceeded(f"indexes are nested more than {_MAX_NESTING} deep", where=source.origin)


def flattened(documents: Documents, found: Index, *, bundle: bool = False) -> Index:
    """*found* with what the indexes in it list in their places, unless such an index says what it is for. What an index
    lists that is listed more than once comes once.

    Raises LimitExceeded where they are nested too deep or too many, IsBundle where *found* is a CNAB bundle, unless
    *bundle*, and as `root` does.
    """
    where = documents.source.origin
    if not bundle:
        check_no_bundle(found, where)
    seen: set[Digest] = set()
    for _ in range(_MAX_NESTING):
        inner = {id(entry) for entry in candidates(found) if entry.media_type in media_types.INDEXES}
        entries: list[Descriptor] = []
        for entry in found.manifests:
            if id(entry) not in inner or entry.platform:
                entries.append(entry)
            elif entry.digest not in seen:
                seen.add(entry.digest)
                if len(seen) > _MAX_INNER:
                    raise LimitExceeded(f"more than {_MAX_INNER} indexes in an index", where=where)
                within = documents.manifest(entry)
                entries += within.manifests if isinstance(within, Index) else (entry,)
        if len(entries) == len(found.manifests) and all(map(is_, entries, found.manifests)):
            return found
        found = replace(found, manifests=tuple(entries))
    raise LimitExceeded(f"indexes are nested more than {_MAX_NESTING} deep", where=where)


def right_sized(source: Source, entry: Descriptor) -> Descriptor:
    """*entry* of an index, whose document comes inside it where the index lies about its size. Raises as `root`."""
    return index_sizes.right_sized(entry, lambda promised: document(source, promised, f"manifest {entry.digest.short}"))


def child(source: Source, descriptor: Descriptor) -> Manifest | Index:
    """The manifest or index that an entry of an index promises. Raises as `root` does."""
    descriptor = right_sized(source, descriptor)
    return manifest.parse(document(source, descriptor, f"manifest {descriptor.digest.short}"), descriptor.media_type)


def _image(documents: Documents, descriptor: Descriptor, found: Manifest) -> Image:
    config = documents.config(found.config)
    platform = told_platform(descriptor.platform, config.platform, found.config.platform)
    return Image(descriptor=descriptor, manifest=found, config=config, platform=platform)


def _config(source: Source, blob: Descriptor) -> ImageConfig:
    if blob.media_type in media_types.CONFIGS:
        return ImageConfig.parse(document(source, blob, "config"))
    if blob.size > json_fields.MAX_DOCUMENT:
        return ImageConfig()
    try:
        return ImageConfig(fields=json_fields.document(document(source, blob, "config"), "config"))
    except (NotFound, FormatError):
        return ImageConfig()


def _fetched(source: Source, blob: Descriptor, journal: Journal | None) -> AbstractContextManager[Iterable[bytes]]:
    """The bytes from wherever they are: an embedded copy is as good as the source's, for it is verified like it."""
    if blob.data is not None:
        return nullcontext((blob.data,))
    kept = journal.kept(blob) if journal and source.resumable else None
    return nullcontext(_resumed(source, blob, kept)) if kept else source.fetch(blob)


def _resumed(source: Source, blob: Descriptor, kept: Kept) -> Iterator[bytes]:
    """What is kept of *blob*, then the rest of it."""
    yield from kept.chunks()
    if kept.size < blob.size:
        with source.fetch(blob, kept.size) as rest:
            yield from kept.recorded(rest)


def _blamed(
    chunks: Iterable[bytes], source: Source, blob: Descriptor, verdict: list[IntegrityError]
) -> Iterator[bytes]:
    """Only the source's bytes pass through here, so what is raised here is the source's fault.

    A *verdict* on them is written down too: whoever reads to the end may be another thread than whoever must know.
    """
    try:
        yield from chunks
    except EciError as error:
        error.add_note(f"while reading {blob.digest.short} from {source.origin}")
        if isinstance(error, IntegrityError):
            verdict.append(error)
        raise
