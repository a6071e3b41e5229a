"""Writes tar archives byte for byte as Go's archive/tar does, so that diff ids do not depend on the tool.

ustar if the member fits, else PAX with only the required records; device numbers are written as zeros in text; the
trailer is two zero blocks. (Python's tarfile differs in the last two.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from eci_convert.errors import LocalError, UsageError
from eci_convert.tar.header import TAR_BLOCK, EntryType
from eci_convert.tar.pax import format_records

TRAILER: Final = bytes(2 * TAR_BLOCK)
_FLAGS = {
    EntryType.FILE: b"0",
    EntryType.HARDLINK: b"1",
    EntryType.SYMLINK: b"2",
    EntryType.CHAR: b"3",
    EntryType.BLOCK: b"4",
    EntryType.DIR: b"5",
    EntryType.FIFO: b"6",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """A member to write. *size* is that of its content; *mode* are permission bits; *mtime* is in whole seconds.
    *device* are the major and minor numbers of a device, *records* additional PAX records."""

    name: str
    size: int = 0
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    type: EntryType = EntryType.FILE
    linkname: str = ""
    device: tuple[int, int] = (0, 0)
    records: tuple[tuple[str, str], ...] = ()


def archived(members: Iterable[tuple[TarMember, Iterable[bytes]]]) -> Iterator[bytes]:
    """The archive of *members* and their contents. Raises LocalError if the content does not have the member's size."""
    for member, chunks in members:
        yield member_header(member)
        yield from _exact_content(member, chunks)
        if padding := -member.size % TAR_BLOCK:
            yield bytes(padding)
    yield TRAILER


def archive_size(members: Iterable[TarMember]) -> int:
    """The size of the archive of *members* in bytes."""
    return sum(len(member_header(member)) + member.size + -member.size % TAR_BLOCK for member in members) + len(TRAILER)


def member_header(member: TarMember, sparse: Mapping[str, str] | None = None) -> bytes:
    """The header blocks of *member*. *sparse* are GNU's PAX records for packed content.

    Raises UsageError for what tar cannot represent.
    """
    if "\0" in member.name + member.linkname or not member.name:
        raise UsageError(f"{member.name!r} is not a valid name of a tar member")
    if member.type is EntryType.FILE and member.name.endswith("/"):
        raise UsageError(f"{member.name!r} is not a valid file name")
    if member.type not in _FLAGS or member.size < 0 or (member.size and member.type is not EntryType.FILE):
        raise UsageError(f"a tar member of type {member.type} and {member.size} bytes cannot be written")
    prefix, name = _split(member.name)
    records = _pax_records(member, needs_path=not name or bool(member.records and len(member.name) > 100))
    records += member.records
    records += [(f"GNU.sparse.{key}", value) for key, value in (sparse or {}).items()]
    if not records:
        return _block(member, _encoded(name), _encoded(prefix))
    return _pax_header(member.name, format_records(records)) + _block(member, _ascii(member.name), b"")


def _exact_content(member: TarMember, chunks: Iterable[bytes]) -> Iterator[bytes]:
    left = member.size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        if chunk:
            yield chunk
    if left:
        raise LocalError(
            f"{member.name!r} has {'more' if left < 0 else 'fewer'} than {member.size} bytes: changed while read"
        )


def _split(name: str) -> tuple[str, str]:
    """*name* as ustar's prefix and name; two empty strings if it does not fit."""
    if not name.isascii():
        return "", ""
    if len(name) <= 100:
        return "", name
    slash = name.rfind("/", 0, min(len(name) - 1, 156))
    if slash <= 0 or len(name) - slash - 1 > 100 or slash > 155:
        return "", ""
    return name[:slash], name[slash + 1 :]


def _pax_records(member: TarMember, *, needs_path: bool) -> list[tuple[str, str]]:
    numbers = {"size": (member.size, 12), "uid": (member.uid, 8), "gid": (member.gid, 8), "mtime": (member.mtime, 12)}
    records = [(key, str(value)) for key, (value, width) in numbers.items() if not _fits(value, width)]
    if not member.linkname.isascii() or len(member.linkname) > 100:
        records.append(("linkpath", member.linkname))
    if needs_path or (records and len(member.name) > 100):
        records.append(("path", member.name))
    return records


def _fits(value: int, width: int) -> bool:
    return 0 <= value < 1 << 3 * (width - 1)


def _pax_header(name: str, records: bytes) -> bytes:
    directory, _, file = name.rpartition("/")
    path = _clean(f"{directory}/PaxHeaders.0/{file}" if "/" in name else f"PaxHeaders.0/{file}")
    block = _v7(_ascii(path)[:100].rstrip(b"/"), (0, 0, 0, len(records), 0), b"x")
    return _sealed(block) + records + bytes(-len(records) % TAR_BLOCK)


def _clean(path: str) -> str:
    """*path* without empty and `.` components and with `..` resolved, as Go's path.Join."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", ".") and not (part == ".." and path.startswith("/")):
            parts.append(part)
    return ("/" if path.startswith("/") else "") + "/".join(parts) or "."


def _block(member: TarMember, name: bytes, prefix: bytes) -> bytes:
    if not _fits(member.mode, 8):
        raise UsageError(f"{member.name!r}: mode {member.mode:#o} cannot be written")
    flag, numbers = _FLAGS[member.type], (member.mode, member.uid, member.gid, member.size, member.mtime)
    block = _v7(name, numbers, flag)
    _put(block, 157, _ascii(member.linkname), 100)
    if not all(_fits(number, 8) for number in member.device):
        raise UsageError(f"{member.name!r}: the device {member.device} cannot be written")
    block[329:345] = b"%07o\0%07o\0" % member.device
    block[345 : 345 + len(prefix)] = prefix
    return _sealed(block)


_NUMBERS = ((100, 8), (108, 8), (116, 8), (124, 12), (136, 12))
"""Offsets and widths of mode, uid, gid, size and mtime."""


def _v7(name: bytes, numbers: tuple[int, int, int, int, int], flag: bytes) -> bytearray:
    """A header with mode, uid, gid, size and mtime as *numbers*."""
    block = bytearray(TAR_BLOCK)
    _put(block, 0, name, 100)
    for (start, width), value in zip(_NUMBERS, numbers, strict=True):
        digits = value if _fits(value, width) else 0  # the number is in a PAX record
        block[start : start + width] = b"%0*o\0" % (width - 1, digits)
    block[156:157] = flag
    return block


def _put(block: bytearray, start: int, text: bytes, width: int) -> None:
    """Writes *text*, cut to *width*, without a trailing slash: old readers would see a directory."""
    block[start : start + min(len(text), width)] = text[:width]
    if len(text) > width and text[width - 1 : width] == b"/":
        block[start + len(text[: width - 1].rstrip(b"/"))] = 0


def _sealed(block: bytearray) -> bytes:
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _ascii(name: str) -> bytes:
    """*name* without non-ASCII characters."""
    return name.encode("ascii", "ignore")
