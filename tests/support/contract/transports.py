"""A store of the transport under test, as the contracts of sources and sinks use it; and stores that are files."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings
from tests.support.images import files_in

MISMATCH = "digest mismatch|size mismatch"
"""What an IntegrityError says of content that is not what was promised."""


class StoreUnderTest(Protocol):
    """A store of the transport under test, which nobody else uses."""

    def source(self, name: str) -> Source:
        """The image called *name*: a word such as "machine". May be called at any time, also before it is written."""

    def sink(self, name: str) -> Sink:
        """A new sink for *name*."""

    def corrupt(self, digest: Digest) -> None:
        """Change one byte of the stored blob, and not its length."""

    def files(self) -> dict[str, bytes]:
        """All stored content, to see that nothing changes and nothing is left behind; {} if the test cannot tell."""


class TransportContract:
    """What a subclass says about its transport: how to open an empty store, and what the transport cannot do."""

    keeps_manifests: ClassVar[bool] = True
    """Manifests are stored byte for byte; otherwise an image has the same config and diff ids when it is read."""
    keeps_other_names: ClassVar[bool] = True
    """One store holds images under several names."""
    finds_published_blobs: ClassVar[bool] = True
    """`Sink.has` finds the blobs of a published image."""
    stores_sha512: ClassVar[bool] = True
    """Blobs can be stored under other digests than sha256."""
    bounds_manifests: ClassVar[bool] = True
    """A manifest that is too large is refused before it is read as a whole."""

    def opened(self, directory: Path) -> AbstractContextManager[StoreUnderTest]:
        """An empty store; *directory* is empty too, and is for the store alone."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[StoreUnderTest]:
        directory = tmp_path / "store"
        directory.mkdir()
        with self.opened(directory) as store:
            yield store


class DirectoryStore:
    """A store whose images are files below *directory*.

    *pattern* is the reference of an image, with `{directory}` and `{name}` to be filled in.
    """

    def __init__(self, directory: Path, pattern: str) -> None:
        self.directory = directory
        self.pattern = pattern

    def source(self, name: str) -> Source:
        return open_source(self.pattern.format(directory=self.directory, name=name), Settings())

    def sink(self, name: str) -> Sink:
        return open_sink(self.pattern.format(directory=self.directory, name=name), Settings())

    def corrupt(self, digest: Digest) -> None:
        [path] = self.directory.rglob(digest.hex)
        path.write_bytes(corrupted(path.read_bytes()))

    def files(self) -> dict[str, bytes]:
        return files_in(self.directory)


class ArchiveStore(DirectoryStore):
    """A store whose images are tar archives."""

    def corrupt(self, digest: Digest) -> None:
        for path in self.directory.iterdir():
            with tarfile.open(path) as archive:
                members = [member for member in archive if member.isfile()]
            for member in members:
                content = path.read_bytes()[member.offset_data :][: member.size]
                if Digest.of(content) == digest:
                    with path.open("r+b") as file:
                        os.pwrite(file.fileno(), corrupted(content), member.offset_data)


def corrupted(content: bytes) -> bytes:
    """*content* with one bit of its middle byte changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
