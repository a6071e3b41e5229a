"""Preloaded images run under podman, from an additional image store and from a graph root that came in an archive."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from integration.engines import daemon
from integration.engines.podman import Store
from integration.engines.programs import Programs
from tests.support.images import an_image, copied
from tests.support.storage_layers import an_archive, member

Run = Callable[..., subprocess.CompletedProcess[str]]

NAME = "docker.io/edge/run:1"
NOBODY = 65534
LIMITS = ("--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
"""What a computer without a network, and without the right to raise limits, lets a container have."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may read; what podman mounts in it is undone."""
    with daemon.own_folder() as made:
        made.chmod(0o755)
        yield made


@pytest.fixture
def layout(folder: Path) -> Path:
    """An image with a shell and what its second layer changes."""
    busybox = Path("/bin/busybox").read_bytes()
    image = (
        an_image()
        .tar_layer(
            an_archive(
                member("bin/", "dir"),
                member("bin/busybox", content=busybox, mode=0o755),
                member("etc/", "dir"),
                member("etc/old", content=b"old"),
                member("srv/", "dir"),
                member("srv/mine", content=b"mine", uid=7, gid=8, mode=0o640),
                member("null", "char", devmajor=1, devminor=3),
            ),
            compression="gzip",
        )
        .tar_layer(an_archive(member("etc/", "dir"), member("etc/.wh.old"), member("etc/new", content=b"new")))
    )
    copied(image.build(), open_sink(f"oci:{folder}/layout:edge/run:1", Settings(environ={})))
    return folder / "layout"


def shell(store: Store, config: Path | None, text: str) -> str:
    """What a container of the image prints. *config* is the storage.conf that it is found by."""
    command = ["podman", "--cgroup-manager=cgroupfs"]
    command += [] if config else store._flags()
    env = store.env | ({"CONTAINERS_STORAGE_CONF": str(config)} if config else {})
    done = subprocess.run(
        [*command, "run", "--rm", "--pull=never", *LIMITS, NAME, "/bin/busybox", "sh", "-c", text],
        capture_output=True, text=True, check=False, timeout=120, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


AS_NOBODY = f"""
import os, sys
from eci_convert.cli import main
words = sys.argv[1:]
out = os.dup(1)
os.dup2(2, 1)
main([*words[:-1], "/dev/null"])  # for what is imported, which nobody may not read where root keeps its Python
os.dup2(out, 1)
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
sys.exit(main(words))
"""

LOOK = "/bin/busybox ls /etc; /bin/busybox stat -c '%u:%g %a' /srv/mine"


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_podman_runs_an_image_of_an_additional_image_store(
    layout: Path, podman_overlay: Store, podman_vfs: Store, eci_convert: Run, driver: str, folder: Path
) -> None:
    store = podman_overlay if driver == "overlay" else podman_vfs
    eci_convert("preload", f"oci:{layout}:edge/run:1", "--root", folder / "more", "--driver", driver)
    config = folder / "storage.conf"
    config.write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{store.root}"\nrunroot = "{store.runroot}"\n'
        f'[storage.options]\nadditionalimagestores = ["{folder}/more"]\n'
    )

    said = shell(store, config, LOOK).split()

    assert {"new"} <= set(said)
    assert "old" not in said
    assert said[-2:] == ["7:8", "640"]
    assert not [path for path in (folder / "more").rglob("*") if "mountpoints" in path.name]


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_an_archive_by_an_ordinary_user_is_roots_and_unpacks_to_a_graph_root(
    layout: Path, podman_overlay: Store, podman_vfs: Store, eci_convert: Run, driver: str, folder: Path
) -> None:
    words = ["preload", f"oci:{layout}:edge/run:1", "--driver", driver, "-o"]
    eci_convert(*words, folder / "root.tar")
    with open(folder / "user.tar", "wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *words, "-"], stdout=out, stderr=subprocess.PIPE, check=False,
            timeout=300, env={**os.environ, "HOME": "/nonexistent", "TMPDIR": "/var/tmp"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "user.tar").read_bytes() == (folder / "root.tar").read_bytes()

    subprocess.run(
        ["tar", "-C", folder, "-xf", folder / "user.tar", "--xattrs", "--xattrs-include=*"], check=True, timeout=120
    )
    store = podman_overlay if driver == "overlay" else podman_vfs
    root = folder / "var/lib/containers/storage"
    graph = Store(name="preloaded", driver=driver, root=root, runroot=folder / "run", env=store.env)
    said = shell(graph, None, LOOK).split()
    assert "new" in said
    assert "old" not in said
    assert said[-2:] == ["7:8", "640"]
    graph.podman("rmi", "--force", NAME)


def test_skopeo_reads_what_was_preloaded(
    layout: Path, programs: Programs, podman_overlay: Store, eci_convert: Run, folder: Path
) -> None:
    eci_convert("preload", f"oci:{layout}:edge/run:1", "--root", folder / "tree")

    prefix = f"containers-storage:[overlay@{folder}/tree+{folder}/run]"

    done = subprocess.run(
        [programs.skopeo, "--insecure-policy", "copy", f"{prefix}{NAME}", f"docker-archive:{folder}/out.tar"],
        capture_output=True, text=True, check=False, timeout=120,
        env=podman_overlay.env,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    with tarfile.open(folder / "out.tar") as archive:
        assert "manifest.json" in archive.getnames()
