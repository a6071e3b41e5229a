"""Descriptors become believable bytes. This module alone calls `Source.fetch`, so nothing is read unverified.

Documents are buffered, verified, then parsed; blobs are verified on the way through, to their very last byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain

from eci_convert import tar
from eci_convert.compression.codec import Compression, decompressed, detect_compression
from eci_convert.errors import EciError, FormatError, IntegrityError, LimitExceededError, UnsupportedImageError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.progress import NULL_REPORTER, Reporter, counted
from eci_convert.reading.resume import PartialDownload, PartialDownloads
from eci_convert.streams.blocks import peek_head
from eci_convert.streams.hashing import verified
from eci_convert.streams.threads import prefetched
from eci_convert.tar import TarEntry
from eci_convert.tar.header import TAR_BLOCK, parse_header
from eci_convert.tar.input import ByteReader, ExtensionBudget
from eci_convert.transports.base import Source

_SMALL = 1 << 20


TarInputFactory = Callable[[Iterable[bytes]], Iterable[bytes] | ByteReader]


@contextmanager
def open_blob(
    source: Source, blob: Descriptor, reporter: Reporter = NULL_REPORTER, journal: PartialDownloads | None = None
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
            checked = _attribute_errors(
                verified(counted(received, task, reporter), blob.digest, blob.size), source, blob, verdict
            )
            with prefetched(checked) if blob.size > _SMALL else nullcontext(checked) as running:
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
            error.add_note(
                "hint: data from an earlier run may have been corrupt; it was deleted: run the command again"
            )
        raise
    finally:
        reporter.finished(task)


def begins_as(source: Source, blob: Descriptor) -> Compression | None:
    """How *blob* seems to be compressed by its first bytes, None where it cannot be read. Nothing is verified: this
    is for warnings alone."""
    try:
        with source.fetch(blob) as chunks:
            return detect_compression(next(iter(chunks), b""))
    except EciError:
        return None


@contextmanager
def open_layer(
    source: Source,
    layer: Descriptor,
    reporter: Reporter = NULL_REPORTER,
    journal: PartialDownloads | None = None,
    through: TarInputFactory = iter,
    budget: ExtensionBudget | None = None,
) -> Iterator[Iterator[TarEntry]]:
    """The members of the tar archive that *layer* is, wrapped or not, to be used inside the `with`.

    Leaving it without an error reads what is left, and gives the verdict on the whole blob. Raises as `open_blob` and
    `check_readable`, and CorruptStream and LimitExceeded for what is malformed.
    """
    check_readable(layer)
    with open_blob(source, layer, reporter, journal) as chunks, read_members(chunks, through, budget) as entries:
        yield entries


def check_readable(blob: Descriptor) -> None:
    """Raises LayoutError where *blob* is encrypted: nobody here has the key."""
    if media_types.is_encrypted(blob.media_type):
        error = UnsupportedImageError(
            f"{blob.digest.short} is encrypted, which is not supported: it is {blob.media_type!r}"
        )
        error.add_note("hint: decrypt the image with skopeo copy --decryption-key")
        raise error


@contextmanager
def read_members(
    chunks: Iterator[bytes], through: TarInputFactory = iter, budget: ExtensionBudget | None = None
) -> Iterator[Iterator[TarEntry]]:
    """The members of the tar archive that is, wrapped or not, in *chunks*. Inflating has a thread of its own.

    The archive passes *through* what is given by whoever wants to see all of it, or to see how it is read.
    *budget* is that of several archives for extension headers.
    """
    head, chunks = peek_head(chunks)
    compression = detect_compression(head)
    unwrapped = decompressed(chunks, compression)
    with nullcontext(unwrapped) if compression is Compression.NONE else prefetched(unwrapped) as unwrapped:
        entries = tar.entries(through(unwrapped), budget=budget)
        yield entries
        for _ in entries:
            pass


def load_document(source: Source, blob: Descriptor, what: str = "document") -> bytes:
    """The whole of a small blob, verified. Raises LimitExceeded over 4 MiB, whatever the source claims or sends."""
    if blob.size > json_fields.MAX_DOCUMENT:
        raise LimitExceededError(f"{blob.size} bytes (limit {json_fields.MAX_DOCUMENT})", where=what)
    with open_blob(source, blob) as chunks:
        return b"".join(chunks)


def _fetched(
    source: Source, blob: Descriptor, journal: PartialDownloads | None
) -> AbstractContextManager[Iterable[bytes]]:
    """The bytes from wherever they are: an embedded copy is as good as the source's, for it is verified like it."""
    if blob.data is not None:
        return nullcontext((blob.data,))
    kept = journal.partial(blob) if journal and source.resumable else None
    return nullcontext(_resumed(source, blob, kept)) if kept else source.fetch(blob)


def _resumed(source: Source, blob: Descriptor, kept: PartialDownload) -> Iterator[bytes]:
    """What is kept of *blob*, then the rest of it."""
    yield from kept.chunks()
    if kept.size < blob.size:
        with source.fetch(blob, kept.size) as rest:
            yield from kept.append_while_slow(rest)


def _attribute_errors(
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


def is_tar_archive(head: bytes) -> bool:
    """Whether a blob that begins with *head* is a tar archive with something in it, wrapped or not."""
    try:
        parse_header(next(decompressed((head,), None), b"")[:TAR_BLOCK].ljust(TAR_BLOCK, b"\0"))
    except FormatError:
        return False
    return True
