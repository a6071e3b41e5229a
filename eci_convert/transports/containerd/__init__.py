"""`containerd:`, images in containerd, over its gRPC API.

source.py        ContainerdSource
sink.py          ContainerdSink
libgrpc.py       the gRPC library, or what to install
catalog.py       ContainerdCatalog: all images of a namespace
connection.py    the gRPC channel to one socket and namespace, and its errors
stall_watch.py   calls that make no progress
content.py       blobs in the content store
ingest.py        blobs being written, resumed where an earlier attempt ended
writer.py        one open write
images.py        image records
gc_labels.py     labels that keep blobs from the garbage collector
names.py         names of image records
lease.py         leases, which protect blobs while we work
proto/           containerd's protobuf messages
"""

from __future__ import annotations

from eci_convert.transports.containerd.catalog import open_catalog
from eci_convert.transports.containerd.sink import open_referrer_sink, open_sink
from eci_convert.transports.containerd.source import open_source

__all__ = ["open_catalog", "open_referrer_sink", "open_sink", "open_source"]
