from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    FormatError,
    IntegrityError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedImageError,
    UsageError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Source
from eci_convert.transports.docker_archive import source as docker_archive_source
from eci_convert.transports.docker_archive.sink import DockerArchiveWriter
from eci_convert.transports.settings import Settings
from eci_convert.transports.tar_store.writer import StreamOutput
from tests.support import docker_saves
from tests.support.docker_saves import (
    Member,
    contents,
    docker_1_10,
    docker_25,
    gzipped_inside,
    skopeo,
    together,
    with_a_layer_twice,
)
from tests.support.images import (
    ImageBuilder,
    Link,
    a_container,
    a_machine,
    a_tar,
    an_image,
    an_index,
    copied,
    files_in,
    wrapped,
)
from tests.support.layouts_by_hand import manifest_digest
from tests.support.load_archives import Streamed
from tests.support.stdlib_tarfile import json_in

ONE = an_image().tar_layer({"kernel": b"one"}).tar_layer({"initrd": b"initrd"}).label("a", "b")
OTHER = an_image().tar_layer({"kernel": b"other"}).tar_layer({"initrd": b"initrd"})
VINTAGES = {"1.10": docker_1_10, "skopeo": skopeo, "gzip inside": gzipped_inside, "25": docker_25}


def opened(path: Path, name: str = "") -> Source:
    return open_source(f"docker-archive:{path}{name}", Settings())


def archived(tmp_path: Path, files: Mapping[str, Member], *, compressed: bool = False) -> Path:
    archive = a_tar(files)
    (tmp_path / "saved").write_bytes(gzip.compress(archive) if compressed else archive)
    return tmp_path / "saved"


def layers_of(source: Source) -> list[bytes]:
    with source:
        image = load_image(source)
        blobs = [load_document(source, layer) for layer in image.manifest.layers]
        assert [Digest.of(blob) for blob in blobs] == list(image.config.diff_ids)
        return blobs


@pytest.mark.parametrize("vintage", VINTAGES)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["", ":machine:1", ":docker.io/library/machine:1", ":machine", ":@0"])
def test_archives_of_all_years_are_read(tmp_path: Path, vintage: str, compressed: bool, name: str) -> None:
    path = archived(tmp_path, VINTAGES[vintage](ONE, "machine:1", "machine:latest"), compressed=compressed)

    assert layers_of(opened(path, name)) == [blob for _, blob in ONE.layers]
    assert load_image(opened(path, name)).config.labels == {"a": "b"}


@pytest.mark.parametrize("vintage", VINTAGES)
def test_one_of_several_images_is_chosen_by_a_name(tmp_path: Path, vintage: str) -> None:
    make = VINTAGES[vintage]
    path = archived(tmp_path, together(make(ONE, "machine:1", "same:1"), make(OTHER, "machine:2")))

    own = Digest.of(ONE.config_blob()[0])
    for name in (":machine:1", ":same:1", ":@0", f"@{own}", f":{own}", f":{own.hex[:12]}", f":sha256:{own.hex[:12]}"):
        assert layers_of(opened(path, name))[0] == ONE.layers[0][1]
    for name in (":machine:2", ":@1"):
        assert layers_of(opened(path, name))[0] == OTHER.layers[0][1]
    with pytest.raises(UnsupportedImageError, match="'machine:1', 'machine:2'"):
        opened(path).resolve()
    for name in (":machine:3", ":machine", ":@2", f"@{Digest.of(b'')}"):
        with pytest.raises(NotFoundError):
            opened(path, name).resolve()


@pytest.mark.parametrize("vintage", VINTAGES)
def test_an_image_without_a_name_is_read(tmp_path: Path, vintage: str) -> None:
    path = archived(tmp_path, VINTAGES[vintage](ONE))

    assert layers_of(opened(path)) == [blob for _, blob in ONE.layers]
    with pytest.raises(NotFoundError):
        opened(path, ":machine:1").resolve()


def test_a_layer_that_is_a_link_to_another_is_read(tmp_path: Path) -> None:
    image = an_image().tar_layer({"a": b"a"}).tar_layer({"b": b"b"}).tar_layer({"a": b"a"})
    path = archived(tmp_path, with_a_layer_twice(image, "machine:1"))

    assert layers_of(opened(path)) == [blob for _, blob in image.layers]


def test_a_manifest_is_made_up_of_what_the_config_promises(tmp_path: Path) -> None:
    path = archived(tmp_path, docker_1_10(ONE))

    with opened(path) as source:
        image = load_image(source)
        again = opened(path).resolve()

    assert image.descriptor == again
    assert image.descriptor.media_type == media_types.OCI_MANIFEST
    assert image.manifest.config.media_type == media_types.OCI_CONFIG
    assert image.manifest.config.digest == Digest.of(ONE.config_blob()[0])
    assert [(layer.media_type, layer.digest, layer.size) for layer in image.manifest.layers] == [
        (media_types.OCI_LAYER, Digest.of(blob), len(blob)) for _, blob in ONE.layers
    ]


@pytest.mark.parametrize("vintage", ["1.10", "skopeo", "gzip inside"])
def test_a_layer_without_its_diff_id_is_refused(tmp_path: Path, vintage: str) -> None:
    files = VINTAGES[vintage](ONE)
    path = docker_saves.json_in(files, "manifest.json")[0]["Layers"][0]
    other = a_tar({"kernel": b"two"})
    files[path] = wrapped(other, "gzip") if "gzip" in vintage else other

    with pytest.raises(IntegrityError, match="content: digest mismatch"):
        layers_of(opened(archived(tmp_path, files)))


def test_a_layout_beside_manifest_json_is_preferred(tmp_path: Path) -> None:
    image = a_container("gzip").annotation("only", "here")
    path = archived(tmp_path, docker_25(image, "machine:1"))

    found = load_image(opened(path, ":machine:1"))

    assert found.descriptor.digest == manifest_digest(image)
    assert found.manifest.annotations == {"only": "here"}


def test_a_layout_without_the_image_is_not(tmp_path: Path) -> None:
    files = docker_25(ONE, "machine:1")
    files["index.json"] = b'{"schemaVersion": 2, "manifests": []}'

    assert layers_of(opened(archived(tmp_path, files), ":machine:1")) == [blob for _, blob in ONE.layers]


def test_a_layout_with_a_spoilt_manifest_is_refused(tmp_path: Path) -> None:
    files = docker_25(ONE, "machine:1")
    files[f"blobs/sha256/{manifest_digest(ONE).hex}"] = to_json(OTHER.manifest())

    with pytest.raises(DigestMismatchError):
        opened(archived(tmp_path, files), ":machine:1").resolve()


def with_index(images: Sequence[ImageBuilder], missing: Sequence[ImageBuilder] = ()) -> dict[str, Member]:
    """What Docker 28 saves of an image for several platforms of which it has some."""
    index = an_index(*images).build()
    files = docker_25(images[0], "machine:1")
    files |= {f"blobs/sha256/{digest.hex}": blob for digest, blob in index.blobs.items()}
    for image in missing:
        for digest in image.build().blobs:
            files.pop(f"blobs/sha256/{digest.hex}", None)
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [index.resolve().json()]}).encode()
    return files


def test_an_image_for_several_platforms_is_an_index(tmp_path: Path) -> None:
    images = [an_image().platform(f"linux/{name}").tar_layer({"a": name.encode()}) for name in ("amd64", "arm64")]
    path = archived(tmp_path, with_index(images))

    for image in images:
        assert load_image(opened(path, ":machine:1"), image.runs_on).config.diff_ids == image.diff_ids


def test_of_an_index_the_only_image_that_is_there_is_meant(tmp_path: Path) -> None:
    images = [an_image().platform(f"linux/{name}").tar_layer({"a": name.encode()}) for name in ("s390x", "amd64")]
    path = archived(tmp_path, with_index(images, missing=images[1:]))

    assert load_image(opened(path, ":machine:1")).config.diff_ids == images[0].diff_ids


def test_a_layout_alone_is_read_too(tmp_path: Path) -> None:
    files = docker_25(ONE, "machine:1")
    del files["manifest.json"]

    assert layers_of(opened(archived(tmp_path, files), ":machine:1")) == [blob for _, blob in ONE.layers]


@pytest.mark.parametrize(
    "changes",
    [
        {"Config": "/etc/passwd"},
        {"Config": "../../etc/passwd"},
        {"Config": ""},
        {"Config": 1},
        {"Layers": ["/etc/passwd", "b.tar"]},
        {"Layers": ["../a.tar", "b.tar"]},
        {"Layers": ["a/../../b.tar", "b.tar"]},
        {"Layers": [None, "b.tar"]},
        {"Layers": "a.tar"},
        {"Layers": []},
        {"Layers": None},
        {"Layers": ["a.tar"]},
        {"Layers": ["a.tar", "b.tar", "a.tar"]},
        {"RepoTags": "machine:1"},
        {"RepoTags": [1]},
    ],
)
def test_a_table_of_contents_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    files = {"a.tar": ONE.layers[0][1], "b.tar": ONE.layers[1][1], "c.json": ONE.config_blob()[0]}
    entry = {"Config": "c.json", "RepoTags": None, "Layers": ["a.tar", "b.tar"]}
    assert layers_of(opened(archived(tmp_path, files | {"manifest.json": contents(entry)})))

    with pytest.raises(FormatError, match=r"^manifest\.json(\[0\]|\.Layers: [013] layers)"):
        opened(archived(tmp_path, files | {"manifest.json": contents({**entry, **changes})})).resolve()


@pytest.mark.parametrize("text", [b"", b"{}", b"null", b"[1]", b"[[]]", b'[{"Config": "a"', b"[" * 100_000, b"\xff"])
def test_a_table_of_contents_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(FormatError, match=r"^manifest\.json"):
        opened(archived(tmp_path, {"manifest.json": text})).resolve()


def test_an_empty_table_of_contents_has_no_image(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        opened(archived(tmp_path, {"manifest.json": b"[]"})).resolve()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd"])
def test_a_layer_that_is_a_link_out_of_the_archive_is_refused(tmp_path: Path, target: str) -> None:
    files = docker_1_10(ONE)
    files[docker_saves.json_in(files, "manifest.json")[0]["Layers"][0]] = Link(target)

    with pytest.raises(FormatError, match="outside the archive"):
        opened(archived(tmp_path, files)).resolve()


@pytest.mark.parametrize("which", ["config", "layer"])
def test_what_is_missing_is_named(tmp_path: Path, which: str) -> None:
    files = skopeo(ONE)
    entry = docker_saves.json_in(files, "manifest.json")[0]
    missing = entry["Config"] if which == "config" else entry["Layers"][1]
    del files[missing]

    with pytest.raises(NotFoundError, match=missing):
        opened(archived(tmp_path, files)).resolve()


@pytest.mark.parametrize("vintage", ["1.10", "skopeo"])
def test_a_config_that_its_name_does_not_promise_is_refused(tmp_path: Path, vintage: str) -> None:
    files = VINTAGES[vintage](ONE)
    files[docker_saves.json_in(files, "manifest.json")[0]["Config"]] = ONE.label("evil", "yes").config_blob()[0]

    with pytest.raises(DigestMismatchError):
        opened(archived(tmp_path, files)).resolve()


@pytest.mark.parametrize("vintage", ["1.10", "25"])
def test_a_layer_of_another_size_is_refused_before_it_is_read(tmp_path: Path, vintage: str) -> None:
    with opened(archived(tmp_path, VINTAGES[vintage](ONE))) as source:
        layer = load_image(source).manifest.layers[0]

        with pytest.raises(SizeMismatchError), source.fetch(replace(layer, size=layer.size + 1)):
            pytest.fail("it was opened")


def test_other_archives_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"before 1\.10"):
        opened(archived(tmp_path, {"repositories": b"{}", "abc/layer.tar": b""})).resolve()
    with pytest.raises(FormatError, match="not an archive of docker save"):
        opened(archived(tmp_path, {"etc/passwd": b""})).resolve()


def test_a_wrapped_layer_that_grows_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_archive_source, "_SMALL", 1 << 20)
    layer = a_tar({"zeros": bytes(64 << 20)})
    image = an_image().tar_layer(layer)
    files = skopeo(image)
    [path] = docker_saves.json_in(files, "manifest.json")[0]["Layers"]
    files[path] = wrapped(layer, "zstd")

    with pytest.raises(LimitExceededError, match="is longer than 2344100 bytes"):
        opened(archived(tmp_path, files)).resolve()


def test_an_archive_is_what_docker_load_takes(tmp_path: Path) -> None:
    copied(ONE.build(), open_sink(f"docker-archive:{tmp_path}/saved:docker.io/library/machine:1", Settings()))

    with tarfile.open(tmp_path / "saved") as archive:
        names = archive.getnames()
        table = json_in(archive, "manifest.json")
    config = Digest.of(ONE.config_blob()[0]).hex
    layers = [f"{diff_id.hex}.tar" for diff_id in ONE.diff_ids]
    assert names == [*layers, f"{config}.json", "manifest.json"]
    assert table == [{"Config": f"{config}.json", "RepoTags": ["machine:1"], "Layers": layers}]


def test_compressed_layers_are_stored_as_the_archives_that_they_are(tmp_path: Path) -> None:
    for compression in ("gzip", "zstd", "none"):
        copied(a_container(compression).build(), open_sink(f"docker-archive:{tmp_path}/{compression}:x", Settings()))

    gz, zst, raw = ((tmp_path / name).read_bytes() for name in ("gzip", "zstd", "none"))
    assert gz == zst == raw


def test_a_layer_that_its_media_type_wraps_and_nobody_else_is_stored(tmp_path: Path) -> None:
    image = an_image().tar_layer({"a": b"a"}, media_type=media_types.DOCKER_LAYER + ".gzip")

    copied(image.build(), open_sink(f"docker-archive:{tmp_path}/saved", Settings()))

    assert layers_of(opened(tmp_path / "saved")) == [image.layers[0][1]]


def test_an_archive_in_a_stream_is_read_back(tmp_path: Path) -> None:
    for know_sizes in (False, True):
        stream = Streamed(ONE, "machine:1", know_sizes=know_sizes)
        (tmp_path / "saved").write_bytes(stream.archive)

        assert layers_of(opened(tmp_path / "saved", ":machine:1")) == [blob for _, blob in ONE.layers]
        assert any(name.startswith("layer-") for name in stream.names) is know_sizes
    assert not {*Streamed(ONE).names} & {name for name in Streamed(ONE).names if name.startswith("layer-")}


def test_layers_of_known_size_go_straight_into_the_stream(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    writer = DockerArchiveWriter(StreamOutput(pieces.append, {"TMPDIR": str(tmp_path / "nowhere")}, "x"))
    seen = []

    def chunks(layer: bytes) -> Iterator[bytes]:
        for start in range(0, len(layer), 512):
            seen.append(sum(map(len, pieces)))
            yield layer[start : start + 512]

    layer = ONE.layers[0][1]
    writer.put(media_types.OCI_LAYER, chunks(layer), None, len(layer))

    assert seen[-1] > 512


@pytest.mark.parametrize(
    "image",
    [
        an_image().tar_layer({"a": b"a"}, compression="gzip", diff_id=Digest.of(b"wrong")),
        an_image().tar_layer({"a": b"a"}).tar_layer({"b": b"b"}, diff_id=Digest.of(a_tar({"a": b"a"}))),
    ],
)
def test_layers_that_no_engine_would_take_are_refused(tmp_path: Path, image: ImageBuilder) -> None:
    with pytest.raises(DigestMismatchError) as caught:
        copied(image.build(), open_sink(f"docker-archive:{tmp_path}/saved", Settings()))

    assert "--fix" in caught.value.__notes__[0]
    assert files_in(tmp_path) == {}


def test_more_or_fewer_diff_ids_than_layers_are_refused(tmp_path: Path) -> None:
    for diff_ids in ([], [str(ONE.diff_ids[0])], [str(ONE.diff_ids[0])] * 3):
        image = ONE.config_field("rootfs", {"type": "layers", "diff_ids": diff_ids})
        with pytest.raises(FormatError, match=r"2 layers, but [013] diff ids"):
            copied(image.build(), open_sink(f"docker-archive:{tmp_path}/saved", Settings()))

    assert files_in(tmp_path) == {}


def test_what_it_cannot_hold_is_said(tmp_path: Path) -> None:
    for source in (a_machine().build(), an_index(ONE, OTHER).build()):
        with pytest.raises(CannotHoldError, match=r"cannot hold a blob of type|holds one image"):
            copied(source, open_sink(f"docker-archive:{tmp_path}/saved", Settings()))

    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("name", [":UPPER", ":a b", f":a@{Digest.of(b'')}", f"@{Digest.of(b'')}", ":@0"])
def test_a_name_that_docker_would_not_take_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        UsageError,
        match=r"must be lowercase|is not a valid image name|does not record the digest|is a position in the index",
    ):
        open_sink(f"docker-archive:{tmp_path}/saved{name}", Settings())


def test_a_document_without_end_is_not_kept(tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield os.urandom(1 << 16)

    with (
        open_sink(f"docker-archive:{tmp_path}/saved", Settings()) as sink,
        pytest.raises(LimitExceededError, match="longer than 4194304 bytes"),
    ):
        sink.put(media_types.OCI_CONFIG, endless())


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_layer_known_by_its_sha512_is_stored_and_held_to_its_diff_id(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    layer = a_tar({"kernel": b"kernel"})
    blob = compress(layer)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer))]}}).encode()
    promised = replace(Descriptor.of(blob, media_types.OCI_LAYER), digest=Digest.of(blob, "sha512"))
    manifest = to_json(Manifest(config=Descriptor.of(config, media_types.OCI_CONFIG), layers=(promised,)))

    with open_sink(f"docker-archive:{tmp_path}/image.tar", Settings()) as sink:
        sink.put(media_types.OCI_LAYER, (blob,), digest=promised.digest, size=len(blob))
        sink.put(media_types.OCI_CONFIG, (config,))
        sink.publish(sink.put(media_types.OCI_MANIFEST, (manifest,)))

    with open_source(f"docker-archive:{tmp_path}/image.tar", Settings()) as source:
        assert [found.digest for found in load_image(source).manifest.layers] == [Digest.of(layer)]
