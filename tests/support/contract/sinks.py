"""What every Sink does (transports/base.py): the tests of sink_blobs.py, and those of images and names."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable

import pytest

from eci_convert.compression.libzstd import zstd
from eci_convert.errors import EciError, IntegrityError, TransportError
from eci_convert.oci import media_types
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import to_json
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.verify import verify_image
from eci_convert.reading.blobs import load_document, open_layer
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports.base import SinkCapabilities
from tests.support.contract.sink_blobs import OTHER_TAR, TAR, BlobSinkContract, chunks_of, is_absent, read_back
from tests.support.contract.transports import StoreUnderTest
from tests.support.images import LABEL, a_container, a_machine, an_image, an_index, copied, layer_type


class SinkContract(BlobSinkContract):
    """The tests of a Sink."""

    def test_an_image_is_there_once_it_is_published(self, store: StoreUnderTest) -> None:
        image = a_container("none")

        copied(image.build(), store.sink("machine"))

        assert read_back(store, "machine") == image.diff_ids

    def test_nothing_is_there_before_it_is_published(self, store: StoreUnderTest) -> None:
        image = a_container("none")
        source = image.build()

        with store.sink("machine") as sink:
            for digest, blob in source.blobs.items():
                kind = media_types.OCI_LAYER if digest in image.diff_ids else media_types.OCI_CONFIG
                sink.put(kind, iter([blob]), digest=digest, size=len(blob))

        assert is_absent(store, "machine")

    def test_a_name_stands_for_what_was_published_last(self, store: StoreUnderTest) -> None:
        first, second = an_image().tar_layer(TAR), an_image().tar_layer(OTHER_TAR)

        copied(first.build(), store.sink("machine"))
        copied(second.build(), store.sink("machine"))

        assert read_back(store, "machine") == second.diff_ids

    def test_an_unfinished_image_leaves_the_name_as_it_was(self, store: StoreUnderTest) -> None:
        image = an_image().tar_layer(TAR)
        copied(image.build(), store.sink("machine"))

        with store.sink("machine") as sink:
            sink.put(media_types.OCI_LAYER, chunks_of(OTHER_TAR))

        assert read_back(store, "machine") == image.diff_ids

    def test_other_names_are_kept(self, store: StoreUnderTest) -> None:
        if not self.keeps_other_names:
            pytest.skip("one file, one image")
        first, second = an_image().tar_layer(TAR), an_image().tar_layer(OTHER_TAR)

        copied(first.build(), store.sink("one"))
        copied(second.build(), store.sink("other"))

        assert read_back(store, "one") == first.diff_ids
        assert read_back(store, "other") == second.diff_ids

    def test_the_same_image_twice_is_the_same(self, store: StoreUnderTest) -> None:
        image = a_container("none")

        copied(image.build(), store.sink("machine"))
        before = store.files()
        copied(image.build(), store.sink("machine"))

        assert store.files() == before
        assert read_back(store, "machine") == image.diff_ids

    def test_an_image_may_have_one_layer_twice(self, store: StoreUnderTest) -> None:
        image = an_image().tar_layer(TAR).tar_layer(OTHER_TAR).tar_layer(TAR)

        copied(image.build(), store.sink("machine"))

        assert read_back(store, "machine") == image.diff_ids

    def test_an_image_may_have_no_layer(self, store: StoreUnderTest) -> None:
        copied(an_image().build(), store.sink("machine"))

        assert read_back(store, "machine") == ()

    def test_a_manifest_that_was_not_put_is_not_published(self, store: StoreUnderTest) -> None:
        with store.sink("machine") as sink, pytest.raises(EciError) as caught:
            sink.publish(an_image().descriptor())

        assert isinstance(caught.value, (TransportError, IntegrityError))
        assert is_absent(store, "machine")

    def test_an_index_keeps_all_its_images(self, store: StoreUnderTest) -> None:
        sink = store.sink("machine")
        if not sink.capabilities.indexes:
            pytest.skip("one name, one image")
        images = [
            an_image().platform(f"linux/{name}").tar_layer({"arch": name.encode()}) for name in ("amd64", "arm64")
        ]
        written = an_index(*images).build()

        copied(written, sink)

        with store.source("machine") as source:
            descriptor, found = load_root(source)
            assert descriptor.digest == written.resolve().digest
            assert isinstance(found, Index)
            for image in images:
                assert load_image(source, parse_platform(str(image.runs_on))).config.diff_ids == image.diff_ids

    def test_artifacts_are_kept_or_it_is_said_beforehand(self, store: StoreUnderTest) -> None:
        sink = store.sink("machine")
        if not sink.capabilities.artifacts:
            pytest.skip("says that it holds container images alone")
        written = a_machine().build()

        copied(written, sink)

        with store.source("machine") as source:
            assert load_image(source).descriptor.digest == written.resolve().digest

    def test_what_refers_to_an_image_is_found_again(self, store: StoreUnderTest) -> None:
        image = a_machine()
        bill = a_machine(b"bill").subject(image.descriptor())
        signature = a_machine(b"signature").subject(bill.descriptor())
        sink = store.sink("machine")
        if not (sink.capabilities.artifacts and self.keeps_manifests):
            pytest.skip("holds container images alone")

        with sink:
            copy(image.beside(bill, signature).build(), sink, CopyRequest(referrers=True))

        with store.source("machine") as source:
            assert source.resolve().digest == image.descriptor().digest
            for subject, referrer in ((image, bill), (bill, signature)):
                [found] = source.referrers(subject.descriptor().digest)
                assert (found.digest, found.size) == (referrer.descriptor().digest, referrer.descriptor().size)
                assert load_document(source, found) == to_json(referrer.manifest())
                assert found.media_type == referrer.media_type

    def test_compressed_layers_come_back_as_the_same_files(self, store: StoreUnderTest) -> None:
        image = a_container("gzip")

        copied(image.build(), store.sink("machine"))

        with store.source("machine") as source:
            found = load_image(source)
            assert found.config.diff_ids == image.diff_ids
            if self.keeps_manifests:
                assert found.manifest.layers == image.manifest().layers

    def test_a_sink_says_what_it_is(self, store: StoreUnderTest) -> None:
        with store.sink("machine") as sink:
            assert "machine" in sink.destination
            assert sink.destination.isprintable()
            assert isinstance(sink.capabilities, SinkCapabilities)
            assert sink.capabilities.sha512 is self.stores_sha512

    @pytest.mark.parametrize("media_type", [media_types.OCI_LAYER, media_types.DOCKER_LAYER, layer_type("gzip")])
    @pytest.mark.parametrize(
        "wrap",
        [gzip.compress, lzma.compress, bz2.compress, zstd.compress, bytes],
        ids=["gzip", "xz", "bzip2", "zstd", "none"],
    )
    def test_a_layer_is_what_its_bytes_are_whatever_its_media_type_says(
        self, store: StoreUnderTest, wrap: Callable[[bytes], bytes], media_type: str
    ) -> None:
        image = an_image().layer(media_type, wrap(TAR), diff_id=Digest.of(TAR)).label(LABEL + "kernel", "/kernel")

        copy(image.build(), store.sink("machine"))

        with store.source("machine") as source:
            found = load_image(source)
            assert found.config.diff_ids == (Digest.of(TAR),)
            with open_layer(source, found.manifest.layers[0]) as members:
                assert [b"".join(member.chunks) for member in members] == [b"kernel" * 1000]
            assert verify_image(source).ok
