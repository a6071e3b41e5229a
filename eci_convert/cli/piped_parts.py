"""Parts that come through a pipe: `-`, a FIFO, `/dev/fd/N`. Each is read once, into a temporary file without a name
that lasts as long as the command; a layer begins with the size of its file, so that has to be known first."""

from __future__ import annotations

import os
import re
import select
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from eci_convert.errors import LocalError, UsageError
from eci_convert.files.errors import local_errors
from eci_convert.files.spool import Spool
from eci_convert.model import LocalFile
from eci_convert.progress import RECEIVING, Reporter
from eci_convert.streams import interrupts
from eci_convert.tasks import Task

_STDIN: Final = "-"
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/[0-9]+|/dev/stdin", re.ASCII)
_CHUNK: Final = 1 << 20
_POLL: Final = 0.1


class PipedParts:
    """What the parts of one command line are read from. *spools* close what is kept of them, when the command ends."""

    def __init__(self, spools: ExitStack, reporter: Reporter, *, password_from_stdin: bool = False) -> None:
        self._spools = spools
        self._reporter = reporter
        self._reader_of_stdin = "the password" if password_from_stdin else ""

    def file(self, path: Path, part: str) -> Path | LocalFile:
        """*path*; where that is a pipe, a file with all that comes through it. *part* is whose it is, for messages.

        Raises UsageError where standard input is wanted twice and where nothing comes, LocalError where it cannot be
        read or kept.
        """
        if str(path) == _STDIN:
            self._claim_stdin(part)
            return LocalFile(path=self._kept(0, "standard input"), label=_STDIN)
        try:
            kind = path.stat().st_mode
        except (OSError, ValueError):
            return path  # whoever opens it says why it cannot be
        if not stat.S_ISFIFO(kind) and not stat.S_ISSOCK(kind) and not _is_terminal(path, kind):
            return path
        with local_errors(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return LocalFile(path=self._kept(descriptor, str(path)), label=str(path))
        finally:
            os.close(descriptor)

    def _claim_stdin(self, part: str) -> None:
        if self._reader_of_stdin:
            raise UsageError(f"standard input can be read once: it is {self._reader_of_stdin} and cannot be {part} too")
        self._reader_of_stdin = part

    def _kept(self, descriptor: int, name: str) -> Path:
        spool = Spool(os.environ)
        self._spools.callback(spool.close)
        with Task(self._reporter, name, None) as task:
            task.enter(RECEIVING, None)
            _, size = spool.append(task.counted(_read_pipe(descriptor, name)))
        if not size:
            raise UsageError(f"{name} is empty: no byte came through it")
        return Path(f"/proc/self/fd/{spool.descriptor}")


def default_disk_name(path: Path, name: str) -> str:
    """What a disk from *path* is called in an image: "" as the file is, *name* where the path is no file's name."""
    return name if str(path) == _STDIN or _DESCRIPTOR.fullmatch(str(path)) else ""


def _is_terminal(path: Path, kind: int) -> bool:
    return stat.S_ISCHR(kind) and _DESCRIPTOR.fullmatch(str(path)) is not None


def _read_pipe(descriptor: int, name: str) -> Iterator[bytes]:
    """All that comes through *descriptor*. Raises LocalError, and KeyboardInterrupt where the program is to stop."""
    while True:
        interrupts.check()
        try:
            if not select.select([descriptor], [], [], _POLL)[0]:
                continue
            chunk = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise LocalError(f"{name} cannot be read: {error.strerror or error}") from error
        if not chunk:
            return
        yield chunk
