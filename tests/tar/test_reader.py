"""Archives are read as those who wrote them meant it."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eci_convert.errors import CorruptStreamError
from eci_convert.tar import EntryType, TarMember, archived, entries
from tests.support.chunking import cut, cut_by, noise, sizes
from tests.support.stdlib_tarfile import tarfile
from tests.support.tar_archives import END, block, extension, file, number, one, padded, pax, read

TYPES = {
    tarfile.REGTYPE: EntryType.FILE,
    tarfile.AREGTYPE: EntryType.FILE,
    tarfile.CONTTYPE: EntryType.FILE,
    tarfile.GNUTYPE_SPARSE: EntryType.FILE,
    tarfile.LNKTYPE: EntryType.HARDLINK,
    tarfile.SYMTYPE: EntryType.SYMLINK,
    tarfile.DIRTYPE: EntryType.DIR,
    tarfile.CHRTYPE: EntryType.CHAR,
    tarfile.BLKTYPE: EntryType.BLOCK,
    tarfile.FIFOTYPE: EntryType.FIFO,
}
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    lambda name: name.strip("/") and len(name.encode()) < 900
)
members = st.builds(
    lambda name, kind, content, link, mode, ids, mtime: (name.strip("/"), kind, content, link, mode, ids, mtime),
    names,
    st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]),
    st.binary(max_size=1500),
    names,
    st.integers(0, 0o7777),
    st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)),
    st.integers(-(2**33), 2**40),
)
Listed = tuple[str, bytes, bytes, str, int, tuple[int, int], int]
"""Name, type, content, link, mode, owner and group, time."""


def by_tarfile(listed: list[Listed], form: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for name, kind, content, link, mode, (uid, gid), mtime in listed:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, uid, gid, mtime
            info.linkname = link if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


@settings(max_examples=60)
@given(st.lists(members, max_size=5), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]), sizes)
def test_what_tarfile_writes_is_read_however_it_is_cut(listed: list[Listed], form: int, cuts: list[int]) -> None:
    found = [
        (e.name.rstrip("/"), e.type, b"".join(e.chunks), e.linkname, e.mode, (e.uid, e.gid), e.mtime)
        for e in entries(cut_by(by_tarfile(listed, form), cuts))
    ]

    assert found == [
        (
            name,
            TYPES[kind],
            content if kind == tarfile.REGTYPE else b"",
            link if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "",
            *rest,
        )
        for name, kind, content, link, *rest in listed
    ]


@settings(max_examples=60)
@given(st.lists(members, max_size=3), st.data())
def test_an_archive_cut_within_a_member_is_an_error(listed: list[Listed], draw: st.DataObject) -> None:
    made = by_tarfile(listed, tarfile.PAX_FORMAT)
    end = draw.draw(st.integers(0, len(made)))
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        contents = [(info.offset_data + info.size, info.offset_data + -(-info.size // 512) * 512) for info in tar]
    last = max((stop for _, stop in contents), default=0)

    if not end or any(start <= end <= stop for start, stop in contents) or end == last + 512 or end >= last + 1024:
        read(made[:end])
    else:
        with pytest.raises(CorruptStreamError, match=r"unexpected EOF|data after a single zero block"):
            read(made[:end])


@settings(max_examples=30)
@given(st.lists(members, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5), sizes)
def test_content_that_is_not_taken_is_skipped(listed: list[Listed], taken: list[bool], cuts: list[int]) -> None:
    made = by_tarfile(listed, tarfile.PAX_FORMAT)
    found = [
        (entry.name.rstrip("/"), b"".join(entry.chunks) if take else None)
        for entry, take in zip(entries(cut_by(made, cuts)), taken, strict=False)
    ]

    assert found == [
        (name, None if not take else content if kind == tarfile.REGTYPE else b"")
        for (name, kind, content, *_), take in zip(listed, taken, strict=False)
    ]


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_what_gnu_tar_writes_is_read(form: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "boot").mkdir(parents=True)
    (tree / "boot" / "vmlinuz").write_bytes(noise(70_000))
    (tree / "kernel").symlink_to("boot/vmlinuz")
    os.link(tree / "boot" / "vmlinuz", tree / "hard")
    long = "a-rather-long-name-" * 4 + "x"
    if form not in ("v7",):
        (tree / long).write_bytes(b"long")
    done = subprocess.run(
        ["tar", "-c", f"--format={form}", "--sort=name", "-C", str(tree), "."], capture_output=True, check=True
    )

    for size in (len(done.stdout), 10_000, 511):
        found = {e.name: (e.type, b"".join(e.chunks), e.linkname) for e in entries(cut(done.stdout, size))}
        assert found["./boot/"][0] is EntryType.DIR
        assert found["./boot/vmlinuz"] == (EntryType.FILE, noise(70_000), "")
        assert found["./hard"] == (EntryType.HARDLINK, b"", "./boot/vmlinuz")
        assert found["./kernel"] == (EntryType.SYMLINK, b"", "boot/vmlinuz")
        assert form == "v7" or found[f"./{long}"] == (EntryType.FILE, b"long", "")


def test_content_is_passed_on_in_the_chunks_that_came_in() -> None:
    content = noise(40_000)
    chunks = cut(block(size=len(content)) + content, 10_000)

    entry = next(entries(chunks))
    passed = list(entry.chunks)

    assert [len(chunk) for chunk in passed] == [9488, 10_000, 10_000, 10_000, 512]
    assert all(a is b for a, b in zip(passed[1:4], chunks[1:4], strict=True))


def test_content_is_gone_when_the_archive_has_moved_on() -> None:
    archive = entries([file(b"a", b"aaa") + file(b"b", b"bbb") + END])
    first = next(archive)
    second = next(archive)

    with pytest.raises(ValueError, match="read past"):
        next(first.chunks)
    assert b"".join(second.chunks) == b"bbb"


@pytest.mark.parametrize(
    "end", [b"", bytes(512), END, bytes(10240), END + b"garbage" * 999, END + file(b"later", b"x")]
)
def test_the_archive_ends_where_it_ends(end: bytes) -> None:
    assert read(file(b"kernel", b"k") + end) == [("kernel", "file", b"k")]


def test_what_follows_the_end_is_drained_because_the_digest_covers_it() -> None:
    passed = []

    def source() -> Iterator[bytes]:
        for chunk in cut(file(b"kernel", b"k") + END + noise(50_000), 1000):
            passed.append(len(chunk))
            yield chunk

    read(*source())
    list(entries(source()))
    assert sum(passed) == 2 * (1024 + 1024 + 50_000)


def test_an_archive_of_nothing_has_no_members() -> None:
    assert read() == read(b"") == read(END) == []


KINDS = {
    **dict.fromkeys([b"0", b"7", b"\0"], "file"),
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    b"5": "dir",
    b"6": "fifo",
    **dict.fromkeys([b"V", b"D", b"M", b"A", b"\xff"], "other"),
}


@pytest.mark.parametrize(("flag", "kind"), KINDS.items())
def test_a_type_flag_becomes_a_type(flag: bytes, kind: str) -> None:
    has_content = kind in ("file", "other")

    found = read(block(b"n", 3 if has_content else 0, flag), padded(b"abc") if has_content else b"", file(b"next"))

    assert found == [("n", kind, b"abc" if has_content else b""), ("next", "file", b"")]


def test_the_size_of_what_has_no_content_is_none() -> None:
    """Archivers of old wrote the length of the file with a hard link, and no file (Go, GNU tar and Python agree)."""
    for flag in b"123456":
        assert read(block(b"n", 700, bytes([flag])), file(b"next", b"x"))[1] == ("next", "file", b"x")


class TestNames:
    def test_a_prefix_leads_in_ustar(self) -> None:
        assert one(block(b"name", rest=b"some/directory")).name == "some/directory/name"

    def test_a_name_may_fill_its_field(self) -> None:
        assert one(block(b"n" * 100, rest=b"p" * 155)).name == "p" * 155 + "/" + "n" * 100

    def test_there_is_no_prefix_in_v7_and_in_gnu(self) -> None:
        assert one(block(b"name", magic=bytes(8), rest=b"some")).name == "name"
        assert one(block(b"name", magic=b"ustar  \0", rest=b"12574544345\0" * 2)).name == "name"

    def test_the_prefix_that_old_docker_wrote_into_gnu_headers_is_read(self) -> None:
        assert one(block(b"name", magic=b"ustar  \0", rest=b"some/directory")).name == "some/directory/name"

    def test_the_prefix_of_star_is_shorter(self) -> None:
        rest = b"p".ljust(131, b"\0") + b"01234567012 01234567012 " + bytes(8) + b"tar\0"
        assert one(block(b"name", rest=rest)).name == "p/name"

    def test_bytes_that_are_no_text_survive(self) -> None:
        name = one(block(b"\xff\xfe", linkname=b"\x80", flag=b"2"))

        assert (os.fsencode(name.name), os.fsencode(name.linkname)) == (b"\xff\xfe", b"\x80")

    def test_names_are_data(self) -> None:
        for name in (b"../x", b"/etc/passwd", b"a\nb", b"\x1b[2J", b" ", b".", b"a//b/./c"):
            assert os.fsencode(one(block(name)).name) == name

    def test_gnu_long_names(self) -> None:
        found = one(extension(b"L", b"n" * 300 + b"\0"), extension(b"K", b"l" * 300 + b"\0"), block(flag=b"2"))

        assert (found.name, found.linkname) == ("n" * 300, "l" * 300)

    def test_the_last_gnu_long_name_counts(self) -> None:
        assert one(extension(b"L", b"first\0"), extension(b"L", b"second\0"), block()).name == "second"

    def test_a_long_name_is_for_one_member(self) -> None:
        found = read(extension(b"L", b"long\0"), file(b"a"), file(b"b"))

        assert [name for name, *_ in found] == ["long", "b"]

    def test_a_type_of_nul_is_a_directory_by_its_whole_name(self) -> None:
        """CVE-2025-13462: the short name was looked at, which may be cut at a slash."""
        long = extension(b"L", b"d/" * 60 + b"file\0")

        assert one(long, block(b"d/" * 50, flag=b"\0")).type is EntryType.FILE
        assert one(block(b"d/", flag=b"\0")).type is EntryType.DIR
        assert one(extension(b"L", b"x/\0"), block(b"f", flag=b"\0")).type is EntryType.DIR


class TestPax:
    def test_records_beat_the_header(self) -> None:
        found = one(
            pax(("path", "ä" * 100), ("size", "5"), ("uid", "3000000"), ("gid", "-2"), ("mtime", "-1.5")),
            block(b"short", 1),
            padded(b"12345"),
        )

        assert (found.name, found.size, found.uid, found.gid, found.mtime) == ("ä" * 100, 5, 3000000, -2, -2)

    def test_the_size_of_the_record_decides_where_the_next_member_is(self) -> None:
        """CVE-2025-62518: whoever takes the header's size reads the content of this member as members."""
        smuggled = file(b"smuggled", b"bad")

        found = read(pax(("size", str(len(smuggled)))), block(b"outer", 0), smuggled, file(b"next", b"x"))

        assert found == [("outer", "file", smuggled), ("next", "file", b"x")]

    def test_the_size_is_of_the_member_and_not_of_an_extension_between(self) -> None:
        found = read(pax(("size", "600")), extension(b"L", b"long\0"), block(b"s", 3), padded(b"z" * 600), file(b"n"))

        assert found == [("long", "file", b"z" * 600), ("n", "file", b"")]

    def test_records_are_for_one_member(self) -> None:
        found = read(pax(("path", "one")), file(b"a"), file(b"b"))

        assert [name for name, *_ in found] == ["one", "b"]

    def test_the_last_extended_header_counts_alone(self) -> None:
        assert one(pax(("path", "first")), pax(("mtime", "7")), block(b"short")).name == "short"

    def test_of_two_records_the_last_counts_and_an_empty_one_means_none(self) -> None:
        assert one(pax(("path", "a"), ("path", "b")), block(b"short")).name == "b"
        assert one(pax(("path", "")), block(b"short")).name == "short"

    def test_all_records_are_to_be_had(self) -> None:
        assert one(pax(("SCHILY.xattr.user.a", "1"), ("comment", "b=c")), block()).pax == {
            "SCHILY.xattr.user.a": "1",
            "comment": "b=c",
        }

    def test_a_global_header_changes_nothing(self) -> None:
        found = read(
            pax(("path", "all"), ("size", "3"), ("linkpath", "x"), flag=b"g"), file(b"a", b"1"), file(b"b", b"2")
        )

        assert found == [("a", "file", b"1"), ("b", "file", b"2")]

    def test_a_size_may_have_leading_zeros(self) -> None:
        assert one(pax(("size", "000000000000000000000003")), block(), padded(b"abc")).size == 3


class TestNumbers:
    @pytest.mark.parametrize(
        "field",
        [b"00000000003\0", b"          3 ", b"3\0", b"\0\0\0\0\0\0\0\0\0003\0\0", b"000000000003", b" 3\0garbage"],
    )
    def test_octal_numbers_are_read(self, field: bytes) -> None:
        assert one(block(size=field), padded(b"abc")).size == 3

    def test_nothing_is_nought(self) -> None:
        assert one(block(size=bytes(12), mtime=b" " * 12, uid=bytes(8))).size == 0

    def test_base_256_numbers_are_read(self) -> None:
        found = one(block(size=number(3), uid=number(2**40, 8), gid=number(-2, 8), mtime=number(-1)), padded(b"abc"))

        assert (found.size, found.uid, found.gid, found.mtime) == (3, 2**40, -2, -1)

    def test_a_size_of_many_gigabytes(self) -> None:
        size = 100 << 30

        entry = next(entries([block(size=number(size)), b"content"]))

        assert entry.size == size

    def test_checksums_of_signed_bytes(self) -> None:
        assert one(block(b"\xff\xfe", signed=True)).name == "\udcff\udcfe"


def test_a_hundred_thousand_members_are_linear_work() -> None:
    member = file(b"kernel")

    assert sum(1 for _ in entries([member * 1000] * 100)) == 100_000


def test_what_is_written_is_read() -> None:
    content = noise(2000)
    listed = [
        TarMember(name="disk", size=2000, mtime=-3, mode=0o600),
        TarMember(name="d/" * 80 + "ä", size=0),
        TarMember(name="dir/", type=EntryType.DIR, mode=0o755),
        TarMember(name="link", type=EntryType.SYMLINK, linkname="x" * 120),
        TarMember(name="hard", type=EntryType.HARDLINK, linkname="disk", uid=8**7),
    ]
    made = archived((member, [content] if member.size else []) for member in listed)

    found = [(e.name, e.type, e.size, e.linkname, e.mode, e.uid, e.mtime, b"".join(e.chunks)) for e in entries(made)]

    assert found == [
        (m.name, m.type, m.size, m.linkname, m.mode, m.uid, m.mtime, content if m.size else b"") for m in listed
    ]
