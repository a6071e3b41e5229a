"""Uploads of images that this or another process did not finish, so that the next run of the same command goes on.

A command that runs again makes the same bytes. An upload is known again by where it goes, what is promised of it, and
its first bytes; that the rest is the same too is checked at *checkpoints*, digests of what went before an offset.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eci_convert.errors import FormatError
from eci_convert.oci.digest import Digest
from eci_convert.transports.base import Settings
from eci_convert.transports.registry import state

FINGERPRINTED = 1024 * 1024
"""Bytes at the beginning of an upload by which it is known again."""

_LONGEST_KEPT = 7 * 24 * 3600
_MAX_CHECKPOINTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An upload session. *checkpoints*: by offset in bytes, the sha256 of all that comes before."""

    location: str
    checkpoints: Mapping[int, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An upload that has become a blob of *size* bytes. *checkpoints* as above."""

    digest: Digest
    size: int
    checkpoints: Mapping[int, str] = field(default_factory=dict, hash=False)


class Entry:
    """The line in the ledger of one upload; closed, it is free for another process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock: int | None = None
        self._checkpoints: dict[int, str] = {}

    @classmethod
    def of(cls, settings: Settings, *key: object) -> Entry:
        """The line for the upload that *key* tells from all others. Empty, and never written, while another process
        has it, or where there is no place for it."""
        folder = state.folder(settings.environ, "uploads")
        if folder is None:
            return cls(None)
        state.sweep(folder, _LONGEST_KEPT)  # which no registry remembers any more
        name = hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()[:32]
        entry = cls(folder / f"{name}.json")
        return entry if entry._locked() else cls(None)

    def read(self) -> Unfinished | Arrived | None:
        """What is written here, or None."""
        found = state.load(self._path) if self._path else {}
        location, size, points = found.get("location"), found.get("size"), found.get("checkpoints")
        if not isinstance(points, dict):
            return None
        with contextlib.suppress(ValueError, FormatError):
            self._checkpoints = {int(at): str(digest) for at, digest in points.items()}
            if isinstance(location, str):
                return Unfinished(location=location, checkpoints=dict(self._checkpoints))
            if isinstance(size, int):
                digest = Digest.parse(str(found.get("digest")))
                return Arrived(digest=digest, size=size, checkpoints=dict(self._checkpoints))
        return None

    def write(self, location: str, offset: int, digest: str) -> None:
        """The session is at *location* and has *offset* bytes, whose digest's digits are *digest*; none of 0 bytes."""
        if offset:
            self._checkpoints[offset] = digest
        if len(self._checkpoints) > _MAX_CHECKPOINTS:
            for at in sorted(self._checkpoints)[1:-1:2]:
                del self._checkpoints[at]
        if self._path is not None:
            state.save(self._path, {"location": location, "checkpoints": self._checkpoints})

    def arrived(self, digest: Digest, size: int) -> None:
        """All of it is there now, *size* bytes; for a run that ends before the image has its name."""
        if self._path is not None:
            state.save(self._path, {"digest": str(digest), "size": size, "checkpoints": self._checkpoints})

    def erase(self) -> None:
        """There is nothing to go on with."""
        self._checkpoints = {}
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """The line is free, and the lock is gone."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            self._lock_file.unlink()
        os.close(self._lock)
        self._lock = None

    @property
    def _lock_file(self) -> Path:
        assert self._path is not None  # noqa: S101 - for the type checker: `of` gave it
        return self._path.with_suffix(".lock")

    def _locked(self) -> bool:
        """Two processes, or two blobs of one, that begin alike must not share a session."""
        try:
            while True:
                lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    there = os.fstat(lock).st_nlink > 0  # else whoever had it has just removed it
                except OSError:
                    os.close(lock)
                    raise
                if there:
                    self._lock = lock
                    return True
                os.close(lock)
        except OSError:
            return False
