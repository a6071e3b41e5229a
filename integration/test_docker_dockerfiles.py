"""Dockerfiles, those of dockerfiles/ and generated ones, built by every builder there is, and extracted again."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from eci_convert.docker_build.dockerfile import paths_in_context, render, stage_context
from eci_convert.model import Artifact, DiskType
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from integration.engines.docker import DockerEngine
from integration.support.boot_vm import Machine
from tests.support.hostile_names import LABELS, NAMES
from tests.support.images import files_in

EXAMPLES = Path(__file__).parents[1] / "dockerfiles"
Convert = Callable[..., subprocess.CompletedProcess[str]]

BUILDERS = {
    "docker20-classic": ("docker20", ("build",), {"DOCKER_BUILDKIT": "0"}),
    "docker20-buildkit": ("docker20", ("build",), {"DOCKER_BUILDKIT": "1"}),
    "docker28-classic": ("docker28", ("build",), {"DOCKER_BUILDKIT": "0"}),
    "docker28-buildx": ("docker28", ("buildx", "build", "--load"), {}),
}


class Builder:
    """One of the builders: `build` makes an image, and returns nothing but that."""

    def __init__(self, engine: DockerEngine, words: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self.engine = engine
        self.words = words
        self.environ = dict(environ)

    def build(self, name: str, dockerfile: str, context: Path) -> None:
        """The Dockerfile comes on standard input, as `eci-convert dockerfile … | docker build -f - .` has it."""
        command = ("docker", *self.words, "--tag", name, "--file", "-", str(context))
        self.engine.run(*command, stdin=dockerfile.encode(), env=self.environ)


@pytest.fixture(params=BUILDERS)
def builder(request: pytest.FixtureRequest) -> Builder:
    engine, words, environ = BUILDERS[request.param]
    return Builder(request.getfixturevalue(engine), words, environ)


def labels_of(engine: DockerEngine, name: str) -> dict[str, str]:
    [found] = json.loads(engine.docker("image", "inspect", name))
    return dict(found["Config"]["Labels"])


def layers_of(engine: DockerEngine, name: str) -> list[str]:
    [found] = json.loads(engine.docker("image", "inspect", name))
    return list(found["RootFS"]["Layers"])


EXPECTED: Mapping[str, Callable[[Machine], dict[str, Path]]] = {
    "layer-per-part": lambda m: {
        "kernel": m.kernel, "initrd": m.initrd, "disk-root-root.img": m.root, "disk-0-data.img": m.disk,
    },
    "single-layer": lambda m: {
        "kernel": m.kernel, "initrd": m.initrd, "disk-root-root.img": m.root, "disk-0-data.img": m.disk,
    },
    "labels-by-hand": lambda m: {"kernel": m.kernel, "initrd": m.initrd, "disk-root-root.img": m.root},
    "numbered-disks": lambda m: {
        "kernel": m.kernel, "disk-root-root.img": m.root, "disk-1-one.img": m.disk, "disk-2-two.img": m.disk,
        "disk-10-ten.img": m.disk,
    },
    "containerdisk": lambda m: {"disk-root-root.img": m.root},
}  # fmt: skip


@pytest.mark.parametrize("example", EXPECTED)
def test_every_example_is_built_and_comes_out_again(
    builder: Builder, example: str, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    builder.build(image_name, (EXAMPLES / f"{example}.Dockerfile").read_text(), machine.kernel.parent)

    eci_convert("extract", image_name, tmp_path, env=builder.engine.env)

    assert files_in(tmp_path) == {name: path.read_bytes() for name, path in EXPECTED[example](machine).items()}


def test_every_example_is_here() -> None:
    assert {path.name.removesuffix(".Dockerfile") for path in EXAMPLES.iterdir()} == {*EXPECTED, "eci-convert"}


def test_the_single_layer_is_one(builder: Builder, machine: Machine, image_name: str) -> None:
    builder.build(image_name, (EXAMPLES / "single-layer.Dockerfile").read_text(), machine.kernel.parent)

    assert len(layers_of(builder.engine, image_name)) == 1


FEW = ("a b", "$HOME*", "'\"", "\\", "--from=evil", "ümläut")


def odd_artifact(folder: Path, names: Sequence[str] = FEW) -> tuple[Artifact, dict[str, bytes]]:
    """A machine with a disk for each odd name, some of them in an odd folder; and what must come out. Beside them lie
    files that a name would match if it were taken for a pattern or a variable."""
    odd = folder / "a $dir [y] \\z"
    odd.mkdir(parents=True)
    for decoy in ("axb", "a", "b", "z", "slash", "backslash", "x", "aHOMEb", "ab", "EOF", "evil", "root"):
        (folder / decoy).write_bytes(b"not this one")
    expected = {"kernel": b"kernel"}
    (folder / "$(kernel)").write_bytes(b"kernel")
    disks = []
    for number, name in enumerate(names):
        path = (odd if number % 7 == 0 else folder) / name
        path.write_bytes(f"disk {number}: {name}".encode())
        expected[f"disk-{number}-{name}"] = path.read_bytes()
        disks.append(Disk(content=path, type=DiskType.RAW, trust_declared_type=True))
    return artifact_from_parts(kernel=folder / "$(kernel)", disks=disks), expected


ODD = [
    *(pytest.param(builder, FEW, id=f"{builder}-few in a single layer") for builder in BUILDERS),
    # The classic builder of Docker 28 parses as that of 20.10 does, and takes a second for each of 60 layers.
    *(pytest.param(builder, NAMES, id=f"{builder}-all") for builder in BUILDERS if builder != "docker28-classic"),
]


@pytest.mark.parametrize(("builder", "names"), ODD, indirect=["builder"])
def test_odd_names_and_labels_mean_what_they_say(
    builder: Builder, names: Sequence[str], image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    artifact, expected = odd_artifact(tmp_path / "context", names)
    sources = paths_in_context(artifact, tmp_path / "context")

    text = render(artifact, sources, labels=LABELS, single_layer=names is FEW)
    builder.build(image_name, text, tmp_path / "context")
    eci_convert("extract", image_name, tmp_path / "out", env=builder.engine.env)

    assert files_in(tmp_path / "out") == expected
    found = labels_of(builder.engine, image_name)
    assert {key: found.get(key) for key in LABELS} == dict(LABELS)
    assert (len(layers_of(builder.engine, image_name)) == 1) is (names is FEW)


@pytest.mark.parametrize("single_layer", [False, True])
def test_odd_names_come_through_a_staged_context(
    builder: Builder, single_layer: bool, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    artifact, expected = odd_artifact(tmp_path / "elsewhere")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "secret").write_bytes(b"what is beside the parts")

    text = render(artifact, stage_context(artifact, tmp_path / "context"), single_layer=single_layer)
    builder.build(image_name, text + 'COPY [".", "/all/"]\n', tmp_path / "context")
    eci_convert("extract", image_name, tmp_path / "out", env=builder.engine.env)

    assert files_in(tmp_path / "out") == expected
    gone = eci_convert(
        "extract", image_name, "--path", "/all/secret=secret", env=builder.engine.env, exits=8, cwd=tmp_path
    )
    assert "secret" in gone.stderr


def test_the_parts_go_on_top_of_a_base(
    builder: Builder, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/kernel").write_bytes(b"the kernel of the base")
    (tmp_path / "base/more").write_bytes(b"more")
    builder.build(f"{image_name}-base", "FROM scratch\nCOPY kernel more /\nLABEL base=yes\n", tmp_path / "base")
    artifact = machine_of(machine)

    text = render(artifact, paths_in_context(artifact, machine.kernel.parent), base=f"{image_name}-base")
    builder.build(image_name, text, machine.kernel.parent)
    eci_convert("extract", image_name, tmp_path / "out", "--path", f"/more={tmp_path}/more", env=builder.engine.env)

    assert files_in(tmp_path / "out") == {"kernel": machine.kernel.read_bytes()}
    assert (tmp_path / "more").read_bytes() == b"more"
    assert labels_of(builder.engine, image_name)["base"] == "yes"


def machine_of(parts: Machine) -> Artifact:
    return artifact_from_parts(kernel=parts.kernel)


def test_the_command_prints_a_dockerfile_that_docker_builds(
    builder: Builder, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    folder = machine.kernel.parent
    words = ("--kernel", "vmlinuz", "--initrd", "initrd.img", "--root", "root.img:raw", "--label", "colour=dark red")
    text = eci_convert("dockerfile", *words, cwd=folder).stdout

    builder.build(image_name, text, folder)
    eci_convert("extract", image_name, tmp_path, "--only", "kernel", env=builder.engine.env)

    assert (tmp_path / "kernel").read_bytes() == machine.kernel.read_bytes()
    assert labels_of(builder.engine, image_name)["colour"] == "dark red"


def test_a_staged_context_takes_no_room(machine: Machine, eci_convert: Convert, tmp_path: Path) -> None:
    eci_convert("dockerfile", "--root", f"{machine.root}:raw", "--stage", tmp_path / "context")

    staged_disk = tmp_path / "context" / "disk-root-root.img"
    before: Any = os.stat(machine.root)
    assert os.stat(staged_disk).st_size == before.st_size
    assert os.stat(staged_disk).st_ino == before.st_ino or os.stat(staged_disk).st_blocks <= before.st_blocks
