"""tar-split data: everything of a layer's archive but the contents of its files, so that it can be rebuilt byte for
byte.

A gzip file with one JSON object on each line (docs/specs/containers-storage.md#6): segments hold raw bytes, headers and
padding; between them are names of files, whose content is in the unpacked layer. What cannot be rebuilt from a file
(the packed bytes of a sparse member, a member that is not unpacked) is in segments too.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from eci_convert.errors import FormatError, LimitExceededError
from eci_convert.files.errors import local_errors
from eci_convert.oci import json_fields
from eci_convert.tar.input import ByteReader

_FILE, _SEGMENT = 1, 2
_SEGMENT_SIZE: Final = 64 << 10
_LINE_LIMIT: Final = 64 << 20
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TarSplitEntry:
    """One part of the archive: *raw* bytes, or, if *name* is set, *size* bytes of that file."""

    raw: bytes = b""
    name: str = ""
    size: int = 0


class SplitWriter:
    """Writes tar-split data to *file*. Raises LocalError."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=1, mtime=0)
        self._raw = bytearray()
        self._position = 0
        self._named: set[str] = set()

    def raw(self, data: bytes) -> None:
        """Adds bytes that belong to no file."""
        self._raw += data
        while len(self._raw) >= _SEGMENT_SIZE:
            self._segment(self._raw[:_SEGMENT_SIZE])
            del self._raw[:_SEGMENT_SIZE]

    def has(self, name: str) -> bool:
        """Whether a member *name* was added: readers refuse a second one."""
        return _path(name) in self._named

    def file(self, name: str, size: int = 0, crc: bytes = b"") -> None:
        """Adds a member by its name in the header, after the bytes so far. A second one of that name is skipped."""
        self._flush()
        if self.has(name):
            return
        self._named.add(_path(name))
        entry: dict[str, Any] = {"type": _FILE} | _name(name)
        if size:
            entry["size"] = size
        self._line(entry | {"payload": base64.b64encode(crc).decode() if size else None})

    def close(self) -> None:
        """Ends the archive."""
        self._flush()
        with local_errors("tar-split data"):
            self._lines.close()

    def _flush(self) -> None:
        if self._raw:
            self._segment(self._raw)
            self._raw.clear()

    def _segment(self, data: bytes | bytearray) -> None:
        self._line({"type": _SEGMENT, "payload": base64.b64encode(data).decode()})

    def _line(self, entry: dict[str, Any]) -> None:
        text = json.dumps(entry | {"position": self._position}, separators=(",", ":"))
        with local_errors("tar-split data"):
            self._lines.write(text.encode() + b"\n")
        self._position += 1


class SplitInput(ByteReader):
    """An archive for `tar.reader.entries`: everything but file contents is passed to *writer* as well.

    If *packed*, contents are too.
    """

    def __init__(self, chunks: Iterator[bytes], writer: SplitWriter) -> None:
        super().__init__(chunks)
        self._writer = writer
        self.packed = False
        self.header = b""
        """The block that was read last as structure: behind the last extension, the member's own header."""

    def read_up_to(self, length: int) -> bytes:
        data = super().read_up_to(length)
        if length == _BLOCK:
            self.header = data
        self._writer.raw(data)
        return data

    def read_some(self, limit: int) -> bytes:
        data = super().read_some(limit)
        if self.packed:
            self._writer.raw(data)
        return data

    def skip(self, length: int) -> None:
        while length:
            data = super().read_some(length)
            self._writer.raw(data)
            length -= len(data)

    def drain(self) -> None:
        while data := super().read_up_to(_SEGMENT_SIZE):
            self._writer.raw(data)


def read_entries(file: BinaryIO, where: str) -> Iterator[TarSplitEntry]:
    """The entries of the tar-split data in *file*. Raises FormatError."""
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as lines:
            while line := lines.readline(_LINE_LIMIT):
                if not line.endswith(b"\n") and len(line) == _LINE_LIMIT:
                    raise LimitExceededError(f"a line is longer than {_LINE_LIMIT} bytes", where=where)
                if line.strip():
                    yield _step(line, where)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"not tar-split data: {error}", where=where) from error


def _step(line: bytes, where: str) -> TarSplitEntry:
    try:
        entry = json.loads(line)
        kind = json_fields.required(entry, "type", int, where)
        payload = base64.b64decode(json_fields.optional(entry, "payload", str, where, ""), validate=True)
        if kind == _SEGMENT:
            return TarSplitEntry(raw=payload)
        if kind != _FILE:
            raise FormatError(f"an entry of type {kind}", where=where)
        raw_name = base64.b64decode(json_fields.optional(entry, "name_raw", str, where, ""), validate=True)
        name = raw_name.decode("utf-8", "surrogateescape") or json_fields.optional(entry, "name", str, where, "")
        return TarSplitEntry(name=name, size=json_fields.optional(entry, "size", int, where, 0))
    except (ValueError, TypeError, binascii.Error) as error:
        raise FormatError(f"not tar-split data: {line[:80]!r}", where=where) from error


def _path(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _name(name: str) -> dict[str, str]:
    try:
        name.encode()
    except UnicodeEncodeError:
        return {"name_raw": base64.b64encode(name.encode("utf-8", "surrogateescape")).decode()}
    return {"name": name}
