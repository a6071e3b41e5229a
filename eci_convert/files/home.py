"""The user's home directory, determined as by Go programs."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping


def home(environ: Mapping[str, str]) -> str:
    """HOME; if it is unset or empty (systemd units, cron), the entry in the password database. "" if neither exists,
    and for an empty *environ*: library users who pass none want no files to be read."""
    if environ.get("HOME") or not environ:
        return environ.get("HOME", "")
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a user id without an entry, as in many containers
        return ""
