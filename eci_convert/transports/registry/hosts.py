"""What a host is known to allow, and what we found out about it, remembered from one run to the next."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from eci_convert.transports.base import Settings
from eci_convert.transports.registry import state
from eci_convert.transports.registry.strides import Strides

MIB = 1024 * 1024

SMALLEST = 64 * 1024
"""Chunks are never shorter, whatever a host says."""

_CHUNK = 6 * MIB
"""What is lost when a connection breaks; each upload holds two of it, or three. ECR wants 5 MB and more."""

_SHARED = 24 * MIB
"""Quick chunks are larger, the more the fewer uploads share this: a registry has a break after each, to sync it."""

_MOST_ASKED = 64 * MIB
_LARGEST = {"ghcr.io": 4_000_000}
"""Bytes that a request may have where a host is known to take less (github.com/orgs/community/discussions/26299)."""

_ONE_PIECE = ("gcr.io", ".gcr.io", ".pkg.dev")
"""Google's registries take a blob in one PATCH."""

_REMEMBERED = 30 * 24 * 3600.0


class Host:
    """One registry host. What is noted holds for this process at once, and for later ones where there is a place."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._directory = state.directory(settings, "hosts")
        self._file = f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        self._name = name
        self._lock = threading.Lock()
        self.strides = Strides(SMALLEST, _SHARED)
        self._uploads = 0
        self._steady = True
        self._facts = self._remembered()

    def chunk(self, smallest: int = 0, *, quick: bool = False) -> int:
        """The bytes of one chunk of an upload that takes none below *smallest*; *quick*: chunks take no time to arrive,
        so little is lost with a large one."""
        found = self._facts.get("largest")
        wanted = max(_CHUNK, _SHARED // max(1, self._uploads)) if quick else _CHUNK
        learned = found if isinstance(found, int) and SMALLEST <= found < wanted else wanted
        return max(min(self.strides.chunk(learned), _LARGEST.get(self._name, wanted)), min(smallest, _MOST_ASKED))

    @property
    def takes_all(self) -> bool:
        """Whether requests of any length arrive, as far as is known. To be told of one that did not."""
        limited = self._name in _LARGEST or "largest" in self._facts
        return self._steady and not limited and not self.strides.careful

    @takes_all.setter
    def takes_all(self, steady: bool) -> None:
        self._steady = steady

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """While a blob is being sent."""
        with self._lock:
            self._uploads += 1
        try:
            yield
        finally:
            with self._lock:
                self._uploads -= 1

    @property
    def one_piece(self) -> bool:
        """Whether a blob is taken in one piece only."""
        known = any(self._name == host or (host[0] == "." and self._name.endswith(host)) for host in _ONE_PIECE)
        return known or self._facts.get("one_piece") is True

    def fact(self, name: str) -> object:
        """What was noted under *name*, or None."""
        return self._facts.get(name)

    def note(self, **facts: object) -> None:
        """From now on *facts* are known of the host."""
        self._facts |= facts
        if self._directory is not None:
            state.save(self._directory, self._file, {**self._facts, "host": self._name})

    def _remembered(self) -> dict[str, object]:
        """Hosts change: what was found out a month ago is found out again."""
        if self._directory is None or self._directory.age(self._file) > _REMEMBERED:
            return {}
        return dict(state.load(self._directory, self._file))
