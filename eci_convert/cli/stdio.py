"""The three standard streams, which may be full, unread or closed.

A stream that is closed is opened on nothing: else the next file that is opened has its number, and what is said goes
into that file. What standard output does not take is a LocalError, whoever wrote it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from eci_convert.errors import LocalError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@contextmanager
def reliable_stdio() -> Iterator[None]:
    """Standard streams that can be relied on, in the block. What a test has put in the place of one is left alone."""
    for number, mode in (
        (0, os.O_RDONLY),
        (1, os.O_RDONLY),
        (2, os.O_WRONLY),
    ):  # read-only for stdout, so that writing still fails
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if sys.stdout is not sys.__stdout__:
        yield
        return
    before, sys.stdout = sys.stdout, _stdout(sys.stdout)
    try:
        yield
    finally:
        with suppress(LocalError):
            sys.stdout.flush()
        sys.stdout = before


def _stdout(before: io.TextIOWrapper | None) -> io.TextIOWrapper:
    encoding, errors = (before.encoding, before.errors) if before else ("utf-8", "backslashreplace")
    buffer = io.BufferedWriter(_Output(1, "wb", closefd=False))
    return io.TextIOWrapper(buffer, encoding, errors, line_buffering=os.isatty(1))


class _Output(io.FileIO):
    """Standard output. After the first failure what is written goes nowhere, so that the end of the program is not
    another one."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise LocalError(f"standard output cannot be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return "its reader has gone" if isinstance(error, BrokenPipeError) else error.strerror or str(error)
