# ruff: noqa: E501 - examples are as long as they are
"""The examples in the `--help` of each command, run as they are written: only names of registries, paths from the top
and ids are others.

One setting serves them all; each example gets a copy of its directory, and the registry as it was. An example without
an entry in `SHOWN` fails.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest

import eci_convert as ec
from eci_convert.cli.command import examples_of
from eci_convert.cli.commands import group
from eci_convert.oci.annotations import REF_NAME
from eci_convert.testing import FaultyRegistry, run_registry
from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from integration.engines.registry import Registry, registry
from integration.support.boot_vm import boot_sector, made_up_kernel, write_disk
from tests.support.golden import unpack

REFERENCE = Path(__file__).parents[1] / "docs" / "reference/cli.md"
ABSOLUTE = re.compile(r"(?<=[ =])(?=/(boot/vmlinuz|var/|srv/))")
MAKER = """\
import shlex, sys
from eci_convert.cli import main
for line in sys.stdin:
    if main([*shlex.split(line), "--quiet"]):
        sys.exit(line)
"""
"""A program that runs commands of eci-convert, one a line: it starts once for all of them."""
STORAGE = """\
[storage]
driver = "vfs"
graphroot = "DIR/graph"
runroot = "DIR/run"
"""
KUBECTL = """\
#!/bin/sh
# Stands for a cluster: takes what is applied, if it is a machine.
test "$*" = "apply -f -" && cat > applied.yaml && grep -qx "kind: VirtualMachine" applied.yaml
"""


def examples(command: click.Command, context: click.Context) -> Iterator[str]:
    """The examples of *command* and of those under it."""
    yield from examples_of(command.epilog)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            under = command.get_command(context, name)
            assert under
            yield from examples(under, context)


EXAMPLES = list(dict.fromkeys(examples(group(), click.Context(group()))))


@dataclass(frozen=True, kw_only=True, repr=False)
class Setting:
    """What the examples speak of."""

    folder: Path
    docker: DockerEngine
    registry: Registry
    login: FaultyRegistry
    repositories: Path
    ids: dict[str, str] = field(default_factory=dict)

    def variables(self, here: Path) -> dict[str, str]:
        """The environment of an example in the directory *here*."""
        return self.docker.env | {
            "PATH": f"{here}/bin:{self.docker.env['PATH']}",
            "HOME": f"{here}/home",
            "CONTAINERS_STORAGE_CONF": f"{here}/storage.conf",
        }

    def runnable(self, example: str, here: Path) -> str:
        """*example* with names that lead to what there is."""
        hosts = {"registry.example:5000": self.registry.host, "registry.example": self.registry.host}
        hosts |= {"a.example": self.registry.host, "b.example": self.login.host}
        for word, instead in (hosts | self.ids).items():
            example = re.sub(rf"(?<![\w.]){re.escape(word)}", instead, example)
        return ABSOLUTE.sub(str(here), example)

    def reset(self) -> None:
        """The registry gets back what it had."""
        now = self.registry.storage / "docker/registry/v2/repositories"
        shutil.rmtree(now, ignore_errors=True)
        shutil.copytree(self.repositories, now)
        self.login.manifests.clear()


@dataclass(frozen=True, kw_only=True, repr=False)
class Run:
    """What an example did."""

    setting: Setting
    here: Path
    out: str

    def same(self, one: str, other: str) -> bool:
        return (self.here / one).read_bytes() == (self.here / other).read_bytes()

    def digest(self, name: str) -> str:
        return f"sha256:{hashlib.sha256((self.here / name).read_bytes()).hexdigest()}"

    def json(self) -> Any:
        return json.loads(self.out)

    def manifest(self, name: str) -> Any:
        """The manifest or index of this name in the registry; None where there is none."""
        repository, tag = re.split(r"[:@]", name, maxsplit=1)
        connection = http.client.HTTPConnection(self.setting.registry.host, timeout=10)
        kinds = ("index.v1", "manifest.v1")
        accept = ", ".join(f"application/vnd.oci.image.{kind}+json" for kind in kinds)
        connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": accept})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return json.loads(content) if answer.status == 200 else None

    def platforms(self, name: str) -> list[str]:
        return [platform_of(entry) for entry in self.manifest(name)["manifests"]]

    def names(self, layout: str = "layout") -> dict[str, str]:
        """The names in a layout, and the digests that they stand for."""
        return names_in(self.here / layout)

    def document(self, name: str, layout: str = "layout") -> Any:
        """What a name in a layout stands for."""
        return document_in(self.here / layout, name)

    def label(self, image: str, label: str) -> str:
        """A label of an image in the engine."""
        return self.setting.docker.docker("inspect", "-f", f'{{{{index .Config.Labels "{label}"}}}}', image)


def names_in(layout: Path) -> dict[str, str]:
    """The names in *layout*, and the digests that they stand for."""
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    return {entry.get("annotations", {}).get(REF_NAME, ""): entry["digest"] for entry in entries}


def document_in(layout: Path, name: str) -> Any:
    """What *name* in *layout* stands for."""
    return json.loads((layout / "blobs" / names_in(layout)[name].replace(":", "/")).read_text())


def platform_of(entry: Any) -> str:
    words = (entry["platform"].get(key) for key in ("os", "architecture", "variant"))
    return "/".join(word for word in words if word)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """*by* says whether the example did what it says. *first* is run before it, *then* after it by the same shell; it
    is to end with *exits*."""

    by: Callable[[Run], bool]
    first: str = ""
    then: str = ""
    exits: int = 0


def reads(*words: str) -> Shown:
    """It prints all these *words*."""
    return Shown(by=lambda run: all(word in run.out for word in words))


def makes(*files: tuple[str, str]) -> Shown:
    """It writes the first of each two *files*, with the bytes of the second."""
    return Shown(by=lambda run: all(run.same(name, source) for name, source in files))


def is_machine(folder: str) -> Callable[[Run], bool]:
    """Whether the parts of the machine in the registry are in *folder*."""
    parts = {"kernel": "vmlinuz", "initrd": "initrd.img", "disk-root-disk.qcow2": "disk.qcow2"}
    return lambda run: all(run.same(f"{folder}/{name}", source) for name, source in parts.items())


def attached(repository: str, artifact_type: str) -> Callable[[Run], bool]:
    """Whether the registry has the artifact whose digest was printed, and whose subject is the image that was."""

    def check(run: Run) -> bool:
        _, digest, *_, subject = run.out.split()
        manifest = run.manifest(f"{repository}@{digest}")
        return bool(manifest["artifactType"] == artifact_type and manifest["subject"]["digest"] == subject)

    return check


def kept_platforms(run: Run) -> bool:
    """Whether the component of the bundle is there for the two platforms that were named."""
    [component] = (
        entry["digest"]
        for entry in run.manifest("apps/shop:1.2")["manifests"]
        if entry.get("annotations", {}).get("io.cnab.manifest.type") == "component"
    )
    return run.platforms(f"apps/shop@{component}") == ["linux/amd64", "linux/arm64"]


def built(name: str, *labels: str) -> Callable[[Run], bool]:
    """Whether the engine has *name*, of the id that was printed, with *labels* of these parts."""
    return lambda run: (
        run.out.split()[-1] == run.setting.docker.docker("inspect", "-f", "{{.Id}}", name)
        and all(run.label(name, f"org.lfedge.eci.artifact.{label}") for label in labels)
    )


BASES = {"debian:12": {"etc/os-release": b"ID=debian\n"}, "alpine:3": {}, "db:14": {"db": b"db"}}
"""Images that the engine has, and their files."""
MACHINES = ("my-machine", "my-machine:1", "my-machine:1.2", "my-machine:1.3")
"""Images that the engine has then."""
IMAGES = """\
build --kernel vmlinuz --root disk.raw -t my-machine:1.2
build --kernel initrd.img --root disk.raw -t my-machine:1.3
build --kernel vmlinuz --root disk.raw -t my-machine:1
push registry.example/edge/machine:1.2 --kernel vmlinuz --initrd initrd.img --root disk.qcow2 --disk data.raw:raw
push registry.example/edge/machine:1.2 --kernel vmlinuz --platform linux/arm64 --append
build --kernel vmlinuz --to oci:amd64 --platform linux/amd64
build --kernel vmlinuz --to oci:arm64 --platform linux/arm64
build --kernel vmlinuz --to oci:riscv64 --platform linux/riscv64
build --kernel vmlinuz --to oci:v6 --platform linux/arm/v6
index create docker://registry.example/edge/machine:1 oci:amd64 oci:v6
copy oci:amd64 docker://registry.example/edge/machine:1-amd64
index create docker://registry.example/edge/three:1 oci:amd64 oci:arm64 oci:riscv64
index create oci:layout:machine oci:amd64 oci:arm64
copy oci:amd64 oci:layout:machine:1
tag oci:layout:machine:1 machine:one
push --remote DIR/layout edge --kernel vmlinuz --root disk.qcow2
copy docker-daemon:debian:12 oci:layout:edge/app:1
build --format unikraft --plat xen --kernel vmlinuz --to oci:built:xen
push --remote DIR/var/layouts edge/machine:1.2 --kernel vmlinuz --initrd initrd.img --root disk.qcow2
copy docker-daemon:db:14 docker://registry.example/apps/web:1.2
push registry.example/vm/machine:1 --format containerdisk --kernel vmlinuz --initrd initrd.img --root disk.qcow2
push registry.example/gardenlinux:1 --kernel vmlinuz
push registry.example/m:1 --kernel vmlinuz
pull registry.example/edge/machine:1.2 --dir machine
attach registry.example/edge/machine:1.2 os-release --artifact-type sbom/spdx
attach registry.example/edge/machine:1.2 os-release --artifact-type build/log
attach oci:layout:edge os-release --artifact-type sbom/spdx
copy oci:amd64 containers-storage:registry.example/edge/machine:1
copy oci:arm64 containers-storage:registry.example/edge/old:1
"""
"""Commands of eci-convert that make the images of which the examples speak; DIR is the directory."""

SHOWN: dict[str, Shown] = {
    # eci-convert
    "eci-convert build --kernel vmlinuz --root disk.raw -t my-machine:1": Shown(
        first="docker rmi my-machine:1", by=built("my-machine:1", "kernel", "root")
    ),
    "eci-convert extract docker://registry.example/edge/machine:1.2 out/": Shown(by=is_machine("out")),
    "eci-convert copy docker-daemon:my-machine:1 oci:layout:my-machine": Shown(
        by=lambda run: run.names()["my-machine"] in run.out and len(run.document("my-machine")["layers"]) > 1
    ),
    # dockerfile
    "eci-convert dockerfile --kernel vmlinuz --initrd initrd.img --root disk.raw -o Dockerfile": Shown(
        by=lambda run: 'COPY ["initrd.img", "/initrd"]\n' in (run.here / "Dockerfile").read_text()
    ),
    "eci-convert dockerfile --kernel /boot/vmlinuz --root /var/disk.raw --stage context/ && docker build context/": Shown(
        by=lambda run: "COPY" in (run.here / "context/Dockerfile").read_text() and run.same("context/kernel", "vmlinuz")
    ),
    "eci-convert dockerfile --kernel vmlinuz --root disk.qcow2 | docker build -t my-machine -f - .": Shown(
        by=lambda run: run.label("my-machine", "org.lfedge.eci.artifact.root") == "/disk-root-disk.qcow2"
    ),
    # build
    "eci-convert build --kernel vmlinuz --initrd initrd.img --root disk.raw -t my-machine:1": Shown(
        first="docker rmi my-machine:1", by=built("my-machine:1", "kernel", "initrd", "root")
    ),
    "eci-convert build --kernel vmlinuz --root disk.qcow2 --to oci:layout:my-machine": Shown(
        by=lambda run: run.out == f"oci:layout:my-machine@{run.names()['my-machine']}\n"
    ),
    "eci-convert build --kernel vmlinuz --root disk.raw -t my-machine:1 --builder buildx --base alpine:3": Shown(
        by=lambda run: built("my-machine:1", "kernel")(run) and run.label("my-machine:1", "base") == "alpine"
    ),
    # extract
    "eci-convert extract my-machine:1.2 out/": makes(("out/kernel", "vmlinuz"), ("out/disk-root-disk.raw", "disk.raw")),
    "eci-convert extract docker://registry.example/edge/machine:1.2 --kernel vmlinuz --initrd initrd.img": Shown(
        first="cp vmlinuz v; cp initrd.img i; rm vmlinuz initrd.img",
        by=lambda run: run.same("vmlinuz", "v") and run.same("initrd.img", "i"),
    ),
    "docker save my-machine:1.2 | eci-convert extract docker-archive:- --root - > disk.raw": Shown(
        first="mv disk.raw d",
        by=lambda run: run.same("disk.raw", "d"),
    ),
    "eci-convert extract debian:12 --path /etc/os-release=os-release": Shown(
        by=lambda run: (run.here / "os-release").read_text() == "ID=debian\n"
    ),
    # inspect
    "eci-convert inspect my-machine:1.2": reads("reference: docker-daemon:my-machine:1.2\n", " disk-root-disk.raw "),
    "eci-convert inspect docker://registry.example/edge/machine:1.2 --json": Shown(
        by=lambda run: (
            [part["role"] for part in run.json()["parts"]] == ["kernel", "initrd", "disk-root", "disk-additional"]
        )
    ),
    "eci-convert inspect oci:layout:edge --raw": Shown(by=lambda run: run.json() == run.document("edge")),
    "eci-convert inspect docker://registry.example/vm/machine:1 --kubevirt | kubectl apply -f -": Shown(
        by=lambda run: "/vm/machine:1" in (run.here / "applied.yaml").read_text()
    ),
    # ls
    "eci-convert ls my-machine:1.2": reads("  /kernel\n", "  /disk-root-disk.raw\n"),
    "eci-convert ls docker://registry.example/vm/machine:1 /boot": reads("  /boot/vmlinuz\n"),
    "eci-convert ls oci:layout:edge '**/*.qcow2' --json": Shown(
        by=lambda run: [file["path"] for file in run.json()["files"]] == ["disk-root-disk.qcow2"]
    ),
    # diff
    "eci-convert diff my-machine:1.2 my-machine:1.3": Shown(exits=10, by=lambda run: "kernel" in run.out),
    "eci-convert diff docker://registry.example/edge/machine:1.2 oci:layout:edge --json": Shown(
        exits=10, by=lambda run: run.json() != {} and "disk-0-data.raw" in run.out
    ),
    # push
    "eci-convert push registry.example/edge/machine:1.2 --kernel vmlinuz --initrd initrd.img --root disk.qcow2": Shown(
        by=lambda run: len(run.manifest("edge/machine:1.2")["layers"]) == 3
    ),
    "eci-convert push registry.example/edge/machine:1.2 --root disk.raw:raw --format legacy": Shown(
        by=lambda run: len(run.manifest("edge/machine:1.2")["layers"]) == 1
    ),
    "eci-convert push --remote /var/layouts edge/machine:1.2 --kernel vmlinuz": Shown(
        by=lambda run: len(run.document("edge/machine:1.2", "var/layouts")["layers"]) == 1
    ),
    # pull, pullfiles
    "eci-convert pull registry.example/edge/machine:1.2 --dir machine/": Shown(
        first="rm -r machine", by=is_machine("machine")
    ),
    "eci-convert pull --remote /var/layouts edge/machine:1.2 --dir machine/ --json": Shown(
        first="rm -r machine", by=lambda run: is_machine("machine")(run) and bool(run.json())
    ),
    "eci-convert pullfiles registry.example/edge/machine:1.2 --kernel vmlinuz --initrd initrd.img": Shown(
        first="cp vmlinuz v; cp initrd.img i; rm vmlinuz initrd.img",
        by=lambda run: run.same("vmlinuz", "v") and run.same("initrd.img", "i"),
    ),
    "eci-convert pullfiles registry.example/edge/machine:1.2 --root disk.qcow2 --disk 0=data.raw": Shown(
        first="mv disk.qcow2 q; mv data.raw d",
        by=lambda run: run.same("disk.qcow2", "q") and run.same("data.raw", "d"),
    ),
    # copy
    "eci-convert copy docker://registry.example/edge/machine:1.2 oci:layout:edge": Shown(
        by=lambda run: run.names()["edge"] in run.out and len(run.document("edge")["layers"]) == 4
    ),
    "eci-convert copy docker-daemon:my-machine:1.2 docker://registry.example/edge/machine:1.2 --format artifacts": Shown(
        by=lambda run: "application/vnd.lfedge.eci.kernel" in str(run.manifest("edge/machine:1.2")["layers"])
    ),
    "eci-convert copy docker-daemon:my-machine:1.2 docker://registry.example/edge/machine:1.2 --compression zstd": Shown(
        by=lambda run: all("zstd" in layer["mediaType"] for layer in run.manifest("edge/machine:1.2")["layers"])
    ),
    "eci-convert copy oci:layout:edge docker://registry.example/kubevirt/edge:1.2 --format containerdisk": Shown(
        then="eci-convert ls docker://registry.example/kubevirt/edge:1.2 /disk",
        by=lambda run: "  /disk/disk.qcow2\n" in run.out,
    ),
    "eci-convert copy docker://a.example/m:1 docker://b.example/m:1 --dest-username me --dest-password-stdin": Shown(
        by=lambda run: ("m", "1") in run.setting.login.manifests
    ),
    # list, tag, delete
    "eci-convert list oci:layout": reads("\nedge/app ", "\nmachine "),
    "eci-convert list docker://registry.example/edge/machine": reads("1.2", "1-amd64"),
    "eci-convert list docker-daemon: --json": Shown(
        by=lambda run: {"1.2", "1.3"} <= {image["tag"] for image in run.json() if image["name"] == "my-machine"}
    ),
    "eci-convert list containers-storage: -q": Shown(
        by=lambda run: len(set(run.out.split())) == 2 and run.out.count("sha256:") == 2
    ),
    "eci-convert tag oci:layout:machine:1 machine:latest machine:1.2": Shown(
        by=lambda run: len({run.names()[f"machine:{tag}"] for tag in ("1", "latest", "1.2")}) == 1
    ),
    "eci-convert tag oci:layout:0123456789ab registry.example/edge/machine:1": Shown(
        by=lambda run: run.names()[f"{run.setting.registry.host}/edge/machine:1"] == run.names()["machine:1"]
    ),
    "eci-convert tag docker://registry.example/edge/machine:1.2 latest": Shown(
        by=lambda run: run.manifest("edge/machine:latest") == run.manifest("edge/machine:1.2")
    ),
    "eci-convert delete oci:layout:machine:1": Shown(by=lambda run: "machine:1" not in run.names()),
    "eci-convert delete containers-storage:registry.example/edge/machine:1 containers-storage:registry.example/edge/old:1": Shown(
        by=lambda run: json.loads((run.here / "graph/vfs-images/images.json").read_text()) == []
    ),
    "eci-convert delete oci:layout:0123456789ab --all-tags": Shown(
        by=lambda run: not {"machine:1", "machine:one"} & set(run.names())
    ),
    # verify
    "eci-convert verify my-machine:1.2": reads("my-machine:1.2 is what it claims to be"),
    "eci-convert verify docker://registry.example/edge/machine:1.2 machine/": reads("is what it claims to be"),
    "eci-convert verify oci:made-by-eci --fix oci:layout:repaired": Shown(
        by=lambda run: "is what it claims to be" in run.out and run.document("repaired")["schemaVersion"] == 2
    ),
    # index
    "eci-convert index create docker://registry.example/edge/machine:1 oci:amd64 oci:arm64": Shown(
        by=lambda run: run.platforms("edge/machine:1") == ["linux/amd64", "linux/arm64"]
    ),
    "eci-convert index create oci:layout:machine docker://registry.example/edge/machine:1-amd64 oci:arm64 --annotation a=b": Shown(
        by=lambda run: (
            run.document("machine")["annotations"] == {"a": "b"} and len(run.document("machine")["manifests"]) == 2
        )
    ),
    "eci-convert index add docker://registry.example/edge/machine:1 oci:riscv64": Shown(
        by=lambda run: run.platforms("edge/machine:1") == ["linux/amd64", "linux/arm/v6", "linux/riscv64"]
    ),
    "eci-convert index add oci:layout:unikernel oci:built:xen --strategy abort": Shown(  # oci:layout has none before
        by=lambda run: [one["platform"]["os"] for one in run.document("unikernel")["manifests"]] == ["xen"]
    ),
    "eci-convert index remove docker://registry.example/edge/machine:1 --platform linux/arm/v6": Shown(
        by=lambda run: run.platforms("edge/machine:1") == ["linux/amd64"]
    ),
    "eci-convert index remove oci:layout:machine --digest sha256:0123…": Shown(
        by=lambda run: [platform_of(one) for one in run.document("machine")["manifests"]] == ["linux/amd64"]
    ),
    # cnab
    "eci-convert cnab fixup bundle.json --target registry.example/apps/shop:1.2 --auto-update-bundle": Shown(
        by=lambda run: "contentDigest" in (run.here / "fixed-bundle.json").read_text()
    ),
    "eci-convert cnab push bundle.json --target registry.example/apps/shop:1.2 --auto-update-bundle": Shown(
        by=lambda run: len(run.manifest("apps/shop:1.2")["manifests"]) == 3
    ),
    "eci-convert cnab push fixed-bundle.json -t registry.example/apps/shop:1.2 --component-platforms linux/amd64,linux/arm64": Shown(
        first="eci-convert cnab fixup bundle.json --target registry.example/apps/shop:1.2 --auto-update-bundle",
        by=kept_platforms,
    ),
    "eci-convert cnab pull registry.example/apps/shop:1.2 --bundle bundle.json --relocation-map -": Shown(
        first="eci-convert cnab push bundle.json -t registry.example/apps/shop:1.2 --auto-update-bundle -q >/dev/null;"
        " rm bundle.json",
        by=lambda run: len(run.json()) == 2 and json.loads((run.here / "bundle.json").read_text())["name"] == "shop",
    ),
    # preload
    "eci-convert preload docker://registry.example/apps/web:1.2 docker-daemon:db:14 -o images.tar": Shown(
        by=lambda run: "db:14" in run.out and tarfile.is_tarfile(run.here / "images.tar")
    ),
    "eci-convert preload oci:layout:edge/app:1 --root /srv/images": Shown(
        by=lambda run: "edge/app:1" in (run.here / "srv/images/overlay-images/images.json").read_text()
    ),
    "eci-convert preload docker://registry.example/apps/web:1.2 -o - | tar -C rootfs -x --xattrs --xattrs-include='*'": Shown(
        by=lambda run: len([*(run.here / "rootfs").rglob("overlay-images/images.json")]) == 1
    ),
    # url
    "eci-convert url registry.example/edge/machine:1.2 --part kernel": Shown(
        by=lambda run: run.out.endswith(f"/v2/edge/machine/blobs/{run.digest('vmlinuz')}\n")
    ),
    "eci-convert url registry.example/edge/machine:1.2 --part initrd --curl | sh": makes(("initrd", "initrd.img")),
    "eci-convert url registry.example/edge/machine:1.2 --platform linux/arm64 --ipxe --follow": Shown(
        by=lambda run: run.out.startswith("#!ipxe\nkernel http://") and "initrd" not in run.out  # linux/amd64 has one
    ),
    "eci-convert url registry.example/edge/machine:1.2 --part rootfs --json": Shown(
        by=lambda run: run.json()["url"].endswith(f"/v2/edge/machine/blobs/{run.digest('disk.qcow2')}")
    ),
    # attach, discover
    "eci-convert attach registry.example/edge/machine:1.2 sbom.json:application/spdx+json --artifact-type sbom/spdx": Shown(
        by=attached("edge/machine", "sbom/spdx")
    ),
    "eci-convert attach registry.example/gardenlinux:1 os-release --artifact-type build/os-release": Shown(
        by=attached("gardenlinux", "build/os-release")
    ),
    "eci-convert attach oci:layout:edge build.log:text/plain --artifact-type build/log --annotation job=17": Shown(
        then="eci-convert discover oci:layout:edge", by=lambda run: "build/log" in run.out
    ),
    "eci-convert discover registry.example/edge/machine:1.2": reads("\nsbom/spdx ", "\nbuild/log "),
    "eci-convert discover registry.example/edge/machine:1.2 --artifact-type sbom/spdx -q": Shown(
        by=lambda run: run.manifest(f"edge/machine@{run.out.strip()}")["artifactType"] == "sbom/spdx"
    ),
    "eci-convert discover oci:layout:edge --json": Shown(
        by=lambda run: [one["artifact_type"] for one in run.json()["referrers"]] == ["sbom/spdx"]
    ),
    # doctor, completion, help, version
    "eci-convert doctor": Shown(by=lambda run: run.setting.docker.host in run.out),
    "eci-convert doctor registry.example:5000": Shown(
        by=lambda run: f"registry:    {run.setting.registry.host}\n" in run.out and "answers:     200 " in run.out
    ),
    "eci-convert doctor docker://registry.example/edge/machine:1.2 --json": Shown(
        by=lambda run: run.json()["answers"] and run.json()["digest"].startswith("sha256:")
    ),
    "source <(eci-convert completion bash)": Shown(then="complete -p eci-convert", by=lambda run: " -F " in run.out),
    "eci-convert completion zsh > ~/.zfunc/_eci-convert": Shown(
        by=lambda run: (run.here / "home/.zfunc/_eci-convert").read_text().startswith("#compdef eci-convert")
    ),
    "eci-convert completion fish > ~/.config/fish/completions/eci-convert.fish": Shown(
        by=lambda run: "complete " in (run.here / "home/.config/fish/completions/eci-convert.fish").read_text()
    ),
    "eci-convert help build": reads("Usage: eci-convert build [OPTIONS]"),
    "eci-convert help index add": reads("Usage: eci-convert index add [OPTIONS] DST SRC..."),
    "eci-convert version": Shown(by=lambda run: run.out == f"eci-convert {ec.__version__}\n"),
}


@pytest.fixture(scope="module")
def setting(docker20: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    folder = tmp_path_factory.mktemp("setting")
    with registry() as own, run_registry() as login:
        login.users["me"] = "secret"
        made = Setting(
            folder=folder / "template", docker=docker20, registry=own, login=login,
            repositories=folder / "repositories",
        )  # fmt: skip
        make_files(made)
        make_images(made)
        shutil.copytree(own.storage / "docker/registry/v2/repositories", made.repositories)
        yield made
    docker20.run("docker", "rmi", "--force", *BASES, *MACHINES, check=False)


def make_files(setting: Setting) -> None:
    """The files that the examples name."""
    here = setting.folder
    for name in ("bin", "boot", "var", "srv", "rootfs", "home/.zfunc", "home/.config/fish/completions"):
        (here / name).mkdir(parents=True)
    (here / "vmlinuz").write_bytes(made_up_kernel(1 << 16))
    (here / "initrd.img").write_bytes(b"initrd" * 100)
    write_disk(here / "disk.raw", 1 << 20, {0: boot_sector(1 << 20), 1 << 19: b"root"})
    write_disk(here / "data.raw", 1 << 20, {0: boot_sector(1 << 20), 1 << 19: b"data"})
    (here / "boot/vmlinuz").write_bytes((here / "vmlinuz").read_bytes())
    (here / "var/disk.raw").write_bytes((here / "disk.raw").read_bytes())
    command: list[str | Path] = [Programs().qemu_img, "convert", "-O", "qcow2", here / "disk.raw", here / "disk.qcow2"]
    subprocess.run(command, check=True)
    (here / "sbom.json").write_text('{"spdxVersion": "SPDX-2.3"}\n')
    (here / "os-release").write_text("ID=gardenlinux\n")
    (here / "build.log").write_text("built\n")
    (here / "bin/kubectl").write_text(KUBECTL)
    (here / "bin/kubectl").chmod(0o755)
    unpack("eci/legacy.tar.gz", here)
    (here / "legacy").rename(here / "made-by-eci")


def make_images(setting: Setting) -> None:
    """The images that the examples name."""
    here = setting.folder
    for name, content in BASES.items():
        label = f"LABEL base={name.partition(':')[0]}"
        setting.docker.run("docker", "import", "--change", label, "-", name, stdin=archive_of(content))
    (here / "storage.conf").write_text(STORAGE.replace("DIR", str(here)))
    lines = IMAGES.replace("registry.example", setting.registry.host).replace("DIR", str(here))
    done = subprocess.run(
        [sys.executable, "-P", "-c", MAKER], cwd=here, env=setting.variables(here), input=lines, capture_output=True,
        text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    setting.ids["0123456789ab"] = names_in(here / "layout")["machine:1"].partition(":")[2][:12]
    setting.ids["sha256:0123…"] = document_in(here / "layout", "machine")["manifests"][1]["digest"]
    bundle = {
        "schemaVersion": "v1.0.0", "name": "shop", "version": "1.2", "description": "",
        "invocationImages": [{"imageType": "oci", "image": f"{setting.registry.host}/apps/web:1.2"}],
        "images": {"web": {"imageType": "oci", "description": "", "image": f"{setting.registry.host}/edge/three:1"}},
    }  # fmt: skip
    (here / "bundle.json").write_text(json.dumps(bundle))


def archive_of(files: dict[str, bytes]) -> bytes:
    """A tar archive of *files*."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_does_what_it_says(example: str, setting: Setting, tmp_path: Path) -> None:
    shown, here = SHOWN[example], tmp_path / "here"
    shutil.copytree(setting.folder, here, symlinks=True)
    (here / "storage.conf").write_text(STORAGE.replace("DIR", str(here)))
    setting.reset()
    if shown.first:
        bash(setting, here, shown.first)

    done = bash(setting, here, f"{example}\n{shown.then}", exits=shown.exits)

    did_what_it_says = shown.by(Run(setting=setting, here=here, out=done.stdout))
    assert did_what_it_says, done.stdout + done.stderr


def bash(setting: Setting, here: Path, line: str, exits: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", setting.runnable(line, here)], cwd=here, env=setting.variables(here),
        input="secret\n", capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == exits, f"{line}: exit {done.returncode}, not {exits}\n{done.stdout}{done.stderr}"
    return done


def test_each_entry_is_of_an_example() -> None:
    assert SHOWN.keys() == set(EXAMPLES)


def test_the_reference_shows_these_examples() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", REFERENCE.read_text(), re.DOTALL)

    assert {line for block in blocks for line in block.splitlines()} <= set(EXAMPLES)
