"""`containers-storage:`, the image store of podman, buildah, skopeo and CRI-O, read and written as files.

Neither root nor a daemon nor any of those programs is needed; specs/containers-storage.md part B is the format.

transports/containers_storage/location.py        which store a reference means: its directory and its driver
transports/containers_storage/store.py        a store: records, locks, driver
transports/containers_storage/index_files.py      layers.json and images.json        transports/containers_storage/locks.py      as containers/storage takes them
transports/containers_storage/lookup.py        which image a name means
transports/containers_storage/source.py       an image is read                   transports/containers_storage/layers/layer_archive.py    a layer's archive is made again
transports/containers_storage/sink.py         an image is written                transports/containers_storage/layers/layer_import.py     a blob becomes an unpacked layer, in one pass
transports/containers_storage/drivers/staging.py      where it waits                     transports/containers_storage/commit.py     how it is entered into the records
transports/containers_storage/drivers/overlay.py      what each driver makes of layers   transports/containers_storage/drivers/vfs.py        transports/containers_storage/drivers/copy_tree.py      transports/containers_storage/drivers/whiteouts.py
transports/containers_storage/layers/unpack.py       archives become files, safely      walk.py       transports/containers_storage/layers/attributes.py
transports/containers_storage/layers/tar_split.py    what an archive is besides them    transports/containers_storage/layers/crc64.py
"""

from __future__ import annotations

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
