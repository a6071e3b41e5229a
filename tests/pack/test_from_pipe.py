"""Parts that come through pipes: read once, in order, after everything else; what is lost or too long ends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from eci_convert.compression.codec import Codec
from eci_convert.dialects import writer
from eci_convert.errors import LimitExceededError, NotFoundError, UploadLostError, UsageError
from eci_convert.model import Artifact, DiskType, LocalFile, Locator, Part, Pipe, Role
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.options import TransferOptions
from eci_convert.pack.image import pack
from eci_convert.streams.blocks import PeekableStream
from eci_convert.streams.repeatable import is_repeatable, is_single_pass
from eci_convert.transports.base import SinkCapabilities
from eci_convert.transports.layout.directory import open_sink
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from eci_convert.transports.settings import Settings
from tests.support.images import files_in
from tests.support.machines import PLAIN, TERMS, image, part
from tests.support.memory_stores import HasEverything
from tests.support.reporters import Noting

MIB = 1 << 20


def a_pipe(chunks: Iterable[bytes], label: str = "-") -> Pipe:
    return Pipe(stream=PeekableStream(chunks), label=label, name="standard input" if label == "-" else label)


def a_kernel(file: Locator) -> Part:
    return part(Role.KERNEL, "kernel", file)


def a_disk(file: Locator, disk_type: DiskType | None = DiskType.RAW) -> Part:
    return part(Role.ROOT_DISK, "root", file, disk_type)


def packed(sink: MemorySink, *parts: Part, format: str = "artifacts", codec: Codec = PLAIN) -> None:
    pack(writer(format)(Artifact(parts=parts), TERMS), sink, codec=codec)


class Heard(MemorySink):
    """A sink that keeps what it was told of each blob, and what it could know of the stream."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), capabilities=SinkCapabilities(prefers_compressed=True))
        self.heard: list[tuple[str, bool, bool, bool]] = []

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        known = digest is not None or size is not None
        self.heard.append((media_type, known, is_single_pass(chunks), is_repeatable(chunks)))
        return super().put(media_type, chunks, digest=digest, size=size)


def test_a_sink_is_told_that_nobody_can_read_it_again() -> None:
    sink = Heard()

    packed(sink, a_disk(a_pipe([b"disk"])))

    assert sink.heard[0][1:] == (False, True, False)
    assert all(single is False for _, _, single, _ in sink.heard[1:])


@pytest.mark.parametrize("format", ["ironcore", "onmetal", "artifacts"])
def test_pipes_are_read_in_the_order_of_the_parts_whatever_the_format(format: str) -> None:
    """A program that fills several of them fills one after the other, and cannot know the order of the layers."""
    read: list[str] = []

    def noted(name: str) -> Iterator[bytes]:
        for _ in range(3):
            read.append(name)
            yield name.encode()

    parts = (
        a_kernel(a_pipe(noted("kernel"), "k")),
        part(Role.INITRD, "initrd", a_pipe(noted("initrd"), "i")),
        a_disk(a_pipe(noted("root"), "r")),
    )
    packed(Heard(), *parts, format=format)

    assert read == [name for name in ("kernel", "initrd", "root") for _ in range(3)]


def test_what_fails_otherwise_fails_before_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = a_pipe(pytest.fail("read") for _ in range(1))

    with pytest.raises(NotFoundError):
        packed(Heard(), a_kernel(LocalFile(path=tmp_path / "missing")), a_disk(pipe))


def test_a_blob_that_the_sink_has_is_sent_all_the_same() -> None:
    """Its digest is known at the end."""
    sink = HasEverything()

    packed(sink, a_disk(a_pipe([b"disk"])))

    assert Digest.of(b"disk") in sink.store.blobs


class Losing(MemorySink):
    """Loses a blob after its first bytes."""

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        next(iter(chunks))
        raise UploadLostError("the session has expired")


def test_an_upload_that_is_lost_is_not_begun_again_with_the_rest() -> None:
    sink = Losing(MemoryStore())
    with pytest.raises(UploadLostError, match="expired") as caught:
        packed(sink, a_disk(a_pipe([b"di", b"sk"])))

    assert caught.value.__notes__ == ["hint: standard input cannot be read again: put it into a file, and push that"]
    assert not sink.store.blobs


@pytest.mark.parametrize("format", ["artifacts", "kubevirt"])
def test_a_pipe_that_is_too_long_is_left_at_the_limit(format: str, tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(MIB)

    blueprint = writer(format)(Artifact(parts=(a_disk(a_pipe(endless())),)), TERMS)
    with (
        pytest.raises(LimitExceededError, match="larger than the limit"),
        open_sink(f"{tmp_path}/layout:a", Settings()) as sink,
    ):
        pack(blueprint, sink, codec=PLAIN, options=TransferOptions(max_size=10 * MIB))

    assert taken < 100
    assert files_in(tmp_path) == {}


def test_a_disk_whose_bytes_do_not_tell_is_refused_at_its_end_and_nothing_is_kept(tmp_path: Path) -> None:
    chunks = [bytes(MIB)] * 3
    with pytest.raises(UsageError, match="any type of disk"), open_sink(f"{tmp_path}/layout:a", Settings()) as sink:
        pack(writer("artifacts")(Artifact(parts=(a_disk(a_pipe(chunks), None),)), TERMS), sink, codec=PLAIN)

    assert list(tmp_path.iterdir()) == []


def test_a_sizes_annotation_is_of_what_went_by() -> None:
    sink = MemorySink(MemoryStore())

    packed(sink, a_disk(a_pipe([bytes(MIB)] * 3)), format="kubevirt")

    [layer] = image(MemorySource(sink.store)).manifest.layers
    assert layer.annotations["io.kubevirt.disk.size"] == str(3 * MIB)


def test_a_part_of_an_archive_has_to_be_a_file() -> None:
    with pytest.raises(TypeError, match="spool it first"):
        packed(MemorySink(MemoryStore()), a_disk(a_pipe([b"disk"])), format="legacy")


def test_progress_is_the_bytes_so_far() -> None:
    reporter, blueprint = Noting(), writer("artifacts")(Artifact(parts=(a_disk(a_pipe([b"disk"] * 3)),)), TERMS)

    pack(blueprint, MemorySink(MemoryStore()), codec=PLAIN, options=TransferOptions(reporter=reporter))

    assert (reporter.total, reporter.done, reporter.ended) == (None, 12, 1)


def test_holes_of_a_piped_disk_are_holes_in_a_layout(tmp_path: Path) -> None:
    chunks = [b"begin" + bytes(MIB - 5), *[bytes(MIB)] * 30, bytes(MIB - 3) + b"end"]
    with open_sink(f"{tmp_path}/layout:a", Settings()) as sink:
        pack(writer("artifacts")(Artifact(parts=(a_disk(a_pipe(chunks)),)), TERMS), sink, codec=PLAIN)

    blob = tmp_path / "layout/blobs/sha256" / Digest.of(b"".join(chunks)).hex
    assert blob.stat().st_size == 32 * MIB
    assert blob.stat().st_blocks * 512 < MIB
