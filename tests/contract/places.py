"""The places where images live, as the contract suites see them: one row of PLACES is one transport.

To add a transport, write a context manager that gives a `Place` (a server of the test's own may live as long as it) and
add a row. What a place cannot do is said in its row, not asked of it.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eci_convert.oci.digest import Digest
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from eci_convert.transports.settings import Settings
from tests.support.images import files_in


class Place(Protocol):
    """A place in which tests have a free hand."""

    def source(self, name: str) -> Source:
        """The image called *name*: a word such as "machine". May be called at any time."""

    def sink(self, name: str) -> Sink:
        """A new sink for *name*."""

    def spoil(self, digest: Digest) -> None:
        """Change a byte of the blob where it lies, and not its length."""

    def files(self) -> dict[str, bytes]:
        """Every file that the place consists of, to see that nothing changes and nothing is left; {} if it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A transport, and what it can do."""

    name: str
    opened: Callable[[Path], AbstractContextManager[Place]]
    keeps_documents: bool = True
    """Manifests come back byte for byte; else an image comes back with the same config and diff ids."""
    keeps_others: bool = True
    """One place holds images under several names."""
    tells: bool = True
    """`has` knows a blob once it has been published."""
    sha512: bool = True
    """Blobs can be stored under other digests than sha256."""


class InMemory:
    """transports/memory.py."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def source(self, name: str) -> Source:
        return MemorySource(self.store, name)

    def sink(self, name: str) -> Sink:
        return MemorySink(self.store, name)

    def spoil(self, digest: Digest) -> None:
        self.store.blobs[digest] = spoilt(self.store.blobs[digest])

    def files(self) -> dict[str, bytes]:
        return {}


class InDirectory:
    """A transport whose images are files below one directory: *pattern* is its reference."""

    def __init__(self, directory: Path, pattern: str) -> None:
        self.directory = directory
        self.pattern = pattern

    def source(self, name: str) -> Source:
        return open_source(self.pattern.format(directory=self.directory, name=name), Settings())

    def sink(self, name: str) -> Sink:
        return open_sink(self.pattern.format(directory=self.directory, name=name), Settings())

    def spoil(self, digest: Digest) -> None:
        [path] = self.directory.rglob(digest.hex)
        path.write_bytes(spoilt(path.read_bytes()))

    def files(self) -> dict[str, bytes]:
        return files_in(self.directory)


class InArchive(InDirectory):
    """A transport whose images are tar archives."""

    def spoil(self, digest: Digest) -> None:
        for path in self.directory.iterdir():
            with tarfile.open(path) as archive:
                members = [member for member in archive if member.isfile()]
                found = [one for one in members if Digest.of(_read(path, one.offset_data, one.size)) == digest]
            for member in found:
                with path.open("r+b") as file:
                    changed = spoilt(_read(path, member.offset_data, member.size))
                    os.pwrite(file.fileno(), changed, member.offset_data)


def _read(path: Path, start: int, size: int) -> bytes:
    return path.read_bytes()[start : start + size]


def spoilt(content: bytes) -> bytes:
    """*content* with its middle byte changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@contextmanager
def _memory(directory: Path) -> Iterator[Place]:
    yield InMemory()


@contextmanager
def _oci_archive(directory: Path) -> Iterator[Place]:
    yield InArchive(directory, "oci-archive:{directory}/{name}.tar:{name}")


@contextmanager
def _docker_archive(directory: Path) -> Iterator[Place]:
    yield InArchive(directory, "docker-archive:{directory}/{name}.tar:{name}")


@contextmanager
def _layout(directory: Path) -> Iterator[Place]:
    yield InDirectory(directory, "oci:{directory}/layout:{name}")


PLACES = (
    Row(name="memory", opened=_memory),
    Row(name="oci", opened=_layout),
    Row(name="oci-archive", opened=_oci_archive, tells=False),
    Row(name="docker-archive", opened=_docker_archive, tells=False, keeps_documents=False),
)
