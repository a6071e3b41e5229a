"""Images that are small and want to be big: what they may cost is bounded by what arrives, not by what they claim."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from eci_convert.oci.digest import Digest
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.images import an_image, copied, layer_type
from tests.support.resource_usage import measured
from tests.support.tar_archives import END, block, file, pax

MIB = 1 << 20
BIG = 400 * MIB  # as big as it must be to show in memory
MEMORY = 150 * MIB
SECONDS = 20


def zipped(pieces: Iterator[bytes]) -> bytes:
    """*pieces* as gzip, a member each; equal ones are compressed once."""
    return b"".join(map(lru_cache(gzip.compress), pieces))


def zeros(length: int) -> Iterator[bytes]:
    for _ in range(length // MIB):
        yield bytes(MIB)


def zstd_zeros(length: int) -> bytes:
    from eci_convert.compression.libzstd import zstd

    packer = zstd.ZstdCompressor(level=1)
    packer.set_pledged_input_size(length)
    return b"".join(packer.compress(piece) for piece in zeros(length)) + packer.flush()


def unwanted_zeros() -> Iterator[bytes]:
    yield block(b"zeros", BIG)
    yield from zeros(BIG)
    yield file(b"kernel", b"good") + END


def many_names() -> Iterator[bytes]:
    for number in range(60):
        yield pax(("path", f"{number}/" + "a/" * 1900 + "x")) + block(b"x")


def extracted(directory: Path, blob: bytes, exits: int, *words: str) -> None:
    """Runs `extract` on an image with the one layer *blob* in 20 seconds of processor time, and looks at its memory."""
    image = an_image().tar_layer(blob, media_type=layer_type("gzip"), diff_id=Digest.of(b""))
    copied(image.build(), open_sink(f"oci:{directory}/image:x", Settings()))
    words = ("extract", f"oci:{directory}/image", "--path", f"kernel={directory}/kernel", "--progress", "none", *words)

    cost = measured(words, env={"HOME": str(directory)}, cpu_seconds=SECONDS)

    assert cost.code == exits, cost.said
    assert cost.peak < MEMORY, cost.said
    assert exits == 0 or [path.name for path in directory.iterdir()] == ["image"]


def test_zeros_that_nobody_wants_cost_no_memory(tmp_path: Path) -> None:
    extracted(tmp_path, zipped(unwanted_zeros()), 0)

    assert (tmp_path / "kernel").read_bytes() == b"good"


def test_zeros_that_are_wanted_become_a_hole(tmp_path: Path) -> None:
    extracted(tmp_path, zipped(iter((block(b"kernel", BIG), *zeros(BIG), END))), 0)

    assert (tmp_path / "kernel").stat().st_size == BIG
    assert (tmp_path / "kernel").stat().st_blocks == 0


def test_zeros_behind_the_end_of_an_archive_cost_no_memory(tmp_path: Path) -> None:
    extracted(tmp_path, zipped(iter((file(b"kernel", b"good") + END, *zeros(BIG)))), 0)


def test_zstd_zeros_cost_no_memory(tmp_path: Path) -> None:
    extracted(tmp_path, zstd_zeros(BIG), 8)


def test_a_limit_stops_a_bomb_before_it_is_written(tmp_path: Path) -> None:
    extracted(tmp_path, zipped(iter((block(b"kernel", BIG), *zeros(BIG), END))), 7, "--max-size", "1000000")


def test_a_claim_of_four_exbibytes_reserves_nothing(tmp_path: Path) -> None:
    size = b"\x80" + (1 << 62).to_bytes(11, "big")

    extracted(tmp_path, gzip.compress(block(b"kernel", size) + bytes(MIB)), 7)


def test_deep_directories_that_are_only_names_cost_little(tmp_path: Path) -> None:
    extracted(tmp_path, zipped(iter((*many_names(), file(b"kernel", b"good"), END))), 0)


def test_a_layer_of_empty_members_is_read_to_its_end(tmp_path: Path) -> None:
    empty = gzip.compress(b"")

    extracted(tmp_path, gzip.compress(file(b"kernel", b"good") + END) + empty * 50_000, 0)
