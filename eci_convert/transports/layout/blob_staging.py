"""Blobs on their way into a directory: complete, flushed and out of sight before any of them gets its name.

They are written in a directory of their own, `.eci-convert.RANDOM.part`, which is locked (flock) for as long as its
writer lives. Whoever writes next removes those that a killed process left. So a failed or killed writer leaves what was
there before, and two writers do not see each other.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from eci_convert.errors import FormatError, LocalError
from eci_convert.files import leftovers, locks
from eci_convert.files.errors import local_errors
from eci_convert.files.sparse import write_sparse
from eci_convert.files.writeback import start_writeback
from eci_convert.oci.digest import Digest
from eci_convert.transports.verified_input import VerifiedInput

_STAGING_NAME = re.compile(r"\.eci-convert\.[0-9a-f]{16}\.part")
_ATTEMPTS = 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class BlobStaging:
    """What is on its way into *root*, which is made when the first blob comes and unmade if none arrives."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._room: Path | None = None
        self._room_descriptor = -1
        self._made: list[Path] = []
        self._waiting: dict[Digest, tuple[str, int]] = {}

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of a blob that waits for its name; None where none does."""
        return self._waiting[digest][1] if digest in self._waiting else None

    def write(self, received: VerifiedInput, size: int | None) -> None:
        """Write one blob and bring it to the disk. *size* is what it should be. May be called from several threads.

        Raises what *received* raises, and LocalError.
        """
        (room, descriptor), token = self._enter(), secrets.token_hex(8)
        try:
            _write(room / token, descriptor, received, size)
        except BaseException:
            with suppress(OSError):
                os.unlink(token, dir_fd=descriptor)
            raise
        blob = received.descriptor("")
        self._waiting[blob.digest] = (token, blob.size)

    def commit(self) -> None:
        """Give every blob its name, `blobs/ALGORITHM/HEX`. Raises FormatError for links on the way, and LocalError."""
        for algorithm in sorted({digest.algorithm for digest in self._waiting}):
            with self._directory("blobs", algorithm) as descriptor:
                for digest in [digest for digest in self._waiting if digest.algorithm == algorithm]:
                    token, _ = self._waiting[digest]
                    with local_errors(self._root / "blobs" / algorithm / digest.hex):
                        os.rename(token, digest.hex, src_dir_fd=self._room_descriptor, dst_dir_fd=descriptor)
                    del self._waiting[digest]
                with local_errors(self._root):
                    os.fsync(descriptor)

    def close(self) -> None:
        """Remove what has got no name, and the directories that were made for nothing."""
        if self._room:
            _remove(self._room, self._room_descriptor)
            os.close(self._room_descriptor)
            self._room = None
        for path in reversed(self._made):
            with suppress(OSError):
                path.rmdir()
            leftovers.forget(path)

    def _enter(self) -> tuple[Path, int]:
        with self._lock, local_errors(self._root):
            if self._room is None:
                self._room, self._room_descriptor = self._made_room()
            return self._room, self._room_descriptor

    def _made_room(self) -> tuple[Path, int]:
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):  # another writer, which failed, may just have unmade the directory
                self._make(self._root)
                locks.sweep_unheld(self._root, _STAGING_NAME, _remove)
                return _staging_directory(self._root)
        raise FileNotFoundError(errno.ENOENT, "it is not there, and cannot be made")

    def _make(self, path: Path) -> None:
        if path.is_dir():
            return
        if path.parent != path:
            self._make(path.parent)
        with suppress(FileExistsError):
            with leftovers.creating(path):
                path.mkdir()
            self._made.append(path)

    @contextmanager
    def _directory(self, *names: str) -> Iterator[int]:
        """A descriptor of the directory at *names* below the root, made where it is not there."""
        with local_errors(self._root):
            descriptors = [os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            for name in names:
                try:
                    _mkdir(name, descriptors[-1])
                    descriptors.append(os.open(name, _DIRECTORY, dir_fd=descriptors[-1]))
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENOTDIR):
                        raise FormatError(f"{name} is no directory, or a link to one", where=str(self._root)) from error
                    raise LocalError(f"{self._root / name}: {error.strerror or error}") from error
            yield descriptors[-1]
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _write(path: Path, directory: int, received: VerifiedInput, size: int | None) -> None:
    """Write a new file in the open *directory*: another user may have put a link at *path* since it was opened."""
    root = path.parent.parent  # which the user knows; a file's name, and not its number, is in its errors
    with local_errors(root):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, 0o666, dir_fd=directory)
    with open(root, "r+b", buffering=0, opener=lambda *_: descriptor) as file:
        write_sparse(file, start_writeback(received, descriptor), size)
        with local_errors(root):
            os.fsync(descriptor)


def _mkdir(name: str, parent: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        os.fsync(parent)


def _staging_directory(root: Path) -> tuple[Path, int]:
    """A new directory below *root* that is locked, and a descriptor of it, which is the lock. Raises OSError."""
    while True:
        path = root / f".eci-convert.{secrets.token_hex(8)}.part"
        with leftovers.creating(path, tree=True):
            path.mkdir(0o700)
        try:
            descriptor = os.open(path, _DIRECTORY)
        except FileNotFoundError:  # somebody swept it away between the two lines
            continue
        if locks.hold_new(descriptor) and os.path.exists(path):
            return path, descriptor
        os.close(descriptor)


def _remove(path: str | Path, descriptor: int) -> None:
    with suppress(OSError):
        for name in os.listdir(descriptor):
            os.unlink(name, dir_fd=descriptor)
        os.rmdir(path)
    leftovers.forget(path)
