"""Which repositories of a registry were seen to hold a blob, remembered between runs.

A blob that is in one of them is mounted into another instead of being uploaded. Repository names are sent only to the
registry they belong to, and names learnt over TLS are not sent over plain HTTP.
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

_MAX_AGE_DAYS = 30
"""How long a location is remembered."""

_DAY = 24 * 3600
_MAX_LOCATIONS = 3
_MAX_SIZE = 192 * 1024
"""Bytes. The limit of one registry's file, some two thousand blobs."""

_MIN_BLOB_SIZE = 64 * 1024
"""Bytes. Nothing is saved unless at least one blob is as large."""

Locations = dict[str, int]
"""Repositories, and the day on which the blob was last seen in each; the latest last."""


class BlobLocations:
    """The known locations at the registry *name*, SCHEME://HOST. Thread-safe; read on first use, written by `save`."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._dry_run = settings.dry_run
        self._directory = files.directory(settings, "blobs")
        self._file = f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        self._lock = threading.Lock()
        self._locations: dict[str, Locations] | None = None
        self._pending: dict[tuple[str, str], bool] = {}
        self._worth_saving = False

    def of(self, digest: Digest) -> tuple[str, ...]:
        """The repositories in which the blob was seen, the latest first."""
        with self._lock:
            if self._locations is None:
                self._locations = self._read()
            return tuple(name for name in reversed(self._locations.get(str(digest), {})) if is_repository(name))

    def record(self, digest: Digest, repository: str, size: int) -> None:
        """Records that *repository* holds the blob, of *size* bytes."""
        with self._lock:
            self._pending[str(digest), repository] = True
            self._worth_saving |= size >= _MIN_BLOB_SIZE

    def remove(self, repository: str, digest: Digest | None = None) -> None:
        """Records that the blob cannot be mounted from *repository*; None: no blob can."""
        with self._lock:
            self._pending["" if digest is None else str(digest), repository] = False
            self._worth_saving = True

    def save(self) -> None:
        """Writes pending changes, merged with those of other processes."""
        with self._lock:
            pending, self._pending = self._pending, {}
            if self._directory is None or self._dry_run or not (pending and self._worth_saving):
                return
            with locked_state(self._directory):
                locations = self._read()
                if _merge(locations, pending):
                    files.save(self._directory, self._file, {"registry": self._name, "blobs": _bounded(locations)})
                    self._directory.sweep(files.NAMES, _MAX_AGE_DAYS * _DAY)

    def _read(self) -> dict[str, Locations]:
        blobs = files.load(self._directory, self._file).get("blobs") if self._directory else None
        locations = (
            {digest: _parse_locations(value) for digest, value in blobs.items()} if isinstance(blobs, dict) else {}
        )
        return {digest: repositories for digest, repositories in locations.items() if repositories}


def _today() -> int:
    return int(time.time()) // _DAY


def _parse_locations(value: Any) -> Locations:
    """The locations of one blob in a file, without those that are too old or in the future."""
    today = _today()
    return {
        repository: day
        for repository, day in (value.items() if isinstance(value, dict) else ())
        if type(day) is int and 0 <= today - day <= _MAX_AGE_DAYS
    }


def _merge(locations: dict[str, Locations], pending: Mapping[tuple[str, str], bool]) -> bool:
    """Merges *pending* into *locations*; returns whether anything changed. A second sighting on one day does not."""
    today, changed = _today(), False
    for (digest, repository), is_present in pending.items():
        if is_present and locations.get(digest, {}).get(repository) != today:
            repositories = locations.pop(digest, {})
            repositories.pop(repository, None)
            kept = list(repositories.items())[1 - _MAX_LOCATIONS :]
            locations[digest] = dict([*kept, (repository, today)])
            changed = True
        elif not is_present:
            for repositories in locations.values() if not digest else (locations.get(digest, {}),):
                changed |= repositories.pop(repository, None) is not None
    return changed


def _bounded(locations: Mapping[str, Locations]) -> dict[str, Locations]:
    """The latest of *locations* that fit into the file."""
    kept, size = list[tuple[str, Locations]](), 0
    for digest, repositories in reversed(list(locations.items())):
        size += len(digest) + 8 + sum(len(repository) + 16 for repository in repositories)
        if size > _MAX_SIZE:
            break
        if repositories:
            kept.append((digest, repositories))
    return dict(reversed(kept))
