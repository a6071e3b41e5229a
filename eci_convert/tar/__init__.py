"""Tar archives: `entries` reads them, strictly; `archived` writes them, as Go does."""

from eci_convert.tar.reader import EXTENSION_LIMIT, Entry, EntryType, entries
from eci_convert.tar.writer import TarMember, archive_size, archived, header

__all__ = ["EXTENSION_LIMIT", "Entry", "EntryType", "TarMember", "archive_size", "archived", "entries", "header"]
