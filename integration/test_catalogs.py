"""Images listed, named and deleted in real engines and stores, and what other programs see of it."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from eci_convert.errors import UsageError
from eci_convert.operations.store.delete import delete
from eci_convert.operations.store.list import ListedImage, list_images
from eci_convert.operations.store.tag import tag
from eci_convert.transports.settings import Settings
from integration.engines.containerd import Containerd
from integration.engines.docker import DockerEngine
from integration.engines.podman import Store
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from tests.support.contract.catalogs import CatalogContract, Place, image

_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared(Place):
    """Names with a *prefix* of their own in a place that others use too."""

    prefix: str

    def images(self) -> tuple[ListedImage, ...]:
        return tuple(one for one in list_images(self.root, self.settings) if one.name.startswith(self.prefix))


class TestDocker(CatalogContract):
    @pytest.fixture
    def place(self, docker_engine: DockerEngine) -> Place:
        prefix = f"catalog-{next(_NUMBERS)}"
        settings = Settings(environ=docker_engine.env, timeout=30)
        return Shared(
            reference=f"docker-daemon:{prefix}/{{}}",
            root="docker-daemon:",
            settings=settings,
            shown=lambda name: f"{prefix}/{name}",
            prefix=f"{prefix}/",
        )

    def test_a_listed_id_names_its_image(self, place: Place) -> None:
        """The prefix is of names, and ids have none."""
        super().test_a_listed_id_names_its_image(_ById.of(place))

    def test_an_id_that_several_names_share_needs_all_tags(self, place: Place) -> None:
        super().test_an_id_that_several_names_share_needs_all_tags(_ById.of(place))


class TestContainerd(TestDocker):
    @pytest.fixture
    def place(self, containerd_engine: Containerd) -> Place:
        prefix = f"c.example/catalog-{next(_NUMBERS)}"
        settings = Settings(address=containerd_engine.address, environ=containerd_engine.env, timeout=30)
        return Shared(
            reference=f"containerd:{prefix}/{{}}",
            root="containerd:",
            settings=settings,
            shown=lambda name: f"{prefix}/{name}",
            prefix=f"{prefix}/",
        )


class TestPodman(TestDocker):
    @pytest.fixture
    def place(self, podman_store: Store) -> Place:
        prefix = f"p.example/catalog-{next(_NUMBERS)}"
        root = f"containers-storage:[{podman_store.driver}@{podman_store.root}]"
        return Shared(
            reference=f"{root}{prefix}/{{}}",
            root=root,
            settings=Settings(timeout=30),
            shown=lambda name: f"{prefix}/{name}",
            prefix=f"{prefix}/",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ById(Shared):
    """The same, with ids where they stand in the place."""

    @classmethod
    def of(cls, place: Place) -> Place:
        assert isinstance(place, Shared)
        return cls(
            reference=place.reference, root=place.root, settings=place.settings, shown=place.shown, prefix=place.prefix
        )

    def at(self, name: str) -> str:
        is_id = len(name) == 12 or name.startswith("sha256:")
        return self.root + name if is_id else self.reference.format(name)


def test_podman_sees_what_was_deleted_and_what_was_not(podman_store: Store) -> None:
    root = f"containers-storage:[{podman_store.driver}@{podman_store.root}]"
    place = Place(reference=root + "s.example/sees/{}", root=root, settings=Settings(timeout=30))
    for number in (1, 2):
        place.put(f"m:{number}", image(b"sees %d" % number))  # no other test gives this id more names

    delete([place.at("m:1")], place.settings)
    tag(place.at("m:2"), ["s.example/sees/m:3"], place.settings)

    listed = podman_store.podman("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert {name for name in listed if name.startswith("s.example/sees/")} == {
        "s.example/sees/m:2",
        "s.example/sees/m:3",
    }
    podman_store.podman("save", "--format", "oci-archive", "--output", "/dev/null", "s.example/sees/m:3")
    container = podman_store.podman("create", "s.example/sees/m:2", "/none")
    with pytest.raises(Exception, match="used by container"):
        delete([place.at("m:2"), place.at("m:3")], place.settings)
    podman_store.podman("rm", container)
    delete([place.at("m:2"), place.at("m:3")], place.settings)
    assert "s.example/sees" not in podman_store.podman("images")


def test_what_podman_built_is_listed_and_deleted_layer_by_layer(podman_store: Store, tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY a /a\nCOPY b /b\n")
    for name in "ab":
        (tmp_path / name).write_text(name)
    podman_store.buildah("bud", "--layers", "--tag", "b.example/built:1", str(tmp_path))
    root = f"containers-storage:[{podman_store.driver}@{podman_store.root}]"
    settings = Settings(timeout=30)
    before = len(list_images(root, settings))

    assert "b.example/built" in {one.name for one in list_images(root, settings)}
    delete([f"{root}b.example/built:1"], settings)

    assert len(list_images(root, settings)) == before - 1
    assert "b.example/built" not in podman_store.podman("images", "--all")
    podman_store.buildah("bud", "--layers", "--tag", "b.example/built:1", str(tmp_path))


def test_docker_registry_deletes_manifests_and_no_tag_that_was_not_named(
    registry: Registry, programs: Programs
) -> None:
    root = f"docker://{registry.host}/catalog/machines"
    place = Place(reference=root + ":{}", root=root, settings=Settings(timeout=30))
    place.put("1", image(b"1"))
    tag(place.at("1"), ["2", "3"], place.settings)

    said = subprocess.run(
        [programs.skopeo, "list-tags", "--tls-verify=false", root], capture_output=True, text=True, check=True
    )
    assert sorted(json.loads(said.stdout)["Tags"]) == ["1", "2", "3"]
    assert [one.tag for one in place.images()] == ["1", "2", "3"]
    assert f"{registry.host}/catalog/machines" in {
        one.name for one in list_images(f"docker://{registry.host}", place.settings)
    }
    with pytest.raises(UsageError, match="several names"):
        delete([place.at("1")], place.settings)
    place.put("4", image(b"4"))
    delete([place.at("1")], place.settings, all_tags=True)
    assert [one.tag for one in place.images()] == ["4"]
    place.check_whole("4")


def test_skopeo_and_umoci_read_what_stays_in_a_layout(tmp_path: Path, programs: Programs) -> None:
    root = f"oci:{tmp_path}/layout"
    place = Place(reference=root + ":{}", root=root)
    for number in (1, 2):
        place.put(f"m{number}", image(b"%d" % number))
    tag(place.at("m2"), ["m3"])

    delete([place.at("m1"), place.at("m2")])

    said = subprocess.run(
        [programs.umoci, "list", "--layout", f"{tmp_path}/layout"], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["m3"]
    subprocess.run([programs.umoci, "gc", "--layout", f"{tmp_path}/layout"], check=True, capture_output=True)
    subprocess.run(
        [programs.skopeo, "copy", "--override-arch", "amd64", f"{root}:m3", f"dir:{tmp_path}/dir"],
        check=True,
        capture_output=True,
    )
    place.check_whole("m3")


def test_containers_of_a_docker_engine_keep_their_image(
    docker_engine: DockerEngine, image_name: str, eci_convert: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    place = Place(
        reference="docker-daemon:{}", root="docker-daemon:", settings=Settings(environ=docker_engine.env, timeout=30)
    )
    place.put(image_name, image(b"1"))
    container = docker_engine.docker("create", image_name, "/none").strip()

    said = eci_convert("delete", f"docker-daemon:{image_name}", env=docker_engine.env, exits=3)

    assert container[:12] in said.stderr
    docker_engine.docker("rm", container)
    eci_convert("delete", f"docker-daemon:{image_name}", env=docker_engine.env)
    assert replace(place).is_absent(image_name)


def test_podman_behind_a_docker_socket_spells_names_its_own_way(podman_service: DockerEngine) -> None:
    settings = Settings(environ=podman_service.env, timeout=30)
    place = Place(reference="docker-daemon:{}", root="docker-daemon:", settings=settings)
    place.put("spelt:1", image(b"1"))
    digest = tag("docker-daemon:spelt:1", ["spelt:2"], settings)

    names = sorted(name for name in place.names() if "spelt" in name)
    removed = delete(["docker-daemon:spelt:1"], settings)

    assert len(names) == 2
    assert [entry.name.rpartition("/")[2] for _, entry in removed] == ["spelt:1"]
    assert [name.rpartition("/")[2] for name in place.names() if "spelt" in name] == ["spelt:2"]
    delete([f"docker-daemon:{digest.hex[:12]}"], settings)
    assert not [name for name in place.names() if "spelt" in name]
