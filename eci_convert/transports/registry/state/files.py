"""Small facts that outlive the process: `$XDG_STATE_HOME/eci-convert`, else `~/.local/state/eci-convert`.

All of it is a convenience: what cannot be read or written is as if it were not there.
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
"""The names of our files, as a regular expression: the digest of what each is about."""

_MAX_FILE = 256 * 1024
_LONGEST_WAIT = 0.5
"""Seconds that another process is waited for."""


def directory(settings: Settings, name: str) -> OwnDirectory | None:
    """Our directory *name*, for this user alone; None where there is no home."""
    root, home = settings.environ.get("XDG_STATE_HOME", ""), home_directory(settings.environ)
    if not os.path.isabs(root):
        if not os.path.isabs(home):
            return None
        root = f"{home}/.local/state"
    return OwnDirectory(base=Path(root), names=("eci-convert", name), warn=partial(warn, settings.reporter))


def load(directory: OwnDirectory, name: str) -> Mapping[str, Any]:
    """The JSON object in the file *name*, empty where there is none."""
    try:
        value = json.loads(directory.read(name, _MAX_FILE) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def save(directory: OwnDirectory, name: str, value: Mapping[str, Any]) -> None:
    """Replaces the file *name* by *value* at once, for this user alone to read."""
    directory.write(name, json.dumps(value).encode())


@contextlib.contextmanager
def locked_state(directory: OwnDirectory | Path) -> Iterator[None]:
    """While no other process that asks for this changes what is in *directory*; one that never ends is not waited
    for."""
    own = OwnDirectory(base=directory, names=()) if isinstance(directory, Path) else directory
    with own.locked(_LONGEST_WAIT):
        yield
