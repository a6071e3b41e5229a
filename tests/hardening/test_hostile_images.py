"""Hostile and malformed images, from the command line down: the exit code of the contract, one clear line, and nothing
touched but the output. The row numbers are those of docs/explanation/security.md."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.command_line import Run, one_line
from tests.support.images import Hard, ImageBuilder, Link, a_tar, an_image, copied, files_in
from tests.support.tar_archives import END, block, extension, file, pax

KERNEL = file(b"kernel", b"good")
GOOD, MALFORMED, MISSING = 0, 7, 8


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """The command line, beside files that nobody may touch."""
    (tmp_path / "work" / "out").mkdir(parents=True)
    (tmp_path / "work" / "out-evil").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "work" / "out" / "mine").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = files_in(tmp_path)
    modes = {path: path.lstat().st_mode for path in tmp_path.rglob("*")}
    yield Run(capfd)
    after = {path: data for path, data in files_in(tmp_path).items() if not path.startswith("image/")}
    assert {path: data for path, data in after.items() if path != "work/out/kernel"} == before
    assert {path: path.lstat().st_mode for path in modes} == modes
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["out", "out-evil"]


def taken(run: Run, image: ImageBuilder, exits: int, *words: str, path: str = "/kernel") -> bytes | str:
    """What comes out at *path*, or what is said instead."""
    place = Path("../image")
    copied(image.build(), open_sink(f"oci:{place}:x", Settings()))
    said = run("extract", f"oci:{place}", "--path", f"{path}=out/kernel", *words, exits=exits)
    if exits == GOOD:
        return Path("out/kernel").read_bytes()
    one_line(said)
    assert "\x1b" not in said.err
    assert not Path("out/kernel").exists()
    return said.err


def an_image_of(*archives: bytes) -> ImageBuilder:
    image = an_image()
    for archive in archives:
        image = image.tar_layer(archive)
    return image


def link(name: bytes, target: bytes) -> bytes:
    return block(name, 0, b"2", linkname=target)


def hard(name: bytes, target: bytes) -> bytes:
    return block(name, 0, b"1", linkname=target)


LONG = b"a/" * 3000 + b"kernel"
SECRET = b"../../../../../../../../../.." + os.fsencode(Path.cwd())

ARCHIVES: dict[str, tuple[list[bytes], int]] = {
    "1 absolute name": ([file(b"/kernel", b"good")], GOOD),
    "2 name that goes up": ([file(b"../kernel", b"bad"), KERNEL], MALFORMED),
    "2 name that goes up and comes back": ([file(b"a/../../kernel", b"bad"), KERNEL], MALFORMED),
    "3 sibling": ([file(b"../out-evil/x", b"bad"), KERNEL], MALFORMED),
    "4 link, then a file of its name": ([link(b"kernel", b"../../secret"), KERNEL], GOOD),
    "5 link, then a file below it": ([link(b"d", b"../../.."), file(b"d/secret", b"bad"), KERNEL], GOOD),
    "6 two hops": ([link(b"a", b"."), link(b"b", b"a/.."), file(b"b/secret", b"bad"), KERNEL], GOOD),
    "7 27 over-long name": ([pax(("path", LONG)) + file(b"x", b""), KERNEL], MALFORMED),
    "9 root is a link": ([link(b".", b"/tmp"), KERNEL], MALFORMED),
    "9 root is a file": ([file(b"/", b"x"), KERNEL], MALFORMED),
    "10 hard link out": ([hard(b"kernel", b"../../secret")], MALFORMED),
    "10 hard link to a file of this computer": ([hard(b"kernel", b"/etc/passwd")], MALFORMED),
    "11 hard link to a link": ([KERNEL, link(b"s", b"kernel"), hard(b"h", b"s")], GOOD),
    "13 hard link to itself": ([hard(b"kernel", b"kernel")], MALFORMED),
    "13 hard links in a circle": ([hard(b"kernel", b"b"), hard(b"b", b"kernel")], MALFORMED),
    "13 hard link forward": ([hard(b"kernel", b"b"), file(b"b", b"bad")], MALFORMED),
    "13 hard link to a directory": ([block(b"d/", 0, b"5"), hard(b"kernel", b"d")], MALFORMED),
    "15 directories outside": ([block(b"../d/", 0, b"5"), KERNEL], MALFORMED),
    "16 whiteout of nothing": ([file(b".wh.", b""), KERNEL], MALFORMED),
    "16 whiteout of the root": ([file(b".wh..", b""), KERNEL], MALFORMED),
    "16 whiteout of the root's parent": ([file(b".wh...", b""), KERNEL], MALFORMED),
    "19 link in the image": ([KERNEL.replace(b"kernel", b"vmlinu"), link(b"kernel", b"/vmlinu")], MALFORMED),
    "20 loop": ([link(b"kernel", b"kernel")], MALFORMED),
    "20 links that multiply": (
        [link(b"kernel", b"l0/l0")] + [link(b"l%d" % n, b"l%d/l%d" % (n + 1, n + 1)) for n in range(60)],
        MALFORMED,
    ),
    "21 link to a file of this computer": ([link(b"kernel", b"/etc/passwd")], MISSING),
    "21 link to standard input": ([link(b"kernel", b"/dev/stdin")], MISSING),
    "21 link to proc": ([link(b"kernel", b"/proc/self/environ")], MISSING),
    "22 directory": ([block(b"kernel/", 0, b"5")], MISSING),
    "22 pipe": ([block(b"kernel", 0, b"6")], MISSING),
    "22 character device": ([block(b"kernel", 0, b"3")], MISSING),
    "22 block device": ([block(b"kernel", 0, b"4")], MISSING),
    "23 device elsewhere": ([block(b"dev/null", 0, b"3"), KERNEL], GOOD),
    "24 setuid, mode 0": ([file(b"x", b"", mode=b"0006777\0"), file(b"kernel", b"good", mode=b"0000000\0")], GOOD),
    "25 huge ids": ([pax(("uid", "2097152"), ("gid", "4294967296")) + KERNEL], GOOD),
    "26 negative time": ([pax(("mtime", "-1.5")) + KERNEL], GOOD),
    "26 no time": ([pax(("mtime", "nan")) + KERNEL], MALFORMED),
    "28 NUL": ([pax(("path", "ker\0nel")) + file(b"x", b"")], MALFORMED),
    "28 escape sequence": ([link(b"kernel", b"\x1b[2J\x1b]0;x\x07\r\n")], MISSING),
    "28 not UTF-8": ([file(b"\xff\xfe", b"x"), KERNEL], GOOD),
    "29 other case": ([file(b"KERNEL", b"bad")], MISSING),
    "30 suffix": ([file(b"my-kernel", b"bad"), file(b"d/kernel", b"bad"), file(b"kernel2", b"bad")], MISSING),
    "31 spellings": ([file(b".//kernel", b"good")], GOOD),
    "32 twice": ([file(b"kernel", b"bad"), KERNEL], GOOD),
    "34 checksum": ([block(b"kernel", 4, checksum=b"000001\0 ") + bytes(512)], MALFORMED),
    "34 garbage": ([b"\xff" * 512, KERNEL], MALFORMED),
    "34 cut": ([KERNEL[:515]], MALFORMED),
    "35 negative size": ([block(b"kernel", b"\xff" * 12)], MALFORMED),
    "35 huge size": ([block(b"kernel", b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7)], MALFORMED),
    "36 sizes disagree": ([pax(("size", "4")) + block(b"kernel", 512) + b"good" + bytes(508)], GOOD),
    "38 huge extension": ([block(b"x", 1 << 30, b"x"), KERNEL], MALFORMED),
    "39 chain of extensions": ([extension(b"L", b"kernel\0") * 5000, KERNEL], MALFORMED),
    "40 global header": ([pax(("path", "evil"), flag=b"g") + KERNEL], GOOD),
    "42 NUL type and a long name": ([extension(b"L", b"kernel\0") + file(b"x", b"good", flag=b"\0")], GOOD),
    "44 sparse map": (
        [pax(("GNU.sparse.major", "0"), ("GNU.sparse.minor", "1"), ("GNU.sparse.map", "0,9,4,9"),
             ("GNU.sparse.size", "99")) + KERNEL],
        MALFORMED,
    ),
    "45 second archive": ([KERNEL, END, file(b"kernel", b"bad")], GOOD),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_layer_is_read_one_way_or_refused(run: Run, name: str) -> None:
    entries, exits = ARCHIVES[name]
    if name == "19 link in the image":
        entries, exits = [file(b"vmlinu", b"good"), link(b"kernel", b"/vmlinu")], GOOD

    found = taken(run, an_image_of(b"".join(entries) + END), exits)

    assert exits != GOOD or found == b"good"


def test_46_an_archive_without_its_end_is_fine(run: Run) -> None:
    assert taken(run, an_image_of(KERNEL), GOOD) == b"good"


def test_8_a_link_in_one_layer_and_a_file_below_it_in_the_next(run: Run) -> None:
    image = an_image_of(link(b"d", b"../../..") + END, file(b"d/secret", b"bad") + file(b"d/kernel", b"good") + END)

    assert taken(run, image, GOOD) == b"good"


def test_12_17_whiteouts_and_hard_links_over_layers(run: Run) -> None:
    layers = (file(b"a", b"good"), hard(b"kernel", b"a") + file(b"a", b"bad"), file(b".wh.a", b""))

    assert taken(run, an_image_of(*(layer + END for layer in layers)), GOOD) == b"good"


def test_17_a_deleted_file_is_missing(run: Run) -> None:
    assert "not in the image" in taken(run, an_image_of(KERNEL + END, file(b".wh.kernel", b"") + END), MISSING)


@pytest.mark.parametrize("path", ["/../../../secret", "../secret", "/etc/passwd", "/proc/self/environ", "/dev/stdin"])
def test_21_a_path_is_one_in_the_image(run: Run, path: str) -> None:
    assert "not in the image" in taken(run, an_image_of(KERNEL + END), MISSING, path=path)


def test_47_a_hundred_thousand_entries_are_no_trouble(run: Run) -> None:
    archive = b"".join(block(b"usr/share/%d/%d" % (n % 300, n)) for n in range(100_000))

    assert taken(run, an_image().tar_layer(gzip.compress(archive + KERNEL + END, 1)), GOOD) == b"good"


def spoilt(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


GZIP = gzip.compress(KERNEL + END)

WRAPPED: dict[str, tuple[bytes, int]] = {
    "48 gzip without its end": (GZIP[:-9], MALFORMED),
    "48 gzip with a wrong checksum": (spoilt(GZIP, len(GZIP) - 8), MALFORMED),
    "48 gzip with a wrong length": (spoilt(GZIP, len(GZIP) - 1), MALFORMED),
    "49 gzip in members": (gzip.compress(KERNEL[:700]) + gzip.compress(KERNEL[700:] + END), GOOD),
    "49 zeros behind gzip": (GZIP + bytes(1000), GOOD),
    "49 something behind gzip": (GZIP + b"x" * 1000, MALFORMED),
    "50 not compressed": (KERNEL + END, GOOD),
    "50 zlib": (zlib.compress(KERNEL + END), MALFORMED),
    "50 zstd": (bytes.fromhex("28b52ffd04580500") + bytes(100), MALFORMED),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapping_is_undone_one_way_or_refused(run: Run, name: str) -> None:
    blob, exits = WRAPPED[name]
    image = an_image().tar_layer(blob, media_type="application/vnd.oci.image.layer.v1.tar+gzip")

    found = taken(run, image, exits)

    assert exits != GOOD or found == b"good"


def test_52_a_bomb_is_stopped_by_the_limit(run: Run) -> None:
    bomb = gzip.compress(a_tar({"kernel": bytes(64 << 20)}), 1)

    assert "limit of 1000000 bytes" in taken(run, an_image().tar_layer(bomb), MALFORMED, "--max-size", "1000000")


def test_links_that_are_none_of_the_image_s_business_do_not_hurt(run: Run) -> None:
    archive = a_tar({"l": Link("l"), "h": Link("/etc/passwd"), "kernel": b"good", "g": Hard("kernel")})

    assert taken(run, an_image_of(archive), GOOD) == b"good"
    assert taken(run, an_image_of(archive), GOOD, path="/g") == b"good"
