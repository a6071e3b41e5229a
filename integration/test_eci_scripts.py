"""Scripts as users of `eci` wrote them, run with one word replaced: against a registry, directories and containerd.

Each is run by `sh -eu` in a directory of its own, which holds a machine's parts. What they assert, they assert in
shell.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.containerd import Containerd
from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import Machine

FIXTURES = Path(__file__).parents[1] / "tests/fixtures"
PARTS = ("kernel", "initrd", "root.raw", "d1.qcow2", "d2.iso", "cfg.json")

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Runs a script where the parts that the original's fixtures were made of lie. *variables* are for its text."""
    with tarfile.open(FIXTURES / "inputs.tar.gz") as archive:
        for name in PARTS:
            (tmp_path / name).write_bytes(_member(archive, f"in/{name}"))

    def run(text: str, exits: int = 0, **variables: object) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "HOME": str(tmp_path / "home")} | {k: str(v) for k, v in variables.items()}
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "REGISTRY_AUTH_FILE", "CONTAINERD_ADDRESS"):
            env.pop(name, None)
        done = subprocess.run(
            ["sh", "-euc", one_word_replaced(text)], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == exits, f"exit {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    return run


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file
    return file.read()


def one_word_replaced(text: str) -> str:
    """*text* with the command `eci`, and nothing else that is spelt so, replaced."""
    replaced, count = re.subn(r"(?m)(?<![\w./-])eci(?= )", "eci-convert", text)
    assert count, "this script calls no eci"
    return replaced


def test_only_the_command_is_replaced() -> None:
    assert one_word_replaced("eci push docker.io/lf/eci-nginx:1 | eci pull eci/x") == (
        "eci-convert push docker.io/lf/eci-nginx:1 | eci-convert pull eci/x"
    )


PUSH_AND_PULL = """
eci push $REMOTE --kernel ./kernel --initrd ./initrd --root ./root.raw:raw --disk d1.qcow2:qcow2 --disk d2.iso:iso \\
    --format $FORMAT --author "me, myself" --OS linux --arch arm64 --verbose $IMAGE
mkdir -p machine
eci pull $REMOTE --dir machine --blocksize 65536 $IMAGE
cmp machine/kernel kernel
cmp machine/initrd initrd
cmp machine/disk-root-root.raw root.raw
cmp machine/disk-0-d1.qcow2 d1.qcow2
cmp machine/disk-1-d2.iso d2.iso
grep -q '"architecture":"arm64"' machine/config.json
grep -q '"author":"me, myself"' machine/config.json

eci $REMOTE --debug pullfiles $IMAGE --kernel=vmlinuz --initrd=initrd.img --root=disk --config=config 2>debug
cmp vmlinuz kernel
cmp initrd.img initrd
cmp disk root.raw
cmp config machine/config.json
"""


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_a_machine_goes_to_a_registry_and_back(script: Script, registry: Registry, image_name: str, form: str) -> None:
    script(PUSH_AND_PULL, IMAGE=f"{registry.host}/{image_name}", FORMAT=form, REMOTE="")


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
@pytest.mark.parametrize("spelling", ["/", "file:///"])
def test_a_machine_goes_to_a_directory_and_back(
    script: Script, tmp_path: Path, programs: Programs, form: str, spelling: str
) -> None:
    remote = f"--remote {spelling}{str(tmp_path / 'images').lstrip('/')}"
    script(PUSH_AND_PULL, IMAGE="docker.io/lfedge/eci-nginx:1", FORMAT=form, REMOTE=remote)
    found = subprocess.run(
        [programs.skopeo, "inspect", "--raw", f"oci:{tmp_path}/images:docker.io/lfedge/eci-nginx:1"],
        capture_output=True,
        check=True,
    )
    assert len(json.loads(found.stdout)["layers"]) == 5


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_a_machine_goes_to_containerd_and_back(
    script: Script, containerd_engine: Containerd, image_name: str, form: str
) -> None:
    image = f"docker.io/lfedge/{image_name.partition('/')[2]}"
    script(PUSH_AND_PULL, IMAGE=image, FORMAT=form, REMOTE=f"--remote containerd:{containerd_engine.address}")
    assert image in containerd_engine.ctr("images", "ls", "-q").split()


def test_a_namespace_of_containerd_is_kept_to(script: Script, containerd2: Containerd, image_name: str) -> None:
    script(
        """
        eci --remote containerd:$SOCKET --namespace edge push $IMAGE --kernel kernel --initrd initrd
        eci --remote containerd:$SOCKET --namespace edge pull $IMAGE --dir out
        cmp out/kernel kernel
        ! eci --remote containerd:$SOCKET pull $IMAGE --dir none
        test ! -e none
        """,
        SOCKET=containerd2.address,
        IMAGE=f"docker.io/lfedge/{image_name.partition('/')[2]}",
    )
    assert image_name.partition("/")[2] in containerd2.ctr("images", "ls", "-q", namespace="edge")


def test_a_digest_is_cut_out_of_what_push_says(script: Script, registry: Registry, image_name: str) -> None:
    script(
        """
        IMAGE=$NAME
        said=$(eci push "$IMAGE" --kernel kernel --initrd initrd)
        test "${said% sha256:*}" = "Pushed image $IMAGE with digest"
        digest=${said##* }
        eci pull --dir by-digest "${IMAGE%:*}@$digest"
        eci pull --dir by-both "$IMAGE@$digest"
        cmp by-digest/kernel kernel
        cmp by-both/initrd initrd

        said=$(eci push --remote "$PWD/layout" "$IMAGE" --kernel kernel --initrd initrd)
        test "$said" = "Pushed image $IMAGE to $PWD/layout with digest $digest"
        """,
        NAME=f"{registry.host}/{image_name}",
    )


def test_what_is_pulled_lands_where_one_stands(script: Script, registry: Registry, image_name: str) -> None:
    script(
        """
        eci push $IMAGE --root root.raw:raw --config cfg.json
        mkdir here && cd here
        eci pull $IMAGE
        eci pull $IMAGE >/dev/null
        test "$(ls)" = "config.json
disk-root-root.raw"
        cmp disk-root-root.raw ../root.raw
        cmp config.json ../cfg.json
        """,
        IMAGE=f"{registry.host}/{image_name}",
    )


def test_several_disks_may_be_named_at_once(script: Script, registry: Registry, image_name: str) -> None:
    script(
        """
        eci push $IMAGE --disk d1.qcow2:qcow2,d2.iso:iso --disk root.raw:raw
        eci pull $IMAGE --dir out
        cmp out/disk-0-d1.qcow2 d1.qcow2
        cmp out/disk-1-d2.iso d2.iso
        cmp out/disk-2-root.raw root.raw
        """,
        IMAGE=f"{registry.host}/{image_name}",
    )


def test_a_script_stops_where_eci_stopped_it(script: Script, registry: Registry, image_name: str) -> None:
    said = script(
        """
        if eci push $IMAGE --kernel missing --initrd initrd; then exit 50; fi
        if eci pull $IMAGE --dir out; then exit 51; fi
        if eci push --remote relative/dir $IMAGE --kernel kernel; then exit 52; fi
        if eci push $IMAGE --root root.raw:floppy; then exit 53; fi
        if eci push $IMAGE --kernel kernel --format tarball; then exit 54; fi
        if eci push --kernel kernel --initrd initrd; then exit 55; fi
        test ! -e out
        eci push $IMAGE --kernel kernel --root missing.raw:raw
        echo never
        """,
        exits=4,
        IMAGE=f"{registry.host}/{image_name}",
    )
    assert not said.stdout
    errors = [line for line in said.stderr.splitlines() if line.startswith("eci-convert: error: ")]
    assert len(errors) == 7


def test_a_login_of_docker_is_all_that_is_needed(
    script: Script, registry_login: Registry, docker28: DockerEngine, image_name: str, tmp_path: Path
) -> None:
    variables = {"IMAGE": f"{registry_login.host}/{image_name}", "DOCKER_CONFIG": tmp_path / "docker"}
    denied = script("eci push $IMAGE --kernel kernel --initrd initrd", exits=5, **variables)
    assert "docker login" in denied.stderr
    docker28.run(
        "docker", "login", "--username", str(registry_login.user), "--password-stdin", registry_login.host,
        stdin=str(registry_login.password).encode(), env={"DOCKER_CONFIG": str(tmp_path / "docker")},
    )  # fmt: skip
    said = script(
        """
        eci push --debug $IMAGE --kernel kernel --initrd initrd
        eci pull --debug $IMAGE --dir out
        cmp out/kernel kernel
        """,
        **variables,
    )
    assert "/v2/" in said.stderr
    assert str(registry_login.password) not in said.stderr + said.stdout
    assert "Basic" not in said.stderr


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_directories_that_eci_itself_wrote_are_read_and_added_to(script: Script, tmp_path: Path, form: str) -> None:
    with tarfile.open(FIXTURES / f"eci-{form}.tar.gz") as archive:
        for member in archive:
            if member.isfile():
                path = tmp_path / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_member(archive, member.name))
    script(
        """
        eci pull --remote $PWD/eci-$FORMAT docker.io/lfedge/eci-nginx:1 --dir out
        cmp out/kernel kernel
        cmp out/initrd initrd
        cmp out/disk-root-root.raw root.raw
        cmp out/disk-0-d1.qcow2 d1.qcow2
        cmp out/disk-1-d2.iso d2.iso
        eci pullfiles --remote file://$PWD/eci-$FORMAT docker.io/lfedge/eci-nginx:1 --root disk --kernel k
        cmp disk root.raw
        ! eci pull --remote $PWD/eci-$FORMAT docker.io/lfedge/other:1 --dir none

        eci push --remote $PWD/eci-$FORMAT docker.io/lfedge/other:1 --kernel initrd
        eci pull --remote $PWD/eci-$FORMAT docker.io/lfedge/other:1 --dir other
        cmp other/kernel initrd
        eci pull --remote $PWD/eci-$FORMAT docker.io/lfedge/eci-nginx:1 --dir again
        cmp again/kernel kernel
        """,
        FORMAT=form,
    )


def test_labels_of_an_image_that_docker_built_are_read(
    script: Script, docker_engine: DockerEngine, registry: Registry, image_name: str, machine: Machine, tmp_path: Path
) -> None:
    """What `eci pullfiles` was for: an image that `docker build` made and `docker push` sent."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "vmlinuz").write_bytes(machine.kernel.read_bytes())
    (context / "initrd").write_bytes(b"initrd")
    (context / "Dockerfile").write_text(
        "FROM scratch\nCOPY vmlinuz /boot/kernel\nCOPY initrd /boot/\n"
        "LABEL org.lfedge.eci.artifact.kernel=/boot/kernel org.lfedge.eci.artifact.initrd=/boot/initrd\n"
    )
    name = f"{registry.host}/{image_name}"
    docker_engine.docker("build", "-t", name, str(context))
    docker_engine.docker("push", name)
    script(
        """
        eci pullfiles $IMAGE --kernel k --initrd i
        cmp k context/vmlinuz
        cmp i context/initrd
        """,
        IMAGE=name,
    )
