"""Staging directories, where layers are unpacked before they are moved into the store.

The directory is locked while its process lives; those of killed processes are removed by the next one. It is inside the
driver's directory: podman may have mounted that, and nothing can be moved between mounts.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import secrets
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eci_convert.errors import LocalError
from eci_convert.files import leftovers
from eci_convert.files.errors import local_errors
from eci_convert.files.temp_files import status_of
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.transports.containers_storage import locks
from eci_convert.transports.containers_storage.drivers.whiteouts import DeletionList

PREFIX: Final = ".eci-convert-"
_LOCK: Final = "lock"
_LINK: Final = "link"
DIFF: Final = "diff"
SPLIT: Final = "tar-split.gz"
TOP_MODE: Final = 0o555
"""The mode of a layer's top directory, whatever the image has (docs/specs/containers-storage.md#7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A layer unpacked in *directory*/diff. *size* is that of its archive, *blob* the received blob."""

    directory: Path
    blob: Descriptor
    diff_id: Digest
    size: int
    compression: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    deleted: DeletionList | None = None

    @property
    def diff(self) -> Path:
        return self.directory / DIFF

    @property
    def split(self) -> Path:
        return self.directory / SPLIT


@dataclass(slots=True)
class Staging:
    """A staging directory in *home*."""

    path: Path
    _lock: int
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def create(cls, home: Path) -> Staging:
        """Creates a staging directory. The caller holds the lock of the store's layers. Raises LocalError."""
        sweep(home)
        path = home / f"{PREFIX}{secrets.token_hex(8)}"
        try:
            with local_errors(path):
                with leftovers.creating(path, tree=True):
                    path.mkdir(mode=0o700)
                # podman expects this file in every directory here when it repairs links
                (path / _LINK).write_text(link_name(path.name))
            lock = locks.try_exclusive(path / _LOCK, make=True)
            if lock is None:
                raise LocalError(f"{path}: the new directory is locked by another process")
        except LocalError:
            remove_tree(path)
            leftovers.forget(path)
            raise
        return cls(path, lock)

    def new_layer_directory(self) -> Path:
        """Creates a directory for one layer. Thread-safe."""
        path = self.path / str(next(self._numbers))
        with local_errors(path):
            path.mkdir(mode=0o700)
            (path / DIFF).mkdir(mode=0o700)
        return path

    def end(self) -> None:
        """Removes what was not moved into the store. Other processes may remove it too once the lock is released."""
        with local_errors(self.path):
            for path in self.path.iterdir():
                if path.name != _LOCK:
                    remove_tree(path) if path.is_dir() else path.unlink()
            (self.path / _LOCK).unlink()
            with suppress(OSError):
                self.path.rmdir()
        leftovers.forget(self.path)
        os.close(self._lock)


def link_name(of: str) -> str:
    """A short name of 26 letters and digits, derived from *of* (docs/specs/containers-storage.md#2)."""
    return base64.b32encode(hashlib.sha256(of.encode()).digest()).decode()[:26]


def remove_tree(path: Path) -> None:
    """Removes *path* and everything below it, if it exists; of a link, the link. Raises LocalError."""
    with local_errors(path):
        if path.is_symlink() or path.is_file():
            path.unlink()
            return
        if os.geteuid() != 0:
            _open_up(path)
        with suppress(FileNotFoundError):
            shutil.rmtree(path)


def _open_up(path: Path) -> None:
    """Makes directories writable that are read-only in the image: otherwise their contents cannot be removed."""
    for here, _, _ in os.walk(path, onerror=None):
        for name in os.listdir(here):
            below = os.path.join(here, name)
            if stat.S_ISDIR(os.lstat(below).st_mode):
                os.chmod(below, 0o700)


def _is_own_directory(path: Path) -> bool:
    """Whether *path* is a directory of this user, not a link to one."""
    with suppress(FileNotFoundError):
        state = path.lstat()
        return stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid()
    return False


def sweep(home: Path) -> None:
    """Removes staging directories in *home* that no process holds any more. The caller holds the lock of the store's
    layers. Raises LocalError."""
    with local_errors(home):
        left = [path for path in home.iterdir() if path.name.startswith(PREFIX) and _is_own_directory(path)]
    for path in left:
        with suppress(LocalError), local_errors(path):  # removed meanwhile, or another user's
            lock = locks.try_exclusive(path / _LOCK, make=False) if status_of(path / _LOCK) else -1
            if lock is not None:
                remove_tree(path)
                if lock >= 0:
                    os.close(lock)
