"""The contracts of sources and sinks over what `docker save` writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.contract.sinks import SinkContract
from tests.support.contract.sources import SourceContract
from tests.support.contract.transports import ArchiveStore, StoreUnderTest


class Archive:
    finds_published_blobs = False
    keeps_manifests = False

    @contextmanager
    def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
        yield ArchiveStore(directory, "docker-archive:{directory}/{name}.tar:{name}")


class TestArchiveSource(Archive, SourceContract):
    pass


class TestArchiveSink(Archive, SinkContract):
    pass
