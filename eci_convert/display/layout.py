"""Fits a row or line to a width: columns are dropped before lines wrap, names shortened before columns break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eci_convert.display import units
from eci_convert.display.state import Finished, State, Work
from eci_convert.display.terminal import Symbols, printable_line
from eci_convert.progress import Retry

Line = tuple[tuple[str, str], ...]
"""Pieces of text and their styles, which `""` is none of."""

_MIN_NAME, _FINISHED_NAME, _MAX_NAME = 8, 12, 32
_NAME_BESIDE_BAR = 20
_LONGEST_NAME = 100
"""Characters of a name where a line may be of any length."""
_MIN_BAR, _MAX_BAR = 10, 40
_WIDE = 100
"""Columns from which on there are two blanks between columns."""
_PHASE, _PERCENT, _SPEED, _AMOUNT, _LEFT = 11, 5, 11, 18, 8
_LONGEST = 100 * 3600
_DROPPED_LAST = (_PERCENT, _PHASE, _SPEED, _AMOUNT, _LEFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is shown of a task, or of all. *speed* is in bytes a second."""

    name: str
    phase: str
    done: int
    total: int | None
    speed: float


def row_of(work: Work, now: float) -> Row:
    """The row of a task that is under way."""
    return Row(
        name=printable_line(work.name, _LONGEST_NAME),
        phase=work.phase,
        done=work.done,
        total=work.phase_total,
        speed=work.speed.at(work.done, now),
    )


def overall_row(state: State, now: float) -> Row | None:
    """The row of everything; None where that is one task, which has a row of its own."""
    if state.count == 0 or not (state.tasks or state.plans):
        return None
    if state.count == 1 and state.tasks:
        return None
    finishing = not state.tasks and state.finished_tasks >= state.count
    done, size = state.done, state.size
    if size and state.finished_tasks < state.count:
        done = min(done, size - 1)  # data that was read may still be unsent
    return Row(
        name=f"{state.finished_tasks}/{state.count} done",
        phase="finishing" if finishing else "in all",
        done=done,
        total=size,
        speed=state.speed.at(state.done, now) if state.speed else 0.0,
    )


def fit_rows(rows: Sequence[Row], width: int, symbols: Symbols) -> list[Line]:
    """*rows* below one another, none of them wider than *width*, with the same columns."""
    gap = 2 if width >= _WIDE else 1
    room = width - _MIN_NAME
    column_count = 0
    for column in _DROPPED_LAST:
        if room < column + gap:
            break
        room, column_count = room - column - gap, column_count + 1
    bar = room - gap - (_NAME_BESIDE_BAR - _MIN_NAME) >= _MIN_BAR
    longest = max((cells(row.name) for row in rows), default=0)
    if bar:
        name = min(_MAX_NAME, max(_MIN_NAME, longest), _MIN_NAME + room - gap - _MIN_BAR)
        length = min(_MAX_BAR, _MIN_NAME + room - gap - name)
    else:
        name = max(0, min(_MAX_NAME, max(_MIN_NAME, longest), _MIN_NAME + room, width))
        length = 0
    return [_fitted(row, name, column_count, length, " " * gap, symbols) for row in rows]


def _fitted(row: Row, name: int, column_count: int, bar: int, gap: str, symbols: Symbols) -> Line:
    done = row.done if row.total is None else min(row.done, row.total)
    amount = units.size(done) if row.total is None else units.size_of(done, row.total)
    columns = [
        (units.percent(row.done, row.total).rjust(_PERCENT), "bold"),
        (row.phase.ljust(_PHASE), ""),
        (units.rate(row.speed).rjust(_SPEED), "cyan"),
        (amount.rjust(_AMOUNT), ""),
        (time_left(row).rjust(_LEFT), "cyan"),
    ][:column_count]
    pieces = [(padded(row.name, name, symbols), "")]
    if len(columns) > 1:
        columns[0], columns[1] = columns[1], columns[0]
    if bar:
        columns.insert(1, _bar(row, bar, symbols))
    for text, style in columns:
        pieces += [(gap, ""), (text, style)]
    return tuple(pieces)


def time_left(row: Row) -> str:
    """How long *row* will take at its speed; "" if unknown."""
    if row.total is None or row.total <= row.done or row.speed <= 0:
        return ""
    seconds = (row.total - row.done) / row.speed
    return units.duration(max(1, seconds)) if seconds < _LONGEST else "> 4 d"


def _bar(row: Row, width: int, symbols: Symbols) -> tuple[str, str]:
    if row.total is None:
        return symbols.bar_left * width, "dim"
    filled = width * min(row.done, row.total) // row.total if row.total else width
    return symbols.bar * filled + symbols.bar_left * (width - filled), "cyan"


def finished_line(finished: Finished, width: int, symbols: Symbols) -> Line:
    """The line that stays of a task that ended well."""
    size, seconds = units.size(finished.size), finished.seconds
    if not finished.moved:
        endings = [f"{size}, exists already", "exists already", ""]
    elif seconds >= 1:
        took = f"{size} in {units.duration(seconds)}"
        endings = [f"{took}, {units.rate(finished.size / seconds)}", took, size, ""]
    else:
        endings = [size, ""]
    name, mark = printable_line(finished.name, _LONGEST_NAME), symbols.done
    room = width - cells(mark) - 1
    ending = next(text for text in endings if not text or min(cells(name), _FINISHED_NAME) + 2 + len(text) <= room)
    room -= len(ending) + 2 if ending else 0
    return ((mark, "green"), (" " + shortened(name, room, symbols), ""), (f"  {ending}" if ending else "", "dim"))


def retry_line(retry: Retry, width: int | None, symbols: Symbols) -> Line:
    """What failed, which attempt follows, and when; with *width*, so much of it as there is room for."""
    when = f"attempt {retry.attempt} of {retry.attempts} in {retry.delay:.1f} s"
    what = printable_line(retry.what)
    if width is None:
        return ((f"{what}: {when}", ""),)
    if width < 40:
        when = f"try {retry.attempt}/{retry.attempts} in {retry.delay:.1f} s"
    text = shortened(what, width - len(when) - 2, symbols)
    return ((f"{text}: " if text else "", ""), (shortened(when, width, symbols), "yellow"))


def wait_line(what: str, seconds: float, width: int | None, symbols: Symbols) -> Line:
    """What is being waited for, and for how long already."""
    text, ending = f"waiting for {printable_line(what)}", f": {units.duration(seconds)}"
    if width is not None:
        text = truncate(text, width - len(ending), symbols)
    return ((text + ending, "yellow"),)


def plain(line: Line) -> str:
    """The text of *line*."""
    return "".join(text for text, _ in line).rstrip()


def cells(text: str) -> int:
    """How many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def truncate(text: str, width: int, symbols: Symbols) -> str:
    """*text*, its end cut off where it is wider than *width*."""
    if cells(text) <= width:
        return text
    return _head(text, width - len(symbols.cut)) + symbols.cut if width > len(symbols.cut) else ""


def shortened(name: str, width: int, symbols: Symbols) -> str:
    """*name*, without its middle where it is wider than *width*: names differ at their ends.

    >>> from eci_convert.display.terminal import UNICODE
    >>> shortened("disk-root-debian-12.qcow2", 16, UNICODE)
    'disk-ro…12.qcow2'
    """
    if cells(name) <= width:
        return name
    room = width - len(symbols.cut)
    if room < 4:
        return truncate(name, width, symbols)
    return _head(name, room // 2) + symbols.cut + _head(name[::-1], room - room // 2)[::-1]


def padded(name: str, width: int, symbols: Symbols) -> str:
    """*name* in exactly *width* columns."""
    text = shortened(name, width, symbols)
    return text + " " * (width - cells(text))


def _head(text: str, width: int) -> str:
    taken = 0
    for number, character in enumerate(text):
        taken += cells(character)
        if taken > width:
            return text[:number]
    return text
