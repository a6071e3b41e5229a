"""A layer is one archive with one file; its digests are those of what went by."""

import gzip
import hashlib
import json
import os
import tarfile
import threading
from io import BytesIO
from pathlib import Path

import pytest

from eci_convert.errors import LocalError
from eci_convert.oci.digest import Digest
from eci_convert.streams.compress import Codec, decompressed
from eci_convert.streams.layer import PackedLayer, layer_stream, unchanging
from eci_convert.streams.measure import Measured
from eci_convert.streams.tar import TarMember, archive_size
from tests.streams.pieces import noise, text

VECTORS = Path(__file__).parents[1] / "vectors"
MIB = 1 << 20
CODECS = pytest.mark.parametrize("codec", ["none", "gzip", "gzip:6", "zstd"])


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


def packed(path, codec, threads=None):
    with path.open("rb") as file:
        member = TarMember(name="disk-root-root.raw", size=path.stat().st_size)
        layer = layer_stream(member, file.fileno(), Codec.parse(codec), threads=threads)
        return b"".join(layer), layer


@CODECS
def test_the_digests_are_those_of_the_blob_and_of_the_archive(disk, codec):
    blob, layer = packed(disk[0], codec)
    archive = b"".join(decompressed([blob], Codec.parse(codec).compression))

    assert (layer.digest, layer.compressed_size) == (Digest.of(blob), len(blob))
    assert (layer.diff_id, layer.size) == (Digest.of(archive), len(archive))
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        assert tar.getnames() == ["disk-root-root.raw"]
        assert tar.extractfile("disk-root-root.raw").read() == disk[2]
    assert layer.size == archive_size([TarMember(name="disk-root-root.raw", size=len(disk[2]))])


@CODECS
def test_holes_and_zeros_and_any_number_of_threads_make_the_same_layer(disk, codec):
    blobs = {packed(path, codec, threads)[0] for path in disk[:2] for threads in (1, 2, 5, None)}

    assert len(blobs) == 1


@pytest.mark.parametrize(
    "vector", json.loads((VECTORS / "eci.json").read_text())["layer_tars"], ids=lambda v: v["name"]
)
def test_the_diff_id_is_the_one_that_go_makes(vector, tmp_path):
    path = tmp_path / "part"
    path.write_text(vector["content"])
    with path.open("rb") as file:
        member = TarMember(name=vector["name"], size=len(vector["content"]), mtime=vector["mtime"])
        layer = layer_stream(member, file.fileno(), Codec.parse("gzip"))
        assert hashlib.sha256(gzip.decompress(b"".join(layer))).hexdigest() == layer.diff_id.hex

    assert str(layer.diff_id) == vector["diff_id"]


def test_nothing_is_known_before_everything_has_gone_by(disk):
    with disk[0].open("rb") as file:
        layer = layer_stream(TarMember(name="d", size=len(disk[2])), file.fileno(), Codec.parse("gzip"))
        chunks = iter(layer)
        next(chunks)

        with pytest.raises(ValueError, match="not everything"):
            _ = layer.diff_id
        with pytest.raises(ValueError, match="not everything"):
            _ = layer.digest
        chunks.close()


@CODECS
@pytest.mark.parametrize("change", ["write", "grow", "shrink", "touch"])
def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path, codec, change):
    path = tmp_path / "disk"
    path.write_bytes(noise(80 * MIB // 4))

    def begun(layer):
        chunks = iter(layer)
        yield next(chunks)
        yield next(chunks)
        match change:
            case "write":
                with path.open("r+b") as file:
                    file.write(b"changed")
            case "grow":
                with path.open("ab") as file:
                    file.write(b"more")
            case "shrink":
                os.truncate(path, MIB)
            case _:
                os.utime(path, (1, 1))
        yield from chunks

    with path.open("rb") as file:
        layer = layer_stream(TarMember(name="disk", size=20 * MIB), file.fileno(), Codec.parse(codec))
        with pytest.raises(LocalError, match=r"changed|shorter"):
            b"".join(begun(layer))


@pytest.mark.parametrize("promised", [5, 7])
def test_a_file_of_another_length_than_promised_is_an_error(tmp_path, promised):
    path = tmp_path / "disk"
    path.write_bytes(b"kernel")

    with path.open("rb") as file, pytest.raises(LocalError, match="has changed"):
        list(layer_stream(TarMember(name="disk", size=promised), file.fileno(), Codec.parse("gzip")))


def test_no_thread_outlives_a_layer_that_is_left():
    before = threading.active_count()
    layer = iter(PackedLayer((noise(MIB) for _ in range(1000)), Codec.parse("gzip")))
    next(layer), next(layer)

    layer.close()

    assert threading.active_count() == before


def test_unchanging_reads_the_file(disk):
    with disk[0].open("rb") as file:
        assert b"".join(unchanging(file.fileno(), "disk")) == disk[2]


@pytest.mark.parametrize("threaded", [False, True])
def test_measured_passes_everything_on_and_knows_it(threaded):
    stage = Measured([b"ker", b"", b"nel"], threaded=threaded, behind=10)

    assert list(stage) == [b"ker", b"", b"nel"]
    assert (stage.size, stage.digest) == (6, Digest.of(b"kernel"))


@pytest.mark.parametrize("threaded", [False, True])
def test_measured_passes_on_what_its_source_raises(threaded):
    def failing():
        yield b"ker"
        raise LocalError("gone")

    stage = Measured(failing(), threaded=threaded, behind=10)
    with pytest.raises(LocalError, match="gone"):
        list(stage)
    with pytest.raises(ValueError, match="not everything"):
        _ = stage.digest
