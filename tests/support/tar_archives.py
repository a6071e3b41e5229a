"""Tar archives made by hand, block by block, honest and otherwise."""

from __future__ import annotations

from eci_convert.tar import TarEntry, entries

END = bytes(1024)


def block(
    name: bytes = b"f",
    size: int | bytes = 0,
    flag: bytes = b"0",
    *,
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    gid: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    linkname: bytes = b"",
    magic: bytes = b"ustar\x0000",
    device: bytes = b"0000000\0" * 2,
    rest: bytes = b"",
    checksum: bytes | None = None,
    signed: bool = False,
) -> bytes:
    """A header block with a right checksum, unless *checksum* says another. *rest* begins at ustar's prefix."""
    length = b"%011o\0" % size if isinstance(size, int) else size
    head = name.ljust(100, b"\0") + mode + uid + gid + length.ljust(12, b"\0") + mtime + b" " * 8 + flag
    made = head + linkname.ljust(100, b"\0") + magic + bytes(64) + device + rest.ljust(167, b"\0")
    assert len(made) == 512, len(made)
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in made)
    return made[:148] + (checksum or b"%06o\0 " % total) + made[156:]


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def file(name: bytes = b"f", content: bytes = b"", **fields: object) -> bytes:
    return block(name, len(content), **fields) + padded(content)  # type: ignore[arg-type]


def extension(flag: bytes, content: bytes, **fields: object) -> bytes:
    return file(b"extension", content, flag=flag, **fields)


def record(key: str | bytes, value: str | bytes) -> bytes:
    """A PAX record with its length."""
    key, value = (text if isinstance(text, bytes) else text.encode() for text in (key, value))
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def pax(*records: tuple[str | bytes, str | bytes], flag: bytes = b"x") -> bytes:
    return extension(flag, b"".join(record(key, value) for key, value in records))


def number(value: int, width: int = 12) -> bytes:
    """Base-256."""
    return (value + (1 << (8 * width)) if value < 0 else value | 1 << (8 * width - 1)).to_bytes(width, "big")


def read(*chunks: bytes) -> list[tuple[str, str, bytes]]:
    """Name, type and content of each member, to the end."""
    return [(entry.name, str(entry.type), b"".join(entry.chunks)) for entry in entries(chunks)]


def one(*chunks: bytes) -> TarEntry:
    """The only entry, its content read."""
    found = []
    for entry in entries(chunks):
        content = b"".join(entry.chunks)
        assert len(content) == entry.size
        found.append(entry)
    assert len(found) == 1
    return found[0]
