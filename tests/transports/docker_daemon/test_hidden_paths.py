"""A container is not the image: what an engine hides, adds or takes for something else comes from the saved image."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eci_convert.errors import AmbiguousRoleError, LimitExceededError, MissingPartError
from eci_convert.reading.files import read_files
from eci_convert.reading.images import load_image
from eci_convert.transports import open_source
from tests.support.docker_images import files_of, loaded
from tests.support.fake_docker import ADocker, AnImage, Handler, a_docker
from tests.support.images import Files, ImageBuilder, Link, an_image
from tests.support.layer_stacks import Basket

DOCKER = {"etc/hosts": b"", "etc/hostname": b"", "etc/resolv.conf": b"", ".dockerenv": b"", "dev/console": b""}
FILES: Files = {
    "etc/": None,
    "etc/hosts": b"10.0.0.1 box\n",
    "etc/resolv.conf": b"nameserver 10.0.0.2\n",
    "etc/mtab": b"mounts\n",
    "dev/disk.raw": b"disk",
    "proc/kcore": b"core",
    "run/secrets/key": b"key",
    ".dockerenv": b"env",
    "config": Link("etc"),
    "names": Link("config/hosts"),
    "kernel": b"kernel",
    "empty/file": b"",
}


@pytest.fixture
def docker() -> Iterator[ADocker]:
    with tempfile.TemporaryDirectory() as directory, a_docker(Path(directory), added=dict(DOCKER)) as engine:
        yield engine


def podman(**words: Any) -> Any:
    """An engine that behaves as podman 4.3 does."""
    directory = tempfile.mkdtemp()
    return a_docker(
        Path(directory), components=("Podman Engine",), takes_patterns=True, follows_links=True, api="1.41", **words
    )


def image_with_volumes(files: Files, *volumes: str) -> ImageBuilder:
    return an_image().tar_layer(files).config_field("config", {"Volumes": {volume: {} for volume in volumes}})


@pytest.mark.parametrize(
    "path",
    ["/etc/hosts", "/etc/resolv.conf", "/etc/mtab", "/dev/disk.raw", "/proc/kcore", "/run/secrets/key", "/.dockerenv"],
)
def test_what_the_engine_lays_over_the_image_comes_from_the_image(docker: ADocker, path: str) -> None:
    loaded(docker, an_image().tar_layer(FILES))

    assert files_of(docker, path) == {path: FILES[path.strip("/")]}


@pytest.mark.parametrize("path", ["/names", "/config/hosts", "/config/../etc/hosts", "/config/resolv.conf"])
def test_links_that_lead_there_do_not_hide_it(docker: ADocker, path: str) -> None:
    loaded(docker, an_image().tar_layer(FILES))

    assert files_of(docker, path) in ({path: FILES["etc/hosts"]}, {path: FILES["etc/resolv.conf"]})


def test_a_directory_that_is_a_link_in_the_image_is_read_from_it(docker: ADocker) -> None:
    """Docker makes a directory of /etc, and the image's files are behind the link that was there."""
    loaded(docker, an_image().tar_layer({"system/machine": b"m1", "etc": Link("system")}))

    def replaced(handler: Handler) -> None:
        hidden = handler.query["path"].startswith("/etc/")
        handler.refuse(404, "Could not find the file") if hidden else handler.get_archive()

    docker.instead["GET archive"] = replaced

    assert files_of(docker, "/etc/machine") == {"/etc/machine": b"m1"}


def test_the_one_file_of_a_directory_is_the_image_s(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"etc/": None, "etc/machine": b"m1"}))

    assert files_of(docker, "/etc/") == {"/etc/": b"m1"}


def test_other_files_still_come_alone(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer(FILES))

    assert files_of(docker, "/kernel", "/empty/file", "/etc/hosts")["/kernel"] == b"kernel"
    assert docker.log.count("GET get") == 1
    docker.log.clear()
    assert files_of(docker, "/kernel", "/empty/file") == {"/kernel": b"kernel", "/empty/file": b""}
    assert "GET get" not in docker.log


@pytest.mark.parametrize("path", ["/disk/vm.img", "/data/vm.img", "/boot/one", "/b/one", "/disk/", "/vm"])
def test_what_is_below_a_volume_comes_from_the_image(path: str) -> None:
    files: Files = {
        "disk/": None,
        "disk/vm.img": b"DISK",
        "data": Link("disk"),
        "vm": Link("data/vm.img"),
        "boot/one": b"DISK",
        "b": Link("boot"),
        "kernel": b"kernel",
    }
    with podman(hidden=("/disk", "/boot/one")) as engine:
        loaded(engine, image_with_volumes(files, "/data", "/boot/one"))
        assert files_of(engine, path) == {path: b"DISK"}
        engine.log.clear()
        assert files_of(engine, "/kernel") == {"/kernel": b"kernel"}
        assert "GET get" not in engine.log


def test_what_the_engine_mounts_hides_too() -> None:
    with podman(hidden=("/pki",), mounts=({"Type": "volume", "Destination": "/pki"},)) as engine:
        loaded(engine, an_image().tar_layer({"pki/key": b"key"}))
        assert files_of(engine, "/pki/key") == {"/pki/key": b"key"}


def test_a_directory_of_the_host_that_is_mounted_is_not_the_image() -> None:
    with podman(added={"pki/key": b"host's"}, mounts=({"Type": "bind", "Destination": "/pki"},)) as engine:
        loaded(engine, an_image().tar_layer({"pki/key": b"key", "keys": Link("pki")}))
        assert files_of(engine, "/keys/key") == {"/keys/key": b"key"}


def test_a_name_is_no_pattern() -> None:
    files: Files = {"disk[1].raw": b"THE DISK", "disk1.raw": b"ANOTHER", "d*/k": b"K", "dx/k": b"X", "d[x]/k": b"L"}
    with podman() as engine:
        loaded(engine, an_image().tar_layer(files))
        assert files_of(engine, "/disk[1].raw", "/d*/k") == {"/disk[1].raw": b"THE DISK", "/d*/k": b"K"}
        # The name in the answer is the same in both directories, so that it gives nothing away.
        assert files_of(engine, "/d[x]/k") == {"/d[x]/k": b"L"}
        with pytest.raises(MissingPartError):
            files_of(engine, "/disk?.raw")


def test_docker_takes_a_name_for_a_name(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"disk[1].raw": b"THE DISK", "disk1.raw": b"ANOTHER"}))

    assert files_of(docker, "/disk[1].raw") == {"/disk[1].raw": b"THE DISK"}
    assert "GET get" not in docker.log


def test_another_file_than_was_asked_for_is_not_taken(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"kernel": b"kernel", "other": b"other"}))

    def other(handler: Handler) -> None:
        handler.query["path"] = "/other"
        handler.get_archive()

    docker.instead["GET archive"] = other

    assert files_of(docker, "/kernel") == {"/kernel": b"kernel"}


def test_dots_behind_a_link_are_read_from_the_image_where_links_are_followed() -> None:
    with podman() as engine:
        loaded(engine, an_image().tar_layer({"l": Link("boot/sub"), "boot/sub/x": b"", "boot/k": b"K", "k": b"wrong"}))
        basket = Basket()
        with open_source("docker-daemon:machine:1", engine.settings()) as source:
            read_files(source, load_image(source), ["/l/../k"], basket)
        assert basket.files == {"/l/../k": b"K"}


def test_an_image_without_architecture_is_read(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))
    image = docker.images["machine:1"]
    config = json.loads(image.config) | {"architecture": ""}
    docker.images["machine:1"] = AnImage(json.dumps(config).encode(), image.layers)

    assert files_of(docker, "/kernel") == {"/kernel": b"kernel"}
    assert "GET get" not in docker.log


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500])
def test_where_no_container_can_be_made_the_image_is_saved(docker: ADocker, status: int) -> None:
    """Docker makes none where a volume is a file, nor where a plugin forbids it."""
    loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))

    def refusing(handler: Handler) -> None:
        handler.body()
        handler.refuse(status, "not today")

    docker.instead["POST create"] = refusing

    assert files_of(docker, "/kernel") == {"/kernel": b"kernel"}
    with pytest.raises(MissingPartError):
        files_of(docker, "/nothing")


def test_what_is_below_a_file_is_not_in_the_image(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"boot/vmlinuz": b"kernel", "k": Link("boot/vmlinuz/x")}))

    for path in ("/boot/vmlinuz/x", "/boot/vmlinuz/", "/k"):
        with pytest.raises(MissingPartError):
            files_of(docker, path)
    assert "GET get" not in docker.log


@pytest.mark.parametrize("said", ["lstat /x: permission denied", "file name too long", "rename: invalid argument"])
def test_where_the_engine_does_not_give_a_file_the_saved_image_does(docker: ADocker, said: str) -> None:
    loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))
    docker.instead["GET archive"] = lambda handler: handler.refuse(500, said)

    assert files_of(docker, "/kernel") == {"/kernel": b"kernel"}


def test_links_that_go_round_are_the_image_s_fault(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"a": Link("b"), "b": Link("a")}))

    with pytest.raises(LimitExceededError, match="too many levels of symbolic links"):
        files_of(docker, "/a/x")


def test_names_that_are_not_utf_8_come_from_the_saved_image(docker: ADocker) -> None:
    name = os.fsdecode(b"n\xe9")
    loaded(docker, an_image().tar_layer({name: b"kernel"}))

    assert files_of(docker, f"/{name}") == {f"/{name}": b"kernel"}


def test_a_directory_with_two_files_is_as_ambiguous_in_a_volume() -> None:
    with podman(hidden=("/disk/b",)) as engine:
        loaded(engine, image_with_volumes({"disk/": None, "disk/a": b"a", "disk/b": b"b"}, "/disk/b"))
        with pytest.raises(AmbiguousRoleError):
            files_of(engine, "/disk/")


def test_the_size_of_a_hidden_file_is_known_before_it_travels(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer(FILES))

    class Scales:
        can_retake = False
        size = -1

        def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
            self.size = size
            for _ in chunks:
                pass

    scales = Scales()
    with open_source("docker-daemon:machine:1", docker.settings()) as source:
        read_files(source, load_image(source), ["/etc/hosts"], scales)
    assert scales.size == len(b"10.0.0.1 box\n")
