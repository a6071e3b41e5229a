"""CRC-64/ISO as in Go's hash/crc64, which tar-split records for each file (docs/specs/containers-storage.md#6)."""

from __future__ import annotations


class Crc64:
    """The checksum of all chunks so far.

    >>> crc = Crc64()
    >>> crc.update(b"ker")
    >>> crc.update(b"nel")
    >>> crc.digest().hex()
    '3ee2dd9dc2dac000'
    """

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value = 0

    def update(self, chunk: bytes) -> None:
        """Adds *chunk*."""
        from fastcrc import crc64

        self._value = crc64.go_iso(chunk, self._value)

    def digest(self) -> bytes:
        """Eight bytes, big-endian."""
        return self._value.to_bytes(8, "big")
