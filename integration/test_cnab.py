"""Bundles in a registry that checks what it is given, with images from registries and from real engines."""

from __future__ import annotations

import http.client
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from tests.support import cnab_golden

Run = Callable[..., subprocess.CompletedProcess[str]]

NOBODY = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


@pytest.fixture
def sources(registry: Registry, eci_convert: Run, tmp_path: Path) -> str:
    """The address of a registry that has the images of the recorded bundles."""
    with tarfile.open(cnab_golden.FOLDER / "source-images.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    layout = tmp_path / "source-images"
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        name = entry["annotations"]["org.opencontainers.image.ref.name"]
        eci_convert("copy", f"oci:{layout}:{name}", f"docker://{registry.host}/{name}", "--all-platforms")
    return registry.host


def fetch(host: str, repository: str, name: str, kind: str = "manifests") -> bytes:
    connection = http.client.HTTPConnection(host, timeout=10)
    accept = ", ".join(f"application/vnd.{word}+json" for word in (
        "oci.image.manifest.v1", "oci.image.index.v1", "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
    ))  # fmt: skip
    connection.request("GET", f"/v2/{repository}/{kind}/{name}", headers={"Accept": accept})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200, content
    return content


def document(host: str, repository: str, name: str) -> dict[str, Any]:
    return json.loads(fetch(host, repository, name))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "name", ["e2e-hello-world", "several-components", "definitions-unknown-keys", "null-collections"]
)
def test_a_bundle_goes_fixup_push_pull_and_comes_back_equal(
    sources: str, eci_convert: Run, tmp_path: Path, name: str
) -> None:
    case = cnab_golden.case(name)
    hosts = {cnab_golden.HOST: sources}
    (tmp_path / "bundle.json").write_bytes(cnab_golden.moved(case.bundle, hosts))
    for call in case.commands:
        words = [cnab_golden.moved(word.encode(), hosts).decode() for word in call["argv"]]
        eci_convert(*words, cwd=tmp_path, env=NOBODY)

    repository = f"cnab/{name}"
    expected = cnab_golden.moved_documents(case, hosts)
    index = fetch(sources, repository, "1")
    manifest = fetch(sources, repository, json.loads(index)["manifests"][0]["digest"])
    config = fetch(sources, repository, json.loads(manifest)["config"]["digest"], "blobs")
    assert (index, manifest, config) == tuple(
        expected[key] for key in ("index.json", "config-manifest.json", "config.json")
    )
    for written in ("fixed-bundle.json", "fixup-relocation-map.json", "pulled.json", "pulled-relocation-map.json"):
        assert (tmp_path / written).read_bytes() == cnab_golden.moved(case.text(written), hosts), written
    assert (tmp_path / "pulled.json").read_bytes() == (tmp_path / "fixed-bundle.json").read_bytes() == config


@pytest.mark.parametrize(
    "name", ["platforms-invocation-push-only", "platforms-component-push-only", "platforms-arm-no-variant"]
)
def test_filtered_platforms_need_no_whole_index_on_a_strict_registry(
    sources: str, eci_convert: Run, tmp_path: Path, name: str
) -> None:
    case = cnab_golden.case(name)
    hosts = {cnab_golden.HOST: sources}
    (tmp_path / "bundle.json").write_bytes(cnab_golden.moved(case.bundle, hosts))
    push = case.command("push")
    assert push is not None
    words = [cnab_golden.moved(word.encode(), hosts).decode() for word in push["argv"]]

    eci_convert(*words, cwd=tmp_path, env=NOBODY)

    index = document(sources, f"cnab/{name}", "1")
    lists = [
        entry for entry in index["manifests"] if "manifest.list" in entry["mediaType"] or "index" in entry["mediaType"]
    ]
    assert lists
    for entry in lists:
        kept = document(sources, f"cnab/{name}", entry["digest"])["manifests"]
        assert 0 < len(kept) < 3
        for child in kept:
            document(sources, f"cnab/{name}", child["digest"])


def test_an_engines_image_is_pushed_and_runs_from_where_the_bundle_has_it(
    sources: str, docker_engine: DockerEngine, eci_convert: Run, image_name: str, tmp_path: Path
) -> None:
    name = f"{sources}/local/{image_name}"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /here\nLABEL a=b\n")
    docker_engine.docker("build", "-t", name, str(tmp_path))
    bundle = {
        "schemaVersion": "v1.0.0", "name": "n", "version": "1", "description": "",
        "invocationImages": [{"imageType": "docker", "image": name}],
    }  # fmt: skip
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    target = f"{sources}/apps/{image_name}"

    eci_convert(
        "cnab", "push", "bundle.json", "-t", target, "--auto-update-bundle", cwd=tmp_path, env=docker_engine.env
    )
    eci_convert("cnab", "pull", target, cwd=tmp_path)

    [place] = json.loads((tmp_path / "relocation-map.json").read_text()).values()
    docker_engine.docker("pull", place)
    labels = docker_engine.docker("inspect", "-f", "{{json .Config.Labels}}", place)
    assert json.loads(labels) == {"a": "b"}


def test_a_registry_whose_certificate_nobody_knows(
    sources: str, registry_tls: Registry, eci_convert: Run, image_name: str, tmp_path: Path
) -> None:
    bundle = {"name": "n", "invocationImages": [{"imageType": "oci", "image": f"{sources}/src/multi:1"}]}
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    target = f"{registry_tls.host}/{image_name}"
    words = ("cnab", "push", "bundle.json", "-t", target, "--auto-update-bundle", "--no-push-images")

    eci_convert(*words, cwd=tmp_path, exits=3)
    eci_convert(*words, "--insecure-registries", f"other.invalid:5000,{registry_tls.host}", cwd=tmp_path)
    eci_convert("cnab-to-oci", "pull", target, "--insecure-registries", registry_tls.host, cwd=tmp_path)

    pulled = json.loads((tmp_path / "pulled.json").read_text())
    assert pulled["invocationImages"][0]["image"] == f"{sources}/src/multi:1"


def test_skopeo_copies_an_image_of_a_bundle(
    sources: str, programs: Programs, eci_convert: Run, image_name: str, tmp_path: Path
) -> None:
    bundle = {"name": "n", "invocationImages": [{"imageType": "oci", "image": f"{sources}/src/multi:1"}]}
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    eci_convert("cnab", "push", "bundle.json", "-t", f"{sources}/{image_name}", "--auto-update-bundle", cwd=tmp_path)
    repository = f"{sources}/{image_name}".rpartition(":")[0]
    digest = document(sources, repository.partition("/")[2], "v1")["manifests"][1]["digest"]

    done = subprocess.run(
        [programs.skopeo, "copy", "--all", "--src-tls-verify=false", f"docker://{repository}@{digest}",
         f"oci:{tmp_path}/out:x"], capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
