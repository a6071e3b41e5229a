"""`docker-archive:`, archives of docker save.

source.py           DockerArchiveSource
sink.py             DockerArchiveSink
catalog.py          DockerArchiveCatalog: all images of an archive
manifest_json.py    the archive's manifest.json
"""

from __future__ import annotations

from eci_convert.transports.docker_archive.catalog import open_catalog
from eci_convert.transports.docker_archive.sink import open_sink
from eci_convert.transports.docker_archive.source import open_source

__all__ = ["open_catalog", "open_sink", "open_source"]
