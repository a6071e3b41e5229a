"""Archives that are damaged or mean harm are refused: no error is taken for an end, and no claim for memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eci_convert.errors import CorruptStreamError, FormatError, LimitExceededError
from eci_convert.tar import EXTENSION_LIMIT, EntryType, entries
from tests.support.chunking import endless
from tests.support.tar_archives import END, block, extension, file, number, one, padded, pax, read, record

SIZE = len(b"content")
GOOD = file(b"good", b"content")


def refused(*chunks: bytes, match: str | None = None, error: type[FormatError] = CorruptStreamError) -> FormatError:
    with pytest.raises(error, match=match) as caught:
        read(*chunks)
    return caught.value


@pytest.mark.parametrize("before", [b"", GOOD, GOOD + GOOD])
@pytest.mark.parametrize(
    "bad", [b"\xff" * 512, b"garbage " * 64, block(checksum=b"0000001\0"), block(checksum=bytes(8))]
)
def test_a_damaged_header_is_an_error_and_not_the_end(before: bytes, bad: bytes) -> None:
    """`tarfile` takes any but the first for the end of the archive, silently."""
    refused(before + bad + END)


@given(st.integers(0, 511), st.integers(1, 255))
def test_any_changed_byte_of_a_header_is_seen(at: int, change: int) -> None:
    made = bytearray(GOOD)
    made[at] ^= change

    try:
        found = read(bytes(made))
    except FormatError:
        return
    assert 148 <= at < 156, "only the checksum has several spellings"
    assert found == [("good", "file", b"content")]


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_archive_is_read_or_refused_and_never_a_crash(draw: st.DataObject) -> None:
    parts = [GOOD, pax(("path", "p"), ("size", "3")), extension(b"L", b"long\0"), block(size=3), padded(b"abc"), END]
    made = bytearray(b"".join(draw.draw(st.permutations(parts))))
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(made) - 1))
        made[at] = draw.draw(st.sampled_from([0, 9, 32, 45, 48, 55, 56, 61, 128, 255]))
        start = at - at % 512
        if draw.draw(st.booleans()):
            head = made[start : start + 512]
            head[148:156] = b" " * 8
            made[start + 148 : start + 156] = b"%06o\0 " % sum(head)

    with suppress(FormatError):
        read(bytes(made))


@pytest.mark.parametrize("end", [1, 511, 512, 512 + SIZE - 1])
def test_an_archive_cut_within_a_member_is_an_error(end: int) -> None:
    refused(GOOD + GOOD[:end], match="unexpected EOF")


@pytest.mark.parametrize("end", [512 + SIZE, 600, 1023])
def test_the_last_member_may_lack_its_padding(end: int) -> None:
    """As umoci insert writes it, and as Go reads it."""
    assert read(GOOD + GOOD[:end]) == read(GOOD + GOOD)


def test_a_lone_zero_block_is_not_the_end() -> None:
    refused(GOOD + bytes(512) + GOOD, match="single zero block")
    refused(GOOD + bytes(512) + b"\0\0\0", match="single zero block")


class TestNumbers:
    @pytest.mark.parametrize(
        "size",
        [b"-0000000001\0", b"0000000000x\0", b"00000000009\0", b"0x000000010\0", b"1 1\0", b"+0000000001\0", b"1_1\0"],
    )
    def test_a_size_that_is_no_octal_number(self, size: bytes) -> None:
        refused(block(size=size))

    @pytest.mark.parametrize("size", [number(-1), number(-(2**62)), b"\xff" * 12])
    def test_a_negative_size(self, size: bytes) -> None:
        """CVE-2025-8194: `tarfile` goes back in the archive, for ever."""
        refused(block(size=size), match="size is -")

    @pytest.mark.parametrize("size", [number(2**63), number(2**90), b"\x80" + b"\xff" * 11])
    def test_a_size_over_63_bits(self, size: bytes) -> None:
        refused(block(size=size), match="64 bits")

    @pytest.mark.parametrize("field", ["mode", "uid", "gid", "mtime"])
    def test_other_fields_that_are_no_numbers(self, field: str) -> None:
        value: dict[str, Any] = {field: b"kernel!\0".ljust(12 if field == "mtime" else 8, b"\0")}
        refused(block(**value))

    def test_a_device_that_is_no_number(self) -> None:
        refused(block(device=b"abcdefg\0" * 2))

    def test_a_claim_of_exabytes_is_an_end_too_early_and_no_memory(self) -> None:
        tracemalloc.start()
        refused(block(size=number(2**62)) + b"x" * 5000, match="unexpected EOF")
        refused(extension(b"L", b"") + block(size=number(2**62)), match="unexpected EOF")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 1 << 20


class TestExtensionHeaders:
    @pytest.mark.parametrize("flag", [b"x", b"g", b"L", b"K"])
    def test_one_of_more_than_a_mebibyte_is_refused_unread(self, flag: bytes) -> None:
        def source() -> Iterator[bytes]:
            yield block(b"extension", EXTENSION_LIMIT + 1, flag)
            raise AssertionError("the content was read")

        with pytest.raises(LimitExceededError, match="an extension header of the archive is 1048577 bytes long"):
            next(entries(source()))

    @pytest.mark.parametrize("flag", [b"L", b"K"])
    def test_one_of_a_mebibyte_is_read(self, flag: bytes) -> None:
        name = "n" * (EXTENSION_LIMIT - 1)

        found = one(extension(flag, name.encode() + b"\0") + block(b"f", flag=b"2"))

        assert name in (found.name, found.linkname)

    @pytest.mark.parametrize("flag", [b"x", b"g", b"L", b"K"])
    def test_a_chain_of_them_is_refused(self, flag: bytes) -> None:
        """`tarfile` recurses on each; an endless chain must end too."""
        content = record("comment", "x") if flag in b"xg" else b"name\0"

        assert len(read(*[extension(flag, content)] * 16, block())) == 1
        with pytest.raises(LimitExceededError, match="extension headers"):
            list(entries(endless(extension(flag, content))))

    @pytest.mark.parametrize("flag", [b"x", b"g", b"L", b"K"])
    def test_one_without_a_member_is_an_error(self, flag: bytes) -> None:
        content = record("comment", "x") if flag in b"xg" else b"name\0"

        refused(GOOD + extension(flag, content) + END, match="after an extension")
        refused(GOOD + extension(flag, content), match="after an extension")

    @pytest.mark.parametrize("flag", [b"x", b"L"])
    def test_one_that_is_cut_is_an_error(self, flag: bytes) -> None:
        made = extension(flag, record("path", "x" * 600))
        for end in (512, 600, len(made) - 1):
            refused(GOOD + made[:end], match="unexpected EOF")

    def test_one_of_whole_blocks_that_is_cut_is_an_error(self) -> None:
        refused(extension(b"L", b"n" * 1024)[: 512 + 600], match="unexpected EOF")

    def test_nul_in_a_long_name(self) -> None:
        refused(extension(b"L", b"kernel\0.txt\0") + block(), match="NUL")

    def test_of_two_that_disagree_on_the_name_the_one_that_go_takes_wins(self) -> None:
        """archive/tar lets GNU's name win over a PAX path, and that over the header's, in whatever order they come."""
        long, path = extension(b"L", b"gnu\0"), pax(("path", "pax"))
        assert [one(made + block()).name for made in (long + path, path + long, path, long)] == [
            "gnu",
            "gnu",
            "pax",
            "gnu",
        ]
        long, path = extension(b"K", b"gnu\0"), pax(("linkpath", "pax"))
        assert one(long + path + block(flag=b"2")).linkname == one(path + long + block(flag=b"2")).linkname == "gnu"
        assert one(extension(b"L", b"\0") + pax(("path", "pax")) + block()).name == "pax"
        assert one(extension(b"L", b"gnu\0") + pax(("path", "")) + block()).name == "gnu"

    def test_the_name_that_wins_says_whether_an_old_member_is_a_directory(self) -> None:
        for name, other, kind in ((b"d/\0", "f", EntryType.DIR), (b"f\0", "d/", EntryType.FILE)):
            assert one(extension(b"L", name) + pax(("path", other)) + block(flag=b"\0")).type is kind

    def test_the_name_of_a_sparse_member_is_its_own(self) -> None:
        sparse = (
            ("GNU.sparse.major", "0"),
            ("GNU.sparse.minor", "1"),
            ("GNU.sparse.size", "4"),
            ("GNU.sparse.map", ""),
        )
        records = pax(("path", "pax"), ("GNU.sparse.name", "sparse"), *sparse)
        assert one(extension(b"L", b"gnu\0") + records + block()).name == "sparse"

    def test_memory_does_not_grow_with_global_headers(self) -> None:
        member = pax(*((f"key{n}", "v" * 1000) for n in range(100)), flag=b"g") + block()
        tracemalloc.start()
        for count, _ in enumerate(entries(endless(member))):
            if count == 200:
                break
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 4 << 20


class TestPaxRecords:
    @pytest.mark.parametrize(
        "content",
        [
            b"6 path=x\n",
            b"100 path=x\n",
            b"10 path=xx",
            b"10 pathxxx\n",
            b"8 =xxxx\n",
            b"-9 path=x\n",
            b"+9 path=x\n",
            b" 9 path=x\n",
            b"0 path=x\n",
            b"path=x\n",
            b"9\tpath=x\n",
            b"9_ path=x\n",
            "٩ path=x\n".encode(),
            b"9 path=x\n\0\0\0",
            b"9 path=x\n9 path=",
            b"99999999999999999999999999 path=x\n",
            b"9" * 5000,
            b"\0" * 20,
        ],
    )
    def test_malformed_ones_are_an_error(self, content: bytes) -> None:
        refused(extension(b"x", content) + block())
        refused(extension(b"g", content) + block())

    @pytest.mark.parametrize("key", ["path", "linkpath", "uname", "gname"])
    def test_nul_in_a_text(self, key: str) -> None:
        refused(pax((key, "etc/passwd\0.png")) + block(), match="NUL")

    def test_nul_in_a_key(self) -> None:
        refused(pax(("pa\0th", "x")) + block(), match="NUL")

    @pytest.mark.parametrize(
        "size", ["-1", "1.5", "0x10", "1e3", " 1", "1 ", "+1", "١", "9" * 19, "9" * 5000, "nan", "1_0"]
    )
    def test_a_size_that_is_none(self, size: str) -> None:
        refused(pax(("size", size)) + block(), match="which is not a number")

    @pytest.mark.parametrize("mtime", ["nan", "inf", "-inf", "1e300", "", " 1", "1.5.5", "--1", "9" * 30, "0x1", "1,5"])
    def test_an_odd_time(self, mtime: str) -> None:
        if not mtime:
            assert one(pax(("mtime", mtime)) + block()).mtime == 0  # no value: no record
        else:
            refused(pax(("mtime", mtime)) + block())

    @pytest.mark.parametrize("key", ["uid", "gid"])
    def test_an_odd_owner(self, key: str) -> None:
        refused(pax((key, "root")) + block())


def test_there_is_a_limit_on_members() -> None:
    assert len(list(entries([file() * 10], limit=10))) == 10
    with pytest.raises(LimitExceededError, match="more than 9 members"):
        list(entries([file() * 10], limit=9))


def test_an_error_of_the_source_comes_through_whoever_is_reading() -> None:
    def failing(made: bytes) -> Iterator[bytes]:
        yield made
        raise OSError("the connection")

    for made in (b"", GOOD[:100], GOOD[:512], GOOD, GOOD + END):
        with pytest.raises(OSError, match="the connection"):
            list(entries(failing(made)))
