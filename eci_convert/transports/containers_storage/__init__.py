"""`containers-storage:`, the image store of podman, buildah, skopeo and CRI-O, read and written as files.

Neither root nor a daemon nor any of those programs is needed; docs/specs/containers-storage.md is the format.

source.py       StorageSource
sink.py         StorageSink
catalog.py      StorageCatalog: all images of a store
location.py     which store a reference means: its directory and its driver
store.py        ContainersStore: records, locks, driver
lookup.py       which image a name means
index_files.py  layers.json and images.json
locks.py        locks as containers/storage takes them
commit.py       layers and image entered into the records
removal.py      names, images and layers removed from them
drivers/        how a layer lies on the disk
layers/         a layer's archive becomes files, and files the same archive
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
    """The name *rest*, to be written. Raises UsageError."""
    return StorageSink(StoreLocation.parse(rest, settings), settings)


def open_catalog(rest: str, settings: Settings) -> StorageCatalog:
    """All images of the store of *rest*, which may name one. Raises UsageError."""
    return StorageCatalog(StoreLocation.parse(rest, settings, named=False), settings)
