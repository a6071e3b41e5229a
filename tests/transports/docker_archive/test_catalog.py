"""The catalog contract over what docker save writes."""

from __future__ import annotations

from pathlib import Path

from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.contract.catalogs import ReadOnlyContract
from tests.support.images import ImageBuilder, copied


class TestDockerArchive(ReadOnlyContract):
    def write(self, directory: Path, images: dict[str, ImageBuilder]) -> str:
        [(name, image)] = images.items()
        copied(image.build(), open_sink(f"docker-archive:{directory}/a.tar:{name}", Settings()))
        return f"docker-archive:{directory}/a.tar"
