"""`containers-storage:`, the image store of podman, buildah, skopeo and CRI-O, read and written as files.

Neither root nor a daemon nor any of those programs is needed; specs/containers-storage.md part B is the format.

place.py        which store a reference means: its directory and its driver
store.py        a store: records, locks, driver
records.py      layers.json and images.json        locks.py      as containers/storage takes them
names.py        which image a name means
source.py       an image is read                   rebuilt.py    a layer's archive is made again
sink.py         an image is written                intake.py     a blob becomes an unpacked layer, in one pass
staging.py      where it waits                     commit.py     how it is entered into the records
overlay.py      what each driver makes of layers   vfs.py        trees.py      whiteouts.py
unpack.py       archives become files, safely      walk.py       attributes.py
tar_split.py    what an archive is besides them    crc64.py
"""

from __future__ import annotations

from eci_convert.transports.base import Settings
from eci_convert.transports.storage.place import Place
from eci_convert.transports.storage.sink import StorageSink
from eci_convert.transports.storage.source import StorageSource


def open_source(rest: str, settings: Settings) -> StorageSource:
    """The image that *rest* names. Raises UsageError."""
    return StorageSource(Place.parse(rest, settings), settings)


def open_sink(rest: str, settings: Settings) -> StorageSink:
    """The name *rest*, to be written. Raises UsageError."""
    return StorageSink(Place.parse(rest, settings), settings)
