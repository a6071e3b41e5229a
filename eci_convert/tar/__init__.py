"""Tar archives: `entries` reads them, strictly; `archived` writes them, as Go does.

header.py        headers of members
pax.py           PAX records
input.py         ByteReader: exact reads from a stream of chunks
reader.py        the entries of an archive
sparse_read.py   sparse members in GNU's and PAX formats
writer.py        archives, byte for byte as Go's archive/tar writes them
sparse_write.py  writes sparse members
"""

from eci_convert.tar.header import EntryType
from eci_convert.tar.reader import EXTENSION_LIMIT, TarEntry, entries
from eci_convert.tar.writer import TarMember, archive_size, archived, member_header

__all__ = [
    "EXTENSION_LIMIT",
    "EntryType",
    "TarEntry",
    "TarMember",
    "archive_size",
    "archived",
    "entries",
    "member_header",
]
