"""Reads the members of a tar archive strictly from a stream: ustar, PAX, GNU, sparse members expanded.

An archive is untrusted until the digest of its blob is verified, so every archive has one interpretation or none: that
of Go's archive/tar, which engines use. PAX records override ustar fields, and GNU long names override both. A corrupt
header is an error, not the end of the archive; extension headers are limited in length and number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from eci_convert.errors import CorruptStreamError, LimitExceededError
from eci_convert.tar.header import TAR_BLOCK, ZERO_HEADER, EntryType, RawHeader, parse_header, text_field
from eci_convert.tar.input import ByteReader, ExtensionBudget, MemberContent
from eci_convert.tar.pax import Records, decimal, integer, parse_records, whole_seconds
from eci_convert.tar.sparse_read import SparseMap, checked_map, expanded, old_gnu_map, pax_0_map, pax_1_map

EXTENSION_LIMIT: Final = 1 << 20
"""The longest extension header in bytes, as in Go's archive/tar."""
EXTENSIONS: Final = 16
"""The number of extension headers that one member may have."""


_TYPES = {
    b"0": EntryType.FILE,
    b"7": EntryType.FILE,
    b"S": EntryType.FILE,
    b"1": EntryType.HARDLINK,
    b"2": EntryType.SYMLINK,
    b"3": EntryType.CHAR,
    b"4": EntryType.BLOCK,
    b"5": EntryType.DIR,
    b"6": EntryType.FIFO,
}
_WITH_CONTENT = {EntryType.FILE, EntryType.OTHER}


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntry:
    """A member: *name* and *linkname* as stored, undecodable bytes escaped as by `os.fsdecode`; *size* in bytes.

    *chunks* yields exactly *size* bytes, holes as zeros, until the next member is read; ValueError afterwards.
    *stored_contiguously*: the archive stores these bytes in one piece; False for a sparse member, whose holes it omits.
    """

    name: str
    type: EntryType
    size: int
    linkname: str
    mode: int
    uid: int
    gid: int
    mtime: int
    pax: Mapping[str, str]
    chunks: Iterator[bytes] = field(repr=False, compare=False)
    stored_contiguously: bool = True


def entries(
    chunks: Iterable[bytes] | ByteReader, *, limit: int = 2_000_000, budget: ExtensionBudget | None = None
) -> Iterator[TarEntry]:
    """The members of the archive *chunks*, in order; content that was not read is skipped.

    A ByteReader of the caller's own is read through its methods, so that it can tell structure from content. *budget*
    limits extension headers, and may be shared by several archives.

    The archive ends at two zero blocks or at the end of the stream; what follows the zero blocks is read and discarded.
    Raises CorruptStreamError for an archive that is malformed or truncated, and LimitExceededError for extension
    headers over 1 MiB, more than 16 of them for one member, an exceeded budget, or more than *limit* members.
    """
    source = chunks if isinstance(chunks, ByteReader) else ByteReader(chunks, budget)
    source.budget = budget or source.budget
    count = 0
    while member := _next_member(source):
        count += 1
        if count > limit:
            raise LimitExceededError(f"the archive has more than {limit} members")
        entry, content = member
        yield entry
        content.finish()
    source.drain()


@dataclass(slots=True)
class _Extensions:
    """The extension headers before a member."""

    name: str | None = None
    linkname: str | None = None
    records: Records = field(default_factory=list)


def _next_member(source: ByteReader) -> tuple[TarEntry, MemberContent] | None:
    extensions = _Extensions()
    for count in range(EXTENSIONS + 1):
        block = _next_block(source)
        if block is None:
            if count:
                raise CorruptStreamError("unexpected EOF after an extension header")
            return None
        header = parse_header(block)
        if header.typeflag not in _EXTENSION_TYPES:
            return _member(header, extensions, source)
        _extend(extensions, header, source)
    raise LimitExceededError(f"a member of the archive has more than {EXTENSIONS} extension headers")


def _next_block(source: ByteReader) -> bytes | None:
    """The next header block, or None at the end of the archive."""
    block = source.read_up_to(TAR_BLOCK)
    if block == ZERO_HEADER:
        block = source.read_up_to(TAR_BLOCK)
        if block not in (b"", ZERO_HEADER):
            raise CorruptStreamError("data after a single zero block")
        return None
    if block and len(block) < TAR_BLOCK:
        raise CorruptStreamError("unexpected EOF in a header of the archive")
    return block or None


_EXTENSION_TYPES = {b"x", b"g", b"L", b"K"}


def _extend(extensions: _Extensions, header: RawHeader, source: ByteReader) -> None:
    if header.size > EXTENSION_LIMIT:
        raise LimitExceededError(f"an extension header of the archive is {header.size} bytes long")
    data = source.read_exactly(header.size)
    source.skip(-header.size % TAR_BLOCK)
    match header.typeflag:
        case b"x":
            extensions.records = parse_records(data)  # a second one replaces the first, as in GNU tar and Go
            source.budget.spend(0, len(extensions.records))
        case b"g":  # ignored by container engines, but it must be well-formed
            source.budget.spend(0, len(parse_records(data)))
        case b"L":
            extensions.name = _long_text(data)
        case _:
            extensions.linkname = _long_text(data)


def _long_text(data: bytes) -> str:
    data = data.rstrip(b"\0")
    if b"\0" in data:
        raise CorruptStreamError(f"NUL in the long name {data[:80]!r}")
    return text_field(data)


def _member(header: RawHeader, extensions: _Extensions, source: ByteReader) -> tuple[TarEntry, MemberContent]:
    pax = {key: value for key, value in extensions.records if value}
    name = extensions.name or pax.get("path") or header.name  # in the order of Go's archive/tar
    size = decimal(pax["size"], "size") if "size" in pax else header.size
    kind = _kind(header.typeflag, name)
    stored = size if kind in _WITH_CONTENT else 0
    sparse, real_size, mapped = _sparse(header, extensions.records, kind, stored, source)
    content = MemberContent(source, stored - mapped)
    entry = TarEntry(
        name=pax.get("GNU.sparse.name", name) if sparse is not None else name,
        type=kind,
        size=real_size,
        linkname=extensions.linkname or pax.get("linkpath") or header.linkname,
        mode=header.mode,
        uid=integer(pax["uid"], "uid") if "uid" in pax else header.uid,
        gid=integer(pax["gid"], "gid") if "gid" in pax else header.gid,
        mtime=whole_seconds(pax["mtime"]) if "mtime" in pax else header.mtime,
        pax=MappingProxyType(pax),
        chunks=content if sparse is None else expanded(content, sparse, real_size),
        stored_contiguously=sparse is None,
    )
    return entry, content


def _kind(typeflag: bytes, name: str) -> EntryType:
    if typeflag == b"\0":  # v7 has no type for directories
        return EntryType.DIR if name.endswith("/") else EntryType.FILE
    return _TYPES.get(typeflag, EntryType.OTHER)


def _sparse(
    header: RawHeader, records: Records, kind: EntryType, stored: int, source: ByteReader
) -> tuple[SparseMap | None, int, int]:
    """The map of a sparse member or None, its real size, and how many of the *stored* bytes the map takes."""
    pax = dict(records)
    if header.typeflag == b"S":
        entries_, real_size = old_gnu_map(header.block, source)
        source.budget.spend(0, len(entries_))
        return checked_map(entries_, real_size, stored), real_size, 0
    if kind not in _WITH_CONTENT or not any(key.startswith("GNU.sparse.") for key in pax):
        return None, stored, 0
    version = (pax.get("GNU.sparse.major"), pax.get("GNU.sparse.minor"))
    size = pax.get("GNU.sparse.realsize", pax.get("GNU.sparse.size"))
    if size is None or version not in ((None, None), ("0", "0"), ("0", "1"), ("1", "0")):
        raise CorruptStreamError(f"unsupported sparse format {version!r}, or no size")
    real_size = decimal(size, "real size")
    if version == ("1", "0"):
        entries_, mapped = pax_1_map(source, stored)
    else:
        entries_, mapped = pax_0_map(records), 0
    source.budget.spend(0, len(entries_))
    return checked_map(entries_, real_size, stored - mapped), real_size, mapped
