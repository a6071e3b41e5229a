"""Stages together make a layer of a file: its digests are those of what went by, its bytes its content's alone."""

import os
import tarfile
import threading
from io import BytesIO

import pytest

from eci_convert.errors import LocalError
from eci_convert.oci.digest import Digest
from eci_convert.streams.compress import Codec, compressed, decompressed
from eci_convert.streams.holes import file_chunks
from eci_convert.streams.measure import Measured
from eci_convert.streams.tar import TarMember, archive_size, archived, header
from tests.streams.pieces import noise, text

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
        chunks = file_chunks(file.fileno(), lead=len(header(member)) if led else 0)
        archive = Measured(archived([(member, chunks)]), threaded=True)
        blob = Measured(compressed(archive, Codec.parse(codec), threads=threads))
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
def test_holes_and_zeros_and_any_cut_and_number_of_threads_make_the_same_layer(disk, codec):
    blobs = {
        packed(path, codec, threads, led=led)[0] for path in disk[:2] for threads in (1, 2, 5, None) for led in (0, 1)
    }

    assert len(blobs) == 1


def test_no_thread_outlives_a_layer_that_is_left():
    before = threading.active_count()
    archive = Measured((noise(MIB) for _ in range(1000)), threaded=True)
    layer = compressed(archive, Codec.parse("gzip"))
    next(layer), next(layer)

    layer.close()
    del archive

    assert threading.active_count() == before


@THREADED
def test_measured_passes_everything_on_and_knows_it(threaded):
    stage = Measured([b"ker", b"", b"nel"], threaded=threaded, behind=2)

    assert list(stage) == [b"ker", b"", b"nel"]
    assert (stage.size, stage.digest) == (6, Digest.of(b"kernel"))


@THREADED
def test_nothing_is_known_before_everything_has_gone_by(threaded):
    stage = Measured([b"ker", b"nel"], threaded=threaded)
    chunks = iter(stage)
    next(chunks), next(chunks)

    with pytest.raises(ValueError, match="not everything"):
        _ = stage.digest
    assert list(chunks) == []
    assert stage.digest == Digest.of(b"kernel")


@THREADED
def test_measured_passes_on_what_its_source_raises(threaded):
    def failing():
        yield b"ker"
        raise LocalError("gone")

    stage = Measured(failing(), threaded=threaded)
    with pytest.raises(LocalError, match="gone"):
        list(stage)
    with pytest.raises(ValueError, match="not everything"):
        _ = stage.digest
