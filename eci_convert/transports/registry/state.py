"""Small facts that outlive the process: `$XDG_STATE_HOME/eci-convert`, else `~/.local/state/eci-convert`.

All of it is a convenience: what cannot be read or written is as if it were not there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_MAX_FILE = 256 * 1024
_LONGEST_WAIT = 0.5
"""Seconds that another process is waited for."""


def folder(environ: Mapping[str, str], name: str) -> Path | None:
    """Our folder *name*, made for this user alone; None where there is no home."""
    root = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(root):
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            return None
        root = f"{home}/.local/state"
    path = Path(root, "eci-convert", name)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return path


def load(path: Path) -> Mapping[str, Any]:
    """The JSON object in *path*, empty where there is none."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_FILE))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def save(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces *path* by *value* at once, for this user alone to read."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps(value))
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While no other process that asks for this changes what is in *folder*; one that never ends is not waited for."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        _lock(lock, time.monotonic() + _LONGEST_WAIT)
        yield
    finally:
        os.close(lock)


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)
        except OSError:  # a filesystem without locks
            return


def sweep(folder: Path, seconds: float) -> None:
    """Removes the files of *folder* that are older than *seconds*."""
    oldest = time.time() - seconds
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink()
