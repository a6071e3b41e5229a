"""The user's home directory as Go programs find it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping


def home(environ: Mapping[str, str]) -> str:
    """HOME; where it is unset or empty (systemd units, cron), what the password database says. "" where neither knows,
    and for an *environ* that is empty: a library's user who gives none wants no files read."""
    if environ.get("HOME") or not environ:
        return environ.get("HOME", "")
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container that runs as a user without a name
        return ""
