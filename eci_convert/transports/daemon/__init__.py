"""`docker-daemon:NAME[:TAG]`: images in a Docker engine, through the Docker SDK's low-level client.

endpoint.py   where the engine is
client.py     the SDK's client, without what breaks it      faults.py   errors, as ours
engine.py     one engine, and how long it may be silent     wire.py     its answers in large pieces
source.py     an image to be read: documents made of what the engine says about it
unpacked.py   its files, one at a time                      saved.py    all of it, as `docker save` gives it
sink.py       an image to be loaded                         tape.py     as one archive
load.py       which is sent while it is made
"""

from __future__ import annotations

from eci_convert.transports.base import Settings
from eci_convert.transports.daemon.sink import DaemonSink
from eci_convert.transports.daemon.source import DaemonSource


def open_source(rest: str, settings: Settings) -> DaemonSource:
    """The image that *rest*, a name or an id, stands for. Raises UsageError."""
    return DaemonSource(rest, settings)


def open_sink(rest: str, settings: Settings) -> DaemonSink:
    """A place for an image under the name *rest*. Raises UsageError."""
    return DaemonSink(rest, settings)
