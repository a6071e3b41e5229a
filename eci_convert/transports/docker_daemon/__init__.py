"""`docker-daemon:NAME[:TAG]`: images in a Docker engine, through the Docker SDK's low-level client.

source.py           DaemonSource: reads an image
container_files.py  its files, read from a container that is created and never started
hidden_paths.py     paths that a container hides, adds or replaces
saved_image.py      the whole image, from `docker save`
sink.py             DaemonSink: loads an image
catalog.py          DaemonCatalog: lists, tags and deletes images
load.py             the load request, sent while the archive is written
engine.py           one engine, and its timeouts
client.py           the SDK's client, adapted
endpoint.py         the address of the engine
podman_socket.py    the address of podman's service, used if there is no Docker engine
errors.py           errors of the engine, translated
response_body.py    its responses in large chunks
"""

from __future__ import annotations

from eci_convert.transports.docker_daemon.catalog import open_catalog
from eci_convert.transports.docker_daemon.sink import DaemonSink
from eci_convert.transports.docker_daemon.source import DaemonSource
from eci_convert.transports.settings import Settings

__all__ = ["open_catalog", "open_sink", "open_source"]


def open_source(rest: str, settings: Settings) -> DaemonSource:
    """The image *rest*, a name or an id. Raises UsageError."""
    return DaemonSource(rest, settings)


def open_sink(rest: str, settings: Settings) -> DaemonSink:
    """The sink for the name *rest*. Raises UsageError."""
    return DaemonSink(rest, settings)
