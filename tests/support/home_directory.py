"""Somebody with a home directory who pulls and pushes, as reading/blobs.py and pack would do it for them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.reading.blobs import open_blob
from eci_convert.streams.repeatable import RepeatableStream
from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings
from tests.support.reporters import Listening

PASSWORD = "p4ssw0rd"
TYPE = "application/vnd.lfedge.disk.layer.v1+raw"


class User:
    """A user of registries: a home directory, what was typed, and what was answered."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        self.flags: dict[str, Any] = {"timeout": 5.0}
        self.reporter = Listening()

    @property
    def warnings(self) -> list[str]:
        return self.reporter.warnings

    def settings(self, **flags: Any) -> Settings:
        return Settings(environ=self.environ, reporter=self.reporter, **(self.flags | flags))

    def logs_in(self, host: str, name: str = "me", password: str = PASSWORD) -> None:
        """What `docker login` leaves behind."""
        path = self.home / ".docker/config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text())["auths"] if path.exists() else {}
        known[host] = {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()}
        path.write_text(json.dumps({"auths": known}))

    def source(self, registry: FaultyRegistry, name: str = "machine:1", **flags: Any) -> Source:
        return open_source(f"docker://{registry.host}/{name}", self.settings(**flags))

    def sink(self, registry: FaultyRegistry, name: str = "machine:1", **flags: Any) -> Sink:
        return open_sink(f"docker://{registry.host}/{name}", self.settings(**flags))

    def pulls(self, registry: FaultyRegistry, digest: str, size: int, *, skip: int = 0, **flags: Any) -> bytes:
        """A blob, verified unless a part of it is skipped."""
        blob = Descriptor(media_type=TYPE, digest=Digest.parse(digest), size=size)
        with self.source(registry, **flags) as source:
            if skip:
                with source.fetch(blob, skip) as chunks:
                    return b"".join(chunks)
            with open_blob(source, blob) as chunks:
                return b"".join(chunks)

    def resolves(self, registry: FaultyRegistry, name: str = "machine:1", **flags: Any) -> Descriptor:
        with self.source(registry, name, **flags) as source:
            return source.resolve()

    def sends(self, registry: FaultyRegistry, chunks: Iterable[bytes], **flags: Any) -> Descriptor:
        """A blob of unknown size and digest."""
        with self.sink(registry, **flags) as sink:
            return sink.put(TYPE, chunks)

    def pushes(
        self, registry: FaultyRegistry, parts: Iterable[bytes], name: str = "machine:1", **flags: Any
    ) -> Descriptor:
        """An image of *parts*."""
        with self.sink(registry, name, **flags) as sink:
            config = sink.put(media_types.OCI_CONFIG, [b"{}"])
            layers = tuple(sink.put(TYPE, [part]) for part in parts)
            manifest = sink.put(media_types.OCI_MANIFEST, [to_json(Manifest(config=config, layers=layers))])
            sink.publish(manifest)
            return manifest


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes without a pattern, the same every time."""
    return hashlib.shake_128(seed.to_bytes(4, "big")).digest(size)


class Counted:
    """Chunks that can be had as often as one likes: `again(data)`; *times* says how often they were."""

    def __init__(self, data: bytes, size: int = 256 * 1024) -> None:
        self.times = 0
        self._data = data
        self._size = size
        self.chunks = RepeatableStream(self._opened)

    def _opened(self) -> Iterator[bytes]:
        self.times += 1
        return once(self._data, self._size)


def again(data: bytes) -> RepeatableStream:
    return Counted(data).chunks


def once(data: bytes, size: int = 256 * 1024) -> Iterator[bytes]:
    """Chunks that can be had one time."""
    return (data[start : start + size] for start in range(0, len(data), size))
