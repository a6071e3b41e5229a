"""`docker-daemon:NAME[:TAG]`: images in a Docker engine, through the Docker SDK's low-level client.

transports/docker_daemon/endpoint.py   where the engine is
transports/docker_daemon/client.py     the SDK's client, without what breaks it      transports/docker_daemon/errors.py   errors, as ours
transports/docker_daemon/engine.py     one engine, and how long it may be silent     transports/docker_daemon/response_body.py     its answers in large pieces
transports/docker_daemon/source.py     an image to be read: documents made of what the engine says about it
transports/docker_daemon/container_files.py   its files, one at a time                      transports/docker_daemon/saved_image.py    all of it, as `docker save` gives it
transports/docker_daemon/sink.py       an image to be loaded                         transports/tar_store/stream_writer.py     as one archive
transports/docker_daemon/load.py       which is sent while it is made
"""

from __future__ import annotations

from eci_convert.transports.docker_daemon.sink import DaemonSink
from eci_convert.transports.docker_daemon.source import DaemonSource
from eci_convert.transports.settings import Settings


def open_source(rest: str, settings: Settings) -> DaemonSource:
    """The image that *rest*, a name or an id, stands for. Raises UsageError."""
    return DaemonSource(rest, settings)


def open_sink(rest: str, settings: Settings) -> DaemonSink:
    """A place for an image under the name *rest*. Raises UsageError."""
    return DaemonSink(rest, settings)
