from __future__ import annotations

import pytest

from eci_convert.errors import DigestMismatchError, NotFoundError, SizeMismatchError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.platform import parse_platform
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from eci_convert.transports.verified_input import VerifiedInput
from tests.support.images import a_container, a_machine, a_tar, an_image, an_index, copied


def test_an_image_can_be_read_back() -> None:
    source = a_machine().build()

    image = load_image(source)

    assert [layer.size for layer in image.manifest.layers] == [6, 6, 1200]
    assert image.platform == parse_platform("linux/amd64")


def test_an_index_gives_the_image_of_the_platform() -> None:
    source = an_index(an_image().platform("linux/amd64"), an_image().platform("linux/arm64")).build()

    image = load_image(source, parse_platform("linux/arm64"))

    assert image.platform == parse_platform("linux/arm64")


def test_a_copy_has_every_digest() -> None:
    source = an_index(a_container(), a_machine()).build()
    store = MemoryStore()

    copied(source, MemorySink(store, "copy"))

    assert store.blobs == source.blobs
    assert isinstance(load_root(MemorySource(store, "copy"))[1], Index)


def test_referrers_are_found_by_their_subject() -> None:
    image = a_container()
    signature = (
        an_image()
        .layer("text/plain", b"signed")
        .typed(media_types.OCI_MANIFEST, "application/x-signature")
        .subject(image.descriptor())
    )
    source = image.beside(signature).build()

    [found] = source.referrers(image.descriptor().digest)

    assert found.digest == signature.descriptor().digest
    assert found.artifact_type == "application/x-signature"


def test_a_builder_writes_right_diff_ids() -> None:
    image = load_image(an_image().tar_layer({"a": b"a"}, compression="gzip").build())

    assert image.config.diff_ids == (Digest.of(a_tar({"a": b"a"})),)


def test_what_is_not_there_is_not_found() -> None:
    source = MemorySource(MemoryStore(), "nothing")

    with pytest.raises(NotFoundError, match="no such image"):
        source.resolve()
    with pytest.raises(NotFoundError, match="no blob"), source.fetch(Descriptor.of(b"x", "")):
        pass


def test_received_tells_what_went_by() -> None:
    received = VerifiedInput([b"one ", b"", b"blob"], None, None)

    assert b"".join(received) == b"one blob"

    assert received.descriptor("text/plain") == Descriptor.of(b"one blob", "text/plain")


def test_received_says_nothing_before_the_end() -> None:
    received = VerifiedInput([b"one ", b"blob"], None, None)

    next(iter(received))

    with pytest.raises(ValueError, match="not read to its end"):
        received.descriptor("text/plain")


def test_received_keeps_to_a_promised_sha512() -> None:
    promise = Digest.of(b"blob", "sha512")
    received = VerifiedInput([b"blob"], promise, None)

    assert list(received) == [b"blob"]

    assert received.descriptor("").digest == promise


def test_received_refuses_another_digest() -> None:
    with pytest.raises(DigestMismatchError):
        list(VerifiedInput([b"blob"], Digest.of(b"bolb"), None))


@pytest.mark.parametrize("size", [3, 5])
def test_received_refuses_another_size(size: int) -> None:
    with pytest.raises(SizeMismatchError):
        list(VerifiedInput([b"blob"], None, size))


def test_received_reads_no_more_than_was_promised() -> None:
    endless = iter(lambda: b"x" * 100, None)

    with pytest.raises(SizeMismatchError):
        list(VerifiedInput(endless, None, 1000))
