"""The catalog contract over a Docker engine of a test's own, with either store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_convert.errors import FormatError, TransportError, UsageError
from eci_convert.operations.store.delete import delete
from eci_convert.operations.store.list import list_images
from eci_convert.operations.store.tag import tag
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


ID = "sha256:" + 64 * "0"


@pytest.mark.parametrize(
    ("summaries", "where"),
    [
        ([None], "images[0]: expected"),
        ([{}], "images[0].Id: missing"),
        ([{"Id": 5}], "images[0].Id: expected"),
        ([{"Id": "0123"}], "images[0].Id: '0123' is not a digest"),
        ([{"Id": ID}, {"Id": ID, "RepoTags": 5}], "images[1].RepoTags: expected"),
        ([{"Id": ID, "RepoTags": "m:1"}], "images[0].RepoTags: expected"),
        ([{"Id": ID, "RepoTags": [None]}], "images[0].RepoTags[0]: expected"),
        ([{"Id": ID, "Manifests": 5}], "images[0].Manifests: expected"),
        ([{"Id": ID, "Manifests": [{"Kind": "image", "Available": True, "ImageData": 5}]}], "ImageData: expected"),
        (
            [{"Id": ID, "Manifests": 2 * [{"Kind": "image", "Available": True, "ImageData": {"Platform": 5}}]}],
            "Platform: expected",
        ),
    ],
)
def test_a_list_that_is_malformed_is_that(tmp_path: Path, summaries: object, where: str) -> None:
    with tempfile.TemporaryDirectory() as short, a_docker(Path(short)) as engine:
        engine.instead["GET json"] = lambda handler: handler.say(summaries)

        with pytest.raises(FormatError) as caught:
            list_images("docker-daemon:", engine.settings())

    assert where in str(caught.value)


@pytest.mark.parametrize("tags", [5, "m:1", [None], {"m:1": 1}])
def test_an_image_whose_names_are_malformed_is_not_deleted(tmp_path: Path, tags: object) -> None:
    with tempfile.TemporaryDirectory() as short, a_docker(Path(short)) as engine:
        engine.instead["GET json"] = lambda handler: handler.say({"Id": ID, "RepoTags": tags})

        with pytest.raises(FormatError, match="RepoTags"):
            delete(["docker-daemon:m:1"], engine.settings())

        assert not [line for line in engine.log if line.startswith("DELETE")]


def test_a_digest_is_not_a_name(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as short, a_docker(Path(short)) as engine:
        place = Place(reference="docker-daemon:{}", root="docker-daemon:", settings=engine.settings())
        place.put("m:1", image(b"1"))

        for name in ("sha512:" + 128 * "0", "sha512:0123"):
            with pytest.raises(UsageError, match="is an image id"):
                place.put(name, image(b"2"))
            with pytest.raises(UsageError, match="is an image id"):
                tag("docker-daemon:m:1", [name], place.settings)

        assert place.names() == ["m:1"]
