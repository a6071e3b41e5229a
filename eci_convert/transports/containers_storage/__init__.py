"""`containers-storage:`, the image store of podman, buildah, skopeo and CRI-O, read and written as files.

Works without root, a daemon or any of those programs. The format: docs/specs/containers-storage.md.

source.py       StorageSource
sink.py         StorageSink
catalog.py      StorageCatalog: all images of a store
location.py     the store of a reference: its directory and its driver
store.py        ContainersStore: records, locks, driver
lookup.py       the image of a name
index_files.py  layers.json and images.json
locks.py        locks, compatible with containers/storage
commit.py       layers and image added to the index files
removal.py      names, images and layers removed from the index files
drivers/        the layout of layers on disk
layers/         archives unpacked into files, and rebuilt from them
"""

from __future__ import annotations

from eci_convert.transports.containers_storage.catalog import StorageCatalog
from eci_convert.transports.containers_storage.location import StoreLocation
from eci_convert.transports.containers_storage.sink import StorageSink
from eci_convert.transports.containers_storage.source import StorageSource
from eci_convert.transports.settings import Settings


def open_source(rest: str, settings: Settings) -> StorageSource:
    """The image that *rest* names. Raises UsageError."""
    return StorageSource(StoreLocation.parse(rest, settings), settings)


def open_sink(rest: str, settings: Settings) -> StorageSink:
    """The sink for the name *rest*. Raises UsageError."""
    return StorageSink(StoreLocation.parse(rest, settings), settings)


def open_catalog(rest: str, settings: Settings) -> StorageCatalog:
    """All images of the store of *rest*, which may name one. Raises UsageError."""
    return StorageCatalog(StoreLocation.parse(rest, settings, named=False), settings)
