"""Descriptors become believable bytes. This module alone calls `Source.fetch`, so nothing is read unverified.

Documents are buffered, verified, then parsed; blobs are verified on the way through, to their very last byte.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from itertools import chain

from eci_convert.errors import EciError, FormatError, IntegrityError, LimitExceeded, NotFound
from eci_convert.journal import Journal, Kept
from eci_convert.model import Image
from eci_convert.oci import fields, manifest, mediatype
from eci_convert.oci.bundles import check_no_bundle
from eci_convert.oci.manifest import Descriptor, ImageConfig, Index, Manifest, Platform
from eci_convert.oci.select import candidates, check, select, suits
from eci_convert.progress import SILENT, Reporter
from eci_convert.streams import tar
from eci_convert.streams.compress import Compression, decompressed, sniffed
from eci_convert.streams.pipeline import ahead
from eci_convert.streams.tar import Entry
from eci_convert.streams.tar_header import BLOCK, parse_header
from eci_convert.streams.tar_input import Input
from eci_convert.streams.verify import verified
from eci_convert.transports.base import Source

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
                verified(_counted(received, task, reporter), blob.digest, blob.size), source, blob, verdict
            )
            with threaded(checked) if blob.size > _SMALL else nullcontext(checked) as running:
                chunks = chain(running)  # which nobody can close: a stage that ends early cannot take the verdict along
                try:
                    yield chunks
                except FormatError:
                    _drain(chunks)
                    if verdict:  # it was given to another thread, which read to the end
                        raise verdict[0] from None
                    raise
                _drain(chunks)
    except IntegrityError as error:
        if journal and journal.discard(blob):
            error.add_note("hint: what an earlier run had received may be to blame, and is gone now: run it again")
        raise
    finally:
        reporter.finished(task)


@contextmanager
def archive(
    source: Source,
    layer: Descriptor,
    reporter: Reporter = SILENT,
    journal: Journal | None = None,
    through: Through = iter,
) -> Iterator[Iterator[Entry]]:
    """The members of the tar archive that *layer* is, wrapped or not, to be used inside the `with`.

    Leaving it without an error reads what is left, and gives the verdict on the whole blob. Raises as `opened`, and
    CorruptStream and LimitExceeded for what is malformed.
    """
    with opened(source, layer, reporter, journal) as chunks, members(chunks, through) as entries:
        yield entries


@contextmanager
def members(chunks: Iterator[bytes], through: Through = iter) -> Iterator[Iterator[Entry]]:
    """The members of the tar archive that is, wrapped or not, in *chunks*. Inflating has a thread of its own.

    The archive passes *through* what is given by whoever wants to see all of it, or to see how it is read.
    """
    head, chunks = peeked(chunks)
    compression = sniffed(head)
    unwrapped = decompressed(chunks, compression)
    with nullcontext(unwrapped) if compression is Compression.NONE else threaded(unwrapped) as unwrapped:
        entries = tar.entries(through(unwrapped))
        yield entries
        for _ in entries:
            pass


@contextmanager
def threaded(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """*chunks*, made in a thread of its own, which has ended when the `with` has, or never will."""
    stage = ahead(chunks)
    try:
        yield stage
    finally:
        if isinstance(stage, Generator):
            with suppress(ValueError):  # it is running: the thread that wants its chunks was left behind in a stall
                stage.close()


def peeked(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of *chunks*, 256 KiB if there are so many, and all of them still to be read."""
    head = b""
    while len(head) < _HEAD and (chunk := next(chunks, b"")):
        head += chunk
    return head, chain((head,), chunks) if head else chunks


def is_archive(head: bytes) -> bool:
    """Whether a blob that begins with *head* is a tar archive with something in it, wrapped or not."""
    try:
        parse_header(next(decompressed((head,), None), b"")[:BLOCK].ljust(BLOCK, b"\0"))
    except FormatError:
        return False
    return True


def document(source: Source, blob: Descriptor, what: str = "document") -> bytes:
    """The whole of a small blob, verified. Raises LimitExceeded over 4 MiB, whatever the source claims or sends."""
    if blob.size > fields.MAX_DOCUMENT:
        raise LimitExceeded(f"{blob.size} bytes (limit {fields.MAX_DOCUMENT})", where=what)
    with opened(source, blob) as chunks:
        return b"".join(chunks)


def root(source: Source) -> tuple[Descriptor, Manifest | Index]:
    """What the source's name stands for. Raises FormatError, IntegrityError and what the source raises."""
    descriptor = source.resolve()
    return descriptor, manifest.parse(document(source, descriptor, "manifest"), descriptor.media_type)


def image(source: Source, platform: Platform | None = None) -> Image:
    """The image that the source's name stands for; of several, the one for *platform* (see `oci.select`)."""
    descriptor, found = root(source)
    return selected(source, descriptor, found, platform)


def selected(source: Source, descriptor: Descriptor, found: Manifest | Index, platform: Platform | None) -> Image:
    """The image that *found*, which *descriptor* promises, holds for *platform*.

    An image that no index describes says itself what it is for. Raises LayoutError where that is another platform.
    """
    described = False
    for _ in range(_MAX_NESTING):
        if isinstance(found, Manifest):
            image = _image(source, descriptor, found)
            if platform and not described:
                check(image.platform, platform, source.origin)
            return image
        descriptor, described = select(flattened(source, found), platform, source.origin), True
        found = child(source, descriptor)
    raise LimitExceeded(f"indexes are nested more than {_MAX_NESTING} deep", where=source.origin)


def flattened(source: Source, found: Index, *, bundle: bool = False) -> Index:
    """*found* with what the indexes in it list in their places, unless such an index says what it is for.

    Raises LimitExceeded where they are nested too deep or too many, IsBundle where *found* is a CNAB bundle, unless
    *bundle*, and as `root` does.
    """
    if not bundle:
        check_no_bundle(found, source.origin)
    read = 0
    for _ in range(_MAX_NESTING):
        inner = [entry for entry in candidates(found) if entry.media_type in mediatype.INDEXES and not entry.platform]
        if not inner:
            return found
        read += len(inner)
        if read > _MAX_INNER:
            raise LimitExceeded(f"more than {_MAX_INNER} indexes in an index", where=source.origin)
        entries: list[Descriptor] = []
        for entry in found.manifests:
            within = child(source, entry) if entry in inner else None
            entries += within.manifests if isinstance(within, Index) else (entry,)
        found = replace(found, manifests=tuple(entries))
    raise LimitExceeded(f"indexes are nested more than {_MAX_NESTING} deep", where=source.origin)


def child(source: Source, descriptor: Descriptor) -> Manifest | Index:
    """The manifest or index that an entry of an index promises. Raises as `root` does."""
    return manifest.parse(document(source, descriptor, f"manifest {descriptor.digest.short}"), descriptor.media_type)


def _image(source: Source, descriptor: Descriptor, found: Manifest) -> Image:
    config = _config(source, found.config)
    return Image(
        descriptor=descriptor,
        manifest=found,
        config=config,
        platform=_platform(descriptor.platform, config.platform, found.config.platform),
    )


def _platform(listed: Platform | None, *told: Platform | None) -> Platform | None:
    """The first that is *told*, with the variant that another one may tell of it: few configs name theirs.

    An index that has it *listed* for another one is right, as it is when one is chosen: it may list an image twice.
    """
    known = [platform for platform in (*told, listed) if platform]
    if listed and listed.os and listed.architecture and not any(suits(one, listed) for one in known[:-1]):
        return listed
    if not known or known[0].variant:
        return known[0] if known else None
    first = known[0]
    alike = (one for one in known if (one.os, one.architecture) == (first.os, first.architecture))
    return replace(first, variant=next((one.variant for one in alike if one.variant), ""))


def _config(source: Source, blob: Descriptor) -> ImageConfig:
    if blob.media_type in mediatype.CONFIGS:
        return ImageConfig.parse(document(source, blob, "config"))
    if blob.size > fields.MAX_DOCUMENT:
        return ImageConfig()
    try:
        content = document(source, blob, "config")
    except NotFound:
        return ImageConfig()
    try:
        return ImageConfig(fields=fields.document(content, "config"))
    except FormatError:
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


def _drain(chunks: Iterable[bytes]) -> None:
    for _ in chunks:
        pass


def _counted(chunks: Iterable[bytes], task: str, reporter: Reporter) -> Iterator[bytes]:
    for chunk in chunks:
        reporter.advanced(task, len(chunk))
        yield chunk


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
