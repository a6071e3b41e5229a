"""Parts become an image, wherever they lie; nothing is sent twice, and nothing is named before it is known good."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert import dialects
from eci_convert.compression.codec import Codec
from eci_convert.dialects import writer
from eci_convert.dialects.blueprint import Blueprint, WriteOptions
from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    FormatError,
    LimitExceededError,
    LocalError,
    MissingPartError,
    NotFoundError,
    UsageError,
)
from eci_convert.model import (
    Artifact,
    Blob,
    DiskType,
    LocalFile,
    Locator,
    Part,
    RemoteBlob,
    Role,
    RootfsFile,
)
from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import MAX_LAYERS, Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.options import TransferOptions
from eci_convert.pack.image import ImageOrigin, Packing, pack, pack_all
from eci_convert.reading.images import load_image
from eci_convert.transports.base import SinkCapabilities
from eci_convert.transports.layout.index import add_image
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.images import LABEL, Link, a_container, a_machine, an_image
from tests.support.machines import PLAIN, TERMS, a_whole_machine, contents, image, part, written
from tests.support.memory_stores import HasEverything

GZIP = Codec.parse("gzip")
_ANYTHING = SinkCapabilities()
SLOW = SinkCapabilities(prefers_compressed=True)


class Counting(MemorySink):
    """A sink that tells what it was given."""

    def __init__(self, store: MemoryStore, *, capabilities: SinkCapabilities = _ANYTHING) -> None:
        super().__init__(store, capabilities=capabilities)
        self.given: list[str] = []

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        self.given.append(media_type)
        return super().put(media_type, chunks, digest=digest, size=size)


def blueprint(artifact: Artifact, format: str = "legacy", terms: WriteOptions = TERMS) -> Blueprint:
    return writer(format)(artifact, terms)


def a_file(path: Path, content: bytes = b"kernel", role: Role = Role.KERNEL) -> Part:
    path.write_bytes(content)
    disk_type = DiskType.RAW if role is Role.ROOT_DISK else None
    return part(role, path.name, LocalFile(path=path), disk_type)


def one(each: Part) -> Artifact:
    return Artifact(parts=(each,))


@pytest.mark.parametrize("codec", ["none", "gzip", "gzip:9", "zstd"])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, (1 << 20) - 512, 1 << 20, (3 << 20) + 7])
def test_a_file_makes_the_same_layer_as_the_same_bytes_in_memory(tmp_path: Path, codec: str, size: int) -> None:
    file = os.urandom(size // 2) + bytes(size - size // 2)
    near, _ = written(one(a_file(tmp_path / "r", file, Role.ROOT_DISK)), "legacy", codec=Codec.parse(codec))
    far, _ = written(one(part(Role.ROOT_DISK, "r", file, DiskType.RAW)), "legacy", codec=Codec.parse(codec))

    assert image(near).manifest == image(far).manifest
    assert contents(near, dialects.read(image(near))[1]) == {(Role.ROOT_DISK, None, ""): file}


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_a_file_that_changes_while_it_is_read_is_refused_and_nothing_is_named(
    tmp_path: Path, format: str, codec: str
) -> None:
    path = tmp_path / "root"
    machine = one(a_file(path, os.urandom(16 << 20), Role.ROOT_DISK))

    class Meddling(MemorySink):
        def put(
            self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
        ) -> Descriptor:
            rest = iter(chunks)
            first = next(rest)
            with path.open("r+b") as file:
                file.write(b"meddled")
            os.utime(path, ns=(1, 1))
            return super().put(media_type, [first, *rest], digest=digest, size=size)

    sink = Meddling(MemoryStore())
    with pytest.raises(LocalError, match="changed while it was read"):
        pack(blueprint(machine, format), sink, codec=Codec.parse(codec))

    assert not sink.store.names


def test_a_file_that_is_not_there_or_is_none_is_an_error_that_names_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, error in [("missing", NotFoundError), ("fifo", LocalError), ("", LocalError)]:
        machine = one(part(Role.KERNEL, "", LocalFile(path=tmp_path / name)))
        with pytest.raises(error, match=str(tmp_path / name)):
            pack(blueprint(machine), MemorySink(MemoryStore()), codec=PLAIN)
    with pytest.raises(LocalError, match="/dev/null"):
        pack(
            blueprint(one(part(Role.KERNEL, "", LocalFile(path=Path("/dev/null"))))),
            MemorySink(MemoryStore()),
            codec=PLAIN,
        )


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_blobs_come_first_then_config_manifest_and_the_name(format: str, concurrency: int) -> None:
    sink = Counting(MemoryStore())

    packed = pack(
        blueprint(a_whole_machine(), format), sink, codec=PLAIN, options=TransferOptions(concurrency=concurrency)
    )

    assert sink.given[-1] == "application/vnd.oci.image.manifest.v1+json"
    assert sink.store.names == {"image": packed.descriptor}
    assert packed.bytes_sent == sum(map(len, sink.store.blobs.values()))
    assert packed.bytes_reused == 0


@pytest.mark.parametrize("format", ["artifacts", "ironcore", "unikraft", "kubevirt"])
def test_a_place_for_containers_alone_refuses_before_the_first_byte(format: str) -> None:
    machine = Artifact(parts=(part(Role.KERNEL, "", b"k"),))
    if format == "kubevirt":
        machine = one(part(Role.ROOT_DISK, "r", b"r", DiskType.RAW))
    sink = Counting(MemoryStore(), capabilities=SinkCapabilities(artifacts=False, indexes=False))

    with pytest.raises(CannotHoldError, match="memory:image") as caught:
        pack(blueprint(machine, format), sink, codec=PLAIN)

    assert not sink.given
    assert any("--format legacy" in note for note in caught.value.__notes__)


def test_layers_are_not_compressed_where_that_is_lost_work() -> None:
    store = MemoryStore()
    pack(
        blueprint(a_whole_machine()),
        MemorySink(store, capabilities=SinkCapabilities(stores_uncompressed=True)),
        codec=GZIP,
    )

    found = image(MemorySource(store))

    assert {layer.media_type for layer in found.manifest.layers} == {"application/vnd.oci.image.layer.v1.tar"}
    assert [layer.digest for layer in found.manifest.layers] == list(found.config.diff_ids)


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
def test_a_second_run_sends_no_blob(tmp_path: Path, format: str) -> None:
    machine = Artifact(
        parts=(a_file(tmp_path / "k"), a_file(tmp_path / "r", bytes(1 << 20), Role.ROOT_DISK)), command_line="quiet"
    )
    store = MemoryStore()
    first = pack(blueprint(machine, format), MemorySink(store), codec=GZIP)
    sink = Counting(store)

    second = pack(blueprint(machine, format), sink, codec=GZIP, existing=image(MemorySource(store)))

    assert sink.given == ["application/vnd.oci.image.manifest.v1+json"]
    assert second.descriptor == first.descriptor
    assert second.bytes_reused + second.bytes_sent == first.bytes_sent


def test_a_layer_is_reused_only_as_what_it_is(tmp_path: Path) -> None:
    machine = one(a_file(tmp_path / "k"))
    store = MemoryStore()
    pack(blueprint(machine), MemorySink(store), codec=GZIP)
    before = image(MemorySource(store))

    other_codec = pack(blueprint(machine), MemorySink(store), codec=Codec.parse("zstd"), existing=before)
    store.blobs.pop(before.manifest.layers[0].digest)
    gone = pack(blueprint(machine), MemorySink(store), codec=GZIP, existing=before)

    assert other_codec.manifest.layers[0].media_type.endswith("+zstd")  # type: ignore[union-attr]
    assert other_codec.manifest.layers[0].digest != before.manifest.layers[0].digest  # type: ignore[union-attr]
    assert gone.manifest.layers[0].digest in store.blobs  # type: ignore[union-attr]


def test_where_sending_is_slow_a_hash_finds_blobs_that_another_image_brought(tmp_path: Path) -> None:
    machine = one(a_file(tmp_path / "r", b"disk" * 1000, Role.ROOT_DISK))
    store = MemoryStore({Digest.of(b"disk" * 1000): b"disk" * 1000})

    blind = pack(blueprint(machine, "artifacts"), MemorySink(store), codec=PLAIN)
    probing = pack(blueprint(machine, "artifacts"), MemorySink(store, capabilities=SLOW), codec=PLAIN)

    assert (blind.bytes_reused, probing.bytes_reused >= 4000) == (0, True)


def test_a_rehearsal_says_what_would_be_sent_and_sends_nothing(tmp_path: Path) -> None:
    machine = one(a_file(tmp_path / "r", bytes(3 << 20), Role.ROOT_DISK))
    store = MemoryStore()

    said = pack(blueprint(machine), MemorySink(store), codec=GZIP, options=TransferOptions(dry_run=True))
    assert not store.blobs
    assert not store.names
    done = pack(blueprint(machine), MemorySink(store), codec=GZIP)

    assert said == done


def test_parts_that_are_known_by_their_digest_need_a_place_that_has_them() -> None:
    known = RemoteBlob(digest=Digest.of(b"kernel"), size=6)
    machine = one(part(Role.KERNEL, "", known))

    with pytest.raises(MissingPartError, match="has no blob"):
        pack(blueprint(machine, "artifacts"), MemorySink(MemoryStore()), codec=PLAIN)
    with pytest.raises(MissingPartError, match="wraps its bytes"):
        pack(blueprint(machine, "legacy"), HasEverything(), codec=PLAIN)
    store = MemoryStore({known.digest: b"kernel"})
    packed = pack(blueprint(machine, "artifacts"), MemorySink(store), codec=PLAIN)

    assert packed.manifest.layers[0].digest == known.digest  # type: ignore[union-attr]
    assert packed.bytes_reused == 6


def test_several_images_go_under_one_name_and_have_none_of_their_own() -> None:
    store = MemoryStore()
    platforms = [Platform(os="linux", architecture=each) for each in ("amd64", "arm64")]
    machine = Artifact(parts=(part(Role.KERNEL, "", b"k"),))
    images = [
        Packing(blueprint=blueprint(machine, "unikraft", WriteOptions(platform=each, name="x/y:1")))
        for each in platforms
    ]
    sink = MemorySink(store)

    packed = pack_all(images, sink, codec=PLAIN)

    for each in platforms:
        wanted = Platform(os="qemu", architecture={"amd64": "x86_64"}.get(each.architecture, each.architecture))
        found = load_image(MemorySource(store), wanted)
        assert found.descriptor.annotations["org.unikraft.image.name"] == "x/y"
    assert store.names == {"image": packed.descriptor}
    assert packed.bytes_sent + packed.bytes_reused >= sum(map(len, store.blobs.values()))


def repacked(
    source: MemorySource, machine: Artifact | None = None, format: str = "legacy", codec: Codec = PLAIN
) -> MemoryStore:
    store = MemoryStore()
    pack(
        blueprint(machine or dialects.read(image(source))[1], format),
        MemorySink(store),
        codec=codec,
        origin=ImageOrigin(source=source, image=image(source)),
    )
    return store


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_files_of_another_images_filesystem_pass_into_this_one(compression: str) -> None:
    source = a_container(compression).build()

    store = repacked(source)
    found = dialects.read(image(MemorySource(store)))[1]

    assert contents(MemorySource(store), found) == {
        (Role.KERNEL, None, ""): b"kernel",
        (Role.INITRD, None, ""): b"initrd",
        (Role.ROOT_DISK, None, ""): b"root" * 300,
    }


def test_blobs_that_are_there_are_not_sent_and_not_read() -> None:
    source = a_machine().build()
    store = MemoryStore(dict(source.blobs))
    source.store.blobs = {
        digest: blob for digest, blob in source.blobs.items() if blob not in (b"kernel", b"initrd", b"root" * 300)
    }
    sink = Counting(store)

    machine = dialects.read(image(source))[1]
    pack(blueprint(machine, "artifacts"), sink, codec=PLAIN, origin=ImageOrigin(source=source, image=image(source)))

    assert not [each for each in sink.given if "lfedge" in each]


def test_each_blob_of_the_other_image_is_read_once() -> None:
    source = (
        an_image()
        .tar_layer({"k": b"kernel", "i": b"initrd", "d": b"disk" * 1000})
        .label(f"{LABEL}kernel", "/k")
        .label(f"{LABEL}initrd", "/i")
        .label(f"{LABEL}root", "/d")
        .build()
    )
    [layer] = image(source).manifest.layers
    fetched: list[Digest] = []

    class Watched(MemorySource):
        def fetch(self, blob: Descriptor, skip: int = 0):  # type: ignore[no-untyped-def]
            fetched.append(blob.digest)
            return super().fetch(blob, skip)

    repacked(Watched(source.store))

    assert fetched.count(layer.digest) == 1


def test_one_file_under_two_names_becomes_two_parts() -> None:
    source = (
        an_image()
        .tar_layer({"k": b"kernel", "i": Link("k")})
        .label(f"{LABEL}kernel", "/k")
        .label(f"{LABEL}initrd", "/i")
        .build()
    )

    for each in ("legacy", "artifacts"):
        store = repacked(source, format=each)
        found = dialects.read(image(MemorySource(store)))[1]

        assert contents(MemorySource(store), found) == {
            (Role.KERNEL, None, ""): b"kernel",
            (Role.INITRD, None, ""): b"kernel",
        }


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
def test_bytes_that_are_not_the_promised_ones_get_no_name(format: str) -> None:
    source = a_machine().build()
    source.blobs[Digest.of(b"kernel")] = b"lenrek"
    sink = MemorySink(MemoryStore())
    machine = dialects.read(image(source))[1]

    with pytest.raises(DigestMismatchError):
        pack(blueprint(machine, format), sink, codec=PLAIN, origin=ImageOrigin(source=source, image=image(source)))

    assert not sink.store.names


def test_a_layer_that_goes_on_wrongly_behind_the_wanted_file_gets_no_name() -> None:
    source = an_image().tar_layer({"k": b"kernel", "z": bytes(5 << 20)}).label(f"{LABEL}kernel", "/k").build()
    [layer] = image(source).manifest.layers
    spoilt = bytearray(source.blobs[layer.digest])
    spoilt[-3000] = 1
    source.blobs[layer.digest] = bytes(spoilt)
    sink = MemorySink(MemoryStore())

    with pytest.raises(DigestMismatchError):
        pack(
            blueprint(dialects.read(image(source))[1]),
            sink,
            codec=PLAIN,
            origin=ImageOrigin(source=source, image=image(source)),
        )

    assert not sink.store.names


def test_a_disk_that_is_not_as_long_as_it_says_is_refused() -> None:
    machine = one(part(Role.ROOT_DISK, "r.raw", b"raw disk", DiskType.RAW))
    source, _ = written(machine, "kubevirt")
    found = dialects.read(image(source))[1]
    for size in (7, 9):
        lying = one(part(Role.ROOT_DISK, "r.raw", _sized(found.parts[0].locator, size), DiskType.RAW))
        with pytest.raises(FormatError, match="than"):
            repacked(source, lying)
    silent = one(part(Role.ROOT_DISK, "r.raw", _sized(found.parts[0].locator, None), DiskType.RAW))

    store = repacked(source, silent)

    assert contents(MemorySource(store), dialects.read(image(MemorySource(store)))[1]) == {
        (Role.ROOT_DISK, None, ""): b"raw disk"
    }


def _sized(locator: Locator, size: int | None) -> Locator:
    from dataclasses import replace

    assert isinstance(locator, Blob)
    return replace(locator, size=size)


def test_a_file_that_the_image_has_not_is_missing() -> None:
    source = a_container().build()

    with pytest.raises(MissingPartError):
        repacked(source, one(part(Role.KERNEL, "", RootfsFile(path="/nowhere"))))


def test_parts_of_an_image_need_the_image() -> None:
    machine = dialects.read(image(a_machine().build()))[1]

    with pytest.raises(UsageError, match="need the image that they are in"):
        pack(blueprint(machine), MemorySink(MemoryStore()), codec=PLAIN)


def test_progress_is_told_of_every_file(tmp_path: Path) -> None:
    class Remembering:
        def __init__(self) -> None:
            self.events: dict[str, list[int]] = {}
            self.ended: list[str] = []

        def started(self, task: str, total: int | None) -> None:
            self.events[task] = [total or 0, 0]

        def advanced(self, task: str, count: int) -> None:
            self.events[task][1] += count

        def finished(self, task: str) -> None:
            self.ended.append(task)

        def warned(self, message: str) -> None: ...

    machine = Artifact(parts=(a_file(tmp_path / "k"), a_file(tmp_path / "r", bytes(3 << 20), Role.ROOT_DISK)))
    for each in ("artifacts", "legacy"):
        reporter = Remembering()
        pack(
            blueprint(machine, each), MemorySink(MemoryStore()), codec=GZIP, options=TransferOptions(reporter=reporter)
        )

        assert set(reporter.ended) == set(reporter.events) == {"kernel", "disk-root-r"}
        assert all(done <= total for total, done in reporter.events.values())


# One file as several parts, and limits


def several(path: Path, *others: Path) -> Artifact:
    roles = (Role.KERNEL, Role.INITRD, Role.ROOT_DISK, Role.EXTRA_DISK)
    paths = [path, *others, path, path, path][: len(roles)]
    parts = []
    for index, (role, where) in enumerate(zip(roles, paths, strict=True)):
        disk_type = DiskType.RAW if index > 1 else None
        number = 0 if role is Role.EXTRA_DISK else None
        parts.append(part(role, f"part{index}", LocalFile(path=where), disk_type, number))
    return Artifact(parts=tuple(parts))


@pytest.mark.parametrize("format", ["artifacts", "ironcore"])
@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_one_file_as_several_parts_is_read_and_sent_once(
    tmp_path: Path, format: str, probe: bool, concurrency: int
) -> None:
    (tmp_path / "same").write_bytes(b"same" * 100_000)
    (tmp_path / "link").symlink_to("same")
    os.link(tmp_path / "same", tmp_path / "hard")
    names = ["link", "hard"]
    machine = several(tmp_path / "same", *(tmp_path / name for name in names))
    if format == "ironcore":
        machine = Artifact(parts=machine.parts[:3])
    sink = Counting(MemoryStore(), capabilities=SinkCapabilities(prefers_compressed=probe))

    packed = pack(blueprint(machine, format), sink, codec=PLAIN, options=TransferOptions(concurrency=concurrency))

    blobs = [kind for kind in sink.given if "json" not in kind]
    assert len(blobs) == 1
    digest = Digest.of(b"same" * 100_000)
    assert isinstance(packed.manifest, Manifest)
    layers = [layer for layer in packed.manifest.layers if layer.digest == digest]
    assert len(layers) == len(machine.parts)
    assert len({layer.media_type for layer in layers}) > 1
    assert packed.bytes_reused >= 400_000 * (len(machine.parts) - 1)


def test_files_with_the_same_bytes_are_sent_once_where_they_are_hashed_first(tmp_path: Path) -> None:
    parts = [a_file(tmp_path / "a", b"same" * 1000), a_file(tmp_path / "b", b"same" * 1000, Role.INITRD)]
    sink = Counting(MemoryStore(), capabilities=SLOW)
    pack(
        blueprint(Artifact(parts=tuple(parts)), "artifacts"), sink, codec=PLAIN, options=TransferOptions(concurrency=4)
    )
    assert len([kind for kind in sink.given if "json" not in kind]) == 1


def test_a_file_that_fails_fails_for_all_its_parts(tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(b"same" * 1000)

    class Failing(MemorySink):
        def put(
            self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
        ) -> Descriptor:
            raise LocalError("no room")

    with pytest.raises(LocalError, match="no room"):
        pack(
            blueprint(several(tmp_path / "same"), "artifacts"),
            Failing(MemoryStore(), capabilities=SLOW),
            codec=PLAIN,
            options=TransferOptions(concurrency=4),
        )


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
def test_an_image_of_more_layers_than_can_be_read_is_refused_before_the_first_byte(format: str) -> None:
    parts = tuple(part(Role.EXTRA_DISK, f"disk{n}", b"disk", DiskType.RAW, n) for n in range(MAX_LAYERS + 1))
    sink = Counting(MemoryStore())
    with pytest.raises(CannotHoldError, match=str(MAX_LAYERS)):
        pack(blueprint(Artifact(parts=parts), format), sink, codec=PLAIN)
    assert sink.given == []


def test_a_document_that_is_too_long_to_be_read_is_not_named() -> None:
    terms = replace(TERMS, annotations={"x": "y" * json_fields.MAX_DOCUMENT})
    sink = MemorySink(MemoryStore())
    with pytest.raises(LimitExceededError, match="a document of 4195015 bytes"):
        pack(blueprint(one(part(Role.KERNEL, "kernel", b"kernel")), "artifacts", terms), sink, codec=PLAIN)
    assert sink.store.names == {}


def test_a_layout_of_more_images_than_can_be_read_is_not_written() -> None:
    text: bytes | None = None
    entries = [{"mediaType": "a/b", "digest": str(Digest.of(str(n).encode())), "size": 1} for n in range(MAX_LAYERS)]
    text = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    with pytest.raises(LimitExceededError, match=str(MAX_LAYERS + 1)):
        add_image(text, Descriptor(media_type="a/b", digest=Digest.of(b"new"), size=3), "new")
