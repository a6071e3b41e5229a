"""What every Source does (transports/base.py)."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from eci_convert.errors import IntegrityError, NotFoundError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports.base import Source, SourceTraits
from tests.support.contract.transports import MISMATCH, StoreUnderTest, TransportContract
from tests.support.images import ImageBuilder, a_container, a_machine, an_image, copied

BIG = os.urandom(3 << 20)


def a_big_one() -> ImageBuilder:
    """A container image with one layer that does not fit into one chunk, not compressed."""
    return an_image().tar_layer({"big": BIG}).tar_layer({"small": b"small"})


def fetched(source: Source, blob: Descriptor, skip: int = 0) -> bytes:
    with source.fetch(blob, skip) as chunks:
        return b"".join(chunks)


def layers_of(source: Source) -> tuple[Descriptor, ...]:
    return load_image(source).manifest.layers


class SourceContract(TransportContract):
    """The tests of a Source."""

    def test_an_image_is_read_as_it_was_written(self, store: StoreUnderTest) -> None:
        written = a_container("none").build()
        copied(written, store.sink("machine"))

        with store.source("machine") as source:
            image = load_image(source)
            blobs = [load_document(source, layer) for layer in image.manifest.layers]

        assert image.config.diff_ids == load_image(written).config.diff_ids
        assert image.config.labels == load_image(written).config.labels
        assert [Digest.of(blob) for blob in blobs] == list(image.config.diff_ids)
        if self.keeps_manifests:
            assert image.descriptor.digest == written.resolve().digest

    def test_every_blob_is_as_long_as_its_descriptor_says(self, store: StoreUnderTest) -> None:
        copied(a_big_one().build(), store.sink("machine"))

        with store.source("machine") as source:
            image = load_image(source)
            for blob in (image.descriptor, image.manifest.config, *image.manifest.layers):
                assert len(fetched(source, blob)) == blob.size
                assert Digest.of(fetched(source, blob)) == blob.digest

    @pytest.mark.parametrize("skip", [0, 1, 511, 512, 1 << 20, (1 << 20) + 7, 3 << 20])
    def test_reading_can_begin_anywhere(self, store: StoreUnderTest, skip: int) -> None:
        copied(a_big_one().build(), store.sink("machine"))

        with store.source("machine") as source:
            layer = layers_of(source)[0]
            whole = fetched(source, layer)

            assert fetched(source, layer, skip) == whole[skip:]
            assert fetched(source, layer, layer.size) == b""

    def test_chunks_are_small(self, store: StoreUnderTest) -> None:
        copied(a_big_one().build(), store.sink("machine"))

        with store.source("machine") as source, source.fetch(layers_of(source)[0]) as chunks:
            assert max(map(len, chunks)) <= 2 << 20

    def test_two_blobs_can_be_read_at_once(self, store: StoreUnderTest) -> None:
        copied(a_big_one().build(), store.sink("machine"))

        with store.source("machine") as source:
            first, second = layers_of(source)
            with source.fetch(first) as one, source.fetch(second) as other:
                begun = next(iter(one))
                small = b"".join(other)
                whole = begun + b"".join(one)

        assert (Digest.of(whole), Digest.of(small)) == (first.digest, second.digest)

    def test_several_threads_can_read(self, store: StoreUnderTest) -> None:
        copied(a_big_one().build(), store.sink("machine"))

        with store.source("machine") as source, ThreadPoolExecutor(4) as pool:
            blobs = layers_of(source) * 4
            found = list(pool.map(lambda blob: Digest.of(fetched(source, blob)), blobs))

        assert found == [blob.digest for blob in blobs]

    def test_a_reader_may_leave_early(self, store: StoreUnderTest) -> None:
        copied(a_big_one().build(), store.sink("machine"))

        with store.source("machine") as source:
            layer = layers_of(source)[0]
            with source.fetch(layer) as chunks:
                next(iter(chunks))
            with source.fetch(layer):
                pass

            assert Digest.of(fetched(source, layer)) == layer.digest

    def test_a_spoilt_blob_is_refused_by_content(self, store: StoreUnderTest) -> None:
        written = a_container("none")
        copied(written.build(), store.sink("machine"))
        layer = written.manifest().layers[0]
        store.corrupt(layer.digest)

        with store.source("machine") as source, pytest.raises(IntegrityError, match=MISMATCH):
            load_document(source, layers_of(source)[0])

    def test_a_name_that_is_not_there_is_not_found(self, store: StoreUnderTest) -> None:
        with store.source("nothing") as source, pytest.raises(NotFoundError):
            source.resolve()

    def test_a_blob_that_is_not_there_is_not_found(self, store: StoreUnderTest) -> None:
        copied(a_container("none").build(), store.sink("machine"))
        nowhere = Descriptor.of(b"nowhere", "text/plain")

        with store.source("machine") as source:
            source.resolve()
            with pytest.raises(NotFoundError), source.fetch(nowhere) as chunks:
                list(chunks)

    def test_a_wrong_size_is_no_reason_to_send_more(self, store: StoreUnderTest) -> None:
        copied(a_container("none").build(), store.sink("machine"))

        with store.source("machine") as source:
            layer = layers_of(source)[0]
            for size in (layer.size - 1, layer.size + 1):
                with pytest.raises(IntegrityError, match=MISMATCH):
                    load_document(source, replace(layer, size=size))

    def test_reading_changes_nothing(self, store: StoreUnderTest) -> None:
        copied(a_container("none").build(), store.sink("machine"))
        before = store.files()

        with store.source("machine") as source:
            image = load_image(source)
            for layer in image.manifest.layers:
                load_document(source, layer)
            source.referrers(image.descriptor.digest)
            source.filesystem()
        with store.source("nothing") as source, pytest.raises(NotFoundError):
            source.resolve()

        assert store.files() == before

    def test_artifacts_come_back_too(self, store: StoreUnderTest) -> None:
        sink = store.sink("machine")
        if not sink.capabilities.artifacts:
            pytest.skip("holds container images alone")
        written = a_machine().build()
        copied(written, sink)

        with store.source("machine") as source:
            image = load_image(source)

            assert image.descriptor.digest == written.resolve().digest
            assert [load_document(source, layer) for layer in image.manifest.layers] == [
                b"kernel",
                b"initrd",
                b"root" * 300,
            ]

    def test_referrers_are_manifests_with_that_subject(self, store: StoreUnderTest) -> None:
        copied(a_container("none").build(), store.sink("machine"))

        with store.source("machine") as source:
            found = source.referrers(source.resolve().digest)

        assert found == ()

    def test_a_source_says_what_it_is(self, store: StoreUnderTest) -> None:
        with store.source("machine") as source:
            assert "machine" in source.origin
            assert source.origin.isprintable()
            assert isinstance(source.traits, SourceTraits)
            assert all(isinstance(text, str) for pair in source.traits.mount_hints.items() for text in pair)

    def test_what_a_name_stands_for_is_a_manifest(self, store: StoreUnderTest) -> None:
        copied(a_container("none").build(), store.sink("machine"))

        with store.source("machine") as source:
            descriptor, found = load_root(source)

        assert isinstance(found, Manifest)
        assert descriptor.media_type == found.media_type
