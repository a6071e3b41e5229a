"""In which repositories of a registry this user saw a blob, remembered from one run to the next.

What is in one of them is mounted into another instead of being sent. The names are the registry's own, and are told to
no other; names that were told over TLS are not told in the clear.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping
from typing import Any

from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import is_repository
from eci_convert.transports.registry.state import files
from eci_convert.transports.registry.state.files import locked_state
from eci_convert.transports.settings import Settings

_KEPT = 30
"""Days."""

_DAY = 24 * 3600
_MAX_PLACES = 3
_MAX_SIZE = 192 * 1024
"""Bytes that a registry's file may come to, some two thousand blobs."""

_WORTH_IT = 64 * 1024
"""Bytes. Where no blob was larger, there is nothing worth a file."""

Places = dict[str, int]
"""Repositories, and the day on which the blob was last seen in each; the latest last."""


class BlobLocations:
    """What is known of the registry *name*, SCHEME://HOST. Used from several threads; read once, written by `save`."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._rehearsed = settings.dry_run
        self._directory = files.directory(settings, "blobs")
        self._file = f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        self._lock = threading.Lock()
        self._known: dict[str, Places] | None = None
        self._pending: dict[tuple[str, str], bool] = {}
        self._worth_it = False

    def of(self, digest: Digest) -> tuple[str, ...]:
        """The repositories in which the blob was seen, the latest first."""
        with self._lock:
            if self._known is None:
                self._known = self._read()
            return tuple(name for name in reversed(self._known.get(str(digest), {})) if is_repository(name))

    def record(self, digest: Digest, repository: str, size: int) -> None:
        """The blob, of *size* bytes, is in *repository*."""
        with self._lock:
            self._pending[str(digest), repository] = True
            self._worth_it |= size >= _WORTH_IT

    def remove(self, repository: str, digest: Digest | None = None) -> None:
        """The blob cannot be had from *repository*; None: nothing can."""
        with self._lock:
            self._pending["" if digest is None else str(digest), repository] = False
            self._worth_it = True

    def save(self) -> None:
        """Writes down what is new, together with what other processes wrote meanwhile."""
        with self._lock:
            news, self._pending = self._pending, {}
            if self._directory is None or self._rehearsed or not (news and self._worth_it):
                return
            with locked_state(self._directory):
                known = self._read()
                if _told(known, news):
                    files.save(self._directory, self._file, {"registry": self._name, "blobs": _bounded(known)})
                    self._directory.sweep(files.NAMES, _KEPT * _DAY)

    def _read(self) -> dict[str, Places]:
        found = files.load(self._directory, self._file).get("blobs") if self._directory else None
        read = {digest: _places(value) for digest, value in found.items()} if isinstance(found, dict) else {}
        return {digest: places for digest, places in read.items() if places}


def _today() -> int:
    return int(time.time()) // _DAY


def _places(value: Any) -> Places:
    """What a file says of one blob, but for what is too long ago, or has not been yet."""
    today = _today()
    return {
        repository: day
        for repository, day in (value.items() if isinstance(value, dict) else ())
        if type(day) is int and 0 <= today - day <= _KEPT
    }


def _told(known: dict[str, Places], news: Mapping[tuple[str, str], bool]) -> bool:
    """Whether *known* is another for the *news*. What was seen today already is none, whatever the order."""
    today, changed = _today(), False
    for (digest, repository), there in news.items():
        if there and known.get(digest, {}).get(repository) != today:
            places = known.pop(digest, {})
            places.pop(repository, None)
            kept = list(places.items())[1 - _MAX_PLACES :]
            known[digest] = dict([*kept, (repository, today)])
            changed = True
        elif not there:
            for places in known.values() if not digest else (known.get(digest, {}),):
                changed |= places.pop(repository, None) is not None
    return changed


def _bounded(known: Mapping[str, Places]) -> dict[str, Places]:
    """The latest of *known* for which there is room."""
    kept, size = list[tuple[str, Places]](), 0
    for digest, places in reversed(list(known.items())):
        size += len(digest) + 8 + sum(len(repository) + 16 for repository in places)
        if size > _MAX_SIZE:
            break
        if places:
            kept.append((digest, places))
    return dict(reversed(kept))
