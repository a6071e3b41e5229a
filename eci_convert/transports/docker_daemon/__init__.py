"""`docker-daemon:NAME[:TAG]`: images in a Docker engine, through the Docker SDK's low-level client.

source.py           DaemonSource: an image to be read, from what the engine says about it
container_files.py  its files, one at a time, out of a container that is created and never started
hidden_paths.py     files that a container hides, adds or replaces, and that the saved image must tell
saved_image.py      all of it, as `docker save` gives it
sink.py             DaemonSink: an image to be loaded
catalog.py          DaemonCatalog: all images of the engine, listed, named, deleted
load.py             the load request, sent while the archive is made
engine.py           one engine, and how long it may be silent
client.py           the SDK's client, without what breaks it
endpoint.py         where the engine is
podman_socket.py    podman's service, where there is no Docker engine
errors.py           the engine's errors as errors of ours
response_body.py    its responses in large pieces
"""

from __future__ import annotations

from eci_convert.transports.docker_daemon.catalog import open_catalog
from eci_convert.transports.docker_daemon.sink import DaemonSink
from eci_convert.transports.docker_daemon.source import DaemonSource
from eci_convert.transports.settings import Settings

__all__ = ["open_catalog", "open_sink", "open_source"]


def open_source(rest: str, settings: Settings) -> DaemonSource:
    """The image that *rest*, a name or an id, stands for. Raises UsageError."""
    return DaemonSource(rest, settings)


def open_sink(rest: str, settings: Settings) -> DaemonSink:
    """A place for an image under the name *rest*. Raises UsageError."""
    return DaemonSink(rest, settings)
