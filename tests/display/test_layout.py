"""Rows and lines never exceed a width, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.display import layout
from eci_convert.display.layout import Row, cells, fit_rows, plain
from eci_convert.display.state import Finished
from eci_convert.display.terminal import ASCII, UNICODE, Symbols
from eci_convert.progress import Retry

SYMBOLS = st.sampled_from([UNICODE, ASCII])
NAMES = st.text(st.characters(exclude_categories=("C", "M", "Z")), max_size=60)
SIZES = st.integers(0, 1 << 52)
ROWS = st.builds(
    Row,
    name=NAMES,
    phase=st.sampled_from(["", "hashing", "compressing", "receiving"]),
    done=SIZES,
    total=st.none() | SIZES,
    speed=st.floats(0, 1e15),
)


def width_of(line: layout.Line) -> int:
    return cells("".join(text for text, _ in line))


@given(st.lists(ROWS, max_size=5), st.integers(10, 220), SYMBOLS)
def test_rows_fit_and_stand_below_one_another(rows: list[Row], width: int, symbols: Symbols) -> None:
    widths = {width_of(line) for line in fit_rows(rows, width, symbols)}
    assert all(each <= width for each in widths)
    assert len(widths) <= 1


@given(NAMES, SIZES, st.floats(0, 1e6), st.booleans(), st.integers(10, 220), SYMBOLS)
def test_a_finished_line_fits(name: str, size: int, seconds: float, moved: bool, width: int, symbols: Symbols) -> None:
    line = layout.finished_line(Finished(name=name, size=size, seconds=seconds, moved=moved), width, symbols)
    assert width_of(line) <= width
    assert plain(line).startswith(symbols.done)


@given(NAMES, st.floats(0, 60), st.integers(16, 220), SYMBOLS)
def test_a_retry_and_a_wait_fit(what: str, seconds: float, width: int, symbols: Symbols) -> None:
    assert width_of(layout.retry_line(Retry(what=what, attempt=2, attempts=6, delay=seconds), width, symbols)) <= width
    assert width_of(layout.wait_line(what, seconds, width, symbols)) <= width


DISK = Row(name="disk-root-debian-12.qcow2", phase="compressing", done=3 << 29, total=3 << 30, speed=200 * 2**20)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (27, "disk…cow2 compressing  50 %"),
        (39, "disk…cow2 compressing  50 % 200.0 MiB/s"),
        (60, "disk-…qcow2 compressing  50 % 200.0 MiB/s     1.5 of 3.0 GiB"),
        (79, "disk-root-…n-12.qcow2 compressing  50 % 200.0 MiB/s     1.5 of 3.0 GiB      8 s"),
        (99, "disk-root-debian-12.qcow2 compressing ━━━━━━━────────  50 % 200.0 MiB/s     1.5 of 3.0 GiB      8 s"),
    ],
)
def test_columns_go_before_lines_wrap(width: int, shown: str) -> None:
    assert plain(fit_rows([DISK], width, UNICODE)[0]) == shown


def test_what_is_cut_off_of_a_finished_line_first_is_the_least_important() -> None:
    finished = Finished(name="disk-root-debian.img", size=6 << 20, seconds=3.0, moved=True)
    assert [plain(layout.finished_line(finished, width, UNICODE)) for width in (60, 40, 32, 20)] == [
        "✓ disk-root-debian.img  6.0 MiB in 3 s, 2.0 MiB/s",
        "✓ disk-root-debian.img  6.0 MiB in 3 s",
        "✓ disk-r…ian.img  6.0 MiB in 3 s",
        "✓ disk-roo…ebian.img",
    ]


def test_a_name_from_an_image_cannot_move_the_cursor() -> None:
    line = layout.finished_line(Finished(name="\x1b[2Jdisk\n", size=1, seconds=0, moved=True), 80, UNICODE)
    assert "\x1b" not in plain(line)
    assert "\n" not in plain(line)
