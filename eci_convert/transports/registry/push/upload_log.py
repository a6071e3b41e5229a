"""Uploads of images that this or another process did not finish, so that the next run of the same command goes on.

A command that runs again makes the same bytes. An upload is known again by where it goes, what is promised of it, and
its first bytes; that the rest is the same too is checked at *checkpoints*, digests of what went before an offset.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from eci_convert.errors import FormatError
from eci_convert.files.own_directory import OwnDirectory
from eci_convert.oci.digest import Digest
from eci_convert.transports.registry.state import files
from eci_convert.transports.settings import Settings

FINGERPRINTED = 1024 * 1024
"""Bytes at the beginning of an upload by which it is known again."""

_LONGEST_KEPT = 7 * 24 * 3600
_MAX_CHECKPOINTS = 16
_NAMES = rf"{files.NAMES}|[0-9a-f]{{32}}\.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUpload:
    """An upload session. *checkpoints*: by offset in bytes, the sha256 of all that comes before."""

    location: str
    checkpoints: Mapping[int, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedUpload:
    """An upload that has become a blob of *size* bytes. *checkpoints* as above."""

    digest: Digest
    size: int
    checkpoints: Mapping[int, str] = field(default_factory=dict, hash=False)


class UploadRecord:
    """The line in the ledger of one upload; closed, it is free for another process."""

    def __init__(self, directory: OwnDirectory | None = None, name: str = "") -> None:
        self._directory = directory
        self._name = name
        self._lock: int | None = None
        self._checkpoints: dict[int, str] = {}

    @classmethod
    def of(cls, settings: Settings, *key: object) -> UploadRecord:
        """The line for the upload that *key* tells from all others. Empty, and never written, while another process
        has it, or where there is no place for it."""
        directory = files.directory(settings, "uploads")
        if directory is None:
            return cls()
        directory.sweep(_NAMES, _LONGEST_KEPT)  # which no registry remembers any more
        entry = cls(directory, hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()[:32])
        # Two processes, or two blobs of one, that begin alike must not share a session.
        entry._lock = directory.hold(entry._lock_file)
        return cls() if entry._lock is None else entry

    def read(self) -> OpenUpload | FinishedUpload | None:
        """What is written here, or None."""
        found = files.load(self._directory, self._file) if self._directory else {}
        location, size, points = found.get("location"), found.get("size"), found.get("checkpoints")
        if not isinstance(points, dict):
            return None
        with contextlib.suppress(ValueError, FormatError):
            self._checkpoints = {int(at): str(digest) for at, digest in points.items()}
            if isinstance(location, str):
                return OpenUpload(location=location, checkpoints=dict(self._checkpoints))
            if isinstance(size, int):
                digest = Digest.parse(str(found.get("digest")))
                return FinishedUpload(digest=digest, size=size, checkpoints=dict(self._checkpoints))
        return None

    def write(self, location: str, offset: int, digest: str) -> None:
        """The session is at *location* and has *offset* bytes, whose digest's digits are *digest*; none of 0 bytes."""
        if offset:
            self._checkpoints[offset] = digest
        if len(self._checkpoints) > _MAX_CHECKPOINTS:
            for at in sorted(self._checkpoints)[1:-1:2]:
                del self._checkpoints[at]
        if self._directory is not None:
            files.save(self._directory, self._file, {"location": location, "checkpoints": self._checkpoints})

    def record_finished(self, digest: Digest, size: int) -> None:
        """All of it is there now, *size* bytes; for a run that ends before the image has its name."""
        if self._directory is not None:
            value = {"digest": str(digest), "size": size, "checkpoints": self._checkpoints}
            files.save(self._directory, self._file, value)

    def delete(self) -> None:
        """There is nothing to go on with."""
        self._checkpoints = {}
        if self._directory is not None:
            self._directory.remove(self._file)

    def close(self) -> None:
        """The line is free, and the lock is gone."""
        if self._lock is None or self._directory is None:
            return
        self._directory.remove(self._lock_file)
        os.close(self._lock)
        self._lock = None

    @property
    def _file(self) -> str:
        return f"{self._name}.json"

    @property
    def _lock_file(self) -> str:
        return f"{self._name}.lock"
