"""Makes each blob once, even if several parts are the same bytes; other threads wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from eci_convert.dialects.blueprint import StoredBlob


class Once:
    """Blobs by a key that identifies their content. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[Hashable, threading.Lock] = {}
        self._made: dict[Hashable, StoredBlob] = {}

    def make(
        self, key: Hashable, make: Callable[[], StoredBlob], reuse: Callable[[StoredBlob], StoredBlob]
    ) -> StoredBlob:
        """What *make* comes to, or *reuse* of what it came to before. Where it failed, the next who waits tries."""
        with self._lock:
            gate = self._gates.setdefault(key, threading.Lock())
        with gate:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = make()
                return made
        return reuse(made)
