"""Imports a blob into a staging directory: verified, decompressed, hashed, unpacked, and recorded for tar-split, in one
pass."""

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
from eci_convert.transports.containers_storage.drivers.staging import DIFF, SPLIT, Staged, Staging, remove_tree
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
"""The values in layers.json (docs/specs/containers-storage.md#3)."""


def import_layer(
    staging: Staging,
    driver: StorageDriver,
    media_type: str,
    received: VerifiedInput,
    reporter: Reporter,
    budget: ExtensionBudget | None = None,
) -> Staged:
    """Unpacks the layer *received*; *budget* is the image's for extension headers.

    Raises the errors of *received*, FormatError and LocalError.

    On malformed data the rest is still read, so that a digest mismatch, if any, is reported instead.
    """
    room = staging.new_layer_directory()
    verified_chunks = _VerifiedChunks(received)
    try:
        return _unpack(room, driver, media_type, verified_chunks, reporter, budget)
    except BaseException as error:
        remove_tree(room)
        if isinstance(error, FormatError):
            verified_chunks.verify_rest()
        raise
    finally:
        verified_chunks.close()


def _unpack(
    room: Path,
    driver: StorageDriver,
    media_type: str,
    chunks: _VerifiedChunks,
    reporter: Reporter,
    budget: ExtensionBudget | None,
) -> Staged:
    head, rest = _peeked(iter(chunks))
    compression = detect_compression(head)
    stage = prefetch(decompressed(rest, compression))
    archive = HashingStream(stage, threaded=compression is not Compression.NONE)
    whiteouts = driver.whiteouts()
    with _new(room / SPLIT) as file, SafeTree(room / DIFF) as tree, _closing(stage), _closing(iter(archive)) as passing:
        unpacking = Unpacking(tree, SplitWriter(file), whiteouts, reporter)
        unpacking.run(passing, budget)
    return Staged(
        directory=room,
        blob=chunks.received.descriptor(media_type),
        diff_id=archive.digest,
        size=archive.size,
        compression=_CODES[compression],
        uids=tuple(sorted(unpacking.uids)),
        gids=tuple(sorted(unpacking.gids)),
        deleted=whiteouts if isinstance(whiteouts, DeletionList) else None,
    )


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """Creates the file *path*. Raises LocalError, but never instead of another error."""
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


class _VerifiedChunks:
    """The chunks of *received*, whose verification error is not lost if the thread that received it was abandoned."""

    def __init__(self, received: VerifiedInput) -> None:
        self.received = received
        self._chunks = iter(received)
        self._verdict: IntegrityError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (
                chunk := next(self._chunks, None)
            ) is not None:  # `yield from` would close them together with this generator
                yield chunk
        except IntegrityError as error:
            self._verdict = error
            raise

    def close(self) -> None:
        """Stops reading."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()

    def verify_rest(self) -> None:
        """Reads the rest. Raises IntegrityError if the digest or the size does not match."""
        for _ in self._chunks:
            pass
        if self._verdict:
            raise self._verdict


@contextmanager
def _closing(stage: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """*stage*, whose thread has ended when the block has."""
    try:
        yield stage
    finally:
        if isinstance(stage, Generator):
            stage.close()


def _peeked(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of *chunks*, enough to detect the compression, and all chunks, still to be read."""
    head = b""
    while len(head) < 8 and (chunk := next(chunks, None)) is not None:
        head += chunk
    return head, chain((head,), chunks)
