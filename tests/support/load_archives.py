"""An archive for `docker load` that is made in a stream, as an engine is fed."""

from __future__ import annotations

import io
import tarfile

from eci_convert.oci.manifest import to_json
from eci_convert.transports.docker_archive.sink import DockerArchiveWriter
from eci_convert.transports.tar_store.writer import StreamOutput
from tests.support.images import ImageBuilder


class Streamed:
    """The archive of an image whose layers' sizes are known beforehand, and their digests are not."""

    def __init__(self, image: ImageBuilder, *tags: str, know_sizes: bool = True) -> None:
        self.pieces: list[bytes] = []
        writer = DockerArchiveWriter(StreamOutput(self.pieces.append, {}, "the stream"), tags)
        for descriptor, blob in image.layers:
            writer.put(descriptor.media_type, iter((blob,)), None, len(blob) if know_sizes else None)
        config, config_type = image.config_blob()
        writer.put(config_type, (config,), None, None)
        writer.put(image.media_type, (to_json(image.manifest()),), None, None)
        writer.publish(image.descriptor())
        writer.close()

    @property
    def archive(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)

    @property
    def names(self) -> list[str]:
        """The members' names."""
        with tarfile.open(fileobj=io.BytesIO(self.archive)) as archive:
            return archive.getnames()
