"""Tar archives: `entries` reads them, strictly; `archived` writes them, as Go does."""

from eci_convert.streams.tar_read import EXTENSION_LIMIT, Entry, EntryType, entries
from eci_convert.streams.tar_write import TarMember, archive_size, archived, header

__all__ = ["EXTENSION_LIMIT", "Entry", "EntryType", "TarMember", "archive_size", "archived", "entries", "header"]
