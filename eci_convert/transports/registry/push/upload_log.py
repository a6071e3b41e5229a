"""A log of unfinished uploads, so that the next run of the same command resumes them.

The same command produces the same bytes. An upload is recognised by its destination, the expected digest and size, and
its first bytes; the rest is verified at *checkpoints*, digests of all data before an offset.
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
"""Bytes at the beginning of an upload that identify it."""

_LONGEST_KEPT = 7 * 24 * 3600
_MAX_CHECKPOINTS = 16
_NAMES = rf"{files.NAMES}|[0-9a-f]{{32}}\.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUpload:
    """An open upload session. *checkpoints*: by offset in bytes, the sha256 of all data before it."""

    location: str
    checkpoints: Mapping[int, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedUpload:
    """An upload that was committed as a blob of *size* bytes. *checkpoints* as above."""

    digest: Digest
    size: int
    checkpoints: Mapping[int, str] = field(default_factory=dict, hash=False)


class UploadRecord:
    """The log entry of one upload, locked against other processes until it is closed."""

    def __init__(self, directory: OwnDirectory | None = None, name: str = "") -> None:
        self._directory = directory
        self._name = name
        self._lock: int | None = None
        self._checkpoints: dict[int, str] = {}

    @classmethod
    def of(cls, settings: Settings, *key: object) -> UploadRecord:
        """The entry for the upload identified by *key*. If another process holds it, or there is no state directory, an
        empty entry that is never written."""
        directory = files.directory(settings, "uploads")
        if directory is None:
            return cls()
        directory.sweep(_NAMES, _LONGEST_KEPT)  # registries have expired these sessions
        record = cls(directory, hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()[:32])
        # Two processes, or two blobs with the same first bytes, must not share a session.
        record._lock = directory.hold(record._lock_file)
        return cls() if record._lock is None else record

    def read(self) -> OpenUpload | FinishedUpload | None:
        """The logged upload, or None."""
        fields = files.load(self._directory, self._file) if self._directory else {}
        location, size, points = fields.get("location"), fields.get("size"), fields.get("checkpoints")
        if not isinstance(points, dict):
            return None
        with contextlib.suppress(ValueError, FormatError):
            self._checkpoints = {int(at): str(digest) for at, digest in points.items()}
            if isinstance(location, str):
                return OpenUpload(location=location, checkpoints=dict(self._checkpoints))
            if isinstance(size, int):
                digest = Digest.parse(str(fields.get("digest")))
                return FinishedUpload(digest=digest, size=size, checkpoints=dict(self._checkpoints))
        return None

    def write(self, location: str, offset: int, digest: str) -> None:
        """Logs that the session at *location* has *offset* bytes with the hexadecimal *digest*; 0 adds no
        checkpoint."""
        if offset:
            self._checkpoints[offset] = digest
        if len(self._checkpoints) > _MAX_CHECKPOINTS:
            for at in sorted(self._checkpoints)[1:-1:2]:
                del self._checkpoints[at]
        if self._directory is not None:
            files.save(self._directory, self._file, {"location": location, "checkpoints": self._checkpoints})

    def record_finished(self, digest: Digest, size: int) -> None:
        """Logs that the blob was committed, in case the manifest is not pushed in this run."""
        if self._directory is not None:
            value = {"digest": str(digest), "size": size, "checkpoints": self._checkpoints}
            files.save(self._directory, self._file, value)

    def delete(self) -> None:
        """Removes the entry: there is nothing to resume."""
        self._checkpoints = {}
        if self._directory is not None:
            self._directory.remove(self._file)

    def close(self) -> None:
        """Unlocks the entry and removes the lock file."""
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
