"""Tests of boot_files.py: what a kernel, an initrd or a disk looks like that was given as another."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys

import pytest

from eci_convert.disks.boot_files import contradiction
from eci_convert.model import Role


def at(offset: int, text: bytes) -> bytes:
    return bytes(offset) + text + bytes(600)


BZIMAGE = bytes(510) + b"\x55\xaa" + bytes(2) + b"\x53\x53HdrS"[-6:] + bytes(600)
BZIMAGE = BZIMAGE[:0x202] + b"HdrS" + BZIMAGE[0x206:]
KERNELS = [BZIMAGE, at(0x38, b"ARM\x64"), at(0x38, b"RSC\x05"), b"\x7fELF" + bytes(60), b"MZ" + bytes(60)]
CPIO = b"070701" + b"0" * 104
DISKS = {"qcow2": b"QFI\xfb\0\0\0\3" + bytes(2000), "raw": at(510, b"\x55\xaa"), "iso": at(0x8001, b"CD001")}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("packed", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_a_kernel_is_one_compressed_or_not(kernel: bytes, packed) -> None:  # type: ignore[no-untyped-def]
    file = packed(kernel)

    assert contradiction(Role.KERNEL, file, len(file)) is None
    assert contradiction(Role.INITRD, file, len(file)) == "a kernel"
    assert contradiction(Role.ROOT_DISK, file, len(file)) == "a kernel"


@pytest.mark.parametrize("packed", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("magic", [b"070701", b"070702", b"070707", b"\xc7\x71"])
def test_an_initrd_is_a_cpio_archive(magic: bytes, packed) -> None:  # type: ignore[no-untyped-def]
    file = packed(magic + bytes(600))

    assert contradiction(Role.INITRD, file, len(file)) is None
    assert contradiction(Role.KERNEL, file, len(file)) == "an initrd"
    assert contradiction(Role.EXTRA_DISK, file, len(file)) == "an initrd"


@pytest.mark.parametrize("disk_type", DISKS)
@pytest.mark.parametrize("role", [Role.KERNEL, Role.INITRD])
def test_a_disk_is_no_boot_file(role: Role, disk_type: str) -> None:
    disk = DISKS[disk_type]

    assert contradiction(role, disk, len(disk)) == f"a disk ({disk_type})"
    assert contradiction(Role.ROOT_DISK, disk, len(disk)) is None


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("file", [b"", b"anything", b"\x1f\x8b\x08broken", b"hsqs" + bytes(600), bytes(4096)])
def test_what_could_be_anything_is_believed(role: Role, file: bytes) -> None:
    assert contradiction(role, file, len(file)) is None


def test_what_cannot_be_decompressed_here_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ubuntu's initrds are compressed with zstd, for which some architectures have no library."""
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.delitem(sys.modules, "eci_convert.compression.libzstd", raising=False)
    file = b"\x28\xb5\x2f\xfd" + bytes(600)

    assert contradiction(Role.KERNEL, file, len(file)) is None
