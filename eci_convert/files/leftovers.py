"""Files and directories that must not outlive the process: what is registered here is removed when it ends at once.

Usually their owners remove them. A process that has been told to stop, and whose threads do not, ends without its
owners: `remove_all` then removes what they registered. A process that is killed leaves them to the sweep of the next.
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
"""The paths, the oldest first; whether a directory is ours with all that is in it."""


@contextmanager
def creating(path: StrPath, *, tree: bool = False) -> Iterator[None]:
    """Register *path*, which is created in the block; forgotten again if that fails.

    *tree*: a directory that is removed with everything in it, not only if it is empty.
    """
    with _lock:
        _paths[os.path.abspath(path)] = tree
        try:
            yield
        except OSError:
            forget(path)
            raise


def forget(path: StrPath) -> None:
    """The owner has removed *path*, or has given it another name."""
    with _lock:
        _paths.pop(os.path.abspath(path), None)


@contextmanager
def committing() -> Iterator[None]:
    """While several names change that belong together: `remove_all` waits a moment for the end of the block."""
    with _committing:
        yield


def remove_all(seconds: float) -> None:
    """Remove what is registered, files first, within *seconds*, and let nobody create anything more.

    The process must end after this: the locks stay taken.
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
    """Remove *directory*, as far as time lets. No link in it is followed."""
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
