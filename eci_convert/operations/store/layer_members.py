"""The members of an unpacked layer of the overlay driver, from its tar-split data and its files.

A deletion is a character device 0:0, or an attribute of a directory, as overlayfs reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from eci_convert.files.safe_tree import components_of
from eci_convert.tar import EntryType, TarEntry, TarMember, entries
from eci_convert.tar.header import TAR_BLOCK, number
from eci_convert.tar.input import ByteReader
from eci_convert.transports.containers_storage.layers.attributes import FileAttributes
from eci_convert.transports.containers_storage.layers.layer_archive import rebuild_archive
from eci_convert.transports.containers_storage.layers.tar_split import read_entries

LayerMember = tuple[TarMember, Iterable[bytes]]
Parts = tuple[str, ...]

_MARK: Final = ".wh."
_AUFS: Final = ".wh..wh."
_OPAQUE: Final = ".wh..wh..opq"
_OPAQUE_RECORD: Final = ("SCHILY.xattr.trusted.overlay.opaque", "y")
_XATTR: Final = "SCHILY.xattr."
_SECOND: Final = 1_000_000_000
_DEVICES: Final = (EntryType.CHAR, EntryType.BLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletions:
    """What a layer deletes of those below it: *hidden* paths, and all below *opaque* ones."""

    hidden: frozenset[Parts]
    opaque: frozenset[Parts]

    @classmethod
    def of(cls, split: Path) -> Deletions:
        """Those of the layer whose tar-split data *split* has. Raises FormatError."""
        marks = {components_of(name) for name in _names(split) if _is_mark(components_of(name))}
        opaque = {parts[:-1] for parts in marks if parts[-1] == _OPAQUE}
        hidden = {(*parts[:-1], parts[-1].removeprefix(_MARK)) for parts in marks if _is_whiteout(parts)}
        if not hidden:
            return cls(hidden=frozenset(), opaque=frozenset(opaque))
        replaced: set[Parts] = set()
        for name in _names(split):
            parts = components_of(name)
            for length in range(1, len(parts) + 1 if not _is_mark(parts) else 0):
                if parts[:length] in hidden:
                    replaced.add(parts[:length])
                    if length < len(parts) or name.endswith("/"):
                        opaque.add(parts[:length])
        return cls(hidden=frozenset(hidden - replaced), opaque=frozenset(opaque))


def _names(split: Path) -> Iterator[str]:
    with open(split, "rb") as file:
        yield from (step.name for step in read_entries(file, str(split)) if step.name)


def layer_members(split: Path, content: Path, mtime: int) -> Iterator[LayerMember]:
    """What the overlay driver keeps of the layer whose tar-split data *split* has, and whose files *content* has.

    Parents come first; those that the layer does not have are root's, of the time *mtime*. Raises FormatError.
    """
    deletions = Deletions.of(split)
    made: set[Parts] = {()}
    files: dict[Parts, TarMember] = {}

    def parents(parts: Parts) -> Iterator[LayerMember]:
        for length in range(1, len(parts)):
            directory = parts[:length]
            if directory not in made:
                made.add(directory)
                yield _directory(directory, mtime, deletions), ()

    for entry, parts, header in _entries(split, content):
        if not parts:
            continue
        yield from parents(parts)
        if _is_whiteout(parts):
            hidden = (*parts[:-1], parts[-1].removeprefix(_MARK))
            if hidden in deletions.hidden:
                yield TarMember(name="/".join(hidden), mode=0, type=EntryType.CHAR, mtime=mtime), ()
        elif not _is_mark(parts) and (member := _member(entry, parts, header)):
            if entry.type is EntryType.DIR:
                made.add(parts)
                member = replace(member, records=(*member.records, *_opaque(parts, deletions)))
            elif entry.type is EntryType.HARDLINK:
                member = _like_target(member, files)
            if entry.type is EntryType.FILE:
                files[parts] = member
            yield member, entry.chunks


def layer_entries(split: Path, content: Path) -> Iterator[TarMember]:
    """The members that the layer itself has, without their content."""
    for entry, parts, header in _entries(split, content):
        if parts and not _is_mark(parts) and (member := _member(entry, parts, header)):
            yield member


def member_below(member: TarMember, prefix: str) -> TarMember:
    """*member* in the directory *prefix*, and so the file that it is a hard link to."""
    link = f"{prefix}/{member.linkname}" if member.type is EntryType.HARDLINK else member.linkname
    return replace(member, name=f"{prefix}/{member.name}", linkname=link)


class _HeaderInput(ByteReader):
    """Remembers the last block that was read as structure: a member's own header."""

    header = b""

    def read_up_to(self, length: int) -> bytes:
        data = super().read_up_to(length)
        if length == TAR_BLOCK:
            self.header = data
        return data


def _entries(split: Path, content: Path) -> Iterator[tuple[TarEntry, Parts, bytes]]:
    source = _HeaderInput(rebuild_archive(split, content))
    for entry in entries(source):
        yield entry, components_of(entry.name), source.header


def _member(entry: TarEntry, parts: Parts, header: bytes) -> TarMember | None:
    """*entry* as it is written again; None for what no store keeps."""
    attributes = FileAttributes.of(entry)
    device = (
        (number(header[329:337], "device"), number(header[337:345], "device")) if entry.type in _DEVICES else (0, 0)
    )
    if entry.type is EntryType.OTHER or (entry.type in _DEVICES and device == (0, 0)):
        return None
    link = entry.linkname
    if entry.type is EntryType.HARDLINK:
        link = "/".join(components_of(link))
    elif entry.type is not EntryType.SYMLINK:
        link = ""
    elif not link:
        return None
    seconds, fraction = divmod(attributes.mtime, _SECOND)
    records = [(_XATTR + name, value.decode("utf-8", "surrogateescape")) for name, value in attributes.xattrs]
    if fraction:
        records.append(("mtime", f"{seconds}.{fraction:09d}".rstrip("0")))
    return TarMember(
        name="/".join(parts) + ("/" if entry.type is EntryType.DIR else ""),
        size=entry.size if entry.type is EntryType.FILE else 0,
        mode=attributes.mode,
        uid=attributes.uid,
        gid=attributes.gid,
        mtime=seconds,
        type=entry.type,
        linkname=link,
        device=device,
        records=tuple(records),
    )


def _like_target(link: TarMember, files: dict[Parts, TarMember]) -> TarMember:
    """*link*, a hard link, with the attributes of the file: there is one inode, and some extractors set them again."""
    target = files.get(tuple(link.linkname.split("/")))
    if target is None:
        return link
    return replace(target, name=link.name, size=0, type=EntryType.HARDLINK, linkname=link.linkname)


def _directory(parts: Parts, mtime: int, deletions: Deletions) -> TarMember:
    return TarMember(
        name="/".join(parts) + "/", mode=0o755, type=EntryType.DIR, mtime=mtime, records=_opaque(parts, deletions)
    )


def _opaque(parts: Parts, deletions: Deletions) -> tuple[tuple[str, str], ...]:
    return (_OPAQUE_RECORD,) if parts in deletions.opaque else ()


def _is_mark(parts: Parts) -> bool:
    return bool(parts) and parts[-1].startswith(_MARK)


def _is_whiteout(parts: Parts) -> bool:
    return _is_mark(parts) and not parts[-1].startswith(_AUFS)
