"""Preloaded images run under podman: from an additional image store, from a graph root that came in an archive, and in
a machine whose disk that archive was unpacked into."""

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
from integration.engines.programs import DEBIAN_PATH, Programs
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


NO_NETWORK = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
USER = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

AS_NOBODY = f"""
import os, sys
from eci_convert.cli import main
words = sys.argv[1:]
out = os.dup(1)
os.dup2(2, 1)
main([*words[:-2], "-o", "/dev/null"])  # for what is imported, which nobody may not read where root keeps its Python
os.dup2(out, 1)
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
sys.exit(main(words))
"""

LOOK = "/bin/busybox ls /etc; /bin/busybox stat -c '%u:%g %a' /srv/mine"


def preload_as_user(*words: str | Path, folder: Path) -> bytes:
    """Runs `preload WORDS` as an ordinary user, who owns *folder*; its standard output."""
    os.chown(folder, NOBODY, NOBODY)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "preload", *words], capture_output=True, check=False, timeout=300,
        cwd=folder, env={**os.environ, "HOME": "/nonexistent", "TMPDIR": "/var/tmp"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


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
    words = [f"oci:{layout}:edge/run:1", "--driver", driver, "-o"]
    eci_convert("preload", *words, folder / "root.tar")
    (folder / "home").mkdir()
    (folder / "user.tar").write_bytes(preload_as_user(*words, "-", folder=folder / "home"))
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


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@pytest.mark.parametrize("who", ["root", "user"])
def test_an_additional_image_store_by_an_ordinary_user_is_roots_and_that_users(
    layout: Path, podman_overlay: Store, driver: str, who: str, folder: Path
) -> None:
    """In files an ordinary user cannot give to others, so all in it is that user's: root to that user's podman."""
    (folder / "home").mkdir()
    preload_as_user(f"oci:{layout}:edge/run:1", "--driver", driver, "--root", "more", folder=folder / "home")
    config = folder / "storage.conf"
    config.write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/home/graph"\nrunroot = "{folder}/home/run"\n'
        f'[storage.options]\nadditionalimagestores = ["{folder}/home/more"]\n'
    )
    env = podman_overlay.env | {
        "CONTAINERS_STORAGE_CONF": str(config), "HOME": f"{folder}/home", "XDG_RUNTIME_DIR": f"{folder}/home"
    }  # fmt: skip

    done = subprocess.run(
        [*(USER if who == "user" else NO_NETWORK), "podman", "--cgroup-manager=cgroupfs", "run", "--rm",
         "--pull=never", *LIMITS, NAME, "/bin/busybox", "sh", "-c", LOOK],
        capture_output=True, text=True, check=False, timeout=120, env=env,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert "new" in said
    assert "old" not in said
    assert said[-2:] == [f"{NOBODY}:{NOBODY}" if who == "root" else "0:0", "640"]


MACHINE = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mkdir -p usr etc proc sys dev run tmp var/tmp mnt
for name in bin sbin lib lib64; do ln -s "usr/$name" "$name"; done
for name in usr etc; do mount --bind "/$name" "$name"; mount -o remount,bind,ro "$name"; done
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
pivot_root . mnt
umount -l /mnt
exec chroot . podman --storage-driver="$2" --cgroup-manager=cgroupfs \
    run --rm --pull=never $3 docker.io/edge/run:1 /bin/busybox sh -c "$4"
"""
"""A machine whose disk is the directory $1, with the programs of this one: its podman finds what is preloaded where an
engine of a machine looks for it, for it has no network and is told of no other place."""


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_a_machine_without_a_network_runs_what_was_unpacked_into_its_disk(
    layout: Path, programs: Programs, driver: str, folder: Path
) -> None:
    (folder / "home").mkdir()
    archive = preload_as_user(f"oci:{layout}:edge/run:1", "--driver", driver, "-o", "-", folder=folder / "home")
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["tar", "-C", disk, "-x", "--xattrs", "--xattrs-include=*"], input=archive, check=True, timeout=120)

    done = subprocess.run(
        [*NO_NETWORK, "sh", "-c", MACHINE, "sh", disk, driver, " ".join(LIMITS), LOOK],
        capture_output=True, text=True, check=False, timeout=120, env={"PATH": DEBIAN_PATH},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert "new" in said
    assert "old" not in said
    assert said[-2:] == ["7:8", "640"]


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
