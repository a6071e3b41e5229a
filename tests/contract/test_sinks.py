"""What every Sink does, whatever the place (transports/base.py)."""

from __future__ import annotations

import bz2
import gzip
import lzma
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from eci_convert.compression.libzstd import zstd
from eci_convert.errors import EciError, IntegrityError, LimitExceededError, NotFoundError, TransportError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
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
from tests.contract.places import Place, Row
from tests.support.images import LABEL, ImageBuilder, a_container, a_machine, a_tar, an_image, an_index, copied

TAR = a_tar({"kernel": b"kernel" * 1000})
OTHER_TAR = a_tar({"kernel": b"another"})


def in_pieces(content: bytes, length: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(content), length):
        yield content[start : start + length]
        yield b""


def read_back(place: Place, name: str) -> tuple[Digest, ...]:
    with place.source(name) as source:
        image = load_image(source)
        blobs = [load_document(source, layer) for layer in image.manifest.layers]
        assert [Digest.of(blob) for blob in blobs] == list(image.config.diff_ids)
        return image.config.diff_ids


def absent(place: Place, name: str) -> bool:
    with place.source(name) as source:
        try:
            source.resolve()
        except NotFoundError:
            return True
    return False


def diff_ids(image: ImageBuilder) -> tuple[Digest, ...]:
    return image.diff_ids


def test_put_says_what_was_stored(place: Place) -> None:
    with place.sink("machine") as sink:
        stored = sink.put(media_types.OCI_LAYER, in_pieces(TAR))

    assert stored == Descriptor.of(TAR, media_types.OCI_LAYER)


def test_an_image_is_there_once_it_is_published(place: Place) -> None:
    image = a_container("none")

    copied(image.build(), place.sink("machine"))

    assert read_back(place, "machine") == diff_ids(image)


def test_nothing_is_there_before_it_is_published(place: Place) -> None:
    image = a_container("none")
    source = image.build()

    with place.sink("machine") as sink:
        for digest, blob in source.blobs.items():
            kind = media_types.OCI_LAYER if digest in image.diff_ids else media_types.OCI_CONFIG
            sink.put(kind, iter([blob]), digest=digest, size=len(blob))

    assert absent(place, "machine")


def test_a_name_stands_for_what_was_published_last(place: Place) -> None:
    first, second = an_image().tar_layer(TAR), an_image().tar_layer(OTHER_TAR)

    copied(first.build(), place.sink("machine"))
    copied(second.build(), place.sink("machine"))

    assert read_back(place, "machine") == diff_ids(second)


def test_an_unfinished_image_leaves_the_name_as_it_was(place: Place) -> None:
    image = an_image().tar_layer(TAR)
    copied(image.build(), place.sink("machine"))

    with place.sink("machine") as sink:
        sink.put(media_types.OCI_LAYER, in_pieces(OTHER_TAR))

    assert read_back(place, "machine") == diff_ids(image)


def test_other_names_are_kept(place: Place, row: Row) -> None:
    if not row.keeps_others:
        pytest.skip("one file, one image")
    first, second = an_image().tar_layer(TAR), an_image().tar_layer(OTHER_TAR)

    copied(first.build(), place.sink("one"))
    copied(second.build(), place.sink("other"))

    assert read_back(place, "one") == diff_ids(first)
    assert read_back(place, "other") == diff_ids(second)


def test_the_same_image_twice_is_the_same(place: Place) -> None:
    image = a_container("none")

    copied(image.build(), place.sink("machine"))
    before = place.files()
    copied(image.build(), place.sink("machine"))

    assert place.files() == before
    assert read_back(place, "machine") == diff_ids(image)


@pytest.mark.parametrize("known", ["digest", "size", "both"])
def test_promises_that_are_kept_are_accepted(place: Place, known: str) -> None:
    digest = Digest.of(TAR) if known != "size" else None
    size = len(TAR) if known != "digest" else None

    with place.sink("machine") as sink:
        stored = sink.put(media_types.OCI_LAYER, in_pieces(TAR), digest=digest, size=size)

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
def test_promises_that_are_not_kept_are_refused(place: Place, promise: dict[str, Any]) -> None:
    before = place.files()

    with place.sink("machine") as sink:
        with pytest.raises(IntegrityError):
            sink.put(media_types.OCI_LAYER, in_pieces(TAR), **promise)
        assert not sink.has(Descriptor.of(TAR, media_types.OCI_LAYER))
        if "digest" in promise:
            assert not sink.has(Descriptor(media_type="", digest=promise["digest"], size=len(TAR)))

    assert absent(place, "machine")
    assert place.files() == before


def test_a_stream_without_end_is_cut_at_the_promised_size(place: Place) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(1 << 16)

    with place.sink("machine") as sink, pytest.raises(IntegrityError):
        sink.put(media_types.OCI_LAYER, endless(), digest=Digest.of(b""), size=1 << 20)

    assert taken < 200


@pytest.mark.parametrize("media_type", sorted(media_types.DOCUMENTS))
def test_a_blob_that_calls_itself_a_manifest_is_not_held_in_memory(place: Place, row: Row, media_type: str) -> None:
    if row.name == "memory":
        pytest.skip("it holds everything in memory")
    taken = 0

    def long() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(64):
            taken += 1
            yield bytes(1 << 20)

    with place.sink("machine") as sink, pytest.raises(LimitExceededError):
        sink.put(media_type, long(), digest=Digest.of(b""), size=64 << 20)

    assert taken < 8


def test_what_breaks_in_the_stream_comes_out_as_it_is(place: Place) -> None:
    class BrokenHere(Exception):
        pass

    def broken() -> Iterator[bytes]:
        yield TAR[:1000]
        raise BrokenHere

    before = place.files()
    with place.sink("machine") as sink, pytest.raises(BrokenHere):
        sink.put(media_types.OCI_LAYER, broken(), digest=Digest.of(TAR), size=len(TAR))

    assert absent(place, "machine")
    assert place.files() == before


def test_a_blob_that_failed_can_be_sent_again(place: Place) -> None:
    image = an_image().tar_layer(TAR)
    source = image.build()

    with place.sink("machine") as sink:
        with pytest.raises(IntegrityError):
            sink.put(media_types.OCI_LAYER, iter([TAR[:-1], b"x"]), digest=Digest.of(TAR), size=len(TAR))
        copied(source, sink)

    assert read_back(place, "machine") == diff_ids(image)


def test_a_blob_may_be_put_twice(place: Place) -> None:
    image = an_image().tar_layer(TAR)

    with place.sink("machine") as sink:
        for _ in range(2):
            sink.put(media_types.OCI_LAYER, in_pieces(TAR), digest=Digest.of(TAR), size=len(TAR))
        copied(image.build(), sink)

    assert read_back(place, "machine") == diff_ids(image)


def test_an_image_may_have_one_layer_twice(place: Place) -> None:
    image = an_image().tar_layer(TAR).tar_layer(OTHER_TAR).tar_layer(TAR)

    copied(image.build(), place.sink("machine"))

    assert read_back(place, "machine") == diff_ids(image)


def test_an_image_may_have_no_layer(place: Place) -> None:
    copied(an_image().build(), place.sink("machine"))

    assert read_back(place, "machine") == ()


def test_has_knows_what_is_there(place: Place, row: Row) -> None:
    image = an_image().tar_layer(TAR)
    layer = image.manifest().layers[0]

    with place.sink("machine") as sink:
        assert not sink.has(layer)
    copied(image.build(), place.sink("machine"))

    with place.sink("machine") as sink:
        assert sink.has(layer) is row.tells
        assert not sink.has(Descriptor.of(b"nothing", media_types.OCI_LAYER))


def test_asking_writes_nothing(place: Place) -> None:
    before = place.files()

    with place.sink("machine") as sink:
        sink.has(Descriptor.of(TAR, media_types.OCI_LAYER))

    assert place.files() == before


def test_several_threads_may_put(place: Place) -> None:
    tars = [a_tar({f"file-{number}": bytes([number]) * 200_000}) for number in range(12)]
    image = an_image()
    for tar in tars:
        image = image.tar_layer(tar)
    barrier = threading.Barrier(4)

    def put(tar: bytes) -> Descriptor:
        if tars.index(tar) < 4:
            barrier.wait(30)
        return sink.put(media_types.OCI_LAYER, in_pieces(tar, 10_000), digest=Digest.of(tar), size=len(tar))

    with place.sink("machine") as sink:
        with ThreadPoolExecutor(4) as pool:
            stored = list(pool.map(put, tars))
        copied(image.build(), sink)

    assert tuple(blob.digest for blob in stored) == diff_ids(image)
    assert read_back(place, "machine") == diff_ids(image)


def test_a_manifest_that_was_not_put_is_not_published(place: Place) -> None:
    with place.sink("machine") as sink, pytest.raises(EciError) as caught:
        sink.publish(an_image().descriptor())

    assert isinstance(caught.value, (TransportError, IntegrityError))
    assert absent(place, "machine")


def test_an_index_keeps_all_its_images(place: Place) -> None:
    sink = place.sink("machine")
    if not sink.capabilities.indexes:
        pytest.skip("one name, one image")
    images = [an_image().platform(f"linux/{name}").tar_layer({"arch": name.encode()}) for name in ("amd64", "arm64")]
    written = an_index(*images).build()

    copied(written, sink)

    with place.source("machine") as source:
        descriptor, found = load_root(source)
        assert descriptor.digest == written.resolve().digest
        assert isinstance(found, Index)
        for image in images:
            assert load_image(source, parse_platform(str(image.runs_on))).config.diff_ids == diff_ids(image)


def test_artifacts_are_kept_or_it_is_said_beforehand(place: Place) -> None:
    sink = place.sink("machine")
    if not sink.capabilities.artifacts:
        pytest.skip("says that it holds container images alone")
    written = a_machine().build()

    copied(written, sink)

    with place.source("machine") as source:
        assert load_image(source).descriptor.digest == written.resolve().digest


def test_what_refers_to_an_image_is_found_again(place: Place, row: Row) -> None:
    image = a_machine()
    bill = a_machine(b"bill").subject(image.descriptor())
    signature = a_machine(b"signature").subject(bill.descriptor())
    sink = place.sink("machine")
    if not (sink.capabilities.artifacts and row.keeps_documents):
        pytest.skip("holds container images alone")

    with sink:
        copy(image.beside(bill, signature).build(), sink, CopyRequest(referrers=True))

    with place.source("machine") as source:
        assert source.resolve().digest == image.descriptor().digest
        for subject, referrer in ((image, bill), (bill, signature)):
            [found] = source.referrers(subject.descriptor().digest)
            assert (found.digest, found.size) == (referrer.descriptor().digest, referrer.descriptor().size)
            assert load_document(source, found) == to_json(referrer.manifest())
            assert found.media_type == referrer.media_type


def test_compressed_layers_come_back_as_the_same_files(place: Place, row: Row) -> None:
    image = a_container("gzip")

    copied(image.build(), place.sink("machine"))

    with place.source("machine") as source:
        found = load_image(source)
        assert found.config.diff_ids == diff_ids(image)
        if row.keeps_documents:
            assert found.manifest.layers == image.manifest().layers


def test_a_promised_sha512_is_kept(place: Place, row: Row) -> None:
    if not row.sha512:
        pytest.skip("knows sha256 alone")
    promise = Digest.of(TAR, "sha512")

    with place.sink("machine") as sink:
        stored = sink.put(media_types.OCI_LAYER, in_pieces(TAR), digest=promise, size=len(TAR))

        assert stored.digest == promise
        with pytest.raises(IntegrityError):
            sink.put(media_types.OCI_LAYER, in_pieces(OTHER_TAR), digest=promise)


def test_a_sink_says_what_it_is(place: Place) -> None:
    with place.sink("machine") as sink:
        assert "machine" in sink.destination
        assert sink.destination.isprintable()
        assert isinstance(sink.capabilities, SinkCapabilities)


@pytest.mark.parametrize(
    "media_type", [media_types.OCI_LAYER, media_types.DOCKER_LAYER, media_types.layer_type("gzip")]
)
@pytest.mark.parametrize(
    "wrap",
    [gzip.compress, lzma.compress, bz2.compress, zstd.compress, bytes],
    ids=["gzip", "xz", "bzip2", "zstd", "none"],
)
def test_a_layer_is_what_its_bytes_are_whatever_its_media_type_says(
    place: Place, wrap: Callable[[bytes], bytes], media_type: str
) -> None:
    image = an_image().layer(media_type, wrap(TAR), diff_id=Digest.of(TAR)).label(LABEL + "kernel", "/kernel")

    copy(image.build(), place.sink("machine"))

    with place.source("machine") as source:
        found = load_image(source)
        assert found.config.diff_ids == (Digest.of(TAR),)
        with open_layer(source, found.manifest.layers[0]) as members:
            assert [b"".join(member.chunks) for member in members] == [b"kernel" * 1000]
        assert verify_image(source).ok
