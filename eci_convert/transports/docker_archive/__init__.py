"""`docker-archive:`, archives of docker save.
source.py           DockerArchiveSource
sink.py             DockerArchiveSink
manifest_json.py    the archive's manifest.json"""

from __future__ import annotations

from eci_convert.transports.docker_archive.sink import open_sink
from eci_convert.transports.docker_archive.source import open_source

__all__ = ["open_sink", "open_source"]
