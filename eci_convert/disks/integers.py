"""Integers in the headers of disk images. Bytes beyond the end count as zeros, as in a truncated header."""

from __future__ import annotations


def little_endian(data: bytes, offset: int, length: int) -> int:
    """The unsigned little-endian integer of *length* bytes at *offset* in *data*.

    >>> little_endian(bytes([0, 1, 2]), 1, 4)
    513
    """
    return int.from_bytes(data[offset : offset + length].ljust(length, b"\0"), "little")


def big_endian(data: bytes, offset: int, length: int) -> int:
    """The unsigned big-endian integer of *length* bytes at *offset* in *data*.

    >>> big_endian(bytes([0, 1, 2]), 1, 2)
    258
    """
    return int.from_bytes(data[offset : offset + length].ljust(length, b"\0"), "big")
