"""Images that are loaded into a fake Docker engine, and the files that are read of them."""

from __future__ import annotations

from collections.abc import Iterator

from eci_convert.reading.files import read_files
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from tests.support.fake_docker import ADocker
from tests.support.images import ImageBuilder, copied


def loaded(docker: ADocker, image: ImageBuilder, name: str = "machine:1") -> None:
    copied(image.build(), open_sink(f"docker-daemon:{name}", docker.settings()))


class Taken:
    """A consumer that keeps what it is given."""

    can_retake = False

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        found = b"".join(chunks)
        assert len(found) == size
        self.files |= dict.fromkeys(paths, found)


def files_of(docker: ADocker, *paths: str, name: str = "machine:1") -> dict[str, bytes]:
    taken = Taken()
    with open_source(f"docker-daemon:{name}", docker.settings()) as source:
        read_files(source, load_image(source), paths, taken)
    return taken.files
