"""External references of a VMDK: extents in other files, a parent (VMware Virtual Disk Format 5.0).

qemu accepts more as a descriptor than VMware writes, so the parser follows qemu: any white space, or none after a
number, separates the words of an extent; the name of a parent may be anywhere and counts whatever the parent's CID; the
descriptor in a sparse extent is at its second sector, and ends at its first NUL, whatever length the header has.
"""

from __future__ import annotations

import re
from typing import Final

from eci_convert.disks.integers import little_endian

_SECTOR: Final = 512
_EXTENT = re.compile(rb'(?:RW|RDONLY|NOACCESS)\s+[+]?[0-9]+\s*([A-Z]+)(?:\s*"([^"\r\n]*))?')
_PARENT = re.compile(rb'parentFileNameHint(?:[ \t="]*([^ \t="\r\n][^"\r\n]*)|[\s\S]{2}([^"]+))', re.IGNORECASE)
_WORD = re.compile(rb"\S")
_PARENT_ID = re.compile(rb"^[ \t]*parentCID[ \t]*=[ \t]*([0-9a-f]{1,8})", re.MULTILINE | re.IGNORECASE)
_TRUNCATED: Final = "a description at an offset that is too large"


def vmdk_reference(head: bytes, size: int) -> str | None:
    """A description of what the VMDK of *size* bytes with *head* refers to; None if nothing."""
    if not head.startswith((b"KDMV", b"COWD")):
        return _unless_cut(head, 0, size) or _extents(_text(head, 0), own=0)
    parent = _parent(_text(head, _SECTOR))
    if parent or head.startswith(b"COWD"):
        return parent
    start = little_endian(head, 28, 8) * _SECTOR
    if not start:
        return None
    return _unless_cut(head, start, size) or _extents(_text(head, start), own=1 if little_endian(head, 12, 8) else 0)


def reference_if_descriptor(text: bytes) -> str | None:
    """What a file of unknown type that begins with *text* refers to if it is opened as a VMDK."""
    return _extents(_text(text, 0), own=0)


def _text(head: bytes, start: int) -> bytes:
    end = head.find(b"\0", start)
    return head[start : end if end >= 0 else None]


def _unless_cut(head: bytes, start: int, size: int) -> str | None:
    """The reason if the descriptor at *start* is not completely in *head*."""
    return _TRUNCATED if len(head) < size and start + len(_text(head, start)) >= len(head) else None


def _extents(text: bytes, own: int) -> str | None:
    """What the descriptor *text* refers to. The first *own* sparse extents are in the same file."""
    if parent := _parent(text):
        return parent
    for extent in _EXTENT.finditer(text):
        if not _begins_a_line(text, extent.start()):
            continue
        if extent[1] == b"SPARSE" and own:
            own -= 1
        elif extent[1] != b"ZERO":
            return f"the extent {printable_value(extent[2] or b'')}"
    return None


def _begins_a_line(text: bytes, at: int) -> bool:
    first = _WORD.search(text, text.rfind(b"\n", 0, at) + 1)
    return first is not None and first.start() == at


def _parent(text: bytes) -> str | None:
    named, identified = _PARENT.search(text), _PARENT_ID.search(text)
    if named:
        return f"the parent disk {printable_value(named[1] or named[2])}"
    if identified and identified[1].lower() != b"ffffffff":
        return f"the parent disk {printable_value(b'')}"
    return None


def printable_value(text: bytes) -> str:
    """The name *text* for display."""
    return repr(text.decode("utf-8", "backslashreplace")) if text else "that it does not name"
