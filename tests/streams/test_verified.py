from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.errors import DigestMismatchError, LimitExceededError, SizeMismatchError
from eci_convert.oci.digest import Digest
from eci_convert.streams.hashing import at_most, verified
from tests.support.chunking import cut_by, endless, sizes


@given(st.binary(max_size=20_000), sizes, st.sampled_from(["sha256", "sha512"]))
def test_what_was_promised_passes_as_it_comes(data: bytes, cuts: list[int], algorithm: str) -> None:
    pieces = cut_by(data, cuts)

    assert list(verified(pieces, Digest.of(data, algorithm), len(data))) == pieces


@given(st.binary(min_size=1, max_size=2000), sizes, st.data())
def test_a_changed_byte_is_a_digest_mismatch_at_the_end(data: bytes, cuts: list[int], draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - 1))
    bad = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    with pytest.raises(DigestMismatchError) as caught:
        list(verified(cut_by(bad, cuts), Digest.of(data), len(data)))

    assert (caught.value.expected, caught.value.actual) == (str(Digest.of(data)), str(Digest.of(bad)))


@given(st.binary(min_size=1, max_size=2000), sizes, st.data())
def test_a_stream_cut_anywhere_is_a_size_mismatch(data: bytes, cuts: list[int], draw: st.DataObject) -> None:
    end = draw.draw(st.integers(0, len(data) - 1))

    with pytest.raises(SizeMismatchError) as caught:
        list(verified(cut_by(data[:end], cuts), Digest.of(data), len(data)))

    assert (caught.value.expected, caught.value.actual) == (len(data), end)


def test_no_byte_beyond_the_size_is_passed_on_however_much_there_is() -> None:
    passed = []

    def consume() -> None:
        for chunk in verified(endless(b"x" * 10), Digest.of(b"x" * 95), 95):
            passed.append(chunk)  # noqa: PERF402 - `extend` would lose what came before the error

    with pytest.raises(SizeMismatchError):
        consume()
    assert sum(map(len, passed)) == 90


def test_the_right_bytes_and_one_more_are_a_size_mismatch() -> None:
    with pytest.raises(SizeMismatchError):
        list(verified([b"kernel", b"", b"!"], Digest.of(b"kernel"), 6))


def test_at_most_passes_the_limit_and_not_a_byte_more() -> None:
    assert b"".join(at_most([b"abc", b"de"], 5)) == b"abcde"
    with pytest.raises(LimitExceededError, match="the disk is longer than 4 bytes"):
        list(at_most([b"abc", b"de"], 4, "the disk"))
