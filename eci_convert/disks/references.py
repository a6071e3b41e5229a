"""External references of disk images: backing files, data files, external extents, parents.

A program that opens an untrusted disk with qemu opens the files it refers to, which may be the host's own. Headers that
qemu refuses have no references (docs/interop/qcow2.txt, qed_spec.txt; VMware Virtual Disk Format 5.0; Microsoft VHD
1.0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eci_convert.disks import vhdx
from eci_convert.disks.detect import detect_disk_type
from eci_convert.disks.integers import big_endian, little_endian
from eci_convert.disks.vhdx import vhdx_parent
from eci_convert.disks.vmdk import printable_value, reference_if_descriptor, vmdk_reference
from eci_convert.model import DiskType

_BACKING_LIMIT = 1023
_DATA_FILE = 1 << 2
_UNKNOWN_FEATURES = ~0b11111
_DATA_FILE_NAME = 0x44415441
_DIFFERENCING = 4
_QED_BACKED = 1 << 0
_QED_UNKNOWN = ~0b111


def external_reference(head: bytes, size: int, tail: bytes = b"", further: bytes = b"") -> str | None:
    """A description of what the disk of *size* bytes with the given *head* and *tail* refers to; None if nothing.

    *head* should have `HEAD` bytes; *further* are the bytes of `extra_range(head)`. A file of unknown type is examined
    as every type that it could be declared as.
    """
    if reference := _of_qed(head):
        return reference
    kind = detect_disk_type(head, size, tail)
    if kind is DiskType.VHDX:
        return vhdx_parent(further)
    if kind in (None, DiskType.RAW):
        return reference_if_descriptor(head)
    look = _READERS.get(kind)
    return look(head, size, tail) if look else None


def extra_range(head: bytes) -> range:
    """The range of bytes of the disk with *head* that has further references; empty if there is none."""
    return vhdx.metadata(head) or range(0)


def _of_qcow(head: bytes, size: int, _: bytes) -> str | None:
    offset, length = big_endian(head, 8, 8), big_endian(head, 16, 4)
    if offset and 0 < length <= _BACKING_LIMIT and offset + length <= size:
        return f"the backing file {printable_value(head[offset : offset + length])}"
    return None


def _of_qcow2(head: bytes, size: int, tail: bytes) -> str | None:
    features = big_endian(head, 72, 8) if big_endian(head, 4, 4) >= 3 else 0
    if features & _UNKNOWN_FEATURES:
        return None
    if features & _DATA_FILE:
        return f"the external data file {printable_value(_extension(head, _DATA_FILE_NAME))}"
    return _of_qcow(head, size, tail)


def _of_qed(head: bytes) -> str | None:
    """qed is not one of our disk types, but qemu detects and opens it if no format is given."""
    features, offset, length = (little_endian(head, at, size) for at, size in ((16, 8), (56, 4), (60, 4)))
    if not head.startswith(b"QED\0") or features & _QED_UNKNOWN or not features & _QED_BACKED:
        return None
    return f"the backing file {printable_value(head[offset : offset + min(length, _BACKING_LIMIT)])}"


def _extension(head: bytes, extension_type: int) -> bytes:
    """The content of the header extension of type *extension_type*; empty if it does not exist."""
    at = big_endian(head, 100, 4)
    while at + 8 <= len(head) and (kind := big_endian(head, at, 4)):
        length = big_endian(head, at + 4, 4)
        if kind == extension_type:
            return head[at + 8 : at + 8 + length]
        at += 8 + length + -length % 8
    return b""


def _of_vhd(head: bytes, _: int, tail: bytes) -> str | None:
    """Either the footer or its copy may be the one that is used."""
    footers = (head, tail[max(0, tail.find(b"conectix")) :])
    cookies = [footer for footer in footers if footer.startswith(b"conectix")]
    return "a parent disk" if any(big_endian(footer, 60, 4) == _DIFFERENCING for footer in cookies) else None


_READERS: Final[dict[DiskType, Callable[[bytes, int, bytes], str | None]]] = {
    DiskType.QCOW: _of_qcow,
    DiskType.QCOW2: _of_qcow2,
    DiskType.VMDK: lambda head, size, _: vmdk_reference(head, size),
    DiskType.VHD: _of_vhd,
}
