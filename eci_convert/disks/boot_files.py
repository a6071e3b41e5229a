"""Detects files whose content contradicts their role (kernel, initrd or disk), for a warning.

Kernels: bzImage (Linux, Documentation/arch/x86/boot.rst), Image of arm64 and RISC-V (booting.rst,
boot-image-header.rst), PE (EFI stubs, unified kernel images) and ELF. Initrds: cpio archives (Documentation/
driver-api/early-userspace/buffer-format.rst). Either may be compressed.
"""

from __future__ import annotations

from typing import Final

from eci_convert.compression.codec import Compression, decompressed, detect_compression
from eci_convert.disks.detect import detect_disk_type
from eci_convert.errors import FormatError, LocalError
from eci_convert.model import DISK_ROLES, DiskType, Role

_KERNEL_MAGIC: Final = ((0x202, b"HdrS"), (0x38, b"ARM\x64"), (0x38, b"RSC\x05"), (0, b"\x7fELF"), (0, b"MZ"))
_INITRD_MAGIC: Final = (b"070701", b"070702", b"070707", b"\xc7\x71")
_PARTITION_TABLE: Final = ((510, b"\x55\xaa"), (512, b"EFI PART"))


def contradiction(role: Role, head: bytes, size: int, tail: bytes = b"") -> str | None:
    """The detected type of the file of *size* bytes that begins with *head* and ends with *tail*, if it contradicts
    *role*; None if it matches or is unknown.

    >>> contradiction(Role.KERNEL, b"070701" + bytes(110), 116), contradiction(Role.INITRD, b"070701", 6)
    ('an initrd', None)
    """
    if role in DISK_ROLES:
        return _boot_file(head)
    if role not in (Role.KERNEL, Role.INITRD):
        return None
    boot_file = _boot_file(head)
    if boot_file:
        return boot_file if boot_file != {Role.KERNEL: "a kernel", Role.INITRD: "an initrd"}[role] else None
    disk_type = detect_disk_type(head, size, tail)
    if disk_type in (None, DiskType.RAW) and not any(head.startswith(text, at) for at, text in _PARTITION_TABLE):
        return None  # an initrd can be a filesystem image
    return f"a disk ({disk_type})" if disk_type else None


def _boot_file(head: bytes) -> str | None:
    if detect_compression(head) is not Compression.NONE:
        head = _decompressed_head(head)
    if any(head.startswith(text, at) for at, text in _KERNEL_MAGIC):
        return "a kernel"
    return "an initrd" if head.startswith(_INITRD_MAGIC) else None


def _decompressed_head(head: bytes) -> bytes:
    try:
        return next(decompressed((head,), None), b"")
    except (FormatError, LocalError):  # truncated, not compressed after all, or the library is missing
        return b""
