"""A blob on its way into a store: verified, inflated, hashed, unpacked, and noted for tar-split, in one pass."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from eci_convert.compression.codec import Compression, decompressed, detect_compression
from eci_convert.errors import FormatError, IntegrityError
from eci_convert.files.errors import local_errors
from eci_convert.files.safe_tree import SafeTree
from eci_convert.progress import Reporter
from eci_convert.streams.hashing import HashingStream
from eci_convert.streams.threads import prefetch
from eci_convert.tar.input import ExtensionBudget
from eci_convert.transports.containers_storage.drivers.base import StorageDriver
from eci_convert.transports.containers_storage.drivers.staging import DIFF, SPLIT, Staged, Staging, remove
from eci_convert.transports.containers_storage.drivers.whiteouts import DeletionList
from eci_convert.transports.containers_storage.layers.tar_split import SplitWriter
from eci_convert.transports.containers_storage.layers.unpack import Unpacking
from eci_convert.transports.verified_input import VerifiedInput

_CODES: Final = {
    Compression.NONE: 0,
    Compression.BZIP2: 1,
    Compression.GZIP: 2,
    Compression.XZ: 3,
    Compression.ZSTD: 4,
}
"""How layers.json says it (docs/specs/containers-storage.md#3)."""


def import_layer(
    staging: Staging,
    driver: StorageDriver,
    media_type: str,
    received: VerifiedInput,
    reporter: Reporter,
    budget: ExtensionBudget | None = None,
) -> Staged:
    """The layer that *received* is a blob of, unpacked; *budget* is that of the image for extension headers.

    Raises what *received* does, FormatError and LocalError.

    Bytes that are malformed are read to their end: that they are not the promised ones is the truer reason.
    """
    room = staging.room()
    promised = _Promised(received)
    try:
        return _unpacked(room, driver, media_type, received, iter(promised), reporter, budget)
    except BaseException as error:
        remove(room)
        if isinstance(error, FormatError):
            promised.judge()
        raise
    finally:
        promised.close()


def _unpacked(
    room: Path,
    driver: StorageDriver,
    media_type: str,
    received: VerifiedInput,
    chunks: Iterator[bytes],
    reporter: Reporter,
    budget: ExtensionBudget | None,
) -> Staged:
    head, chunks = _peeked(chunks)
    compression = detect_compression(head)
    stage = prefetch(decompressed(chunks, compression))
    archive = HashingStream(stage, threaded=compression is not Compression.NONE)
    whiteouts = driver.whiteouts()
    with _new(room / SPLIT) as file, SafeTree(room / DIFF) as tree, _ended(stage), _ended(iter(archive)) as passing:
        unpacking = Unpacking(tree, SplitWriter(file), whiteouts, reporter)
        unpacking.run(passing, budget)
    return Staged(
        directory=room,
        blob=received.descriptor(media_type),
        diff_id=archive.digest,
        size=archive.size,
        compression=_CODES[compression],
        uids=tuple(sorted(unpacking.uids)),
        gids=tuple(sorted(unpacking.gids)),
        deleted=whiteouts if isinstance(whiteouts, DeletionList) else None,
    )


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """The file *path*, which is made. Raises LocalError, but never in place of another error."""
    with local_errors(path):
        file = open(path, "xb")  # noqa: SIM115
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    with local_errors(path):
        file.close()


class _Promised:
    """The chunks of *received*, whose verdict is not lost if the thread that heard it was no longer listened to."""

    def __init__(self, received: VerifiedInput) -> None:
        self._chunks = iter(received)
        self._verdict: IntegrityError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (chunk := next(self._chunks, None)) is not None:  # `yield from` would end them with ourselves
                yield chunk
        except IntegrityError as error:
            self._verdict = error
            raise

    def close(self) -> None:
        """Take no more."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()

    def judge(self) -> None:
        """Read what is left. Raises IntegrityError if all of it was not what was promised."""
        for _ in self._chunks:
            pass
        if self._verdict:
            raise self._verdict


@contextmanager
def _ended(stage: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """*stage*, whose thread has ended when the `with` has."""
    try:
        yield stage
    finally:
        if isinstance(stage, Generator):
            stage.close()


def _peeked(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of *chunks*, enough to tell their compression, and all of them still to be read."""
    head = b""
    while len(head) < 8 and (chunk := next(chunks, None)) is not None:
        head += chunk
    return head, chain((head,), chunks)
