"""PlainProgress: a line now and then, for logs and for terminals that cannot be redrawn."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TextIO

from eci_convert.display import layout, terminal, units
from eci_convert.display.layout import Line, Row
from eci_convert.display.reporter import WatchedWork
from eci_convert.display.state import Finished
from eci_convert.progress import Retry

_LINES_EVERY = 5.0
_WAITS_EVERY = 30.0
_PREFIX = "eci-convert: "
_COLOURS = {"green": "32", "yellow": "33", "cyan": "36", "bold": "1", "dim": "2"}


class PlainProgress(WatchedWork):
    """A line every few seconds on *stream*, or standard error; one for what is finished, retried or waited for."""

    def __init__(self, stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(stream, environ)
        self._writing = threading.Lock()
        self._last_lines = self._last_wait = 0.0

    def _tell(self, line: str) -> None:
        with self._writing:
            super()._tell(line)

    def close(self) -> None:
        if not self._closed:
            self._look(time.monotonic())
        super().close()

    def _changed(self) -> None:
        if not self._closed:
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        width = self._width()
        symbols = terminal.symbols(self._stream)
        with self._writing:
            with self._lock:
                lines = self._news(now, width, symbols) + self._due(now, width, symbols)
            if lines:
                terminal.write(self._stream, "".join(self._rendered(line, width) + "\n" for line in lines))

    def _news(self, now: float, width: int | None, symbols: terminal.Symbols) -> list[Line]:
        """What is finished and retried. What is finished before anything is shown waits for that."""
        state, lines = self._state, list[Line]()
        showing = self._showing(now) or any(isinstance(item, Retry) for item in state.news)
        while state.news and showing:
            item = state.news.popleft()
            if isinstance(item, Finished):
                lines.append(layout.finished_line(item, width or 1 << 16, symbols))
            else:
                lines.append(layout.retry_line(item, width, symbols))
        return lines

    def _due(self, now: float, width: int | None, symbols: terminal.Symbols) -> list[Line]:
        state = self._state
        if silence := state.silence(now):
            if self._last_wait > state.last_bytes and now - self._last_wait < _WAITS_EVERY:
                return []
            self._last_wait = now
            return [layout.wait_line(*silence, width, symbols)]
        due = self._showing(now) and now - self._last_lines >= _LINES_EVERY
        if not due or not any(work.done for work in state.tasks.values()):
            return []
        self._last_lines = now
        rows = [layout.row_of(work, now) for work in state.tasks.values()]
        if overall := layout.overall_row(state, now):
            rows.append(overall)
        return layout.fit_rows(rows, width, symbols) if width else [_sentence(row) for row in rows]

    def _width(self) -> int | None:
        """The columns of a terminal; None where lines may be of any length."""
        if not terminal.is_terminal(self._stream):
            return None
        return terminal.dimensions(self._stream)[0] - 1

    def _rendered(self, line: Line, width: int | None) -> str:
        prefix = "" if width else _PREFIX
        if not terminal.has_colours(self._stream, self._environ):
            return prefix + layout.plain(line)
        return prefix + "".join(
            f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if style and text else text for text, style in line
        )


def _sentence(row: Row) -> Line:
    amount = units.size(row.done) if row.total is None else units.size_of(row.done, row.total)
    share = f" ({units.percent(row.done, row.total)})" if row.total is not None else ""
    left = f", {layout.time_left(row)} left" if layout.time_left(row) else ""
    phase = f"{row.phase} " if row.phase else ""
    return ((f"{row.name}: {phase}{amount}{share}, {units.rate(row.speed)}{left}", ""),)
