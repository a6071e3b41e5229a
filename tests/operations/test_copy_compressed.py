"""An image that is kept, and whose layers are compressed on the way where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eci_convert.compression.codec import Codec, decompressed
from eci_convert.errors import UsageError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.extract import extract
from eci_convert.operations.extract_request import ExtractRequest
from eci_convert.operations.verify import verify_image
from eci_convert.options import TransferOptions
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports.base import SinkCapabilities, SourceTraits
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.images import LABEL, ImageBuilder, a_container, a_machine, an_image, an_index, files_in, layer_type

GZIP, ZSTD = Codec.parse("gzip"), Codec.parse("zstd")


def raw(kernel: bytes = b"kernel" * 1000) -> ImageBuilder:
    """As an engine keeps it: a layer that is not compressed."""
    return an_image().tar_layer({"boot/kernel": kernel}).label(LABEL + "kernel", "/boot/kernel")


def kept(image: ImageBuilder, codec: Codec | None, **limits: Any) -> tuple[MemorySource, MemorySource]:
    """*image*, and its copy."""
    source, sink = image.build(), MemorySink(MemoryStore({}, {}), "copy", capabilities=SinkCapabilities(**limits))
    packed = copy(source, sink, CopyRequest(codec=codec))
    copied = MemorySource(sink.store, "copy")
    assert packed.descriptor.digest == copied.resolve().digest
    assert packed.manifest == load_root(copied)[1]
    assert packed.bytes_sent == sum(map(len, sink.store.blobs.values()))
    return source, copied


@pytest.mark.parametrize("codec", [GZIP, ZSTD], ids=str)
def test_raw_layers_are_compressed_and_the_config_stays(codec: Codec, tmp_path: Path) -> None:
    source, copied = kept(raw(), codec)
    before, after = load_image(source), load_image(copied)
    [was], [became] = before.manifest.layers, after.manifest.layers

    assert became.media_type == layer_type(codec.compression)
    assert became.size < was.size
    assert b"".join(decompressed([copied.blobs[became.digest]], None)) == source.blobs[was.digest]
    assert after.manifest.config == before.manifest.config
    assert verify_image(copied).ok
    extract(copied, ExtractRequest(directory=tmp_path))
    assert files_in(tmp_path) == {"kernel": b"kernel" * 1000}


def test_notes_on_what_is_compressed_stay() -> None:
    _, copied = kept(an_image().tar_layer({"k": b"k"}, role="kernel", title="k"), GZIP)
    [layer] = load_image(copied).manifest.layers
    assert layer.annotations["org.lfedge.eci.role"] == "kernel"
    assert layer.annotations["org.opencontainers.image.title"] == "k"


@pytest.mark.parametrize(("codec", "suffix"), [(GZIP, ".gzip"), (ZSTD, ".zstd")], ids=["gzip", "zstd"])
def test_docker_spells_its_types_with_a_dot(codec: Codec, suffix: str) -> None:
    image = an_image().tar_layer({"k": b"k"}, media_type=media_types.DOCKER_LAYER).typed(media_types.DOCKER_MANIFEST)
    _, copied = kept(image, codec)
    [layer] = load_image(copied).manifest.layers
    assert layer.media_type == media_types.DOCKER_LAYER + suffix
    assert media_types.is_tar_layer(layer.media_type)


@pytest.mark.parametrize("image", [a_container(), a_container("zstd"), a_machine()], ids=["gzip", "zstd", "artifacts"])
def test_what_is_compressed_or_no_layer_is_kept(image: ImageBuilder) -> None:
    source, copied = kept(image, GZIP)
    assert copied.blobs == source.blobs


def test_what_is_compressed_under_the_type_of_a_raw_layer_is_kept() -> None:
    image = an_image().tar_layer({"k": b"k"}, compression="gzip", media_type=media_types.OCI_LAYER)
    source, copied = kept(image, ZSTD)
    assert copied.blobs == source.blobs


@pytest.mark.parametrize("codec", [None, Codec.parse("none")], ids=str)
def test_without_a_codec_every_byte_is_kept(codec: Codec | None) -> None:
    source, copied = kept(raw(), codec)
    assert copied.blobs == source.blobs


def test_a_place_that_unpacks_layers_gets_them_as_they_are() -> None:
    source, copied = kept(raw(), GZIP, stores_uncompressed=True)
    assert copied.blobs == source.blobs


def test_layers_that_no_manifest_lists_are_compressed_on_their_way_to_a_registry() -> None:
    """As an engine keeps them; `--compression none` keeps them."""
    source, registry = (
        raw().build(),
        MemorySink(MemoryStore({}, {}), "copy", capabilities=SinkCapabilities(prefers_compressed=True)),
    )
    source.traits = SourceTraits(synthetic=True)

    copy(source, registry)
    [layer] = load_image(MemorySource(registry.store, "copy")).manifest.layers
    assert layer.media_type == layer_type("gzip")

    for sink, codec in (
        (
            MemorySink(MemoryStore({}, {}), "copy", capabilities=SinkCapabilities(prefers_compressed=True)),
            Codec.parse("none"),
        ),
        (MemorySink(MemoryStore({}, {}), "copy"), None),
    ):
        copy(source, sink, CopyRequest(codec=codec))
        assert sink.store.blobs == source.blobs


def test_layers_that_a_manifest_lists_raw_are_kept_on_their_way_to_a_registry() -> None:
    source, sink = (
        raw().build(),
        MemorySink(MemoryStore({}, {}), "copy", capabilities=SinkCapabilities(prefers_compressed=True)),
    )
    copy(source, sink)
    assert sink.store.blobs == source.blobs


def test_what_an_earlier_copy_made_of_a_layer_is_not_made_again() -> None:
    source, sink = raw().build(), MemorySink(MemoryStore({}, {}), "copy")
    first = copy(source, sink, CopyRequest(codec=GZIP))
    [layer] = load_image(MemorySource(sink.store, "copy")).manifest.layers
    del source.blobs[load_image(source).manifest.layers[0].digest]  # it need not even be read

    again = copy(source, sink, CopyRequest(codec=GZIP), existing=MemorySource(sink.store, "copy"))

    assert again.descriptor == first.descriptor
    assert again.bytes_reused >= layer.size
    assert again.bytes_sent == again.descriptor.size


def test_what_an_earlier_copy_made_with_another_codec_is_made_anew() -> None:
    source, sink = raw().build(), MemorySink(MemoryStore({}, {}), "copy")
    copy(source, sink, CopyRequest(codec=GZIP))
    copy(source, sink, CopyRequest(codec=ZSTD), existing=MemorySource(sink.store, "copy"))
    [layer] = load_image(MemorySource(sink.store, "copy")).manifest.layers
    assert layer.media_type == layer_type("zstd")


def test_an_index_names_what_its_images_became() -> None:
    one, other = raw().platform("linux/amd64"), raw(b"arm" * 2000).platform("linux/arm64")
    source, sink = (
        an_index(one, other, a_container().platform("linux/s390x")).build(),
        MemorySink(MemoryStore({}, {}), "copy"),
    )

    packed = copy(source, sink, CopyRequest(codec=GZIP, all_platforms=True))

    copied = MemorySource(sink.store, "copy")
    assert isinstance(packed.manifest, Index)
    assert [str(entry.platform) for entry in packed.manifest.manifests] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert packed.manifest.manifests[2].digest == a_container().platform("linux/s390x").descriptor().digest
    for name in ("linux/amd64", "linux/arm64"):
        found = load_image(copied, parse_platform(name))
        assert [layer.media_type for layer in found.manifest.layers] == [layer_type("gzip")]


def test_a_layer_that_two_images_share_is_compressed_once() -> None:
    one, other = raw().platform("linux/amd64"), raw().platform("linux/arm64")
    source, sink = an_index(one, other).build(), MemorySink(MemoryStore({}, {}), "copy")
    copy(source, sink, CopyRequest(codec=GZIP, all_platforms=True))
    manifests = [load_image(MemorySource(sink.store, "copy"), parse_platform(f"linux/{word}")).manifest
                 for word in ("amd64", "arm64")]  # fmt: skip
    assert manifests[0].layers == manifests[1].layers
    assert len(sink.store.blobs) == 1 + 2 + 2 + 1  # a layer, two configs, two manifests, the index


def test_a_dry_run_counts_what_lies_there() -> None:
    source, sink = raw().build(), MemorySink(MemoryStore({}, {}), "copy")
    packed = copy(source, sink, CopyRequest(codec=GZIP), options=TransferOptions(dry_run=True))
    assert isinstance(packed.manifest, Manifest)
    assert packed.bytes_sent == sum(map(len, source.blobs.values()))
    assert sink.store == MemoryStore({}, {})


def test_what_refers_to_an_image_needs_its_digest() -> None:
    with pytest.raises(UsageError, match="leave --compression away"):
        copy(raw().build(), MemorySink(MemoryStore({}, {}), "copy"), CopyRequest(codec=GZIP, referrers=True))


def test_a_spoilt_layer_publishes_nothing() -> None:
    source, sink = raw().build(), MemorySink(MemoryStore({}, {}), "copy")
    [layer] = load_image(source).manifest.layers
    source.blobs[layer.digest] = b"x" * layer.size
    with pytest.raises(Exception, match="digest"):
        copy(source, sink, CopyRequest(codec=GZIP))
    assert sink.store.names == {}


def test_a_digest_is_of_the_descriptor_that_is_published() -> None:
    source, copied = kept(raw(), GZIP)
    root = copied.resolve()
    assert root == Descriptor.of(copied.blobs[root.digest], media_types.OCI_MANIFEST)
    assert root.digest != source.resolve().digest
