"""Rebuilds a layer's archive from its files and its tar-split data, byte for byte
(docs/specs/containers-storage.md#6)."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

from eci_convert.errors import FormatError, NotFoundError, TransportError
from eci_convert.files.safe_open import open_regular
from eci_convert.files.safe_tree import SafeTree, components_of
from eci_convert.files.sparse import file_chunks
from eci_convert.transports.containers_storage.layers.tar_split import read_entries


def rebuild_archive(split: Path, content: Path, skip: int = 0) -> Generator[bytes]:
    """The archive from offset *skip*, unverified: *split* is its tar-split data, the directory *content* has its files.

    Raises TransportError, FormatError, NotFoundError and LocalError.
    """
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(open_regular(split.parent, split.name))
        except NotFoundError as error:
            raise TransportError(
                f"{split}: the layer has no tar-split data, so its archive cannot be rebuilt"
            ) from error
        file = stack.enter_context(os.fdopen(os.dup(descriptor), "rb"))
        tree = stack.enter_context(SafeTree(content))
        for step in read_entries(file, str(split)):
            length = step.size if step.name else len(step.raw)
            if skip >= length:
                skip -= length
            elif step.name:
                yield from _content(tree, step.name, step.size, skip)
                skip = 0
            else:
                yield step.raw[skip:]
                skip = 0


def _content(tree: SafeTree, name: str, size: int, skip: int) -> Iterator[bytes]:
    descriptor = tree.open_file(components_of(name))
    try:
        actual_size = os.fstat(descriptor).st_size
        if actual_size != size:
            raise FormatError(f"{name!r} is {actual_size} bytes in the unpacked layer, expected {size}")
        for chunk in file_chunks(descriptor):
            if skip >= len(chunk):
                skip -= len(chunk)
            else:
                yield chunk[skip:] if skip else chunk
                skip = 0
    finally:
        os.close(descriptor)
