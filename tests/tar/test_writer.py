"""Archives are written as Go's archive/tar writes them, byte for byte, whatever is in them."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eci_convert.errors import LocalError, UsageError
from eci_convert.tar import EntryType, TarMember, archive_size, archived, member_header
from tests.support.chunking import cut_by, sizes
from tests.support.stdlib_tarfile import tarfile

VECTORS = Path(__file__).parents[1] / "vectors"
LAYERS = [
    vector
    for name in ("eci.json", "unikraft.json")
    for vector in json.loads((VECTORS / name).read_text())["layer_tars"]
]
MORE = [  # docs/specs/eci.md#9
    ("kernel", "kernel", 0, "3d6035a4ba473be675a89a7c91ab5b2ecefc77c8359dbecec55ce9c429b22c55"),
    ("kernel", "kernel", 1600000001, "f12f5a05be05fb76aeadb8861c3f935d40ca3b1699c420203318dfaa64134748"),
    (f"disk-root-{'x' * 120}.raw", "a", 1600000000, "7e4ffd04dcd7a88f38a61762415a76d25f234bac28c6627bfd2e412d46aabd42"),
]
GO = [  # the header blocks of Go 1.26's archive/tar for the same fields; the first 16 digits of their sha256
    (TarMember(name="disk", size=8**11 - 1), "be6ee1fcd2fb2db5"),
    (TarMember(name="disk", size=8**11), "37a9ed3b16fb6dd6"),
    (TarMember(name="disk", size=2**40, mtime=1600000000), "86062b1b4205530d"),
    (TarMember(name="kernel", size=6, mtime=-1), "ea2f8fc84c9e0944"),
    (TarMember(name="kernel", mtime=8**11), "ec2f8d35c597fe7c"),
    (TarMember(name="kernel", uid=8**7, gid=8**7 - 1), "abf7f4474ae10597"),
    (TarMember(name="kernel", mode=0o4755, uid=1000, gid=1000), "e6824bcbed5b44f7"),
    (TarMember(name="p" * 155 + "/" + "n" * 100), "08b0763a11d5a0a9"),
    (TarMember(name="p" * 156 + "/" + "n" * 100), "0c9092b2517ac133"),
    (TarMember(name="a/" * 60 + "n"), "f75f7a7f97468abe"),
    (TarMember(name="a/" * 60 + "n", mtime=-1), "8260b4a07b01da92"),
    (TarMember(name="x" * 98 + "//" + "y" * 50), "ebf86f6839ae0e24"),
    (TarMember(name="d/ä/r/" + "x" * 120), "550ff6186788c940"),
    (TarMember(name="\udcff\udcfe"), "c959c29242787f58"),
    (TarMember(name="ä" * 60), "412c3cac31ede3a9"),
    (TarMember(name="../ä"), "703ad312bc5f9c28"),
    (TarMember(name="boot/", type=EntryType.DIR, mode=0o755), "0f23379e10139422"),
    (TarMember(name="boot/" + "d" * 120 + "/", type=EntryType.DIR, mode=0o755), "60fdf44001fd0930"),
    (TarMember(name="kernel", type=EntryType.SYMLINK, linkname="boot/vmlinuz", mode=0o777), "452d070d11e7e3e0"),
    (TarMember(name="kernel", type=EntryType.SYMLINK, linkname="x" * 101), "2c2bd7d89273db6a"),
    (TarMember(name="kernel", type=EntryType.HARDLINK, linkname="ä"), "ede91d4087cf128a"),
    (TarMember(name="kernel", type=EntryType.HARDLINK, linkname="y" * 98 + "//z"), "9e384d585121e8ac"),
    (TarMember(name="null", type=EntryType.CHAR, mode=0o666, device=(1, 3)), "486a61edf2079561"),
    (TarMember(name="sda", type=EntryType.BLOCK, mode=0o660, gid=6, device=(8, 0)), "ca6a2d1d926804b6"),
    (TarMember(name="pipe", type=EntryType.FIFO), "41ba18d08e4e6883"),
    (
        TarMember(name="var/", type=EntryType.DIR, mode=0o755, records=(("SCHILY.xattr.trusted.overlay.opaque", "y"),)),
        "3cdca71c08123389",
    ),
    (TarMember(name="p" * 120 + "/n", records=(("SCHILY.xattr.user.colour", "red"),)), "ec365e1c9ccef0bc"),
]


def made(member: TarMember, content: bytes) -> bytes:
    return b"".join(archived([(member, [content])]))


@pytest.mark.parametrize("vector", LAYERS, ids=lambda vector: vector["name"])
def test_a_layer_has_the_diff_id_that_go_gives_it(vector: dict[str, Any]) -> None:
    content = vector["content"].encode()
    mode = int(vector.get("mode", "0644"), 8)
    member = TarMember(name=vector["name"], size=len(content), mode=mode, mtime=vector["mtime"])

    assert "sha256:" + hashlib.sha256(made(member, content)).hexdigest() == vector["diff_id"]


@pytest.mark.parametrize(("name", "content", "mtime", "expected"), MORE)
def test_long_names_and_other_times_too(name: str, content: str, mtime: int, expected: str) -> None:
    archive = made(TarMember(name=name, size=len(content), mtime=mtime), content.encode())

    assert hashlib.sha256(archive).hexdigest() == expected


@pytest.mark.parametrize(("member", "expected"), GO)
def test_a_header_is_the_one_that_go_writes(member: TarMember, expected: str) -> None:
    assert hashlib.sha256(member_header(member)).hexdigest()[:16] == expected


names = st.text(st.sampled_from("ab/.ä"), min_size=1, max_size=280).filter(lambda name: name.strip("/"))
members = st.builds(
    TarMember,
    name=names.map(lambda name: name.strip("/")),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 8**8),
    gid=st.integers(0, 8**8),
    mtime=st.integers(-(2**40), 2**40),
    type=st.sampled_from([EntryType.SYMLINK, EntryType.HARDLINK]),
    linkname=names.map(lambda name: name.strip("/")),
)


@settings(max_examples=200)
@given(members)
def test_tarfile_reads_what_is_written(member: TarMember) -> None:
    with tarfile.open(fileobj=io.BytesIO(member_header(member) + bytes(1024))) as tar:
        info = tar.next()

    assert info
    kind = {EntryType.SYMLINK: tarfile.SYMTYPE, EntryType.HARDLINK: tarfile.LNKTYPE}[member.type]
    assert (info.name, info.mode, info.uid, info.gid) == (member.name, member.mode, member.uid, member.gid)
    assert (info.mtime, info.type, info.linkname) == (member.mtime, kind, member.linkname)


@given(st.lists(st.binary(max_size=1200), max_size=4), sizes)
def test_the_size_of_an_archive_is_known_before(contents: list[bytes], cuts: list[int]) -> None:
    listed = [TarMember(name=f"{'ä' * n}part", size=len(content)) for n, content in enumerate(contents)]

    archive = b"".join(archived((m, cut_by(c, cuts)) for m, c in zip(listed, contents, strict=True)))

    assert archive_size(listed) == len(archive)
    assert archive.endswith(bytes(1024))


def test_gnu_tar_reads_it(tmp_path: Path) -> None:
    name = "disk-root-" + "ä" * 80
    archive = made(TarMember(name=name, size=3, mtime=8**11), b"abc")

    subprocess.run(["tar", "-x", "-C", str(tmp_path)], input=archive, check=True)

    assert (tmp_path / name).read_bytes() == b"abc"


def test_content_is_passed_on_uncopied() -> None:
    chunks = [b"a" * 700, b"b" * 700]

    passed = list(archived([(TarMember(name="disk", size=1400), chunks)]))

    assert passed[1] is chunks[0]
    assert passed[2] is chunks[1]


@pytest.mark.parametrize("content", [[b"kerne"], [b"kernel", b"!"], [], [b"kernelkernel"]])
def test_content_of_another_length_than_promised_is_an_error(content: list[bytes]) -> None:
    with pytest.raises(LocalError, match=r"'kernel' has (more|fewer) than 6 bytes"):
        list(archived([(TarMember(name="kernel", size=6), content)]))


def test_not_a_byte_beyond_the_promise_is_passed_on() -> None:
    passed = []

    def consume() -> None:
        for chunk in archived([(TarMember(name="kernel", size=6), [b"kernel", b"kernel"])]):
            passed.append(chunk)  # noqa: PERF402 - `extend` would lose what came before the error

    with pytest.raises(LocalError, match="changed while read"):
        consume()
    assert passed[1:] == [b"kernel"]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a\0b"},
        {"name": "a", "linkname": "\0", "type": EntryType.SYMLINK},
        {"name": "a/"},
        {"name": "a", "size": -1},
        {"name": "a", "size": 1, "type": EntryType.DIR},
        {"name": "a", "type": EntryType.OTHER},
        {"name": "a", "type": EntryType.CHAR, "device": (8**7, 0)},
        {"name": "a", "mode": -1},
        {"name": "a", "mode": 8**7},
    ],
)
def test_what_tar_cannot_say_is_a_usage_error(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"is not a valid|cannot be written"):
        member_header(TarMember(**fields))
