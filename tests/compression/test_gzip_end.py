"""A gzip stream ends with its content: whoever stops at the trailer of the tar archive in it has read all of it."""

import gzip
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from eci_convert.compression import write
from eci_convert.compression.codec import Codec, compressed
from eci_convert.tar import TarMember, archived
from tests.support.chunking import cut, noise, text

MIB = 1 << 20
GO = shutil.which("go") or "/usr/local/go/bin/go"
LEVELS = [f"gzip:{level}" for level in range(1, 10)]
CONTENTS = {
    "nothing": b"",
    "one block": b"kernel",
    "shorter than the tail": text(7000),
    "as long as the tail": text(8192),
    "longer than the tail": text(100_000),
    "stored": noise(1000),
    "many stored blocks": noise(200_000),
    "a few bytes in the last MiB": text(MIB + 100),
    "stored MiB": noise(2 * MIB + 70_000),
    "deflated, then stored": text(MIB) + noise(MIB // 2 + 7),
    "zeros": bytes(3 * MIB + 5),
    "zeros after data": text(MIB - 512) + bytes(2 * MIB + 512),
}


@pytest.fixture(params=["isal", "zlib"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib":
        monkeypatch.setattr(write, "isal_zlib", None)
    else:
        pytest.importorskip("isal")


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Go program that reads as oras-go 1 does."""
    if not os.access(GO, os.X_OK):
        pytest.skip("no Go here")
    program = tmp_path_factory.mktemp("go") / "stop_at_trailer"
    source = Path(__file__).with_name("stop_at_trailer.go")
    environment = {**os.environ, "GOFLAGS": "", "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
    environment |= {"HOME": str(program.parent), "GOCACHE": str(program.parent / "cache")}
    subprocess.run([GO, "build", "-o", str(program), str(source)], check=True, env=environment)
    return str(program)


def archive(content: bytes) -> bytes:
    """A tar archive of one file, without padding behind its trailer."""
    return b"".join(archived([(TarMember(name="kernel", size=len(content)), cut(content, MIB))]))


def gzipped(data: bytes, codec: str, threads: int | None = None, pieces: int = MIB) -> bytes:
    return b"".join(compressed(cut(data, pieces), Codec.parse(codec), threads=threads))


def behind_the_content(stream: bytes) -> int:
    """How many bytes of the deflate stream in *stream* come after all of its content is known."""
    body = stream[10:-8]
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    near = max(0, len(body) - 64)
    size = len(decoder.decompress(body[:near]))
    known_at = near
    for end in range(near, len(body)):
        if more := len(decoder.decompress(body[end : end + 1])):
            size, known_at = size + more, end + 1
    assert decoder.eof
    assert size == int.from_bytes(stream[-4:], "little")
    return len(body) - known_at


@pytest.mark.parametrize("codec", LEVELS)
@pytest.mark.parametrize("content", CONTENTS)
def test_no_block_follows_the_one_with_the_last_bytes(codec: str, content: str, library: None) -> None:
    data = archive(CONTENTS[content])
    stream = gzipped(data, codec)

    assert gzip.decompress(stream) == data
    assert behind_the_content(stream) <= 2  # the sign for the end of a block has 15 bits at most
    assert not stream[:-8].endswith(b"\0\0\xff\xff\x03\0")


@pytest.mark.parametrize("codec", ["gzip:1", "gzip", "gzip:6"])
@pytest.mark.parametrize("content", ["one block", "stored MiB", "zeros after data", "deflated, then stored"])
def test_the_end_depends_on_neither_threads_nor_cuts(codec: str, content: str) -> None:
    data = archive(CONTENTS[content])
    expected = gzipped(data, codec, threads=1)

    assert gzipped(data, codec, threads=4, pieces=70_001) == expected
    assert gzipped(data, codec, pieces=3 * MIB) == expected


@pytest.mark.parametrize("codec", ["gzip:1", "gzip", "gzip:3", "gzip:6", "gzip:9"])
@pytest.mark.parametrize("content", CONTENTS)
def test_a_go_program_that_stops_at_the_trailer_has_read_the_stream(
    codec: str, content: str, library: None, reader: str
) -> None:
    data = archive(CONTENTS[content])
    assert len(data) % 32768, "such an archive no gzip stream can end with, whoever made it: Go's window is full"

    for block_size in ("1024", "32768"):
        done = subprocess.run([reader, block_size], input=gzipped(data, codec), capture_output=True, timeout=60)

        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == b"kernel %d\n" % len(CONTENTS[content])


def test_the_go_program_notices_an_empty_block_that_follows(reader: str) -> None:
    data = archive(b"kernel")
    stream = zlib.compressobj(6, zlib.DEFLATED, 31)
    flushed = stream.compress(data) + stream.flush(zlib.Z_FULL_FLUSH) + stream.flush(zlib.Z_FINISH)

    done = subprocess.run([reader, "32768"], input=flushed, capture_output=True, timeout=60)

    assert gzip.decompress(flushed) == data
    assert done.returncode == 2
    assert b"left behind" in done.stderr


@pytest.mark.parametrize("codec", LEVELS)
def test_the_final_block_is_not_empty_behind_a_full_one(codec: str, library: None) -> None:
    """A block of zlib's holds 16,383 symbols: content whose last symbol fills one would end with an empty one."""
    for length in range(16_380, 16_387):
        stream = gzipped(noise(length).translate(bytes(byte & 0x3F for byte in range(256))), codec)

        assert behind_the_content(stream) <= 2
