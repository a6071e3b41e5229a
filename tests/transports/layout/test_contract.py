"""The contracts of sources and sinks over OCI layouts, in a directory and in an archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.contract.sinks import SinkContract
from tests.support.contract.sources import SourceContract
from tests.support.contract.transports import ArchiveStore, DirectoryStore, StoreUnderTest


class Directory:
    @contextmanager
    def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
        yield DirectoryStore(directory, "oci:{directory}/layout:{name}")


class Archive:
    finds_published_blobs = False

    @contextmanager
    def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
        yield ArchiveStore(directory, "oci-archive:{directory}/{name}.tar:{name}")


class TestDirectorySource(Directory, SourceContract):
    pass


class TestDirectorySink(Directory, SinkContract):
    pass


class TestArchiveSource(Archive, SourceContract):
    pass


class TestArchiveSink(Archive, SinkContract):
    pass
