"""Translates hints from options of the command line to arguments of the library."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_TERMS: Final[tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]] = (
    (r"say which: .+:raw, or :vhd, .*", 'say which: Disk(…, type="raw"), or "vhd", "vmdk", "iso", "qcow2", …'),
    (r"\S+:raw with --trust-type", 'Disk(…, type="raw", trust_declared_type=True)'),
    (r"--trust-type", "Disk(…, trust_declared_type=True)"),
    (r"--src-username and --dest-username of copy", "options= and destination_options= of copy"),
    (r"use --kernel, .* or --other", "give Machine a kernel, an initrd, a root disk, disks, a config or files"),
    (r"list -q and list --json print whole digests", "list_images returns whole digests"),
    (r"--path [A-Z]+=FILE", "files={PATH: FILE}"),
    (r"(copy )?--all-platforms( all)?", r'\1platform="all"'),
    (r"--(format|dialect|platform) (keep|artifacts|legacy|containerdisk|OS/ARCH)\b", r'\1="\2"'),
    (r"--(label|annotation)\b", r"\1s="),
    (r"--(format|dialect|platform|compression|also)\b", r"\1="),
    (r"--max-size\b", "max_size="),
    (r"--(referrers|all-tags)\b", lambda option: f"{_identifier(option)}=True"),
    (r"--(plain-http|insecure)\b", lambda option: f"Options({_identifier(option)}=True)"),
    (
        r"--(ca-file|cert-file|key-file|authfile|username|address|namespace|concurrency|retries|timeout)\b",
        lambda option: f"Options({_identifier(option)}=…)",
    ),
)
"""Patterns of hints of the command line, and their replacements for Python; the first match counts."""

_COMMAND: Final = re.compile(r"(`[^`]*`)")
"""A whole command line, which is left unchanged."""


def in_library_terms(hint: str) -> str:
    """*hint* with arguments for the options that it names; commands in backquotes stay as they are.

    >>> in_library_terms("--plain-http connects to a registry without TLS")
    'Options(plain_http=True) connects to a registry without TLS'
    >>> in_library_terms("use --format legacy"), in_library_terms("`eci-convert verify --fix` mends it")
    ('use format="legacy"', '`eci-convert verify --fix` mends it')
    """
    pieces = _COMMAND.split(hint)
    for number in range(0, len(pieces), 2):
        for pattern, term in _TERMS:
            pieces[number] = re.sub(pattern, term, pieces[number])
    return "".join(pieces)


def _identifier(option: re.Match[str]) -> str:
    return option[1].replace("-", "_")
