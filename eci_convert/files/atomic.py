"""Atomic writes: files get their names when they are complete, or not at all.

A file is written next to its final name as `.NAME.RANDOM.part`, flushed, and renamed. It is locked (flock) while it is
written, so that files left by killed processes can be recognised and removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from eci_convert.errors import LocalError, UsageError
from eci_convert.files import leftovers, temp_files
from eci_convert.files.errors import local_errors
from eci_convert.files.temp_files import TempFile, back_up, create_temp

StrPath = str | os.PathLike[str]


@contextmanager
def atomic_write(path: StrPath) -> Iterator[BinaryIO]:
    """A file that replaces *path* when the block ends without an error, and is removed otherwise.

    A symbolic link at *path* is replaced, not followed. Raises LocalError for a directory or a device at *path*, and
    for errors of the operating system.
    """
    with AtomicFiles() as staged:
        yield staged.add(path)
        staged.commit()


def named_file(text: str) -> Path:
    """The path *text* of a file. Raises UsageError for the name of a directory: `pathlib` drops a trailing slash.

    >>> named_file("out/kernel").name
    'kernel'
    """
    if os.path.basename(text) in ("", ".", ".."):
        raise UsageError(f"{text!r} is a directory, expected a file" if text else "empty file name")
    return Path(text)


class AtomicFiles:
    """Several files that replace others together, or none of them. A context manager, which removes what was not
    committed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as there:
    ...     with AtomicFiles() as staged:
    ...         count = staged.add(f"{there}/kernel").write(b"k")
    ...         before = [name for name in os.listdir(there) if not name.startswith(".")]
    ...         staged.commit()
    ...     before, os.listdir(there)
    ([], ['kernel'])
    """

    def __init__(self) -> None:
        self._staged: list[TempFile] = []

    def add(self, path: StrPath) -> BinaryIO:
        """A file to write, also readable, that `commit` renames to *path*. Raises as `atomic_write`, and UsageError for
        a path that was added before."""
        target = final_target(path)
        if any(part.target == target for part in self._staged):
            raise UsageError(f"{str(path)!r} would be written twice")
        part = create_temp(target)
        self._staged.append(part)
        return part.file

    def commit(self) -> None:
        """Renames all files. Raises LocalError, after undoing all renames."""
        for part in self._staged:
            part.complete()
        with leftovers.committing():
            self._rename()
        for directory in {part.target.parent for part in self._staged}:
            temp_files.flush_directory(directory)

    def _rename(self) -> None:
        done: list[tuple[TempFile, Path | None]] = []
        try:
            for part in self._staged:
                with local_errors(part.target):
                    saved = back_up(part.target)
                    done.append((part, saved))
                    os.replace(part.path, part.target)
        except BaseException:
            for part, saved in reversed(done):
                temp_files.restore(part.target, saved)
            raise
        for _, saved in done:
            if saved:
                with suppress(OSError):
                    saved.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._staged:
            part.discard()


@contextmanager
def created_directories(paths: Iterable[Path]) -> Iterator[None]:
    """Creates the directories of *paths*; those created are removed again if the block fails.

    Raises LocalError.
    """
    created: list[Path] = []
    try:
        for path in paths:
            for directory in (*reversed(path.parent.parents), path.parent):
                with local_errors(directory):
                    if directory.exists():
                        continue
                    with leftovers.creating(directory):
                        directory.mkdir()
                created.append(directory)
        yield
    except BaseException:
        for directory in reversed(created):
            with suppress(OSError):
                directory.rmdir()
        raise
    finally:
        for directory in created:
            leftovers.forget(directory)


_NO_FILES = ("/dev/fd/", "/dev/std", "/proc/")
"""Names of open files: replacing `/dev/stdout` would affect every program."""


def final_target(path: StrPath) -> Path:
    """*path* with its directory resolved, if a file may be created or replaced there."""
    text = os.fspath(path)
    name = os.path.basename(text)
    if name in ("", ".", "..") or "\0" in text:
        raise LocalError(f"{text!r} is not a valid file name")
    with local_errors(text):
        target = Path(os.path.realpath(os.path.dirname(text), strict=True), name)
        mode = _mode(target)
    if str(target).startswith(_NO_FILES):
        raise LocalError(f"{text}: cannot create a file there")
    if mode is None or stat.S_ISREG(mode):
        return target
    raise LocalError(f"{text}: {'is a directory' if stat.S_ISDIR(mode) else 'exists and is not a regular file'}")


def _mode(target: Path) -> int | None:
    """The mode of *target*: of a link to a device or a pipe, that of the device; None for other links."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(mode):
        return mode
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else mode
