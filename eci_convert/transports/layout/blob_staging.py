"""Stages the blobs of a layout: all are complete and flushed before the first of them gets its name.

They are written to a directory of their own, `.eci-convert.RANDOM.part`, which is locked (flock) while its writer
lives. The next writer removes those of killed processes. So a writer that fails or is killed leaves the layout
unchanged, and two writers do not interfere.
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
    """Staged blobs of the layout *root*, which is created with the first blob and removed again if none is
    committed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._staging_path: Path | None = None
        self._staging_descriptor = -1
        self._created_directories: list[Path] = []
        self._staged: dict[Digest, tuple[str, int]] = {}

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of a staged blob; None if it is not staged."""
        return self._staged[digest][1] if digest in self._staged else None

    def write(self, received: VerifiedInput, size: int | None) -> None:
        """Writes and flushes one blob. *size* is the expected one. Thread-safe.

        Raises what *received* raises, and LocalError.
        """
        (staging_path, descriptor), token = self._enter(), secrets.token_hex(8)
        try:
            _write(staging_path / token, descriptor, received, size)
        except BaseException:
            with suppress(OSError):
                os.unlink(token, dir_fd=descriptor)
            raise
        blob = received.descriptor("")
        self._staged[blob.digest] = (token, blob.size)

    def commit(self) -> None:
        """Renames all blobs to `blobs/ALGORITHM/HEX`. Raises FormatError for symbolic links, and LocalError."""
        for algorithm in sorted({digest.algorithm for digest in self._staged}):
            with self._directory("blobs", algorithm) as descriptor:
                for digest in [digest for digest in self._staged if digest.algorithm == algorithm]:
                    token, _ = self._staged[digest]
                    with local_errors(self._root / "blobs" / algorithm / digest.hex):
                        os.rename(token, digest.hex, src_dir_fd=self._staging_descriptor, dst_dir_fd=descriptor)
                    del self._staged[digest]
                with local_errors(self._root):
                    os.fsync(descriptor)

    def close(self) -> None:
        """Removes blobs that were not committed, and directories created in vain."""
        if self._staging_path:
            _remove(self._staging_path, self._staging_descriptor)
            os.close(self._staging_descriptor)
            self._staging_path = None
        for path in reversed(self._created_directories):
            with suppress(OSError):
                path.rmdir()
            leftovers.forget(path)

    def _enter(self) -> tuple[Path, int]:
        with self._lock, local_errors(self._root):
            if self._staging_path is None:
                self._staging_path, self._staging_descriptor = self._create_staging()
            return self._staging_path, self._staging_descriptor

    def _create_staging(self) -> tuple[Path, int]:
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):  # another writer, which failed, may just have removed the directory
                self._create_directory(self._root)
                locks.sweep_unheld(self._root, _STAGING_NAME, _remove)
                return _staging_directory(self._root)
        raise FileNotFoundError(errno.ENOENT, "it does not exist and cannot be created")

    def _create_directory(self, path: Path) -> None:
        if path.is_dir():
            return
        if path.parent != path:
            self._create_directory(path.parent)
        with suppress(FileExistsError):
            with leftovers.creating(path):
                path.mkdir()
            self._created_directories.append(path)

    @contextmanager
    def _directory(self, *names: str) -> Iterator[int]:
        """A descriptor of the directory *names* below the root, created if it does not exist."""
        with local_errors(self._root):
            descriptors = [os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            for name in names:
                try:
                    _mkdir(name, descriptors[-1])
                    descriptors.append(os.open(name, _DIRECTORY, dir_fd=descriptors[-1]))
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENOTDIR):
                        raise FormatError(
                            f"{name} is not a directory, or is a symbolic link", where=str(self._root)
                        ) from error
                    raise LocalError(f"{self._root / name}: {error.strerror or error}") from error
            yield descriptors[-1]
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _write(path: Path, directory: int, received: VerifiedInput, size: int | None) -> None:
    """Writes a new file in the open *directory*: another user may have replaced *path* since it was opened."""
    root = path.parent.parent  # errors should name this path, not a descriptor's number
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
    """A new locked directory below *root*, and its descriptor, which holds the lock. Raises OSError."""
    while True:
        path = root / f".eci-convert.{secrets.token_hex(8)}.part"
        with leftovers.creating(path, tree=True):
            path.mkdir(0o700)
        try:
            descriptor = os.open(path, _DIRECTORY)
        except FileNotFoundError:  # another process removed it between the two lines
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
