"""What a disk wants read beside itself: a backing file, a data file, extents that lie elsewhere, a parent.

Whoever opens a disk from a stranger with qemu opens the files that it names, which may be the host's own. Headers that
qemu refuses refer to nothing (docs/interop/qcow2.txt; VMware Virtual Disk Format 5.0; Microsoft VHD 1.0).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from eci_convert.disktype.magic import detect
from eci_convert.model import DiskType

_BACKING_LIMIT = 1023
_DATA_FILE = 1 << 2
_UNKNOWN_FEATURES = ~0b11111
_DATA_FILE_NAME = 0x44415441
_SECTOR = 512
_EXTENT = re.compile(rb'^[ \t]*(?:RW|RDONLY|NOACCESS)[ \t]+[0-9]+[ \t]+([A-Z]+)(?:[ \t]+"([^"\n]*)")?', re.MULTILINE)
_PARENT_HINT = re.compile(rb'^[ \t]*parentFileNameHint[ \t]*=[ \t]*"?([^"\r\n]*)', re.MULTILINE | re.IGNORECASE)
_PARENT_ID = re.compile(rb"^[ \t]*parentCID[ \t]*=[ \t]*([0-9a-f]{1,8})", re.MULTILINE | re.IGNORECASE)
_DIFFERENCING = 4


def foreign_reference(head: bytes, size: int, tail: bytes = b"") -> str | None:
    """What the disk of *size* bytes that begins with *head* and ends with *tail* refers to, for people; or None.

    *head* should be as long as `HEAD`.
    """
    kind = detect(head, size, tail)
    look = _LOOKS.get(kind) if kind else None
    return look(head, size, tail) if look else None


def _of_qcow(head: bytes, size: int, _: bytes) -> str | None:
    offset, length = _big(head, 8, 8), _big(head, 16, 4)
    if offset and 0 < length <= _BACKING_LIMIT and offset + length <= size:
        return f"the backing file {_name(head[offset : offset + length])}"
    return None


def _of_qcow2(head: bytes, size: int, tail: bytes) -> str | None:
    features = _big(head, 72, 8) if _big(head, 4, 4) >= 3 else 0
    if features & _UNKNOWN_FEATURES:
        return None
    if features & _DATA_FILE:
        return f"the external data file {_name(_extension(head, _DATA_FILE_NAME))}"
    return _of_qcow(head, size, tail)


def _extension(head: bytes, wanted: int) -> bytes:
    """The content of the header extension of type *wanted*; empty if it is not there."""
    at = _big(head, 100, 4)
    while at + 8 <= len(head) and (kind := _big(head, at, 4)):
        length = _big(head, at + 4, 4)
        if kind == wanted:
            return head[at + 8 : at + 8 + length]
        at += 8 + length + -length % 8
    return b""


def _of_vmdk(head: bytes, _size: int, _tail: bytes) -> str | None:
    sparse = head.startswith(b"KDMV")
    if not sparse:
        return None if head.startswith(b"COWD") else _of_descriptor(head, own=0)
    start, length = _little(head, 28, 8) * _SECTOR, _little(head, 36, 8) * _SECTOR
    capacity = _little(head, 12, 8)
    return _of_descriptor(head[start : start + length] if start else b"", own=1 if capacity else 0)


def _of_descriptor(text: bytes, own: int) -> str | None:
    """What a VMDK descriptor refers to. The first *own* sparse extents are in the file that it stands in."""
    text = text.partition(b"\0")[0]
    parent = _PARENT_ID.search(text)
    hint = _PARENT_HINT.search(text)
    if parent and parent[1].lower() != b"ffffffff":
        return f"the parent disk {_name(hint[1] if hint else b'')}"
    for extent in _EXTENT.finditer(text):
        if extent[1] == b"SPARSE" and own:
            own -= 1
        elif extent[1] != b"ZERO":
            return f"the extent {_name(extent[2] or b'')}"
    return None


def _of_vhd(head: bytes, _: int, tail: bytes) -> str | None:
    footer = head if head.startswith(b"conectix") else tail
    return "a parent disk" if _big(footer, 60, 4) == _DIFFERENCING else None


_LOOKS: Final[dict[DiskType, Callable[[bytes, int, bytes], str | None]]] = {
    DiskType.QCOW: _of_qcow,
    DiskType.QCOW2: _of_qcow2,
    DiskType.VMDK: _of_vmdk,
    DiskType.VHD: _of_vhd,
}


def _big(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length].ljust(length, b"\0"), "big")


def _little(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length].ljust(length, b"\0"), "little")


def _name(text: bytes) -> str:
    return repr(text.decode("utf-8", "backslashreplace")) if text else "that it does not name"
