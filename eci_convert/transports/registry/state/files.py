"""The state directory: `$XDG_STATE_HOME/eci-convert`, else `~/.local/state/eci-convert`.

State is a convenience: what cannot be read or written is treated as missing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from eci_convert.files.home import home as home_directory
from eci_convert.files.own_directory import OwnDirectory
from eci_convert.progress import warn
from eci_convert.transports.settings import Settings

NAMES = r"[0-9a-f]{32}\.json"
"""A regular expression for the names of our files: a digest of the key."""

_MAX_FILE = 256 * 1024
_LONGEST_WAIT = 0.5
"""Seconds to wait for another process."""


def directory(settings: Settings, name: str) -> OwnDirectory | None:
    """The state directory *name*, accessible to this user only; None if there is no home directory."""
    root, home = settings.environ.get("XDG_STATE_HOME", ""), home_directory(settings.environ)
    if not os.path.isabs(root):
        if not os.path.isabs(home):
            return None
        root = f"{home}/.local/state"
    return OwnDirectory(base=Path(root), names=("eci-convert", name), warn=partial(warn, settings.reporter))


def load(directory: OwnDirectory, name: str) -> Mapping[str, Any]:
    """The JSON object in the file *name*; empty if it is missing or malformed."""
    try:
        value = json.loads(directory.read(name, _MAX_FILE) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def save(directory: OwnDirectory, name: str, value: Mapping[str, Any]) -> None:
    """Atomically replaces the file *name* with *value*, readable by this user only."""
    directory.write(name, json.dumps(value).encode())


@contextlib.contextmanager
def locked_state(directory: OwnDirectory | Path) -> Iterator[None]:
    """Holds the lock of *directory*, or goes on without it after half a second."""
    own = OwnDirectory(base=directory, names=()) if isinstance(directory, Path) else directory
    with own.locked(_LONGEST_WAIT):
        yield
