"""What every Sink does with blobs (transports/base.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from eci_convert.errors import IntegrityError, LimitExceededError, NotFoundError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.reading.blobs import load_document, open_blob
from eci_convert.reading.images import load_image
from eci_convert.streams.repeatable import RepeatableStream, SinglePassStream, SparseStream
from tests.support.contract.transports import MISMATCH, StoreUnderTest, TransportContract
from tests.support.images import a_tar, an_image, copied

TAR = a_tar({"kernel": b"kernel" * 1000})
OTHER_TAR = a_tar({"kernel": b"another"})
SPARSE_TAR = a_tar({"disk": b"head" + bytes(300_000) + b"tail"})
"""An archive whose data is in its first and last 2,000 bytes."""
LONG_TAR = a_tar({"disk": bytes(range(256)) * (20 << 12)})
"""An archive of more than what sinks keep of an interrupted upload, 20 MiB."""


def chunks_of(content: bytes, length: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(content), length):
        yield content[start : start + length]
        yield b""


def read_back(store: StoreUnderTest, name: str) -> tuple[Digest, ...]:
    with store.source(name) as source:
        image = load_image(source)
        blobs = [load_document(source, layer) for layer in image.manifest.layers]
        assert [Digest.of(blob) for blob in blobs] == list(image.config.diff_ids)
        return image.config.diff_ids


def is_absent(store: StoreUnderTest, name: str) -> bool:
    with store.source(name) as source:
        try:
            source.resolve()
        except NotFoundError:
            return True
    return False


class BlobSinkContract(TransportContract):
    """The tests of `put` and `has`."""

    def test_put_says_what_was_stored(self, store: StoreUnderTest) -> None:
        with store.sink("machine") as sink:
            stored = sink.put(media_types.OCI_LAYER, chunks_of(TAR))

        assert stored == Descriptor.of(TAR, media_types.OCI_LAYER)

    @pytest.mark.parametrize(
        "stream",
        [
            list,
            tuple,
            lambda chunks: RepeatableStream(lambda: chunks),
            lambda chunks: SparseStream(iter(chunks), lambda: [(0, 2000), (len(SPARSE_TAR) - 2000, 2000)]),
            lambda chunks: SinglePassStream(iter(chunks)),
        ],
        ids=["list", "tuple", "repeatable", "sparse", "single-pass"],
    )
    def test_a_stream_of_any_kind_is_stored_as_its_bytes(
        self, store: StoreUnderTest, stream: Callable[[list[bytes]], Iterable[bytes]]
    ) -> None:
        image = an_image().tar_layer(SPARSE_TAR)

        with store.sink("machine") as sink:
            stored = sink.put(media_types.OCI_LAYER, stream(list(chunks_of(SPARSE_TAR))))
            copied(image.build(), sink)

        assert stored == Descriptor.of(SPARSE_TAR, media_types.OCI_LAYER)
        assert read_back(store, "machine") == image.diff_ids

    def test_what_can_be_read_once_is_not_used_up_on_what_an_earlier_run_left(self, store: StoreUnderTest) -> None:
        """It begins as the earlier one did, and goes on otherwise: to find that out takes reading it."""
        image = an_image().tar_layer(LONG_TAR)

        class Ended(Exception):
            pass

        def broken() -> Iterator[bytes]:
            yield from chunks_of(LONG_TAR[: 2 << 20] + bytes(16 << 20), 1 << 20)
            raise Ended

        with pytest.raises(Ended), store.sink("machine") as sink:
            sink.put(media_types.OCI_LAYER, broken())
        with store.sink("machine") as sink:
            stored = sink.put(media_types.OCI_LAYER, SinglePassStream(chunks_of(LONG_TAR, 1 << 20)))
            copied(image.build(), sink)

        assert stored == Descriptor.of(LONG_TAR, media_types.OCI_LAYER)
        with store.source("machine") as source:
            found = load_image(source)
            assert found.config.diff_ids == image.diff_ids
            with open_blob(source, found.manifest.layers[0]) as chunks:
                assert b"".join(chunks) == LONG_TAR

    @pytest.mark.parametrize("known", ["digest", "size", "both"])
    def test_promises_that_are_kept_are_accepted(self, store: StoreUnderTest, known: str) -> None:
        digest = Digest.of(TAR) if known != "size" else None
        size = len(TAR) if known != "digest" else None

        with store.sink("machine") as sink:
            stored = sink.put(media_types.OCI_LAYER, chunks_of(TAR), digest=digest, size=size)

        assert stored == Descriptor.of(TAR, media_types.OCI_LAYER)

    @pytest.mark.parametrize(
        "promise",
        [
            {"digest": Digest.of(OTHER_TAR)},
            {"digest": Digest.of(OTHER_TAR), "size": len(TAR)},
            {"size": len(TAR) - 1},
            {"size": len(TAR) + 1},
            {"digest": Digest.of(TAR), "size": len(TAR) + 512},
            {"digest": Digest.of(TAR), "size": len(TAR) - 512},
        ],
    )
    def test_promises_that_are_not_kept_are_refused(self, store: StoreUnderTest, promise: dict[str, Any]) -> None:
        before = store.files()

        with store.sink("machine") as sink:
            with pytest.raises(IntegrityError, match=MISMATCH):
                sink.put(media_types.OCI_LAYER, chunks_of(TAR), **promise)
            assert not sink.has(Descriptor.of(TAR, media_types.OCI_LAYER))
            if "digest" in promise:
                assert not sink.has(Descriptor(media_type="", digest=promise["digest"], size=len(TAR)))

        assert is_absent(store, "machine")
        assert store.files() == before

    def test_a_stream_without_end_is_cut_at_the_promised_size(self, store: StoreUnderTest) -> None:
        taken = 0

        def endless() -> Iterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield bytes(1 << 16)

        with store.sink("machine") as sink, pytest.raises(IntegrityError, match=MISMATCH):
            sink.put(media_types.OCI_LAYER, endless(), digest=Digest.of(b""), size=1 << 20)

        assert taken < 200

    @pytest.mark.parametrize("media_type", sorted(media_types.DOCUMENTS))
    def test_a_blob_that_calls_itself_a_manifest_is_not_held_in_memory(
        self, store: StoreUnderTest, media_type: str
    ) -> None:
        if not self.bounds_manifests:
            pytest.skip("it holds everything in memory")
        taken = 0

        def long() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(64):
                taken += 1
                yield bytes(1 << 20)

        with store.sink("machine") as sink, pytest.raises(LimitExceededError, match=r"limit|longer than"):
            sink.put(media_type, long(), digest=Digest.of(b""), size=64 << 20)

        assert taken < 8

    def test_what_breaks_in_the_stream_comes_out_as_it_is(self, store: StoreUnderTest) -> None:
        class BrokenHere(Exception):
            pass

        def broken() -> Iterator[bytes]:
            yield TAR[:1000]
            raise BrokenHere

        before = store.files()
        with store.sink("machine") as sink, pytest.raises(BrokenHere):
            sink.put(media_types.OCI_LAYER, broken(), digest=Digest.of(TAR), size=len(TAR))

        assert is_absent(store, "machine")
        assert store.files() == before

    def test_a_blob_that_failed_can_be_sent_again(self, store: StoreUnderTest) -> None:
        image = an_image().tar_layer(TAR)
        source = image.build()

        with store.sink("machine") as sink:
            with pytest.raises(IntegrityError, match=MISMATCH):
                sink.put(media_types.OCI_LAYER, iter([TAR[:-1], b"x"]), digest=Digest.of(TAR), size=len(TAR))
            copied(source, sink)

        assert read_back(store, "machine") == image.diff_ids

    def test_a_blob_may_be_put_twice(self, store: StoreUnderTest) -> None:
        image = an_image().tar_layer(TAR)

        with store.sink("machine") as sink:
            for _ in range(2):
                sink.put(media_types.OCI_LAYER, chunks_of(TAR), digest=Digest.of(TAR), size=len(TAR))
            copied(image.build(), sink)

        assert read_back(store, "machine") == image.diff_ids

    def test_has_knows_what_is_there(self, store: StoreUnderTest) -> None:
        image = an_image().tar_layer(TAR)
        layer = image.manifest().layers[0]

        with store.sink("machine") as sink:
            assert not sink.has(layer)
        copied(image.build(), store.sink("machine"))

        with store.sink("machine") as sink:
            assert sink.has(layer) is self.finds_published_blobs
            assert not sink.has(Descriptor.of(b"nothing", media_types.OCI_LAYER))

    def test_asking_writes_nothing(self, store: StoreUnderTest) -> None:
        before = store.files()

        with store.sink("machine") as sink:
            sink.has(Descriptor.of(TAR, media_types.OCI_LAYER))

        assert store.files() == before

    def test_several_threads_may_put(self, store: StoreUnderTest) -> None:
        tars = [a_tar({f"file-{number}": bytes([number]) * 200_000}) for number in range(12)]
        image = an_image()
        for tar in tars:
            image = image.tar_layer(tar)
        barrier = threading.Barrier(4)

        def put(tar: bytes) -> Descriptor:
            if tars.index(tar) < 4:
                barrier.wait(30)
            return sink.put(media_types.OCI_LAYER, chunks_of(tar, 10_000), digest=Digest.of(tar), size=len(tar))

        with store.sink("machine") as sink:
            with ThreadPoolExecutor(4) as pool:
                stored = list(pool.map(put, tars))
            copied(image.build(), sink)

        assert tuple(blob.digest for blob in stored) == image.diff_ids
        assert read_back(store, "machine") == image.diff_ids

    def test_a_promised_sha512_is_kept(self, store: StoreUnderTest) -> None:
        if not self.stores_sha512:
            pytest.skip("knows sha256 alone")
        promise = Digest.of(TAR, "sha512")

        with store.sink("machine") as sink:
            stored = sink.put(media_types.OCI_LAYER, chunks_of(TAR), digest=promise, size=len(TAR))

            assert stored.digest == promise
            with pytest.raises(IntegrityError, match=MISMATCH):
                sink.put(media_types.OCI_LAYER, chunks_of(OTHER_TAR), digest=promise)
