"""The CRC-32 of concatenated data from those of its parts: products of polynomials over GF(2), as zlib's
crc32_combine."""

from __future__ import annotations

from functools import lru_cache

try:
    from isal.isal_zlib import crc32
except ImportError:  # not available for this platform
    from zlib import crc32

__all__ = ["crc32", "crc32_combine"]

_POLYNOMIAL = 0xEDB88320
_ONE = 0x80000000  # bits are reflected: the highest is the coefficient of x⁰


def crc32_combine(first: int, second: int, length: int) -> int:
    """The CRC-32 of two concatenated byte strings, from their CRCs and the *length* of the second one.

    >>> import zlib
    >>> crc32_combine(zlib.crc32(b"one "), zlib.crc32(b"whole"), 5) == zlib.crc32(b"one whole")
    True
    """
    return _product(_shift(length), first) ^ second


def _product(a: int, b: int) -> int:
    result = 0
    while a:
        if a & _ONE:
            result ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return result


@lru_cache(maxsize=64)
def _shift(length: int) -> int:
    """x to the power of the number of bits in *length* bytes."""
    power, square = _ONE, 0x00800000  # 1 and x⁸
    while length:
        if length & 1:
            power = _product(square, power)
        square = _product(square, square)
        length >>= 1
    return power
