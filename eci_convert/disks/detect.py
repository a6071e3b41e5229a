"""Detects the type of a disk image from its first and last bytes.

Every type but raw has a magic number. A raw disk is detected by its partition table or filesystem; a file without a
known beginning could be anything: None, and never raw.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from eci_convert.model import DiskType

HEAD: Final = 320 << 10
"""The number of first bytes that `detect_disk_type` and `external_reference` examine."""
TAIL: Final = 512
"""The number of last bytes that `detect_disk_type` examines: a fixed VHD has only a footer."""

_SECTOR = 512
_ISO_MAGIC_AT = 0x8001
_VMDK_DESCRIPTOR = re.compile(rb"\s*# ?Disk DescriptorFile|(?:#[^\n]*\n| *\r?\n)*version=[123]\r?\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Magic:
    """The bytes *text* at offset *at*."""

    at: int
    text: bytes

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.text, self.at)


_RAW: Final = (
    _Magic(510, b"\x55\xaa"),  # a master boot record, or a boot sector
    _Magic(512, b"EFI PART"),  # GPT, also of disks with sectors of 4 KiB
    _Magic(4096, b"EFI PART"),
    _Magic(0x438, b"\x53\xef"),  # ext2, ext3, ext4
    _Magic(0, b"XFSB"),
    _Magic(0x10040, b"_BHRfS_M"),  # btrfs
    _Magic(0, b"hsqs"),  # squashfs
    _Magic(1024, b"\xe2\xe1\xf5\xe0"),  # erofs
    _Magic(1024, b"\x10\x20\xf5\xf2"),  # f2fs
    _Magic(0, b"LUKS\xba\xbe"),
    _Magic(512, b"LABELONE"),  # an LVM physical volume
    _Magic(4086, b"SWAPSPACE2"),
)


def detect_disk_type(head: bytes, size: int, tail: bytes = b"") -> DiskType | None:
    """The type of a file of *size* bytes that begins with *head* and ends with *tail*; None if unknown.

    >>> detect_disk_type(b"QFI\\xfb" + (3).to_bytes(4, "big"), 8)
    <DiskType.QCOW2: 'qcow2'>
    """
    for kind, is_it in _FORMATS:
        if is_it(head, tail[-TAIL:]):
            return kind
    return DiskType.RAW if size >= _SECTOR and any(magic.begins(head) for magic in _RAW) else None


def _is_qcow(*versions: int) -> Callable[[bytes, bytes], bool]:
    def is_it(head: bytes, _: bytes) -> bool:
        return head.startswith(b"QFI\xfb") and int.from_bytes(head[4:8], "big") in versions

    return is_it


def _is_vhdx(head: bytes, _: bytes) -> bool:
    return head.startswith(b"vhdxfile")


def _is_vhd(head: bytes, tail: bytes) -> bool:
    """The cookie is in a footer of 512 bytes (511 in old fixed disks); dynamic disks have a copy of it at the start."""
    return head.startswith(b"conectix") or tail.startswith(b"conectix") or tail.startswith(b"conectix", 1)


def _is_vmdk(head: bytes, _: bytes) -> bool:
    """Sparse extents, stream-optimised or not; those of old ESX; or a descriptor only, as VMware or qemu recognises
    it."""
    return head.startswith((b"KDMV", b"COWD")) or bool(_VMDK_DESCRIPTOR.match(head[:512]))


def _is_ova(head: bytes, _: bytes) -> bool:
    """A tar archive whose first member is the OVF descriptor (DSP0243 1.1.1, section 5.4)."""
    name = head[:100].partition(b"\0")[0]
    return head.startswith(b"ustar", 257) and name.lower().endswith(b".ovf")


def _is_iso(head: bytes, _: bytes) -> bool:
    """ISO 9660 (ECMA-119, 8.1). A hybrid one has a master boot record as well, and counts as an ISO."""
    return head.startswith(b"CD001", _ISO_MAGIC_AT)


_FORMATS: Final[tuple[tuple[DiskType, Callable[[bytes, bytes], bool]], ...]] = (
    (DiskType.QCOW, _is_qcow(1)),
    (DiskType.QCOW2, _is_qcow(2, 3)),
    (DiskType.VHDX, _is_vhdx),
    (DiskType.VMDK, _is_vmdk),
    (DiskType.OVA, _is_ova),
    (DiskType.ISO, _is_iso),
    (DiskType.VHD, _is_vhd),
)
