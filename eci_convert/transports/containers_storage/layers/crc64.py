"""CRC-64/ISO as in Go's hash/crc64, which tar-split records for each file (docs/specs/containers-storage.md#6).

None of our libraries has it, and a loop over bytes is a hundred times too slow for a disk. Its polynomial is sparse:
x⁶⁴ = x⁴ + x³ + x + 1. In arithmetic modulo 2, squaring a sum squares its terms, so for every power s of two x⁶⁴ˢ = x⁴ˢ
+ x³ˢ + xˢ + 1: a long number is halved by two shifts of its upper half, and Python shifts long numbers fast.

Bits are reflected, as they are in the checksum: of a number of n bits, bit 0 is the coefficient of xⁿ⁻¹.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_ONES: Final = (1 << 64) - 1
_PIECE: Final = 128 << 10  # fits into the processor's cache
_ZEROS: Final = bytes(_PIECE)


class Crc64:
    """The checksum of all chunks so far.

    >>> crc = Crc64()
    >>> crc.update(b"ker")
    >>> crc.update(b"nel")
    >>> crc.digest().hex()
    '3ee2dd9dc2dac000'
    """

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = _ONES

    def update(self, chunk: bytes) -> None:
        """Adds *chunk*."""
        for start in range(0, len(chunk), _PIECE):
            if chunk.startswith(_ZEROS, start):
                self._state = _product(self._state, _power(8 * _PIECE))
            else:
                piece = chunk[start : start + _PIECE]
                self._state = _remainder(int.from_bytes(piece, "little") ^ self._state, 8 * len(piece) + 64)

    def digest(self) -> bytes:
        """Eight bytes, big-endian."""
        return (self._state ^ _ONES).to_bytes(8, "big")


def _remainder(number: int, bits: int) -> int:
    """*number*, which has so many *bits*, modulo the polynomial."""
    step = 1 << max(bits // 64, 1).bit_length() - 1
    while bits > 64:
        width = 64 * step
        above = bits - width  # the number of bits beyond x⁶⁴ˢ
        if above <= 0:
            step >>= 1
            continue
        high, low = number & ((1 << above) - 1), number >> above
        folded = high ^ high << step  # (1 + xˢ)(1 + x³ˢ) = x⁶⁴ˢ
        folded ^= folded << 3 * step
        length = above + 4 * step
        number = folded ^ low << max(length - width, 0) if length > width else folded << width - length ^ low
        bits = max(length, width)
    return number


@lru_cache(maxsize=8)
def _power(exponent: int) -> int:
    """x to the power of *exponent*."""
    return _remainder(1 << 63, 64 + exponent)


def _product(one: int, other: int) -> int:
    product = 0
    while one:
        if one & 1:
            product ^= other
        one >>= 1
        other <<= 1
    return _remainder(product, 127)
