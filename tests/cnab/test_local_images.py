"""Images that no registry has are pushed from the local engine, under their digests alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_sink
from tests.support.cnab_bundles import index_at, sent, write_bundle
from tests.support.command_line import Run
from tests.support.fake_docker import ADocker, a_docker
from tests.support.images import an_image, copied


@pytest.fixture(params=[False, True], ids=["classic", "containerd"])
def docker(request: pytest.FixtureRequest, environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ADocker]:
    """The engine that the command line finds."""
    with (
        tempfile.TemporaryDirectory() as directory,  # the path of a socket must be short
        a_docker(Path(directory), in_containerd=request.param) as engine,
    ):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.path}")
        yield engine


def load(docker: ADocker, name: str, text: bytes) -> None:
    image = an_image().tar_layer({"etc/motd": text}).build()
    copied(image, open_sink(f"docker-daemon:{name}", docker.settings()))


def test_a_local_image_comes_into_the_repository_under_its_digest(
    run: Run, registry: FaultyRegistry, docker: ADocker
) -> None:
    load(docker, f"{registry.host}/local/thing:1", b"one")
    load(docker, f"{registry.host}/local/other:latest", b"two")
    write_bundle(registry.host, "local/thing:1", other="local/other")

    run("cnab", "push", "bundle.json", "-t", f"{registry.host}/apps/shop:1", "--auto-update-bundle")

    entries = index_at(registry, "apps/shop", "1")["manifests"]
    assert len({entry["digest"] for entry in entries}) == 3
    for entry in entries[1:]:
        media_type, content = registry.manifests["apps/shop", entry["digest"]]
        assert (media_type, len(content)) == (entry["mediaType"], entry["size"])
        kinds = [layer["mediaType"] for layer in json.loads(content)["layers"]]
        assert docker.in_containerd or all(kind.endswith("gzip") for kind in kinds)
    assert {tag for repository, tag in registry.manifests if repository == "apps/shop" and ":" not in tag} == {"1"}


def test_a_registrys_image_goes_before_the_engines(run: Run, registry: FaultyRegistry, docker: ADocker) -> None:
    load(docker, f"{registry.host}/src/hello-invoc:0.1.0", b"another")
    write_bundle(registry.host)

    run("cnab", "push", "bundle.json", "-t", f"{registry.host}/apps/shop:1", "--auto-update-bundle")

    assert not [line for line in docker.log if "/get" in line or "export" in line]


def test_an_image_without_a_name_is_the_one_with_its_id(run: Run, registry: FaultyRegistry, docker: ADocker) -> None:
    load(docker, "nameless:1", b"nameless")
    identity = docker.identity(docker.images["nameless:1"])
    bundle = json.loads(write_bundle(registry.host).read_text())
    bundle["images"] = {"a": {"imageType": "docker", "image": "", "contentDigest": identity, "description": ""}}
    Path("bundle.json").write_text(json.dumps(bundle))

    run("cnab", "push", "bundle.json", "-t", f"{registry.host}/apps/shop:1", "--auto-update-bundle")
    run("cnab", "pull", f"{registry.host}/apps/shop:1", "--bundle", "back.json")

    digest = index_at(registry, "apps/shop", "1")["manifests"][2]["digest"]
    assert json.loads(Path("back.json").read_text())["images"]["a"]["contentDigest"] == digest
    assert f"{registry.host}/apps/shop@{digest}" in json.loads(Path("relocation-map.json").read_text()).values()


def test_a_second_push_of_a_fixed_bundle_asks_no_engine(run: Run, registry: FaultyRegistry, docker: ADocker) -> None:
    load(docker, f"{registry.host}/local/thing:1", b"one")
    write_bundle(registry.host, "local/thing:1")
    target = f"{registry.host}/apps/shop:1"
    run("cnab", "push", "bundle.json", "-t", target, "--auto-update-bundle")
    run("cnab", "pull", target, "--bundle", "fixed.json")
    registry.requests.clear()
    docker.log.clear()

    run("cnab", "push", "fixed.json", "-t", target)

    assert sent(registry) == []
    assert docker.log == []


def test_no_engine_is_asked_where_that_is_not_wanted(run: Run, registry: FaultyRegistry, docker: ADocker) -> None:
    load(docker, f"{registry.host}/local/thing:1", b"one")
    write_bundle(registry.host, "local/thing:1")

    docker.log.clear()
    target = ("-t", f"{registry.host}/a:1", "--auto-update-bundle")

    run("cnab", "push", "bundle.json", *target, "--push-images=false", exits=4)
    run("cnab", "fixup", "bundle.json", *target, exits=4)

    assert docker.log == []
