"""Tests of rootfs/listing.py, through operations.list_files."""

from __future__ import annotations

import pytest

from eci_convert.errors import CorruptStreamError, DigestMismatchError
from eci_convert.operations.list_files import list_files
from eci_convert.reading.images import load_image
from eci_convert.transports.memory import MemorySource
from tests.support.images import Files, Hard, ImageBuilder, Link, a_machine, an_image


def listed(image: ImageBuilder | MemorySource) -> dict[str, int | str | None]:
    """Sizes of the files, and targets of the symbolic links, by path."""
    source = image.build() if isinstance(image, ImageBuilder) else image
    return {
        entry.path: entry.link or entry.size for entry in list_files(source).files if entry.kind in ("file", "symlink")
    }


def test_the_files_of_all_layers_are_listed_with_their_sizes() -> None:
    lower: Files = {
        "boot/vmlinuz-1": b"k" * 10,
        "boot/vmlinuz": Link("vmlinuz-1"),
        "etc/os-release": b"old",
        "empty/": None,
    }
    upper: Files = {"etc/os-release": b"newer", "etc/copy": Hard("etc/os-release"), "z": b""}
    assert listed(an_image().tar_layer(lower, compression="gzip").tar_layer(upper, compression="zstd")) == {
        "/boot/vmlinuz": "vmlinuz-1",
        "/boot/vmlinuz-1": 10,
        "/etc/copy": 5,
        "/etc/os-release": 5,
        "/z": 0,
    }


def test_what_is_deleted_is_not_listed() -> None:
    lower = {"a/one": b"1", "a/two": b"2", "b/three": b"3", "c": b"4"}
    upper = {"a/.wh.one": b"", "b/.wh..wh..opq": b"", "b/four": b"44", ".wh.c": b""}
    assert listed(an_image().tar_layer(lower).tar_layer(upper)) == {"/a/two": 1, "/b/four": 2}


def test_a_hard_link_has_the_size_of_its_target_in_a_lower_layer() -> None:
    image = an_image().tar_layer({"disk": b"d" * 7}).tar_layer({"other": Hard("disk")})
    assert listed(image) == {"/disk": 7, "/other": 7}


def test_what_is_written_through_a_link_is_listed_where_it_lies() -> None:
    image = an_image().tar_layer({"usr/lib/a": b"a", "lib": Link("usr/lib")}).tar_layer({"lib/b": b"bb"})
    assert listed(image) == {"/lib": "usr/lib", "/usr/lib/a": 1, "/usr/lib/b": 2}


def test_an_image_without_a_filesystem_has_no_files() -> None:
    assert listed(a_machine()) == {}


def test_hostile_and_damaged_layers_are_errors() -> None:
    with pytest.raises(CorruptStreamError, match="has an entry with the name"):
        listed(an_image().tar_layer({"../etc/passwd": b"x"}))
    source = an_image().tar_layer({"file": b"x"}).build()
    digest = load_image(source).manifest.layers[0].digest
    source.blobs[digest] = source.blobs[digest].replace(b"x", b"y")
    with pytest.raises(DigestMismatchError):
        listed(source)
