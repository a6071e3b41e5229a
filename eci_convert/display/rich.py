"""RichProgress: a row for each task that is redrawn in place, and above them what is finished.

The cursor is never hidden and stands below the rows, so whatever ends the program leaves a usable terminal behind.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from eci_convert.display import layout, terminal
from eci_convert.display.layout import Line
from eci_convert.display.reporter import WatchedWork
from eci_convert.display.state import Finished

if TYPE_CHECKING:
    from rich.console import Console

_MOST_ROWS = 8
_CLOSE_TIMEOUT = 1.0
"""Seconds that the work waits for a terminal to show the last of it; one that takes nothing has to do without."""


class RichProgress(WatchedWork):
    """Bars on the terminal that *stream*, or standard error, is. Drawn with rich, which is imported when there is
    something to draw. Use it where `can_redraw` says so; `PlainProgress` elsewhere.

    Used as a context manager, or closed, it shows the last of it; without, whenever all work has ended.
    """

    interval = 0.1

    def __init__(self, stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(stream, environ)
        self._lines: list[str] = []
        self._drawn: list[int] = []
        self._shown = False
        self._broken = False
        self._rows_drawn: list[Line] | None = None
        self._flushed = threading.Condition(self._lock)
        self._asked = self._answered = 0

    def finished(self, task: str) -> None:
        super().finished(task)
        self._settle()

    def close(self) -> None:
        with self._lock:
            pending = self._shown or bool(self._state.news or self._lines)
            self._state.tasks.clear()
            self._state.waits.clear()
            self._state.plans = 0
        if pending and not self._flush():
            self._broken = True  # from now on results and errors are printed, which must not be drawn over
        super().close()

    def _changed(self) -> None:
        with self._lock:
            urgent = self._shown and self._state.idle
        if urgent:
            self._settle()

    def _tell(self, line: str) -> None:
        """Show *line* above the rows, if there are any: what is written past them would be drawn over."""
        with self._lock:
            shown = self._shown
            if shown:
                self._lines.append(line)
        if shown:
            self._wake.set()
        else:
            super()._tell(line)

    def _settle(self) -> None:
        """Removes the rows once all work has ended, before anything else is printed."""
        with self._lock:
            over = self._shown and self._state.idle
        if over:
            self._flush()

    def _flush(self) -> bool:
        """Wait until everything so far is drawn, but not for long; whether it is."""
        with self._lock:
            if self._thread is None or self._closed:
                return True
            self._asked += 1
            asked = self._asked
            self._wake.set()
            return self._flushed.wait_for(lambda: self._answered >= asked, timeout=_CLOSE_TIMEOUT)

    def _look(self, now: float) -> None:
        with self._lock:
            asked, frame = self._asked, self._frame(now)
        if frame is not None and not self._broken:
            self._broken = not terminal.write(self._stream, self._repainted(*frame))
        with self._lock:
            self._answered = asked
            self._flushed.notify_all()

    def _frame(self, now: float) -> tuple[list[str], list[Line], int] | None:
        """The lines that stay, the rows that do not, and the columns; None where there is nothing to draw."""
        state = self._state
        columns, height = terminal.dimensions(self._stream)
        width, symbols = columns - 1, terminal.symbols(self._stream)
        silence = state.silence(now)
        retries = any(not isinstance(item, Finished) for item in state.news)
        if not self._shown and not silence and not retries and not self._showing(now):
            return None
        stay: list[Line] = []
        while state.news:
            item = state.news.popleft()
            if isinstance(item, Finished):
                stay.append(layout.finished_line(item, width, symbols))
            else:
                stay.append(layout.retry_line(item, width, symbols))
        rows = self._rows(now, width, height, symbols)
        if silence:
            rows.append(layout.wait_line(*silence, width, symbols))
        lines, self._lines = self._lines, []
        self._shown = bool(rows)
        if not (stay or lines) and rows == (self._rows_drawn or []):
            return None
        self._rows_drawn = rows
        return lines + [self._styled(line, columns) for line in stay], rows, columns

    def _rows(self, now: float, width: int, height: int, symbols: terminal.Symbols) -> list[Line]:
        state = self._state
        works = list(state.tasks.values())
        most = max(1, min(_MOST_ROWS, height - 4))
        rows = [layout.row_of(work, now) for work in works[:most]]
        overall = layout.overall_row(state, now)
        if overall:
            rows.append(overall)
        lines = layout.fit_rows(rows, width, symbols)
        if len(works) > most:
            more = ((layout.truncate(f"and {len(works) - most} more", width, symbols), "dim"),)
            lines.insert(most, more)
        return lines

    def _repainted(self, stay: Sequence[str], rows: Sequence[Line], columns: int) -> str:
        """What replaces the rows that were drawn last, wherever a narrower window has moved them since."""
        up = sum(max(1, -(-cells // columns)) for cells in self._drawn)
        self._drawn = [layout.cells(layout.plain(row)) for row in rows]
        above = f"\x1b[{up}A" if up else ""
        lines = [*stay, *(self._styled(row, columns) for row in rows)]
        return f"\r{above}\x1b[J" + "".join(line + "\n" for line in lines)

    def _styled(self, line: Line, columns: int) -> str:
        from rich.text import Text

        console = self._console(columns)
        with console.capture() as capture:
            console.print(Text.assemble(*line), end="", no_wrap=True, overflow="crop", crop=True)
        return capture.get().rstrip("\n")

    def _console(self, columns: int) -> Console:
        from rich.console import Console

        coloured = terminal.has_colours(self._stream, self._environ)
        return Console(
            file=StringIO(), force_terminal=True, width=columns, highlight=False, markup=False, emoji=False,
            color_system="standard" if coloured else None, no_color=not coloured, _environ={},
        )  # fmt: skip
