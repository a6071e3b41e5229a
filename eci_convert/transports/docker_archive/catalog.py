"""All images of an archive of `docker save`, which is read only."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from eci_convert.oci.digest import Digest
from eci_convert.transports.base import CatalogEntry, Source
from eci_convert.transports.docker_archive.manifest_json import MANIFEST_JSON, parse_manifest_json
from eci_convert.transports.docker_archive.source import DockerArchiveSource
from eci_convert.transports.layout.catalog import catalog_entries, written_once_error
from eci_convert.transports.layout.index import INDEX
from eci_convert.transports.layout.selector import ImageSelector, may_be_archive, split_path
from eci_convert.transports.settings import Settings
from eci_convert.transports.tar_store.reader import TarStore


def open_catalog(rest: str, settings: Settings) -> DockerArchiveCatalog:
    """The archive of *rest*, `FILE[:NAME]`. Raises UsageError."""
    path, name = split_path(rest, may_be_archive)
    return DockerArchiveCatalog(path, name, settings)


class DockerArchiveCatalog:
    """The images in the archive at *path*; *name* is what the reference named."""

    def __init__(self, path: str, name: ImageSelector, settings: Settings) -> None:
        self._archive = TarStore(path, settings.environ)
        self._positions: dict[CatalogEntry, int] = {}
        self.place = f"docker-archive:{path}"
        self.name = str(name)

    def images(self) -> tuple[CatalogEntry, ...]:
        """By the ids of their configs, as Docker knows them."""
        self._archive.check()
        if MANIFEST_JSON not in self._archive and INDEX in self._archive:
            return catalog_entries(self._archive.read, self.place)
        for position, image in enumerate(parse_manifest_json(self._archive.read(MANIFEST_JSON))):
            for tag in image.tags or ("",):
                self._positions.setdefault(CatalogEntry(name=tag, digest=image.id), position)
        return tuple(self._positions)

    def open_image(self, entry: CatalogEntry) -> Source | None:
        position = self._positions.get(entry)
        name = ImageSelector(digest=entry.digest) if position is None else ImageSelector(position=position)
        return DockerArchiveSource(self._archive, name, self.place)

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        raise written_once_error(self.place)

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        raise written_once_error(self.place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()
