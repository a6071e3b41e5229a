"""The contracts of sources and sinks over containers-storage, with either driver."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_convert.errors import DigestMismatchError
from eci_convert.oci.digest import Digest
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings
from tests.support.contract.sinks import SinkContract
from tests.support.contract.sources import SourceContract
from tests.support.contract.transports import StoreUnderTest, corrupted
from tests.support.images import a_container, copied


class StorageStore:
    """A store below one directory."""

    def __init__(self, root: Path, driver: str) -> None:
        self.root = root
        self.driver = driver

    def source(self, name: str) -> Source:
        return open_source(f"containers-storage:[{self.driver}@{self.root}]x.io/{name}:1", Settings(timeout=5))

    def sink(self, name: str) -> Sink:
        return open_sink(f"containers-storage:[{self.driver}@{self.root}]x.io/{name}:1", Settings(timeout=5))

    def corrupt(self, digest: Digest) -> None:
        """Of a layer, change the file that it holds; of a manifest or config, that file."""
        layers = json.loads((self.root / f"{self.driver}-layers/layers.json").read_text())
        for layer in layers:
            if layer["diff-digest"] == str(digest):
                where = {"overlay": f"overlay/{layer['id']}/diff", "vfs": f"vfs/dir/{layer['id']}"}[self.driver]
                path = next(path for path in sorted((self.root / where).rglob("*")) if path.is_file())
                path.write_bytes(corrupted(path.read_bytes()))
                return
        for path in (self.root / f"{self.driver}-images").glob("*/*"):
            if Digest.of(path.read_bytes()) == digest:
                path.write_bytes(corrupted(path.read_bytes()))

    def files(self) -> dict[str, bytes]:
        """All stored files; a lock file names the last writer, and is left out."""
        return {
            str(path.relative_to(self.root)): path.read_bytes() if path.is_file() else os.fsencode(str(path))
            for path in sorted(self.root.rglob("*"))
            if not path.is_dir() and path.suffix != ".lock"
        }


class Overlay:
    driver = "overlay"
    keeps_manifests = False
    stores_sha512 = False

    @contextmanager
    def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
        yield StorageStore(directory / "store", self.driver)


class Vfs(Overlay):
    driver = "vfs"


class TestOverlaySource(Overlay, SourceContract):
    pass


class TestOverlaySink(Overlay, SinkContract):
    pass


class TestVfsSource(Vfs, SourceContract):
    pass


class TestVfsSink(Vfs, SinkContract):
    pass


@pytest.mark.parametrize("tag", ["", ":2"])
def test_a_digest_in_the_name_must_be_that_of_the_image(tmp_path: Path, tag: str) -> None:
    image, store = a_container(), f"containers-storage:[vfs@{tmp_path}/store]x.io/machine{tag}"
    digest = image.descriptor().digest

    with pytest.raises(DigestMismatchError):
        copied(image.build(), open_sink(f"{store}@{Digest.of(b'')}", Settings()))
    copied(image.build(), open_sink(f"{store}@{digest}", Settings()))

    [stored] = json.loads((tmp_path / "store/vfs-images/images.json").read_text())
    assert stored["names"] == [f"x.io/machine{tag or f'@{digest}'}"]
    with open_source(f"{store}@{digest}", Settings()) as source:
        assert source.resolve()
