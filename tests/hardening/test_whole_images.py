"""Limits hold for all of an image: what is listed a hundred times is read once, and budgets are not begun anew."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_convert.compression import codec
from eci_convert.errors import LimitExceededError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import to_json
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.inspect import inspect
from eci_convert.operations.verify import verify_image
from eci_convert.operations.verify.layer_check import Repeats
from eci_convert.progress import NULL_REPORTER
from eci_convert.reading.images import Documents, load_image
from eci_convert.tar import entries
from eci_convert.tar import input as tar_input
from eci_convert.tar.input import ExtensionBudget
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.docker_archive import source as docker_archive_source
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from eci_convert.transports.settings import Settings
from tests.support.images import LABEL, ImageBuilder, a_tar, an_image, an_index, copied
from tests.support.tar_archives import END, block, extension, file, pax

MANY = 60


class Counting(MemorySource):
    """A source that counts what is fetched."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.fetched: Counter[Digest] = Counter()

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        self.fetched[blob.digest] += 1
        with super().fetch(blob, skip) as chunks:
            yield chunks


def nested(inner: bytes, times: int, *leaves: ImageBuilder) -> Counting:
    """An index that lists *inner*, an index of *leaves*, so many *times*."""
    listed = Descriptor.of(inner, media_types.OCI_INDEX)
    text = to_json(Index(manifests=(listed,) * times))
    root = Descriptor.of(text, media_types.OCI_INDEX)
    blobs = {digest: blob for leaf in leaves for digest, blob in leaf.contents().items()}
    return Counting(MemoryStore({**blobs, listed.digest: inner, root.digest: text}, {"image": root}))


def test_an_inner_index_is_read_once_however_often_it_is_listed() -> None:
    image = an_image().platform("linux/amd64")
    inner = to_json(Index(manifests=(image.descriptor(),)))
    for ask in (
        inspect,
        verify_image,
        lambda source: copy(source, MemorySink(MemoryStore({}, {})), CopyRequest(all_platforms=True)),
    ):
        source = nested(inner, MANY, image)
        ask(source)
        assert source.fetched[Digest.of(inner)] == 1, ask
        assert source.fetched[image.descriptor().digest] == 1, ask


def test_inner_indexes_that_differ_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Documents.__init__, "__defaults__", (20_000,))
    image = an_image().platform("linux/amd64")
    leaf = image.descriptor()
    inner = [to_json(Index(manifests=(leaf,), annotations={"n": str(n), "x": "y" * 5000})) for n in range(5)]
    text = to_json(Index(manifests=tuple(Descriptor.of(one, media_types.OCI_INDEX) for one in inner)))
    root = Descriptor.of(text, media_types.OCI_INDEX)
    blobs = {Digest.of(one): one for one in inner}
    store = MemoryStore({**blobs, **image.contents(), root.digest: text}, {"image": root})

    for ask in (
        inspect,
        verify_image,
        lambda source: copy(source, MemorySink(MemoryStore({}, {})), CopyRequest(all_platforms=True)),
    ):
        source = Counting(store)
        with pytest.raises(LimitExceededError, match="total size of its manifests and configs"):
            ask(source)
        assert sum(source.fetched[Digest.of(one)] for one in inner) <= 4


def shared(count: int, *, labels: bool = False) -> Counting:
    """An index of *count* images with one config and one layer between them; with *labels*, a config for each."""
    base = an_image().tar_layer({"k": b"kernel"}, compression="gzip")
    images = [
        base.platform("linux/amd64").label(LABEL + "kernel", "/k").label("n", str(number) if labels else "0")
        for number in range(count)
    ]
    distinct = [image if labels else image.annotation("n", str(number)) for number, image in enumerate(images)]
    return Counting(an_index(*distinct).build().store)


def test_verify_reads_a_config_once_for_all_images() -> None:
    source = shared(MANY)

    report = verify_image(source)

    assert report.ok
    assert report.images == MANY
    assert source.fetched[load_image(source.__class__(source.store), None).manifest.config.digest] == 1


def test_verify_reads_a_layer_without_names_that_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [
        an_image().config_field("config", {"Cmd": ["x"]}).tar_layer({"k": b"k"}).annotation("n", str(n))
        for n in range(9)
    ]
    source = Counting(an_index(*images).build().store)

    assert verify_image(source).images == 9
    assert source.fetched[images[0].layers[0][0].digest] == 1


def test_a_layer_that_is_damaged_is_read_once_and_told_for_each_image() -> None:
    images = [
        an_image().layer(media_types.OCI_LAYER, b"no tar " * 200).label(LABEL + "kernel", "/k").annotation("n", str(n))
        for n in range(9)
    ]
    source = Counting(an_index(*images).build().store)

    report = verify_image(source)

    assert source.fetched[images[0].layers[0][0].digest] == 1
    assert len([finding for finding in report.problems if finding.subject.startswith("layer")]) == 9


def test_what_is_read_again_for_other_images_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eci_convert.operations.verify.layer_check._MAX_REPEATED", 50_000)
    monkeypatch.setattr("eci_convert.operations.verify.layer_check._MAX_RATIO", 1)
    source = shared(MANY, labels=True)

    report = verify_image(source)

    assert any(isinstance(finding.error, LimitExceededError) for finding in report.problems)
    assert max(source.fetched.values()) < MANY
    seen, layer = Repeats("x"), Descriptor.of(b"layer", media_types.OCI_LAYER)
    seen.begin(layer)
    seen.end(layer, 30_000)
    seen.begin(layer)
    with pytest.raises(LimitExceededError, match="too many images"):
        seen.begin(layer)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_layer_of_a_saved_image_is_measured_once_however_often_it_is_named(
    compress: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = a_tar({"k": b"kernel"})
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(archive))] * MANY},
        }
    ).encode()
    names = [f"{n}/layer.tar" for n in range(MANY)]
    with tarfile.open(tmp_path / "x.tar", "w") as out:
        contents = json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": names}]).encode()
        for name, data in (("c.json", config), ("l", compress(archive)), ("manifest.json", contents)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
        for name in names:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.LNKTYPE, "l"
            out.addfile(link)
    measured: list[codec.Compression | None] = []
    original = codec.decompressed

    def measuring(chunks: Iterable[bytes], compression: codec.Compression | None) -> Iterator[bytes]:
        measured.append(compression)
        return original(chunks, compression)

    monkeypatch.setattr(docker_archive_source, "decompressed", measuring)

    with open_source(f"docker-archive:{tmp_path}/x.tar", Settings()) as source:
        image = load_image(source)

    assert len(measured) == 1
    assert [layer.size for layer in image.manifest.layers] == [len(archive)] * MANY


FLOODS = {
    "PAX": pax(*(("a", "b"),) * 2000) + block(),
    "PAX, many headers": pax(("a", "b")) * 16 + block(),
    "global": pax(*(("a", "b"),) * 2000, flag=b"g") + block(),
    "long names": extension(b"L", b"n" * 10_000) + block(),
    "long links": extension(b"K", b"n" * 10_000) + block(flag=b"2"),
    "PAX sparse map": pax(
        ("GNU.sparse.major", "0"),
        ("GNU.sparse.minor", "1"),
        ("GNU.sparse.size", "0"),
        ("GNU.sparse.map", "0,0," * 999 + "0,0"),
    )
    + block(),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_every_reader_of_an_archive_counts_extension_headers(flood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_input, "MAX_EXTENSIONS", 100_000)
    honest = b"".join(pax(("path", f"{n}" + "x" * 120)) + block() for n in range(100))

    assert sum(1 for _ in entries([honest + END])) == 100
    with pytest.raises(LimitExceededError, match="extension headers"):
        list(entries([FLOODS[flood] * 200 + END]))


def test_archives_can_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_input, "MAX_EXTENSIONS", 100_000)
    budget, archive = ExtensionBudget(), FLOODS["PAX"] + END

    list(entries([archive], budget=budget))
    with pytest.raises(LimitExceededError, match="bytes of extension headers"):
        list(entries([archive], budget=budget))
    list(entries([archive]))


@pytest.mark.parametrize("place", ["oci-archive:{}/a.tar", "docker-archive:{}/a.tar"])
def test_an_archive_of_images_is_read_within_it(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_input, "MAX_EXTENSIONS", 100_000)
    (tmp_path / "a.tar").write_bytes(FLOODS["PAX"] * 9 + END)

    with (
        open_source(place.format(tmp_path), Settings()) as source,
        pytest.raises(LimitExceededError, match="extension"),
    ):
        source.resolve()


def test_all_layers_that_go_into_a_store_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_input, "MAX_EXTENSIONS", 200_000)
    image = an_image()
    for number in range(4):
        image = image.tar_layer(FLOODS["PAX"] + file(b"%d" % number, b"x") + END, compression="gzip")
    sink = open_sink(f"containers-storage:[vfs@{tmp_path}/root+{tmp_path}/run]x", Settings(reporter=NULL_REPORTER))

    with pytest.raises(LimitExceededError, match="extension"):
        copied(image.build(), sink)


def test_all_images_that_are_verified_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_input, "MAX_EXTENSIONS", 200_000)
    images = [
        an_image().platform("linux/amd64").tar_layer(FLOODS["PAX"] + file(b"%d" % number, b"x") + END)
        for number in range(4)
    ]

    assert any(
        isinstance(found.error, LimitExceededError) for found in verify_image(an_index(*images).build()).problems
    )
    assert not any(isinstance(found.error, LimitExceededError) for found in verify_image(images[0].build()).problems)
