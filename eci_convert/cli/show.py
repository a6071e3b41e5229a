"""The only module that prints: results on standard output, talk on standard error.

Text from images and from the network is data: control characters in it are shown as escapes, never sent to a
terminal (design/threats.md, first principle 6).
"""

from __future__ import annotations

import contextlib
import json as _json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def line(text: str) -> None:
    """One line of a result."""
    _out(printable(text) + "\n")


def document(text: str) -> None:
    """A result of several lines, which we made ourselves: a Dockerfile, a script."""
    _out(text if text.endswith("\n") else text + "\n")


def raw(content: bytes) -> None:
    """A result as it is, byte for byte."""
    sys.stdout.buffer.write(content)


def json(value: object) -> None:
    """A result for programs: one JSON document."""
    _out(_json.dumps(value, ensure_ascii=not _utf8(), indent=2) + "\n")


def table(rows: Iterable[Sequence[str]]) -> None:
    """Rows of words in columns, for people. Raises LocalError where standard output cannot be written."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        _out("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def mapping(title: str, found: Mapping[str, str]) -> None:
    """Names and values below a title, for people; nothing where there are none."""
    if found:
        line(f"{title}:")
        for name, value in found.items():
            line(f"  {name}={value}")


def error(message: str, hints: Sequence[str] = ()) -> None:
    """What went wrong, in one line; then what to do about it."""
    _say(_coloured("eci-convert: error: ", "31") + printable(message))
    for hint in hints:
        _say(_coloured("hint: ", "36") + printable(hint.removeprefix("hint: ")))


def note(message: str) -> None:
    """Something worth knowing while the work goes on."""
    _say(f"eci-convert: {printable(message)}")


def ask(question: str, choices: Sequence[str]) -> str:
    """Which of *choices* whoever sits at the terminal says, asked until it is one; "" at the end of input.

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
    """One line of progress for programs."""
    _say(text)


def warning(message: str) -> None:
    """Something odd, though the work goes on."""
    _say(_coloured("eci-convert: warning: ", "33") + printable(message))


def size(count: int) -> str:
    """*count* bytes as people read them.

    >>> size(2 * 1024**3)
    '2.0 GiB'
    """
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


def printable(text: Any) -> str:
    """*text* with everything that is no printable character escaped.

    >>> printable("a\\x1b[31mb\\n")
    'a\\\\x1b[31mb\\\\n'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in str(text)
    )


def flush() -> None:
    """Everything said is out. Raises LocalError where standard output cannot take it."""
    sys.stdout.flush()


def _out(text: str) -> None:
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        sys.stdout.write(text.encode("ascii", "backslashreplace").decode("ascii"))


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # where nobody listens, the exit code still tells
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _coloured(text: str, colour: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stderr.isatty()
    return text if plain else f"\x1b[{colour}m{text}\x1b[0m"


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
