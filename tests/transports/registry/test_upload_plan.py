"""The rules by which an upload goes on, as tables."""

from __future__ import annotations

import pytest

from eci_convert.transports.registry.upload_plan import (
    CHUNK,
    LONG,
    MIB,
    SHARED,
    SMALLEST,
    Limits,
    NextRequest,
    Pace,
    UploadPhase,
    UploadPlan,
    chunk_length,
    positions,
    shorter,
)

QUICK, FAST = Pace(quick=True), Pace(quick=True, fast=True)
GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("taken", "pace", "size", "limits", "phase"),
    [
        (0, FAST, GIB, Limits(), UploadPhase.PROBING),
        (1, FAST, GIB, Limits(), UploadPhase.PROBING),
        (2, QUICK, GIB, Limits(), UploadPhase.STEADY),
        (2, FAST, GIB, Limits(), UploadPhase.LONG),
        (2, FAST, None, Limits(), UploadPhase.STEADY),
        (2, FAST, LONG // 4 - 1, Limits(), UploadPhase.STEADY),
        (2, FAST, LONG // 4, Limits(), UploadPhase.LONG),
        (2, FAST, GIB, Limits(largest=GIB), UploadPhase.STEADY),
        (2, FAST, GIB, Limits(long_requests=False), UploadPhase.STEADY),
        (2, FAST, GIB, Limits(lossy=MIB), UploadPhase.LOSSY),
        (0, Pace(), GIB, Limits(lossy=MIB), UploadPhase.LOSSY),
    ],
)
def test_the_phase_of_an_upload(taken: int, pace: Pace, size: int | None, limits: Limits, phase: UploadPhase) -> None:
    plan = UploadPlan(offset=0, end=0, ended=False, size=size, taken=taken, pace=pace, limits=limits)
    assert plan.phase is phase


@pytest.mark.parametrize(
    ("limits", "quick", "length"),
    [
        (Limits(), False, CHUNK),
        (Limits(), True, SHARED),
        (Limits(uploads=3), True, SHARED // 3),
        (Limits(uploads=9), True, CHUNK),
        (Limits(minimum=10 * MIB), False, 10 * MIB),
        (Limits(minimum=10 * GIB), False, 64 * MIB),
        (Limits(largest=MIB), True, MIB),
        (Limits(largest=1), True, SMALLEST),
        (Limits(lossy=MIB), True, MIB),
        (Limits(lossy=MIB, minimum=5 * MIB), False, 5 * MIB),
        (Limits(largest=MIB, minimum=5 * MIB), False, MIB),
    ],
)
def test_how_long_a_chunk_is(limits: Limits, quick: bool, length: int) -> None:
    assert chunk_length(limits, quick=quick) == length


@pytest.mark.parametrize(
    ("offset", "end", "ended", "missing", "request_"),
    [
        (0, 0, False, CHUNK, None),
        (0, 0, True, 0, None),
        (0, MIB, False, CHUNK - MIB, NextRequest(first=0, last=MIB)),
        (0, MIB, True, 0, NextRequest(first=0, last=MIB)),
        (0, CHUNK + 1, True, 0, NextRequest(first=0, last=CHUNK)),
        (CHUNK, CHUNK + 1, True, 0, NextRequest(first=CHUNK, last=CHUNK + 1)),
        (MIB, 4 * CHUNK, False, 0, NextRequest(first=MIB, last=MIB + CHUNK)),
        (CHUNK, CHUNK, True, 0, None),
    ],
)
def test_the_next_request_sends_what_is_buffered(
    offset: int, end: int, ended: bool, missing: int, request_: NextRequest | None
) -> None:
    plan = UploadPlan(offset=offset, end=end, ended=ended)
    assert plan.missing == missing
    assert plan.next_request() == request_


@pytest.mark.parametrize(("offset", "last"), [(0, LONG), (LONG, 2 * LONG), (3 * LONG + MIB, 4 * LONG)])
def test_a_long_request_is_not_held(offset: int, last: int) -> None:
    plan = UploadPlan(offset=offset, end=offset, ended=False, size=4 * LONG, taken=2, pace=FAST)
    assert plan.missing == 0
    assert plan.next_request() == NextRequest(first=offset, last=last, held=False)


@pytest.mark.parametrize(("end", "ahead"), [(CHUNK, CHUNK), (CHUNK + MIB, CHUNK - MIB), (3 * CHUNK, 0), (MIB, CHUNK)])
def test_what_is_gathered_ahead_is_one_chunk(end: int, ahead: int) -> None:
    assert UploadPlan(offset=0, end=end, ended=False).ahead == ahead


@pytest.mark.parametrize(
    ("length", "minimum", "next_length"),
    [
        (8 * MIB, 0, 4 * MIB),
        (15 * MIB, 10 * MIB, 10 * MIB),
        (24 * MIB, 10 * MIB, 12 * MIB),
        (10 * MIB, 10 * MIB, 5 * MIB),
        (SMALLEST + 1, 0, SMALLEST),
        (SMALLEST, 0, None),
        (1, 0, None),
    ],
)
def test_what_is_tried_after_a_chunk_that_was_too_large(length: int, minimum: int, next_length: int | None) -> None:
    assert shorter(length, Limits(minimum=minimum)) == next_length


@pytest.mark.parametrize(
    ("counted", "refused", "one_more", "offsets"),
    [
        (20, (), False, [20, 19, 10]),  # all of the chunk from 10 to 20 arrived
        (21, (), False, [20, 10]),  # ... and one too many is counted
        (10, (), False, [10, 20]),  # none of it
        (15, (), False, [15, 14, 20, 10]),  # some of it
        (15, (), True, [14, 15, 20, 10]),
        (15, (15,), False, [14, 20, 10]),
        (None, (), False, [10, 20]),
        (None, (10,), False, [20]),
        (7, (), False, [10, 7, 20]),  # a stale count, or the registry has lost some of what it confirmed
        (4, (), False, [10, 20]),  # what is no longer held
        (7, (10, 7, 20), False, []),
    ],
)
def test_where_an_upload_may_be_after_a_fault(
    counted: int | None, refused: tuple[int, ...], one_more: bool, offsets: list[int]
) -> None:
    found = positions(counted=counted, floor=10, expected=20, held=5, refused=frozenset(refused), one_more=one_more)
    assert found == offsets
