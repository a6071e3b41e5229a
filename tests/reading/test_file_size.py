"""The size of a file, in layers and where an engine has it unpacked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from eci_convert.errors import MissingPartError, NotFoundError
from eci_convert.reading.file_size import size_in_container, size_of_file
from eci_convert.reading.images import load_image
from eci_convert.transports.base import Source
from eci_convert.transports.memory import MemorySource
from tests.support.images import a_tar, an_image

CONTENT = b"kernel" * 1000
LONG = b"kernel" * (8 << 20)
PIECE = 1 << 16


class UnpackedFile:
    """An engine's files: one, called `kernel`. *pieces* counts those of its archive that were taken."""

    hides_files = False
    follows_links = False

    def __init__(self) -> None:
        self.pieces = 0

    @contextmanager
    def fetch(self, path: str) -> Iterator[Iterable[bytes]]:
        if path.strip("/") != "kernel":
            raise NotFoundError(f"no {path}")
        yield self._counted(a_tar({"kernel": LONG}))

    def _counted(self, archive: bytes) -> Iterator[bytes]:
        for start in range(0, len(archive), PIECE):
            self.pieces += 1
            yield archive[start : start + PIECE]

    def full_image(self) -> Source:
        raise AssertionError("all of the image was asked for")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_file_of_the_layers_is_as_long_as_its_content(compression: str) -> None:
    lower = an_image().tar_layer({"boot/kernel": b"old", "other": b"other"})
    source = lower.tar_layer({"boot/kernel": CONTENT}, compression=compression).build()

    assert size_of_file(source, load_image(source), "/boot/kernel") == len(CONTENT)
    with pytest.raises(MissingPartError, match="/nothing"):
        size_of_file(source, load_image(source), "/nothing")


def test_an_unpacked_file_is_not_read_to_its_end() -> None:
    files = UnpackedFile()
    source = MemorySource(an_image().build().store, filesystem=files)

    assert size_of_file(source, load_image(source), "/kernel") == len(LONG)
    assert 0 < files.pieces * PIECE < len(LONG) / 2

    with pytest.raises(MissingPartError, match="/nothing"):
        size_in_container(files, "/nothing")
