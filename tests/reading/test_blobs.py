"""Descriptors become believable bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random

import pytest

from eci_convert.errors import CorruptStreamError, DigestMismatchError, FormatError, LocalError, SizeMismatchError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.reading.blobs import is_tar_archive, load_document, open_blob, open_layer
from eci_convert.streams.blocks import peek_head
from eci_convert.transports.memory import MemorySource, MemoryStore
from tests.support.images import a_tar

SIZES = (1000, 5 << 20)
"""One that is read where it is wanted, one that is read in a thread."""


def a_blob(size: int) -> tuple[MemorySource, Descriptor]:
    data = Random(size).randbytes(size)
    blob = Descriptor.of(data, "application/vnd.example")
    return MemorySource(MemoryStore({blob.digest: data})), blob


def spoilt(size: int, at: int = -1) -> tuple[MemorySource, Descriptor]:
    source, blob = a_blob(size)
    data = bytearray(source.blobs[blob.digest])
    data[at] ^= 1
    source.blobs[blob.digest] = bytes(data)
    return source, blob


def fails(chunks: Iterator[bytes], error: Exception) -> None:
    next(chunks)
    raise error


@pytest.mark.parametrize("size", SIZES)
def test_a_blob_is_its_bytes(size: int) -> None:
    source, blob = a_blob(size)

    with open_blob(source, blob) as chunks:
        assert b"".join(chunks) == source.blobs[blob.digest]


@pytest.mark.parametrize("size", SIZES)
def test_whoever_stops_early_gets_the_verdict_on_the_whole(size: int) -> None:
    source, blob = spoilt(size)

    with pytest.raises(DigestMismatchError), open_blob(source, blob) as chunks:
        next(chunks)


@pytest.mark.parametrize("size", SIZES)
def test_more_bytes_than_promised_are_never_passed_on(size: int) -> None:
    source, blob = a_blob(size)
    source.blobs[blob.digest] += bytes(9 << 20)
    seen: list[bytes] = []

    with pytest.raises(SizeMismatchError), open_blob(source, blob) as chunks:
        seen.extend(chunks)
    assert len(b"".join(seen)) <= size


@pytest.mark.parametrize("size", SIZES)
def test_bytes_that_are_not_the_promised_ones_are_the_truer_reason(size: int) -> None:
    source, blob = spoilt(size)
    with pytest.raises(DigestMismatchError) as caught, open_blob(source, blob) as chunks:
        fails(chunks, FormatError("it looked malformed"))
    assert caught.value.__notes__ == [f"while reading {blob.digest.short} from memory:image"]

    source, blob = a_blob(size)
    with pytest.raises(FormatError, match="malformed"), open_blob(source, blob) as chunks:
        fails(chunks, FormatError("it looked malformed"))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_not_about_the_bytes_ends_at_once(size: int) -> None:
    source, blob = spoilt(size)

    with pytest.raises(LocalError, match="no room"), open_blob(source, blob) as chunks:
        fails(chunks, LocalError("no room"))


def test_an_embedded_copy_is_verified_like_any_other() -> None:
    data = b"embedded"
    blob = Descriptor.of(data, "application/vnd.example")
    for embedded in (data, b"embeddeD"):
        lies = embedded != data
        promised = Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size, data=embedded)
        source = MemorySource(MemoryStore())
        if lies:
            with pytest.raises(DigestMismatchError):
                load_document(source, promised)
        else:
            assert load_document(source, promised) == data


def test_a_source_that_fails_in_the_middle_is_the_one_to_blame() -> None:
    class Failing(MemorySource):
        @contextmanager
        def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
            def chunks() -> Iterator[bytes]:
                yield b"x"
                raise CorruptStreamError("cut")

            yield chunks()

    source, blob = a_blob(5 << 20)
    with pytest.raises(CorruptStreamError) as caught, open_blob(Failing(source.store), blob) as chunks:
        list(chunks)
    assert caught.value.__notes__ == [f"while reading {blob.digest.short} from memory:image"]


def test_leaving_an_archive_early_reads_it_to_its_end() -> None:
    data = a_tar({"a": b"1", "b": bytes(3 << 20)}) + b"behind the end"
    blob = Descriptor.of(data, "application/vnd.oci.image.layer.v1.tar")
    source = MemorySource(MemoryStore({blob.digest: data[:-1] + b"D"}))

    with pytest.raises(DigestMismatchError), open_layer(source, blob) as entries:
        next(entries)


def compressions() -> dict[str, Callable[[bytes], bytes]]:
    from eci_convert.compression.libzstd import zstd

    return {
        "none": bytes,
        "gzip": gzip.compress,
        "zstd": zstd.compress,
        "xz": lzma.compress,
        "bzip2": bz2.compress,
    }


@pytest.mark.parametrize("compression", compressions())
@pytest.mark.parametrize("size", [100, 3 << 20])
def test_an_archive_of_what_cannot_be_compressed_is_seen_from_its_beginning(compression: str, size: int) -> None:
    content = Random(1).randbytes(size)
    for plain, expected in ((a_tar({"disk": content}), True), (content, False)):
        stored = compressions()[compression](plain)
        head, chunks = peek_head(iter([stored[at : at + 65536] for at in range(0, len(stored), 65536)]))
        assert is_tar_archive(head) is expected
        assert b"".join(chunks) == stored
