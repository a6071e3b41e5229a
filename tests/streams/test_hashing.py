"""Stages together make a layer of a file: its digests are those of what went by, its bytes its content's alone."""

import os
import tarfile
import threading
import time
from io import BytesIO

import pytest

from eci_convert.compression.codec import Codec, compressed, decompressed
from eci_convert.errors import LocalError
from eci_convert.files.sparse import file_chunks
from eci_convert.oci.digest import Digest
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.streams.hashing import HashingStream
from eci_convert.tar import TarMember, archive_size, archived, member_header
from tests.support.chunking import noise, text

MIB = 1 << 20
CODECS = pytest.mark.parametrize("codec", ["none", "gzip", "gzip:6", "zstd"])
THREADED = pytest.mark.parametrize("threaded", [False, True])


@pytest.fixture
def disk(tmp_path):
    """A file with data, holes, data that does not compress, and a hole at its end; in the holes' place, then zeros."""
    sparse, dense = tmp_path / "sparse.raw", tmp_path / "dense.raw"
    content = text(MIB + 4096) + bytes(4 * MIB) + noise(MIB // 2) + bytes(3 * MIB + 77)
    dense.write_bytes(content)
    with sparse.open("wb") as file:
        file.write(content[: MIB + 4096])
        os.pwrite(file.fileno(), noise(MIB // 2), 5 * MIB + 4096)
        os.truncate(file.fileno(), len(content))
    return sparse, dense, content


def packed(path, codec, threads=None, *, led=True):
    """The blob, and what was measured of it and of its archive."""
    with path.open("rb") as file:
        member = TarMember(name="disk-root-root.raw", size=path.stat().st_size)
        chunks = file_chunks(file.fileno(), lead=len(member_header(member)) if led else 0)
        archive = HashingStream(archived([(member, chunks)]), threaded=True)
        blob = HashingStream(compressed(archive, Codec.parse(codec), threads=threads))
        return b"".join(blob), blob, archive


@CODECS
def test_the_digests_are_those_of_the_blob_and_of_the_archive(disk, codec):
    blob, of_blob, of_archive = packed(disk[0], codec)
    archive = b"".join(decompressed([blob], Codec.parse(codec).compression))

    assert (of_blob.digest, of_blob.size) == (Digest.of(blob), len(blob))
    assert (of_archive.digest, of_archive.size) == (Digest.of(archive), len(archive))
    assert of_archive.size == archive_size([TarMember(name="disk-root-root.raw", size=len(disk[2]))])
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        assert tar.getnames() == ["disk-root-root.raw"]
        assert tar.extractfile("disk-root-root.raw").read() == disk[2]


@CODECS
@pytest.mark.parametrize("which", [0, 1])
def test_a_hash_that_reads_the_file_itself_is_the_same(disk, codec, which):
    expected, _, archive = packed(disk[which], codec)
    member = TarMember(name="disk-root-root.raw", size=len(disk[2]))
    with disk[which].open("rb") as file:
        lead = len(member_header(member))
        once, again = (archived([(member, file_chunks(file.fileno(), lead=lead))]) for _ in range(2))
        apart = HashingStream(once, again=again)
        assert b"".join(compressed(apart, Codec.parse(codec))) == expected
    assert (apart.digest, apart.size) == (archive.digest, archive.size)


def test_a_hash_that_reads_the_file_itself_does_not_run_away_from_the_reader(monkeypatch):
    monkeypatch.setattr("eci_convert.streams.hashing._AHEAD", 4 * MIB)
    hashed = 0
    reader: list[threading.Thread] = []

    def again():
        nonlocal hashed
        reader.append(threading.current_thread())
        for _ in range(64):
            hashed += 1
            yield from (noise(MIB), ZERO_BLOCK)

    apart = iter(HashingStream((noise(MIB) for _ in range(64)), again=again()))
    next(apart), next(apart)
    time.sleep(0.2)
    assert hashed <= 8
    apart.close()
    reader[0].join(60)
    assert not reader[0].is_alive()


def test_what_the_hash_cannot_read_is_an_error():
    def again():
        yield b"x"
        raise LocalError("has changed")

    with pytest.raises(LocalError, match="has changed"):
        list(HashingStream([b"x", b"y"], again=again()))


@CODECS
def test_holes_and_zeros_and_any_cut_and_number_of_threads_make_the_same_layer(disk, codec):
    blobs = {
        packed(path, codec, threads, led=led)[0] for path in disk[:2] for threads in (1, 2, 5, None) for led in (0, 1)
    }

    assert len(blobs) == 1


def test_no_thread_outlives_a_layer_that_is_left():
    before = threading.active_count()
    archive = HashingStream((noise(MIB) for _ in range(1000)), threaded=True)
    layer = compressed(archive, Codec.parse("gzip"))
    next(layer), next(layer)

    layer.close()
    del archive

    assert threading.active_count() <= before


@THREADED
def test_measured_passes_everything_on_and_knows_it(threaded):
    stage = HashingStream([b"ker", b"", b"nel"], threaded=threaded, behind=2)

    assert list(stage) == [b"ker", b"", b"nel"]
    assert (stage.size, stage.digest) == (6, Digest.of(b"kernel"))


@THREADED
def test_nothing_is_known_before_everything_has_gone_by(threaded):
    stage = HashingStream([b"ker", b"nel"], threaded=threaded)
    chunks = iter(stage)
    next(chunks), next(chunks)

    with pytest.raises(ValueError, match="not read to its end"):
        _ = stage.digest
    assert list(chunks) == []
    assert stage.digest == Digest.of(b"kernel")


@THREADED
def test_measured_passes_on_what_its_source_raises(threaded):
    def failing():
        yield b"ker"
        raise LocalError("gone")

    stage = HashingStream(failing(), threaded=threaded)
    with pytest.raises(LocalError, match="gone"):
        list(stage)
    with pytest.raises(ValueError, match="not read to its end"):
        _ = stage.digest
