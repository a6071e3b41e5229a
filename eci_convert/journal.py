"""What arrived of a big download, kept until all of it is used: a process that was killed need not begin again.

What is received goes to a file in the user's cache as well, under the blob's digest. The next run reads that file
first, which costs no network, and asks for the rest; the digest is of all of it, so what is kept need not be trusted.
On a fast link the kept part stays short: there, asking again is as fast as writing twice.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from eci_convert.errors import TransportError
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor
from eci_convert.streams import interrupts

SMALLEST: Final = 1 << 20
"""Blobs of fewer bytes are not kept."""
_ALWAYS = 64 << 20  # bytes that are kept however fast they come
_SLOW = 64 << 20  # bytes a second, below which all is kept
_ROOM = 8  # times the blob that must be free: the parts that come out of it need room as well
_FORGOTTEN = 7 * 24 * 3600
_BLOCK = 1 << 20


def directory(environ: Mapping[str, str]) -> Path | None:
    """Where partial downloads are kept, as *environ* says (XDG base directories); None if it says nothing."""
    cache, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    base = Path(cache) if Path(cache).is_absolute() else Path(home, ".cache")
    return base / "eci-convert" / "partial" if base.is_absolute() else None


class Journal:
    """Partial downloads in a directory, for one run: removed when the block ends well, kept for a next run where the
    network failed or the user broke off. What the system refuses is no error: then nothing is kept."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: dict[Digest, Kept] = {}

    def kept(self, blob: Descriptor) -> Kept | None:
        """What is kept of *blob*, and the place for more of it; None if it is not worth while or somebody else's."""
        if blob.size < SMALLEST or blob.data is not None:
            return None
        if blob.digest not in self._kept:
            try:
                self._prepare()
                self._kept[blob.digest] = Kept(
                    self._directory / f"{blob.digest.algorithm}-{blob.digest.hex}", blob.size
                )
            except OSError:
                return None
        return self._kept[blob.digest]

    def discard(self, blob: Descriptor) -> bool:
        """Forgets what is kept of *blob*; whether anything of an earlier run was."""
        kept = self._kept.pop(blob.digest, None)
        if kept is None:
            return False
        kept.close(remove=True)
        return kept.resumed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        keeps = kind is not None and (issubclass(kind, TransportError | KeyboardInterrupt) or interrupts.requested())
        while self._kept:
            self._kept.popitem()[1].close(remove=not keeps)

    def _prepare(self) -> None:
        """Makes the directory, and removes from it what was forgotten there."""
        if self._kept:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._directory.iterdir():
            with suppress(OSError):
                if path.lstat().st_mtime < time.time() - _FORGOTTEN:
                    path.unlink()


class Kept:
    """The first bytes of a blob of *size* bytes, in the file at *path*. Raises OSError if that cannot be had."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check(size)
        except OSError:
            os.close(self._file)
            raise
        self.size = os.fstat(self._file).st_size
        self.resumed = self.size > 0

    def chunks(self) -> Iterator[bytes]:
        """What is kept."""
        for at in range(0, self.size, _BLOCK):
            yield os.pread(self._file, min(_BLOCK, self.size - at), at)

    def recorded(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """*chunks*, which follow on what is kept, as they are; kept as well, as far as it is worth while."""
        began, received, keeps = time.monotonic(), 0, True
        for chunk in chunks:
            received += len(chunk)
            keeps = keeps and (received <= _ALWAYS or received < _SLOW * (time.monotonic() - began))
            keeps = keeps and self._append(chunk)
            yield chunk

    def close(self, *, remove: bool) -> None:
        """Lets go of the file."""
        with suppress(OSError):
            if remove:
                self._path.unlink()
        with suppress(OSError):
            os.close(self._file)

    def _append(self, chunk: bytes) -> bool:
        try:
            written = os.pwrite(self._file, chunk, self.size)
        except OSError:
            return False
        self.size += written
        return written == len(chunk)

    def _check(self, size: int) -> None:
        """Raises OSError if the file is nobody's business of ours, or there is not room enough."""
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise PermissionError(f"{self._path} is not a file of ours")
        if found.st_size > size:
            os.ftruncate(self._file, 0)
        room = os.fstatvfs(self._file)
        if room.f_bavail * room.f_frsize < _ROOM * size:
            self._path.unlink()
            raise OSError("there is not room enough")
