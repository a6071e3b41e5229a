"""Properties of a terminal: width, whether it can be redrawn, colours, symbols."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from eci_convert.errors import MAX_LINE, one_line
from eci_convert.redaction import redacted

_DUMB = ("dumb", "unknown")
_DEFAULT_WIDTH = 80
_DEFAULT_HEIGHT = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """The characters that are more than text."""

    done: str
    cut: str
    bar: str
    bar_left: str


UNICODE = Symbols(done="✓", cut="…", bar="━", bar_left="─")
ASCII = Symbols(done="+", cut="..", bar="=", bar_left="-")


def is_terminal(stream: TextIO) -> bool:
    """Whether *stream* is a terminal; one that is closed is none."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def can_redraw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether what *stream* shows can be drawn over."""
    return is_terminal(stream) and environ.get("TERM", "") not in _DUMB


def has_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether *stream* is to be coloured: NO_COLOR forbids it, FORCE_COLOR asks for it wherever it goes."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or can_redraw(stream, environ)


def symbols(stream: TextIO) -> Symbols:
    """The symbols that the encoding of *stream* has."""
    try:
        f"{UNICODE.done}{UNICODE.cut}{UNICODE.bar}{UNICODE.bar_left}".encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return UNICODE


def dimensions(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal *stream*; requested each time, since windows are resized."""
    with contextlib.suppress(OSError, ValueError):
        size = os.get_terminal_size(stream.fileno())
        if size.columns > 0 and size.lines > 0:
            return size.columns, size.lines
    return _DEFAULT_WIDTH, _DEFAULT_HEIGHT


def printable_line(text: object, limit: int = MAX_LINE) -> str:
    """*text*, which may be an image's or a registry's, as one printable line of at most *limit* characters, without the
    secrets in the URLs in it.

    >>> printable_line("a\\x1b[31mb of http://me:pw@h")
    'a\\\\x1b[31mb of http://***@h'
    """
    return one_line(redacted(str(text)), limit)


def write(stream: TextIO, text: str) -> bool:
    """Writes *text* at once, where it can past the buffer of *stream*; whether it went out.

    A thread that is stuck in the buffer of a terminal which takes nothing would keep the interpreter from ending.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        descriptor = -1
    try:
        if descriptor < 0:
            stream.write(text)
            stream.flush()
        else:
            stream.flush()
            _write_all(descriptor, text.encode(stream.encoding or "utf-8", "backslashreplace"))
    except (OSError, ValueError):  # stderr is closed: the exit code remains
        return False
    return True


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
