"""A temporary file without a name, for streams that cannot be read twice; freed when the process ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping

from eci_convert.errors import LocalError
from eci_convert.files.errors import local_errors
from eci_convert.files.sparse import write_data

_USUAL = "/var/tmp"  # noqa: S108 - for large files; /tmp is often in memory


class Spool:
    """Consecutive contents in a file in `$TMPDIR` (else /var/tmp), without blocks for zeros.

    *environ* has the variable. The constructor opens the file: raises LocalError.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        directory = environ.get("TMPDIR") or (_USUAL if os.access(_USUAL, os.W_OK) else tempfile.gettempdir())
        with local_errors(directory):
            self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by close
            state = os.statvfs(directory)
        self._directory = directory
        self._room = state.f_bavail * state.f_frsize
        self._end = 0

    @property
    def descriptor(self) -> int:
        """A descriptor for `pread`."""
        return self._file.fileno()

    def append(self, chunks: Iterable[bytes]) -> tuple[int, int]:
        """Writes *chunks* and returns their offset and length in bytes.

        Raises LocalError for errors of the operating system, and if there are more bytes than there was free space in
        the beginning, including zeros: this limits decompression bombs.
        """
        start = self._end
        for chunk in chunks:
            if self._end + len(chunk) > self._room:
                raise _too_long(self._directory, self._room)
            with local_errors(self._directory):
                write_data(self.descriptor, chunk, self._end)
            self._end += len(chunk)
        with local_errors(self._directory):
            os.ftruncate(self.descriptor, self._end)
        return start, self._end - start

    def close(self) -> None:
        """Frees the file."""
        self._file.close()


def _too_long(directory: str, room: int) -> LocalError:
    error = LocalError(f"{directory}: no space left on device: temporary data is longer than the {room} free bytes")
    error.add_note(
        "hint: set TMPDIR to a larger filesystem, or use a file instead of a pipe: uncompressed files are read in place"
    )
    return error
