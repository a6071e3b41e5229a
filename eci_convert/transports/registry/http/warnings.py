"""`Warning: 299` headers of a registry, shown to the user (distribution-spec v1.1.1, "Warnings").

Each text is reported once for a host, however many requests and clients receive it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from weakref import WeakKeyDictionary

from eci_convert.progress import Reporter, warn
from eci_convert.transports.registry.http.errors import printable_body
from eci_convert.transports.registry.http.response import Response

_WARNING = re.compile(r'(?:^|,)[ \t]*299[ \t]+[^ \t",]+[ \t]+"((?:[^"\\]|\\.)*)"')
_MAX_WARNINGS = 10
"""Different texts of one host that are reported."""
_MAX_SHOWN = 1000

_lock = threading.Lock()
_reported: WeakKeyDictionary[Reporter, dict[str, set[str]]] = WeakKeyDictionary()


class RegistryWarnings:
    """Reports the warnings of the registry *host* to *reporter*. Thread-safe."""

    def __init__(self, host: str, reporter: Reporter, redacted: Callable[[str], str]) -> None:
        self._host = host
        self._reporter = reporter
        self._redacted = redacted
        self._texts = _texts_reported(reporter, host)

    def report(self, response: Response) -> None:
        """Reports the warnings in *response* that are new."""
        for line in response.header_lines("Warning"):
            for match in _WARNING.finditer(line):
                text = printable_body(_decoded(re.sub(r"\\(.)", r"\1", match[1])), self._redacted, _MAX_SHOWN)
                if text and self._is_new(text):
                    warn(self._reporter, f"{self._host} warns: {text}")

    def _is_new(self, text: str) -> bool:
        with _lock:
            if text in self._texts or len(self._texts) >= _MAX_WARNINGS:
                return False
            self._texts.add(text)
            return True


def _texts_reported(reporter: Reporter, host: str) -> set[str]:
    """The texts already sent to *reporter*, shared by all clients; a set of its own if *reporter* cannot be a key of a
    weak dictionary."""
    with _lock:
        try:
            return _reported.setdefault(reporter, {}).setdefault(host, set())
        except TypeError:  # not hashable, or no weak references to it
            return set()


def _decoded(text: str) -> str:
    """*text*, which was read as Latin-1, as UTF-8 if it is valid UTF-8."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text
