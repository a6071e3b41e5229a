"""What we push, everybody pulls; what everybody pushes, we read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import GREETING, Machine, boot
from integration.support.tcp_proxy import relay

Run = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=300, cwd=cwd
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def parts(machine: Machine) -> list[str | Path]:
    return ["--kernel", machine.kernel, "--initrd", machine.initrd, "--root", f"{machine.root}:raw"]


def same(folder: Path, machine: Machine, root: str = "disk-root-root.img") -> None:
    for name, original in (("kernel", machine.kernel), ("initrd", machine.initrd), (root, machine.root)):
        assert (folder / name).read_bytes() == original.read_bytes(), name


@pytest.fixture
def pushed(registry: Registry, image_name: str, eci_convert: Run, machine: Machine) -> Callable[[str], str]:
    def push(format: str) -> str:
        eci_convert("push", f"{registry.host}/{image_name}", *parts(machine), "--format", format)
        return f"{registry.host}/{image_name}"

    return push


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
def test_what_is_pushed_is_pulled_and_extracted(
    pushed: Callable[[str], str], eci_convert: Run, machine: Machine, tmp_path: Path, format: str
) -> None:
    name = pushed(format)
    eci_convert("pull", name, "--dir", tmp_path / "pulled")
    eci_convert("extract", f"docker://{name}", tmp_path / "extracted")
    same(tmp_path / "pulled", machine)
    same(tmp_path / "extracted", machine)


def test_a_kernel_and_an_initrd_that_went_through_a_registry_boot(
    pushed: Callable[[str], str], eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    if not machine.boots:
        pytest.skip("this computer has no kernel to boot")
    eci_convert("pullfiles", pushed("artifacts"), "--kernel", tmp_path / "k", "--initrd", tmp_path / "i")
    assert GREETING in boot(tmp_path / "k", tmp_path / "i")


def test_oras_pulls_the_files_under_their_names(
    pushed: Callable[[str], str], programs: Programs, machine: Machine, tmp_path: Path
) -> None:
    run(programs.oras, "pull", "--plain-http", pushed("artifacts"), "-o", tmp_path)
    same(tmp_path, machine)


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
def test_skopeo_copies_it_byte_for_byte(
    pushed: Callable[[str], str], programs: Programs, eci_convert: Run, machine: Machine, tmp_path: Path, format: str
) -> None:
    name = pushed(format)
    run(programs.skopeo, "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path}/layout:x")
    ours = json.loads(eci_convert("inspect", f"docker://{name}", "--json").stdout)["digest"]
    theirs = json.loads(eci_convert("inspect", f"oci:{tmp_path}/layout:x", "--json").stdout)["digest"]
    assert ours == theirs
    eci_convert("extract", f"oci:{tmp_path}/layout:x", tmp_path / "out")
    same(tmp_path / "out", machine)


def test_crane_reads_and_validates_what_we_pushed(
    pushed: Callable[[str], str], programs: Programs, eci_convert: Run, tmp_path: Path
) -> None:
    name = pushed("legacy")
    digest = run(programs.crane, "digest", "--insecure", name).strip()
    assert digest == json.loads(eci_convert("inspect", f"docker://{name}", "--json").stdout)["digest"]
    run(programs.crane, "validate", "--insecure", "--remote", name)


def test_docker_pulls_and_loads_it(
    docker_engine: DockerEngine, pushed: Callable[[str], str], eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    name = pushed("legacy")
    docker_engine.docker("pull", "--quiet", name)
    eci_convert("extract", name, tmp_path, env=docker_engine.env)
    same(tmp_path, machine)


def test_docker_pulls_it_where_the_same_layers_are_unpacked_already(
    docker_engine: DockerEngine, pushed: Callable[[str], str], eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    eci_convert("build", *parts(machine), "-t", "unpacked/before:1", env=docker_engine.env)
    name = pushed("legacy")
    docker_engine.docker("pull", "--quiet", name)
    eci_convert("extract", name, tmp_path, env=docker_engine.env)
    same(tmp_path, machine)


def test_what_docker_pushes_is_extracted(
    docker_engine: DockerEngine, registry: Registry, image_name: str, eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    name = f"{registry.host}/{image_name}"
    eci_convert("build", *parts(machine), "-t", name, env=docker_engine.env)
    docker_engine.docker("push", name)
    eci_convert("extract", f"docker://{name}", tmp_path)
    same(tmp_path, machine)


def test_an_engines_image_is_compressed_on_its_way_and_stays_the_same_image(
    docker_engine: DockerEngine, registry: Registry, image_name: str, programs: Programs, eci_convert: Run,
    machine: Machine, tmp_path: Path,
) -> None:  # fmt: skip
    name = f"{registry.host}/{image_name}"
    eci_convert("build", *parts(machine), "-t", name, env=docker_engine.env)
    config = json.loads(eci_convert("inspect", name, "--json", env=docker_engine.env).stdout)["config"]

    words = ["copy", f"docker-daemon:{name}", f"docker://{name}", "--json"]
    if docker_engine.name == "docker28":  # its manifests are real, and kept
        words += ["--compression", "gzip"]
    told = eci_convert(*words, env=docker_engine.env)
    again = json.loads(eci_convert(*words, env=docker_engine.env).stdout)
    assert again["digest"] == json.loads(told.stdout)["digest"]
    assert again["bytes_written"] < 10_000

    layers = json.loads(run(programs.crane, "manifest", "--insecure", name))["layers"]
    assert {layer["mediaType"].rpartition(".")[2] for layer in layers} <= {"tar+gzip", "gzip"}
    assert sum(layer["size"] for layer in layers) < machine.root.stat().st_size / 2
    there = json.loads(eci_convert("inspect", f"docker://{name}", "--json").stdout)
    assert there["digest"] == json.loads(told.stdout)["digest"]
    assert there["config"] | config == there["config"]  # but for the history, which the engine does not tell
    eci_convert("verify", f"docker://{name}")
    docker_engine.docker("rmi", name)
    docker_engine.docker("pull", "--quiet", name)
    eci_convert("extract", name, tmp_path, env=docker_engine.env)
    same(tmp_path, machine)


def test_what_buildx_pushes_with_its_attestations_is_extracted(
    docker28: DockerEngine, registry: Registry, image_name: str, eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    """An index: the image, and behind it, for the platform unknown/unknown, how it was built."""
    name, context = f"{registry.host}/{image_name}", tmp_path / "context"
    eci_convert("dockerfile", *parts(machine), "--stage", context)
    docker28.docker("buildx", "build", "--push", "--provenance=mode=max", "-t", name, str(context))
    index = json.loads(eci_convert("inspect", f"docker://{name}", "--raw").stdout)
    assert [entry["platform"]["os"] for entry in index["manifests"]] == ["linux", "unknown"]
    eci_convert("extract", f"docker://{name}", tmp_path / "out")
    same(tmp_path / "out", machine)


def test_what_oras_pushes_is_extracted(
    registry: Registry, image_name: str, programs: Programs, eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    name = f"{registry.host}/{image_name}"
    typed = f"{machine.kernel.name}:application/vnd.lfedge.eci.kernel.layer.v1+kernel"
    run(programs.oras, "push", "--plain-http", name, typed, cwd=machine.kernel.parent)
    eci_convert("extract", f"docker://{name}", tmp_path)
    assert (tmp_path / "kernel").read_bytes() == machine.kernel.read_bytes()


@pytest.mark.parametrize("program", ["skopeo", "crane"])
def test_what_others_push_from_a_layout_is_extracted(
    registry: Registry,
    image_name: str,
    programs: Programs,
    eci_convert: Run,
    machine: Machine,
    tmp_path: Path,
    program: str,
) -> None:
    name = f"{registry.host}/{image_name}"
    eci_convert("build", *parts(machine), "--to", f"oci:{tmp_path}/layout:1")
    if program == "skopeo":
        run(programs.skopeo, "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:1", f"docker://{name}")
    else:
        run(programs.crane, "push", "--insecure", f"{tmp_path}/layout", name)
    eci_convert("extract", f"docker://{name}", tmp_path / "out")
    same(tmp_path / "out", machine)


def test_a_copy_within_a_registry_mounts_and_sends_nothing(
    pushed: Callable[[str], str], registry: Registry, eci_convert: Run
) -> None:
    name = pushed("artifacts")
    copied = eci_convert("copy", f"docker://{name}", f"docker://{registry.host}/elsewhere/{name[-6:-3]}:1", "--json")
    written = json.loads(copied.stdout)
    assert written["bytes_written"] < 10_000
    assert written["bytes_reused"] > 1_000_000


def test_what_an_earlier_run_sent_to_another_repository_is_not_sent_again(
    registry: Registry, image_name: str, eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    env, layout = {"HOME": str(tmp_path)}, f"oci:{tmp_path}/layout:1"
    eci_convert("build", *parts(machine), "--to", layout, env=env)
    with relay(registry.host) as link:
        first, second, third, fourth = (f"{link.host}/in-{place}/{image_name}" for place in "abcd")
        eci_convert("copy", layout, f"docker://{first}", env=env)
        sent = link.up
        link.open()
        again = eci_convert("copy", layout, f"docker://{second}", "--json", "--debug", env=env)
        assert link.up < 10_000 < 1_000_000 < sent
        eci_convert("extract", f"docker://{second}", tmp_path / "out", env=env)
        eci_convert("push", third, *parts(machine), env=env)
        elsewhere = eci_convert("push", fourth, *parts(machine), "--debug", env=env)
    for done in (again, elsewhere):
        asked = [line.split()[2] for line in done.stderr.splitlines() if "client: " in line and "/blobs/" in line]
        assert set(asked) == {"HEAD", "POST"}
    assert json.loads(again.stdout)["bytes_written"] < 10_000
    same(tmp_path / "out", machine)


def test_what_was_pulled_from_a_registry_is_not_sent_there_again(
    pushed: Callable[[str], str], registry: Registry, image_name: str, eci_convert: Run, tmp_path: Path
) -> None:
    env, layout = {"HOME": str(tmp_path)}, f"oci:{tmp_path}/layout:1"
    eci_convert("copy", f"docker://{pushed('legacy')}", layout, env=env)
    copied = eci_convert("copy", layout, f"docker://{registry.host}/back/{image_name}", "--json", env=env)
    assert json.loads(copied.stdout)["bytes_written"] < 10_000


def test_a_second_push_sends_no_blob(
    pushed: Callable[[str], str], eci_convert: Run, registry: Registry, machine: Machine
) -> None:
    name = pushed("artifacts")
    again = json.loads(eci_convert("push", name, *parts(machine), "--json").stdout)
    assert again["bytes_written"] < 10_000
    assert again["bytes_reused"] > machine.root.stat().st_size


def test_a_spoiled_blob_is_refused_and_the_old_files_stay(
    pushed: Callable[[str], str], registry: Registry, eci_convert: Run, tmp_path: Path
) -> None:
    name = pushed("artifacts")
    found = json.loads(eci_convert("inspect", f"docker://{name}", "--json").stdout)
    digest = next(part["source"]["blob"] for part in found["parts"] if part["role"] == "initrd")
    blob = registry.blob(digest)
    content = blob.read_bytes()
    (tmp_path / "initrd").write_bytes(b"old")
    try:
        blob.write_bytes(content[:-1] + b"!")
        eci_convert("extract", f"docker://{name}", tmp_path, exits=6)
    finally:
        blob.write_bytes(content)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"initrd": b"old"}
