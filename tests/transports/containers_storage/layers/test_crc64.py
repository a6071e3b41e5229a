"""CRC-64/ISO against its definition, bit by bit."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.transports.containers_storage.layers.crc64 import Crc64


def by_definition(data: bytes) -> bytes:
    state = (1 << 64) - 1
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0xD800000000000000 if state & 1 else 0)
    return (state ^ (1 << 64) - 1).to_bytes(8, "big")


def counted(*chunks: bytes) -> bytes:
    crc = Crc64()
    for chunk in chunks:
        crc.update(chunk)
    return crc.digest()


@pytest.mark.parametrize(
    ("data", "expected"), [(b"kernel", "PuLdncLawAA="), (b"KERNEL" * 100, "hADITdrzKLw="), (b"", "AAAAAAAAAAA=")]
)
def test_it_is_what_go_says(data: bytes, expected: str) -> None:
    assert base64.b64encode(counted(data)).decode() == expected


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_it_depends_on_the_bytes_alone_and_not_on_how_they_are_cut(chunks: list[bytes]) -> None:
    assert counted(*chunks) == by_definition(b"".join(chunks))


@pytest.mark.parametrize("length", [(128 << 10) - 1, 128 << 10, (128 << 10) + 1, 300_001])
@pytest.mark.parametrize("byte", [b"\0", b"x"])
def test_long_chunks_and_zeros_are_no_exception(length: int, byte: bytes) -> None:
    assert counted(b"ab", byte * length, b"c") == by_definition(b"ab" + byte * length + b"c")
