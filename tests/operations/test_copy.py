"""Images move between places: kept to the last byte or said again, and refused before the first where they must be."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    IntegrityError,
    TransportError,
    UnsupportedImageError,
    UsageError,
)
from eci_convert.model import DiskType
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.extract import extract
from eci_convert.operations.extract_request import ExtractRequest
from eci_convert.operations.inspect import inspect
from eci_convert.operations.verify import verify_image
from eci_convert.options import TransferOptions
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports.base import NO_VARIANTS, SinkCapabilities, Variants
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.images import (
    LABEL,
    ImageBuilder,
    a_container,
    a_machine,
    a_tar,
    an_image,
    an_index,
    files_in,
)
from tests.support.reporters import Listening

DISK = bytes(446) + b"\x80\0\0\0\x83\0\0\0" + b"\1\0\0\0\7\0\0\0" + bytes(48) + b"\x55\xaa" + bytes(4096)
"""A raw disk that says so: a boot record with one partition."""


def labelled() -> ImageBuilder:
    """A container image with labels, whose root disk's type can be told by its bytes."""
    return (
        an_image()
        .tar_layer({"boot/kernel": b"kernel", "boot/initrd": b"initrd", "root.raw": DISK}, compression="gzip")
        .label(LABEL + "kernel", "/boot/kernel")
        .label(LABEL + "initrd", "/boot/initrd")
        .label(LABEL + "root", "/root.raw")
    )


def a_sink(store: MemoryStore | None = None, **limits: Any) -> MemorySink:
    return MemorySink(store or MemoryStore({}, {}), "copy", capabilities=SinkCapabilities(**limits))


def read_back(sink: MemorySink) -> MemorySource:
    return MemorySource(sink.store, "copy")


@pytest.mark.parametrize("image", [a_machine(), a_container(), a_container("zstd")], ids=["artifacts", "gzip", "zstd"])
def test_keep_preserves_every_byte(image: ImageBuilder, tmp_path: Path) -> None:
    source, sink = image.build(), a_sink()

    packed = copy(source, sink)

    assert packed.descriptor.digest == source.resolve().digest
    assert sink.store.blobs == source.blobs
    assert packed.bytes_sent == sum(map(len, source.blobs.values()))
    assert packed.bytes_reused == 0


def with_wrong_diff_ids(version: int = 2) -> MemorySource:
    """As the original `eci` writes them: the digests of compressed blobs, and some of another one."""
    first = an_image().tar_layer({"kernel": b"kernel"}, compression="gzip")
    [(layer, _)] = first.layers
    image = an_image().tar_layer({"kernel": b"kernel"}, compression="gzip", diff_id=layer.digest)
    if version == 2:  # else the first alone would do
        image = image.tar_layer({"initrd": b"initrd"}, compression="gzip", diff_id=layer.digest)
    text = to_json(image.manifest()).replace(b'"schemaVersion":2', f'"schemaVersion":{version}'.encode())
    root = Descriptor.of(text, media_types.OCI_MANIFEST)
    return MemorySource(MemoryStore({**image.contents(), root.digest: text}, {"image": root}))


@pytest.mark.parametrize("version", [0, 2])
def test_what_an_engine_would_not_unpack_is_refused_before_the_first_byte(version: int) -> None:
    sink = a_sink(artifacts=False)

    with pytest.raises(IntegrityError, match="diff ids") as caught:
        copy(with_wrong_diff_ids(version), sink)

    assert "verify memory:image --fix memory:copy" in caught.value.__notes__[0]
    assert not sink.store.blobs


def test_wrong_diff_ids_of_the_original_eci_are_told_where_nobody_unpacks() -> None:
    wrong, right = Listening(), Listening()

    copy(with_wrong_diff_ids(0), a_sink(), options=TransferOptions(reporter=wrong))
    copy(a_container().build(), a_sink(), options=TransferOptions(reporter=right))

    assert wrong.warnings == ["the diff ids of the image are wrong, so engines will not unpack it: see verify --fix"]
    assert right.warnings == []


def test_a_layer_that_is_not_wrapped_as_its_media_type_says_is_no_reason_to_refuse() -> None:
    image = an_image().tar_layer({"kernel": b"kernel"}, media_type=f"{media_types.OCI_LAYER}+gzip")
    sink = a_sink(artifacts=False)

    copy(image.build(), sink)

    assert sink.store.names


@pytest.mark.parametrize(("version", "hints"), [(0, 1), (2, 0)])
def test_a_place_that_refuses_a_wrong_schema_version_leads_to_the_repair(version: int, hints: int) -> None:
    """docker-registry 2.8 says 500 to what the original `eci` writes."""

    class Strict(MemorySink):
        def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
            raise TransportError("500")

    image = a_machine()
    text = to_json(image.manifest()).replace(b'"schemaVersion":2', f'"schemaVersion":{version}'.encode())
    root = Descriptor.of(text, media_types.OCI_MANIFEST)
    source = MemorySource(MemoryStore({**image.contents(), root.digest: text}, {"image": root}))

    with pytest.raises(TransportError) as caught:
        copy(source, Strict(MemoryStore({}, {}), "a copy"))

    notes = [note for note in getattr(caught.value, "__notes__", []) if "schemaVersion" in note]
    assert len(notes) == hints
    assert all("`eci-convert verify memory:image --fix 'memory:a copy'`" in note for note in notes)


def test_a_blob_that_is_there_is_not_sent_again() -> None:
    sink = a_sink()
    copy(a_machine().build(), sink)
    again = copy(a_machine().build(), sink)
    assert isinstance(again.manifest, Manifest)
    blobs = sum(layer.size for layer in again.manifest.layers) + again.manifest.config.size
    assert again.bytes_reused == blobs
    assert again.bytes_sent == again.descriptor.size


def test_of_an_index_one_image_is_copied_or_all() -> None:
    source = an_index(a_machine().platform("linux/amd64"), a_machine(b"other").platform("linux/arm64")).build()

    one = a_sink()
    copy(source, one, CopyRequest(platform=parse_platform("linux/arm64")))
    assert load_image(read_back(one)).platform == parse_platform("linux/arm64")

    every = a_sink()
    packed = copy(source, every, CopyRequest(all_platforms=True))
    assert packed.descriptor.digest == source.resolve().digest
    assert every.store.blobs == source.blobs


def test_all_images_of_an_index_are_said_again_under_one_index() -> None:
    source = an_index(labelled().platform("linux/amd64"), labelled().platform("linux/arm64")).build()
    sink = a_sink()
    copy(source, sink, CopyRequest(format="artifacts", all_platforms=True))
    _, index = load_root(read_back(sink))
    assert isinstance(index, Index)
    assert {str(entry.platform) for entry in index.manifests} == {"linux/amd64", "linux/arm64"}


def listed_twice() -> MemorySource:
    """One image, under two platforms."""
    image = labelled()
    entries = [replace(image.descriptor(), platform=parse_platform(f"linux/{one}")) for one in ("amd64", "arm64")]
    text = to_json(Index(manifests=tuple(entries)))
    root = Descriptor.of(text, media_types.OCI_INDEX)
    return MemorySource(MemoryStore({**image.contents(), root.digest: text}, {"image": root}))


def test_an_image_that_is_listed_for_two_platforms_is_copied_once() -> None:
    source, sink = listed_twice(), a_sink()
    assert [str(each) for each in inspect(source).platforms] == ["linux/amd64", "linux/arm64"]

    packed = copy(source, sink, CopyRequest(all_platforms=True))

    assert sink.store.blobs == source.blobs
    assert packed.bytes_sent == sum(map(len, source.blobs.values()))
    for platform in ("linux/amd64", "linux/arm64"):
        assert str(load_image(read_back(sink), parse_platform(platform)).platform) == platform
    assert verify_image(source).images == 1


def test_an_image_that_is_listed_for_two_platforms_is_there_for_both_in_another_format() -> None:
    sink = a_sink()

    copy(listed_twice(), sink, CopyRequest(all_platforms=True, format="artifacts"))

    assert [str(each) for each in inspect(read_back(sink)).platforms] == ["linux/amd64", "linux/arm64"]
    copy(read_back(sink), a_sink(), CopyRequest(platform=parse_platform("linux/arm64")))


def test_a_variant_that_the_index_alone_tells_is_kept() -> None:
    images = [labelled().label("for", variant).platform("linux/arm") for variant in ("v6", "v7")]
    entries = [
        replace(image.descriptor(), platform=parse_platform(f"linux/arm/{variant}"))
        for image, variant in zip(images, ("v6", "v7"), strict=True)
    ]
    text = to_json(Index(manifests=tuple(entries)))
    blobs = {digest: blob for image in images for digest, blob in image.build().blobs.items()} | {Digest.of(text): text}
    root = Descriptor.of(text, media_types.OCI_INDEX)
    sink = a_sink()

    copy(
        MemorySource(MemoryStore(blobs, {"copy": root}), "copy"), sink, CopyRequest(format="legacy", all_platforms=True)
    )

    for variant in ("v6", "v7"):
        found = load_image(read_back(sink), parse_platform(f"linux/arm/{variant}"))
        assert (str(found.platform), found.config.labels["for"]) == (f"linux/arm/{variant}", variant)


def test_referrers_come_along_when_asked() -> None:
    image = a_machine()
    signature = a_machine(b"signature").subject(image.descriptor())
    source = image.beside(signature).build()
    without, along = a_sink(), a_sink()
    copy(source, without)
    copy(source, along, CopyRequest(referrers=True))
    assert signature.descriptor().digest not in without.store.blobs
    assert signature.descriptor().digest in along.store.blobs
    with pytest.raises(UsageError, match="referrers are copied with the format keep alone"):
        copy(source, a_sink(), CopyRequest(referrers=True, format="legacy"))


def test_what_refers_to_a_referrer_and_what_a_referring_index_lists_come_along_too() -> None:
    image, listed = a_machine(), a_machine(b"listed").platform("linux/amd64")
    bill = a_machine(b"bill").subject(image.descriptor())
    signature = a_machine(b"signature").subject(bill.descriptor())
    bundle = Index(manifests=(listed.descriptor(),), subject=image.descriptor())
    source = image.beside(bill, signature, listed).build()
    source.store.blobs[Digest.of(to_json(bundle))] = to_json(bundle)
    sink = a_sink()

    packed = copy(source, sink, CopyRequest(referrers=True))

    assert packed.descriptor.digest == image.descriptor().digest
    assert sink.store.blobs == source.store.blobs
    with pytest.raises(CannotHoldError, match="index"):
        copy(source, a_sink(indexes=False), CopyRequest(referrers=True))


def test_a_sha512_is_kept_or_refused_beforehand() -> None:
    layer, config = a_tar({"kernel": b"kernel"}), b'{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["%s"]}}'
    config = config.replace(b"%s", str(Digest.of(layer)).encode())
    manifest = Manifest(
        config=Descriptor.of(config, media_types.OCI_CONFIG),
        layers=(replace(Descriptor.of(layer, media_types.OCI_LAYER), digest=Digest.of(layer, "sha512")),),
    )
    root = Descriptor.of(to_json(manifest), manifest.media_type)
    blobs = {manifest.layers[0].digest: layer, manifest.config.digest: config, root.digest: to_json(manifest)}
    source, kept, untouched = (
        MemorySource(MemoryStore(blobs, {"copy": root}), "copy"),
        a_sink(),
        a_sink(sha512=False),
    )

    copy(source, kept)
    with pytest.raises(CannotHoldError, match="sha512") as caught:
        copy(source, untouched)

    assert kept.store.blobs == blobs
    assert not untouched.store.blobs
    assert "--format legacy" in caught.value.__notes__[0]


@pytest.mark.parametrize("image", [a_machine(root=DISK), labelled()], ids=["artifacts", "labels"])
@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_parts_survive_being_said_again(image: ImageBuilder, form: str, tmp_path: Path) -> None:
    source, sink = image.build(), a_sink()
    copy(source, sink, CopyRequest(format=form))
    extract(read_back(sink), ExtractRequest(directory=tmp_path))
    found = files_in(tmp_path)
    assert found["kernel"] == b"kernel"
    assert found["initrd"] == b"initrd"
    assert found["disk-root-root.raw"] == DISK


@pytest.mark.parametrize("name", ["root.raw", "root.IMG"])
def test_a_blank_disk_in_a_layer_is_raw_by_its_name(name: str) -> None:
    image = an_image().tar_layer({name: bytes(4096)}, compression="gzip").label(LABEL + "root", f"/{name}")
    sink = a_sink()

    copy(image.build(), sink, CopyRequest(format="artifacts"))

    [root] = inspect(read_back(sink)).artifact.parts
    assert root.disk_type is DiskType.RAW


@pytest.mark.parametrize(
    ("name", "content"), [("root", bytes(4096)), ("root.raw", gzip.compress(bytes(4096))), ("root.iso", bytes(4096))]
)
def test_a_disk_in_a_layer_that_could_be_anything_has_no_type(name: str, content: bytes) -> None:
    image = an_image().tar_layer({name: content}, compression="gzip").label(LABEL + "root", f"/{name}")

    with pytest.raises(CannotHoldError, match=r"the type of the root disk .* is not known"):
        copy(image.build(), a_sink(), CopyRequest(format="artifacts"))


class Untouched(MemorySink):
    """A sink that nothing may be put into."""

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        raise AssertionError("a byte moved")


@pytest.mark.parametrize("form", ["keep", "artifacts"])
def test_what_the_destination_cannot_hold_is_refused_before_the_first_byte(form: str) -> None:
    sink = Untouched(MemoryStore({}, {}), "copy", capabilities=SinkCapabilities(artifacts=False))
    with pytest.raises(CannotHoldError) as caught:
        copy(a_machine().build(), sink, CopyRequest(format=form))
    assert any("--format legacy" in note for note in caught.value.__notes__)


def test_a_place_without_indexes_is_told_one_image_only() -> None:
    source = an_index(a_container().platform("linux/amd64"), a_container().platform("linux/arm64")).build()
    with pytest.raises(CannotHoldError, match="cannot hold an index"):
        copy(
            source,
            Untouched(MemoryStore({}, {}), "copy", capabilities=SinkCapabilities(indexes=False)),
            CopyRequest(all_platforms=True),
        )
    with pytest.raises(UnsupportedImageError, match="has no image for linux/s390x"):
        copy(source, a_sink(), CopyRequest(platform=parse_platform("linux/s390x")))


def test_a_spoilt_blob_publishes_nothing() -> None:
    source, sink = a_machine().build(), a_sink()
    layer = load_image(source).manifest.layers[2]
    source.blobs[layer.digest] = b"x" * layer.size
    with pytest.raises(DigestMismatchError):
        copy(source, sink)
    assert sink.store.names == {}


def test_a_dry_run_counts_and_moves_nothing() -> None:
    source, sink = a_machine().build(), a_sink()
    packed = copy(source, sink, options=TransferOptions(dry_run=True))
    assert packed.bytes_sent == sum(map(len, source.blobs.values()))
    assert sink.store == MemoryStore({}, {})


def test_an_index_of_one_image_is_kept_whole() -> None:
    source, sink = an_index(a_machine().platform("linux/arm64")).build(), a_sink()

    packed = copy(source, sink)

    assert packed.descriptor.digest == source.resolve().digest
    assert sink.store.blobs == source.blobs


def test_the_one_image_of_an_index_is_taken_where_it_is_asked_for_or_no_index_can_be() -> None:
    image = a_machine().platform("linux/arm64")
    source = an_index(image).build()

    asked, small = a_sink(), a_sink(indexes=False)
    copy(source, asked, CopyRequest(platform=parse_platform("linux/arm64")))
    copy(source, small)

    assert load_root(read_back(asked))[0].digest == image.descriptor().digest
    assert load_root(read_back(small))[0].digest == image.descriptor().digest


def test_a_cnab_bundle_is_kept_whole() -> None:
    """Its entries have no platforms, and none of them is the bundle."""
    bundle = an_index(a_machine(), a_machine(b"invocation")).annotated(0, {"io.cnab.manifest.type": "config"})
    source = replace(bundle, annotations={"io.cnab.runtime_version": "v1.0.0"}).build()
    sink = a_sink()

    packed = copy(source, sink)

    assert packed.descriptor.digest == source.resolve().digest
    assert sink.store.blobs == source.blobs


@pytest.mark.parametrize("format", ["keep", "legacy"])
def test_taking_one_image_of_several_is_said_unless_somebody_chose_it(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eci_convert.oci.platform.host_platform", lambda: parse_platform("linux/amd64"))
    source = an_index(labelled().platform("linux/amd64"), labelled().platform("linux/arm64")).build()
    heard = Listening()

    copy(
        source,
        a_sink(),
        CopyRequest(format=format, platform=parse_platform("linux/arm64")),
        options=TransferOptions(reporter=heard),
    )
    copy(source, a_sink(), CopyRequest(format=format, all_platforms=True), options=TransferOptions(reporter=heard))
    assert heard.warnings == []

    copy(source, a_sink(), CopyRequest(format=format), options=TransferOptions(reporter=heard))
    assert len(heard.warnings) == 1
    assert "an index of 2 images: using the one for linux/amd64" in heard.warnings[0]


def test_what_is_attested_of_the_only_image_is_left_out_and_that_is_said() -> None:
    """umoci, and whoever else wants one manifest, gets one; --all-platforms keeps the index with its digest."""
    attestation = an_image().platform("unknown/unknown").layer("application/vnd.in-toto+json", b"{}")
    notes = {"vnd.docker.reference.type": "attestation-manifest"}
    source = an_index(a_machine().platform("linux/amd64"), attestation).annotated(1, notes).build()
    heard, sink = Listening(), a_sink()

    copy(source, sink, options=TransferOptions(reporter=heard))

    assert load_root(read_back(sink))[0].digest == a_machine().platform("linux/amd64").descriptor().digest
    assert len(heard.warnings) == 1
    assert "ignoring 1 other entry of the index, such as attestations" in heard.warnings[0]
    copy(source, a_sink(indexes=False), options=TransferOptions(reporter=heard))
    copy(source, a_sink(), CopyRequest(all_platforms=True), options=TransferOptions(reporter=heard))
    assert len(heard.warnings) == 1


def test_a_place_without_indexes_is_not_offered_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eci_convert.oci.platform.host_platform", lambda: parse_platform("linux/amd64"))
    heard = Listening()
    source = an_index(a_container().platform("linux/amd64"), a_container("zstd").platform("linux/arm64")).build()

    copy(source, a_sink(indexes=False), options=TransferOptions(reporter=heard))

    assert len(heard.warnings) == 1
    assert "--all-platforms" not in heard.warnings[0]


def test_nothing_is_said_of_an_index_of_one_within_an_index() -> None:
    inner = an_index(a_machine().platform("linux/amd64"))
    text = to_json(inner.index())
    entry = replace(Descriptor.of(text, media_types.OCI_INDEX), platform=parse_platform("linux/amd64"))
    arm = a_machine(b"arm").platform("linux/arm64")
    outer = to_json(Index(manifests=(entry, arm.descriptor())))
    root = Descriptor.of(outer, media_types.OCI_INDEX)
    blobs = {**inner.build().blobs, **arm.contents(), entry.digest: text, root.digest: outer}
    heard, sink = Listening(), a_sink()

    copy(
        MemorySource(MemoryStore(blobs, {"image": root})),
        sink,
        CopyRequest(platform=parse_platform("linux/amd64")),
        options=TransferOptions(reporter=heard),
    )

    assert load_image(read_back(sink)).platform == parse_platform("linux/amd64")
    assert heard.warnings == []
