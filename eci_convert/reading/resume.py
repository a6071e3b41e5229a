"""Resumes large downloads that were interrupted.

Received data is also written to a file in the user's cache, named by the blob's digest. The next run reads that file
first and requests the rest; the digest covers everything, so the file need not be trusted. On a fast link the file
stays short: downloading again is as fast as writing twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from eci_convert.errors import TransportError
from eci_convert.files.home import home as home_directory
from eci_convert.files.own_directory import OwnDirectory
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.streams import interrupts

MIN_RESUMABLE_SIZE: Final = 1 << 20
"""Bytes. Smaller blobs are not kept."""
_ALWAYS_KEPT_BYTES = 64 << 20  # bytes that are always kept
_SLOW_LINK_BPS = 64 << 20  # bytes a second, below which everything is kept
_FREE_SPACE_FACTOR = 8  # free space required, in sizes of the blob: the extracted parts need space as well
_MAX_AGE_SECONDS = 7 * 24 * 3600
_BLOCK = 1 << 20
_NAMES = "sha(?:256|512)-[0-9a-z]{1,128}"


def default_directory(environ: Mapping[str, str]) -> Path | None:
    """The directory of partial downloads in *environ* (XDG base directories); None if it is not set."""
    cache, home = environ.get("XDG_CACHE_HOME", ""), home_directory(environ)
    base = Path(cache) if Path(cache).is_absolute() else Path(home, ".cache")
    return base / "eci-convert" / "partial" if base.is_absolute() else None


class PartialDownloads:
    """Partial downloads in a directory, for one run: removed when the block succeeds, kept if the network failed or the
    user interrupted. Errors of the operating system are ignored. *warn* is called if the directory is not used because
    another user could write to it."""

    def __init__(self, directory: Path, warn: Callable[[str], None] = lambda _: None) -> None:
        depth = 2 if directory.parent.name == "eci-convert" else 1
        self._directory = OwnDirectory(base=directory.parents[depth - 1], names=directory.parts[-depth:], warn=warn)
        self._downloads: dict[Digest, PartialDownload] = {}

    def partial(self, blob: Descriptor) -> PartialDownload | None:
        """The partial download of *blob*, to read and extend; None if it is too small or in use by another process."""
        if blob.size < MIN_RESUMABLE_SIZE or blob.data is not None:
            return None
        if blob.digest not in self._downloads:
            if not self._downloads:
                self._directory.sweep(_NAMES, _MAX_AGE_SECONDS)
            try:
                self._downloads[blob.digest] = PartialDownload(
                    self._directory, f"{blob.digest.algorithm}-{blob.digest.hex}", blob.size
                )
            except OSError:
                return None
        return self._downloads[blob.digest]

    def discard(self, blob: Descriptor) -> bool:
        """Deletes the partial download of *blob*; returns whether there was data of an earlier run."""
        had_data = self._downloads.pop(blob.digest, None)
        if had_data is None:
            return False
        had_data.close(remove=True)
        return had_data.resumed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        keeps = kind is not None and (issubclass(kind, TransportError | KeyboardInterrupt) or interrupts.requested())
        while self._downloads:
            self._downloads.popitem()[1].close(remove=not keeps)


class PartialDownload:
    """The first bytes of a blob of *size* bytes, in the file *name*. Raises OSError if it cannot be opened."""

    def __init__(self, directory: OwnDirectory, name: str, size: int) -> None:
        self._directory = directory
        self._name = name
        descriptor = directory.hold(name)
        if descriptor is None:
            raise PermissionError(f"{directory.path / name} is not a file of eci-convert, or is in use")
        self._file = descriptor
        try:
            self._check(size)
        except OSError:
            os.close(self._file)
            raise
        self.size = os.fstat(self._file).st_size
        self.resumed = self.size > 0

    def chunks(self) -> Iterator[bytes]:
        """The data received before."""
        for at in range(0, self.size, _BLOCK):
            yield os.pread(self._file, min(_BLOCK, self.size - at), at)

    def append_while_slow(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """*chunks*, the rest of the blob, unchanged; also written to the file as long as the link is slow."""
        began, received, keeps = time.monotonic(), 0, True
        for chunk in chunks:
            received += len(chunk)
            keeps = keeps and (received <= _ALWAYS_KEPT_BYTES or received < _SLOW_LINK_BPS * (time.monotonic() - began))
            keeps = keeps and self._append(chunk)
            yield chunk

    def close(self, *, remove: bool) -> None:
        """Closes the file."""
        if remove:
            self._directory.remove(self._name)
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
        """Raises OSError if there is not enough free space."""
        if os.fstat(self._file).st_size > size:
            os.ftruncate(self._file, 0)
        room = os.fstatvfs(self._file)
        if room.f_bavail * room.f_frsize < _FREE_SPACE_FACTOR * size:
            self._directory.remove(self._name)
            raise OSError("not enough free space")
