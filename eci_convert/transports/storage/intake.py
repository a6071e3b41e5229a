"""A blob on its way into a store: verified, inflated, hashed, unpacked, and noted for tar-split, in one pass."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Final

from eci_convert.progress import Reporter
from eci_convert.streams.compress import Compression, decompressed, sniffed
from eci_convert.streams.measure import Measured
from eci_convert.streams.parts import local_errors
from eci_convert.streams.pipeline import ahead
from eci_convert.transports.received import Received
from eci_convert.transports.storage.staging import DIFF, SPLIT, Staged, Staging, remove
from eci_convert.transports.storage.store import Driver
from eci_convert.transports.storage.tar_split import SplitWriter
from eci_convert.transports.storage.unpack import Unpacking
from eci_convert.transports.storage.walk import Tree
from eci_convert.transports.storage.whiteouts import Lists

_CODES: Final = {
    Compression.NONE: 0,
    Compression.BZIP2: 1,
    Compression.GZIP: 2,
    Compression.XZ: 3,
    Compression.ZSTD: 4,
}
"""How layers.json says it (B3)."""


def staged(staging: Staging, driver: Driver, media_type: str, received: Received, reporter: Reporter) -> Staged:
    """The layer that *received* is a blob of, unpacked. Raises what that does, FormatError and LocalError."""
    room = staging.room()
    try:
        return _unpacked(room, driver, media_type, received, reporter)
    except BaseException:
        remove(room)
        raise


def _unpacked(room: Path, driver: Driver, media_type: str, received: Received, reporter: Reporter) -> Staged:
    head, chunks = _peeked(received)
    compression = sniffed(head)
    archive = Measured(ahead(decompressed(chunks, compression)), threaded=compression is not Compression.NONE)
    whiteouts = driver.whiteouts()
    with local_errors(room):
        file = open(room / SPLIT, "xb")  # noqa: SIM115
    with file, Tree(room / DIFF) as tree, closing(_passing(archive)) as passing:
        os.fchmod(file.fileno(), 0o600)
        unpacking = Unpacking(tree, SplitWriter(file), whiteouts, reporter)
        unpacking.run(passing)
    return Staged(
        directory=room,
        blob=received.descriptor(media_type),
        diff_id=archive.digest,
        size=archive.size,
        compression=_CODES[compression],
        uids=tuple(sorted(unpacking.uids)),
        gids=tuple(sorted(unpacking.gids)),
        deleted=whiteouts if isinstance(whiteouts, Lists) else None,
    )


def _passing(archive: Measured) -> Generator[bytes]:
    yield from archive


def _peeked(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of *chunks*, enough to tell their compression, and all of them still to be read."""
    rest = iter(chunks)
    head = b""
    for chunk in rest:
        head += chunk
        if len(head) >= 8:
            break
    return head, chain((head,), rest)
