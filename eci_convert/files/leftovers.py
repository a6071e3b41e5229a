"""Temporary files and directories to remove if the process has to end early.

Usually their owners remove them. If the process was told to stop and its threads do not end, `remove_all` removes what
they registered. Leftovers of a killed process are removed by the next one.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

StrPath = str | os.PathLike[str]

_lock = threading.RLock()
_committing = threading.Lock()
_paths: dict[str, bool] = {}
"""The registered paths, the oldest first; whether a directory is removed with its contents."""


@contextmanager
def creating(path: StrPath, *, tree: bool = False) -> Iterator[None]:
    """Registers *path*, which is created in the block; unregistered if that fails.

    *tree*: a directory that is removed with its contents, and not only if it is empty.
    """
    with _lock:
        _paths[os.path.abspath(path)] = tree
        try:
            yield
        except OSError:
            forget(path)
            raise


def forget(path: StrPath) -> None:
    """Unregisters *path*, which was removed or renamed."""
    with _lock:
        _paths.pop(os.path.abspath(path), None)


@contextmanager
def committing() -> Iterator[None]:
    """Marks renames that belong together: `remove_all` waits a moment for the end of the block."""
    with _committing:
        yield


def remove_all(seconds: float) -> None:
    """Removes everything registered, files first, within *seconds*, and prevents new files from being created.

    The process must end after this: the locks stay held.
    """
    deadline = time.monotonic() + seconds
    _committing.acquire(timeout=seconds / 2)
    _lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
    directories = []
    for path, tree in reversed(list(_paths.items())):
        try:
            os.unlink(path)
        except IsADirectoryError:
            directories.append((path, tree))
        except OSError:
            continue
    for directory, tree in directories:
        if tree:
            _remove_tree(directory, deadline)
        else:
            with suppress(OSError):
                os.rmdir(directory)


def _remove_tree(directory: str, deadline: float) -> None:
    """Removes *directory* until the deadline, without following links."""
    with suppress(OSError):
        for name in os.listdir(directory):
            if time.monotonic() > deadline:
                return
            path = os.path.join(directory, name)
            try:
                os.unlink(path)
            except IsADirectoryError:
                shutil.rmtree(path, ignore_errors=True)
            except OSError:
                continue
        os.rmdir(directory)
