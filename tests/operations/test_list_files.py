"""Tests of list_files.py: what the layers of an image show together, within limits."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from eci_convert.errors import CorruptStreamError, LimitExceededError, MissingPartError, UsageError
from eci_convert.operations.list_files import list_files
from eci_convert.tar import EntryType, TarMember, archived
from tests.support.images import Hard, ImageBuilder, Link, a_machine, an_image


def paths(builder: ImageBuilder, pattern: str = "") -> list[str]:
    return [file.path for file in list_files(builder.build(), pattern).files]


def test_files_are_told_with_mode_size_and_link() -> None:
    members = [
        (TarMember(name="boot/", type=EntryType.DIR, mode=0o700), ()),
        (TarMember(name="boot/vmlinuz", size=3, mode=0o640), (b"abc",)),
        (TarMember(name="vmlinuz", type=EntryType.SYMLINK, linkname="boot/vmlinuz"), ()),
        (TarMember(name="twin", type=EntryType.HARDLINK, linkname="boot/vmlinuz"), ()),
        (TarMember(name="null", type=EntryType.CHAR, mode=0o666, device=(1, 3)), ()),
        (TarMember(name="a/b/c", size=0), ()),
    ]
    files = list_files(an_image().tar_layer(b"".join(archived(members))).build()).files

    assert [(file.path, file.kind, file.mode, file.size, file.link) for file in files] == [
        ("/a", "directory", 0o755, None, None),
        ("/boot", "directory", 0o700, None, None),
        ("/null", "special", 0o666, None, None),
        ("/twin", "file", 0o640, 3, None),
        ("/vmlinuz", "symlink", 0o777, None, "boot/vmlinuz"),
        ("/a/b", "directory", 0o755, None, None),
        ("/a/b/c", "file", 0o644, 0, None),
        ("/boot/vmlinuz", "file", 0o640, 3, None),
    ]


def test_higher_layers_replace_and_delete() -> None:
    builder = (
        an_image()
        .tar_layer({"etc/": None, "etc/a": b"1", "etc/b": b"22", "opt/x": b"x", "gone": b"", "lib/real": b"123"})
        .tar_layer({"etc/a": b"333", "etc/.wh.b": b"", ".wh.gone": b"", "opt/.wh..wh..opq": b"", "opt/y": b""})
        .tar_layer({"linked": Hard("lib/real")}, compression="gzip")
    )

    files = {file.path: file.size for file in list_files(builder.build()).files if file.kind == "file"}

    assert files == {"/etc/a": 3, "/opt/y": 0, "/lib/real": 3, "/linked": 3}


def test_what_is_written_through_a_link_lies_where_it_leads() -> None:
    builder = an_image().tar_layer({"usr/lib/": None, "lib": Link("usr/lib")}).tar_layer({"lib/modules": b"m"})

    assert paths(builder) == ["/lib", "/usr", "/usr/lib", "/usr/lib/modules"]


def test_an_artifact_has_titles() -> None:
    files = list_files(a_machine().build()).files

    assert [(file.path, file.kind, file.mode, file.size) for file in files] == [
        ("kernel", "blob", None, 6), ("initrd", "blob", None, 6), ("disk-root-root.raw", "blob", None, 1200)
    ]  # fmt: skip


TREE = an_image().tar_layer(
    {"boot/": None, "boot/vmlinuz": b"", "boot/efi/a.efi": b"", "b.efi": b"", "x[1]": b"", "x1": b"", "x-": b""}
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/boot", ["/boot", "/boot/efi", "/boot/vmlinuz", "/boot/efi/a.efi"]),
        ("boot/", ["/boot", "/boot/efi", "/boot/vmlinuz", "/boot/efi/a.efi"]),
        ("./boot/vmlinuz", ["/boot/vmlinuz"]),
        ("*.efi", ["/b.efi", "/boot/efi/a.efi"]),
        ("/*.efi", ["/b.efi"]),
        ("/boot/*", ["/boot/efi", "/boot/vmlinuz"]),
        ("/boot/**", ["/boot/efi", "/boot/vmlinuz", "/boot/efi/a.efi"]),
        ("**/*.efi", ["/b.efi", "/boot/efi/a.efi"]),
        ("x[[]1]", ["/x[1]"]),
        ("x[!1]", ["/x-"]),
        ("x?", ["/x-", "/x1"]),
    ],
)
def test_a_pattern_is_as_in_a_shell(pattern: str, expected: list[str]) -> None:
    assert paths(TREE, pattern) == expected


def test_a_pattern_that_nothing_matches_is_an_error() -> None:
    with pytest.raises(MissingPartError, match="no file that matches"):
        paths(TREE, "*.iso")
    with pytest.raises(UsageError, match="characters"):
        paths(TREE, "*" * 5000)


@pytest.mark.parametrize("seed", range(20))
def test_any_text_is_a_pattern_or_an_error_of_ours(seed: int) -> None:
    maker = random.Random(seed)
    for _ in range(30):
        pattern = "".join(maker.choice("ab[]!^-*?/\\(){}|&&~.") for _ in range(maker.randint(1, 9)))
        with contextlib.suppress(MissingPartError, UsageError):
            paths(TREE, pattern)


def test_hostile_layers_end_in_an_error() -> None:
    with pytest.raises(CorruptStreamError, match="name"):
        paths(an_image().tar_layer({"../x": b""}))
    with pytest.raises(LimitExceededError, match="a path of 4097 characters"):
        paths(an_image().tar_layer({"d/" * 2040 + str(n): b"" for n in range(300)} | {"x" * 4097: b""}))


def test_deep_directories_do_not_make_paths_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eci_convert.rootfs.listing.MAX_TEXT", 100_000)
    with pytest.raises(LimitExceededError, match="paths"):
        paths(an_image().tar_layer({"d/" * 1000 + "x": b""}))


def test_every_file_that_is_listed_can_be_extracted(tmp_path: Path) -> None:
    from eci_convert.operations.extract import extract
    from eci_convert.operations.extract_request import ExtractRequest

    builder = (
        an_image()
        .tar_layer({"a/": None, "a/f": b"1", "l": Link("a"), "h": Hard("a/f")})
        .tar_layer({"l/g": b"22", "h2": Hard("a/f"), "a/.wh.f": b""})
    )
    files = [file for file in list_files(builder.build()).files if file.kind == "file"]

    for number, file in enumerate(files):
        extract(builder.build(), ExtractRequest(paths={file.path: tmp_path / str(number)}))
        assert (tmp_path / str(number)).stat().st_size == file.size
