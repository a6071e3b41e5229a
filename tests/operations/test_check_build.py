"""What a builder of the engine has made is looked at before it gets its name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.docker_build.request import BuildRequest
from eci_convert.errors import CannotHoldError
from eci_convert.operations.check_build import build_checked, check_built
from eci_convert.reading.local_parts import artifact_from_parts
from tests.support.docker_images import loaded
from tests.support.fake_docker import ADocker, a_docker
from tests.support.images import Files, Link, an_image
from tests.support.reporters import Listening

KERNEL = "org.lfedge.eci.artifact.kernel"
PARTS = artifact_from_parts(kernel=b"kernel")


@pytest.fixture
def docker() -> Iterator[ADocker]:
    with tempfile.TemporaryDirectory() as directory, a_docker(Path(directory)) as engine:
        yield engine


def check(docker: ADocker, order: BuildRequest, files: Files, label: str = "/kernel") -> None:
    image = an_image().tar_layer(files)
    loaded(docker, image.label(KERNEL, label) if label else image)
    check_built(order, "docker-daemon:machine:1", docker.settings())


@pytest.mark.parametrize(
    "files",
    [
        {"kernel/": None, "kernel/kernel": b"kernel"},
        {"kernel": Link("boot"), "boot/kernel": b"kernel"},
        {"kernel": b"an older kernel"},
        {"other": b"kernel"},
        {"kernel/kernel": b"kernel", "kernel/other": b"other"},
    ],
)
def test_a_base_that_has_something_else_at_a_part_s_place_is_refused(docker: ADocker, files: Files) -> None:
    with pytest.raises(CannotHoldError, match="kernel") as caught:
        check(docker, BuildRequest(name="machine:1", artifact=PARTS, base="base:1"), files)

    assert "--base" in caught.value.__notes__[0]


def test_parts_in_their_places_are_right_and_not_read(docker: ADocker) -> None:
    check(docker, BuildRequest(name="machine:1", artifact=PARTS, base="base:1"), {"kernel": b"kernel"})

    assert "GET get" not in docker.log


def test_an_image_of_nothing_but_parts_is_not_asked_for(docker: ADocker) -> None:
    check_built(BuildRequest(name="machine:1", artifact=PARTS), "docker-daemon:none", docker.settings())

    assert docker.log == []


def test_a_dockerfile_s_labels_have_to_lead_to_files(docker: ADocker) -> None:
    order = BuildRequest(name="machine:1", file=Path("Dockerfile"))

    check(docker, order, {"boot/vmlinuz": b"kernel"}, "/boot/vmlinuz")
    with pytest.raises(CannotHoldError, match="/boot"):
        check(docker, order, {"boot/vmlinuz": b"kernel"}, "/boot")


def test_a_dockerfile_that_declares_no_parts_is_warned_of(docker: ADocker) -> None:
    reporter = Listening()
    loaded(docker, an_image().tar_layer({"hello": b"hello"}))
    order = BuildRequest(name="machine:1", file=Path("Dockerfile"))

    check_built(order, "docker-daemon:machine:1", docker.settings(reporter=reporter))

    assert ["no parts" in text for text in reporter.warnings] == [True]


def test_an_image_that_is_no_good_does_not_get_the_name(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))
    before = dict(docker.images)
    order = BuildRequest(name="machine:1", artifact=PARTS, base="base:1")

    with pytest.raises(CannotHoldError, match="no good"):
        build_checked(order, docker.settings(), builder="docker", log=str)

    assert docker.builds
    assert docker.images == before


def test_an_image_that_is_good_gets_the_name_and_no_other(docker: ADocker, tmp_path: Path) -> None:
    loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    order = BuildRequest(name="machine:1", file=tmp_path / "Dockerfile")

    identity = build_checked(order, docker.settings(), builder="docker", log=str)

    assert {name: docker.identity(image) for name, image in docker.images.items()} == {"machine:1": identity}
