"""The only module that prints: results on standard output, messages on standard error.

Text from images and from the network is data: control characters in it are shown as escapes, never sent to a
terminal (docs/explanation/security.md#names-from-images-are-data); and the length of a message is limited.
"""

from __future__ import annotations

import contextlib
import json as _json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from eci_convert.display.terminal import has_colours
from eci_convert.display.units import size as size
from eci_convert.errors import one_line, printable
from eci_convert.redaction import redacted

_MAX_HINTS: Final = 10
_WIDEST: Final = 200  # characters; a longer name widens only its own row
_MAX_TRACEBACK: Final = 400  # lines


def line(text: str) -> None:
    """One line of a result."""
    _write_stdout(printable(text) + "\n")


def lines(texts: Iterable[str]) -> None:
    """Lines of a result."""
    for text in texts:
        line(text)


def text(text: str) -> None:
    """A result of several lines, which we made ourselves: a Dockerfile, a script."""
    _write_stdout(text if text.endswith("\n") else text + "\n")


def raw_bytes(content: bytes) -> None:
    """A result as it is, byte for byte; to a terminal, as printable text."""
    if sys.stdout.isatty():
        lines = content.decode(errors="backslashreplace").split("\n")
        text("\n".join(_escaped(line.expandtabs()) for line in lines))
    else:
        sys.stdout.buffer.write(content)


def json(value: object) -> None:
    """A result for programs: one JSON document."""
    text = _json.dumps(value, ensure_ascii=not _utf8(), indent=2)
    _write_stdout("\n".join(map(_escaped, text.split("\n"))) + "\n")


def table(rows: Iterable[Sequence[str]]) -> None:
    """Rows of words in columns, for people. Raises LocalError where standard output cannot be written."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = _widths(cells)
    for row in cells:
        _write_stdout("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def table_width(rows: Iterable[Sequence[str]]) -> int:
    """The columns of a terminal that `table` fills with *rows*."""
    widths = _widths([[printable(cell) for cell in row] for row in rows])
    return sum(widths) + 2 * (len(widths) - 1)


def _widths(cells: list[list[str]]) -> list[int]:
    return [min(_WIDEST, max(map(len, column))) for column in zip(*cells, strict=True)]


def mapping(title: str, values: Mapping[str, str]) -> None:
    """Names and values below a title, for people; nothing where there are none."""
    if values:
        line(f"{title}:")
        for name, value in values.items():
            line(f"  {name}={value}")


def error(message: str, hints: Sequence[str] = ()) -> None:
    """What went wrong, in one line; then what to do about it."""
    _write_stderr(_coloured("eci-convert: error: ", "31") + one_line(message))
    for hint in hints[:_MAX_HINTS]:
        _write_stderr(_coloured("hint: ", "36") + one_line(hint.removeprefix("hint: ")))


def failure(error: BaseException, secrets: Collection[str] = ()) -> None:
    """The traceback of *error*, for `--debug`, without *secrets*; the words in it may be an image's."""
    lines = [line for entry in traceback.format_exception(error) for line in entry.splitlines()]
    if len(lines) > _MAX_TRACEBACK:
        half = _MAX_TRACEBACK // 2
        lines = [*lines[:half], f"  … {len(lines) - 2 * half} lines …", *lines[-half:]]
    for text in lines:
        _write_stderr(one_line(redacted(text, secrets)))


class LogLines(logging.Formatter):
    """Records of a log as printable lines."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(one_line, super().format(record).split("\n")[:_MAX_TRACEBACK]))


def info(message: str) -> None:
    """A message while the work goes on."""
    _write_stderr(f"eci-convert: {one_line(message)}")


def ask(question: str, choices: Sequence[str]) -> str:
    """The one of *choices* that the user enters, asked for until it is one; "" at the end of input.

    A choice may be cut short as long as it is one alone. The question is no result: it goes to standard error.
    """
    while True:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{printable(question)} [{'|'.join(choices)}]: ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return ""
        suiting = [choice for choice in choices if choice.startswith(line.strip().lower())]
        if len(suiting) == 1:
            return suiting[0]


def event(text: str) -> None:
    """One line on standard error for programs."""
    _write_stderr(text)


def warning(message: str) -> None:
    """A warning; the work goes on."""
    _write_stderr(_coloured("eci-convert: warning: ", "33") + one_line(message))


def flush() -> None:
    """Flushes standard output. Raises LocalError if it cannot be written."""
    sys.stdout.flush()


def adopt() -> None:
    """Prints log records of libraries, and exceptions of threads, through this module."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(LogLines())
    threading.excepthook = _thread_failed


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit | KeyboardInterrupt):
        failure(args.exc_value)


def _escaped(text: str) -> str:
    """One line of JSON, whose strings spell what is not printable: the value is the same."""
    return text if text.isprintable() else "".join(map(_json_escape, text))


def _json_escape(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _write_stdout(text: str) -> None:
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        sys.stdout.write(text.encode("ascii", "backslashreplace").decode("ascii"))


def _write_stderr(text: str) -> None:
    with contextlib.suppress(OSError):  # stderr is closed: the exit code remains
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _coloured(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if has_colours(sys.stderr, os.environ) else text


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
