"""The catalog contract over a Docker engine of a test's own, with either store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_convert.errors import TransportError
from eci_convert.operations.store.delete import delete
from tests.support.contract.catalogs import CatalogContract, Place, image
from tests.support.fake_docker import a_docker


class DockerContract(CatalogContract):
    in_containerd = False

    @contextmanager
    def opened(self, directory: Path) -> Iterator[Place]:
        with (
            tempfile.TemporaryDirectory() as short,
            a_docker(Path(short), in_containerd=self.in_containerd) as engine,
        ):
            yield Place(reference="docker-daemon:{}", root="docker-daemon:", settings=engine.settings())


class TestClassicStore(DockerContract):
    pass


class TestContainerdStore(DockerContract):
    in_containerd = True


def test_an_image_that_a_container_uses_is_the_engines_refusal(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as short, a_docker(Path(short)) as engine:
        place = Place(reference="docker-daemon:{}", root="docker-daemon:", settings=engine.settings())
        place.put("m:1", image(b"1"))
        engine.instead["DELETE images"] = lambda handler: handler.refuse(409, "conflict: container 1 is using it")

        with pytest.raises(TransportError, match="container 1 is using it"):
            delete(["docker-daemon:m:1"], place.settings)

        assert place.names() == ["m:1"]
