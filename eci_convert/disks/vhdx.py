"""Whether a VHDX has a parent: a flag in its metadata, which the region table locates (MS-VHDX 2.2.3, 2.6)."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from eci_convert.disks.integers import little_endian

TABLES: Final = (192 << 10, 256 << 10)
"""The offsets of the region table and its copy; each is 64 KiB long."""

_METADATA = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_ENTRIES = 2047
_METADATA_SIZE = 1 << 20
_HAS_PARENT = 1 << 1


def metadata(head: bytes) -> range | None:
    """The range of the metadata in the file with *head*; None if it is not a VHDX, or has none."""
    if not head.startswith(b"vhdxfile"):
        return None
    for table in TABLES:
        if head.startswith(b"regi", table):
            for entry in range(table + 16, table + 16 + 32 * min(_ENTRIES, little_endian(head, table + 8, 4)), 32):
                if head.startswith(_METADATA, entry):
                    start = little_endian(head, entry + 16, 8)
                    return range(start, start + min(_METADATA_SIZE, little_endian(head, entry + 24, 4)))
    return None


def vhdx_parent(region: bytes) -> str | None:
    """A description of what the disk with the metadata *region* refers to; None if nothing."""
    if not region.startswith(b"metadata"):
        return None
    for entry in range(32, 32 + 32 * min(_ENTRIES, little_endian(region, 10, 2)), 32):
        if (
            region.startswith(_PARAMETERS, entry)
            and little_endian(region, little_endian(region, entry + 16, 4) + 4, 4) & _HAS_PARENT
        ):
            return "a parent disk"
    return None
