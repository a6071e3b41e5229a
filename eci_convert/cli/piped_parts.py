"""Parts that come through a pipe: `-`, a FIFO, `/dev/fd/N`. Each is opened at once, and read when its turn comes."""

from __future__ import annotations

import fcntl
import os
import re
import select
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from eci_convert.errors import LocalError, UsageError
from eci_convert.files.errors import local_errors
from eci_convert.model import Pipe
from eci_convert.streams import interrupts
from eci_convert.streams.blocks import BLOCK_SIZE, PeekableStream

_STDIN: Final = "-"
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/[0-9]+|/dev/stdin", re.ASCII)
_POLL: Final = 100  # milliseconds


class PipedParts:
    """What the parts of one command line are read from. *opened* closes the pipes when the command ends."""

    def __init__(self, opened: ExitStack, *, password_from_stdin: bool = False) -> None:
        self._opened = opened
        self._reader_of_stdin = "the password" if password_from_stdin else ""

    def file(self, path: Path, part: str) -> Path | Pipe:
        """*path*, or the pipe that it is. *part* is whose it is, for messages.

        Reading the pipe raises UsageError where nothing comes, and LocalError. Raises UsageError where standard input
        is wanted twice, LocalError where the pipe cannot be opened.
        """
        if str(path) == _STDIN:
            self._claim_stdin(part)
            return _pipe(0, _STDIN, "standard input")
        try:
            kind = path.stat().st_mode
        except (OSError, ValueError):
            return path  # whoever opens it says why it cannot be
        if not stat.S_ISFIFO(kind) and not stat.S_ISSOCK(kind) and not _is_terminal(path, kind):
            return path
        with local_errors(path):  # not blocking: a FIFO that nobody has opened for writing would block until then
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._opened.callback(os.close, descriptor)
        return _pipe(descriptor, str(path), str(path))

    def _claim_stdin(self, part: str) -> None:
        if self._reader_of_stdin:
            raise UsageError(f"standard input can be read once: it is {self._reader_of_stdin} and cannot be {part} too")
        self._reader_of_stdin = part


def default_disk_name(path: Path, name: str) -> str:
    """What a disk from *path* is called in an image: "" as the file is, *name* where the path is no file's name."""
    return name if str(path) == _STDIN or _DESCRIPTOR.fullmatch(str(path)) else ""


def _pipe(descriptor: int, label: str, name: str) -> Pipe:
    with suppress(OSError):  # no pipe, or the user has many: it is slower then
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, BLOCK_SIZE)
    return Pipe(stream=PeekableStream(_blocks(descriptor, name)), label=label, name=name)


def _is_terminal(path: Path, kind: int) -> bool:
    return stat.S_ISCHR(kind) and _DESCRIPTOR.fullmatch(str(path)) is not None


def _blocks(descriptor: int, name: str) -> Iterator[bytes]:
    """All that comes through *descriptor*, cut at every MiB: less is hashed and written at a higher cost.

    Raises UsageError where that is nothing, LocalError, and KeyboardInterrupt where the program is to stop.
    """
    empty, ended = True, False
    while not ended:
        pieces, length = [], 0
        while length < BLOCK_SIZE and not ended:
            piece = _read(descriptor, BLOCK_SIZE - length, name)
            ended = not piece
            pieces.append(piece)
            length += len(piece)
        if length:
            empty = False
            yield b"".join(pieces)
    if empty:
        raise UsageError(f"{name} is empty: no byte came through it")


def _read(descriptor: int, count: int, name: str) -> bytes:
    """At most *count* bytes, as soon as there are any; none at the end."""
    coming = select.poll()
    coming.register(descriptor, select.POLLIN)
    while True:
        interrupts.check()
        try:
            if coming.poll(_POLL):
                return os.read(descriptor, count)
        except BlockingIOError:
            continue
        except OSError as error:
            raise LocalError(f"{name} cannot be read: {error.strerror or error}") from error
