"""containers-storage as a place: podman, skopeo and buildah find what we wrote, and we read what they wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert.errors import NotFoundError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Source
from eci_convert.transports.settings import Settings
from integration.engines.podman import Store
from integration.engines.programs import Programs
from tests.support.images import ImageBuilder, a_container, an_image, copied
from tests.support.storage_layers import an_archive, member, seen

LAYERED = (
    an_image()
    .tar_layer(
        an_archive(
            member("boot/", "dir", mode=0o750),
            member("boot/kernel", content=b"kernel" * 3000, mode=0o600, mtime=1_500_000_000.25),
            member("boot/again", "hard", linkname="boot/kernel"),
            member("etc/", "dir"),
            member("etc/gone", content=b"gone"),
            member("etc/link", "link", linkname="gone"),
            member("var/", "dir"),
            member("var/old", content=b"old"),
            member("su", content=b"su", mode=0o4755, uid=5, gid=6),
            member("null", "char", devmajor=1, devminor=3),
            member("pipe", "fifo"),
            member("ä" * 60 + "/" + "b" * 120, content=b"long"),
            member("attributes", content=b"x", pax_headers={"SCHILY.xattr.user.colour": "red"}),
        ),
        compression="gzip",
    )
    .tar_layer(
        an_archive(
            member("etc/", "dir"),
            member("etc/.wh.gone"),
            member("var/", "dir"),
            member("var/.wh..wh..opq"),
            member("var/new", content=b"new"),
            member("disk", content=bytes(4 << 20) + b"data" * 1000 + bytes(4 << 20)),
        ),
        compression="zstd",
    )
    .label("org.lfedge.eci.artifact.kernel", "/boot/kernel")
)
IMAGES = {"gzip": a_container("gzip"), "none": a_container("none"), "layered": LAYERED}


def sink_and_name(store: Store, name: str) -> str:
    return f"{store.prefix}docker.io/{name}"


def written(store: Store, name: str, image: ImageBuilder) -> Descriptor:
    return copied(image.build(), open_sink(f"{store.prefix}docker.io/{name}", Settings(timeout=30)))


def reading(store: Store, name: str) -> Source:
    return open_source(f"{store.prefix}docker.io/{name}", Settings(timeout=30))


def diff_ids(source: Source) -> list[Digest]:
    """Of the archives as they are, and they are those that the config promises."""
    with source:
        image = load_image(source)
        found = [Digest.of(load_document(source, layer)) for layer in image.manifest.layers]
        assert found == list(image.config.diff_ids)
        return found


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, check=False, text=True, timeout=300, env=env)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def skopeo(store: Store, *arguments: str) -> str:
    return run(Programs().skopeo, "--insecure-policy", *arguments, env=store.env)


@pytest.mark.parametrize("kind", IMAGES)
def test_podman_lists_inspects_mounts_and_removes_what_we_wrote(
    podman_store: Store, image_name: str, tmp_path: Path, kind: str
) -> None:
    descriptor = written(podman_store, image_name, IMAGES[kind])
    name = f"docker.io/{image_name}"

    listed = podman_store.podman("images", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}")
    [inspected] = json.loads(podman_store.podman("image", "inspect", name))
    mounted = Path(podman_store.podman("image", "mount", name))
    shutil.copytree(mounted, tmp_path / "copy", symlinks=True, copy_function=_copied)
    podman_store.podman("image", "umount", name)
    podman_store.podman("rmi", name)

    assert f"{name} {descriptor.digest}" in listed
    assert inspected["RootFS"]["Layers"] == list(map(str, IMAGES[kind].diff_ids))
    assert inspected["Labels"] == dict(IMAGES[kind].labels)
    if kind != "layered":
        assert seen(tmp_path / "copy") == {
            "boot": None,
            "boot/initrd": b"initrd",
            "boot/kernel": b"kernel",
            "root.raw": b"root" * 300,
        }
    assert name not in podman_store.podman("images", "--format", "{{.Repository}}:{{.Tag}}")
    with reading(podman_store, image_name) as source, pytest.raises(NotFoundError):
        source.resolve()


def _copied(source: str, target: str, *, follow_symlinks: bool = True) -> object:
    """As shutil does it, but pipes and devices are left out."""
    if os.path.isfile(source) or os.path.islink(source):
        return shutil.copy2(source, target, follow_symlinks=follow_symlinks)
    return None


def test_podman_mounts_the_tree_that_the_layers_make(podman_store: Store, image_name: str) -> None:
    written(podman_store, image_name, LAYERED)

    top = Path(podman_store.podman("image", "mount", f"docker.io/{image_name}"))

    try:
        found = seen(top)
        assert "etc/gone" not in found
        assert "var/old" not in found
        assert found["etc/link"] == "-> gone"
        assert found["var/new"] == b"new"
        assert (found["null"], found["pipe"]) == ("char", "fifo")
        kernel = os.stat(top / "boot/kernel")
        assert (kernel.st_mode & 0o7777, kernel.st_nlink, kernel.st_mtime) == (0o600, 2, 1_500_000_000.25)
        su = os.stat(top / "su")
        assert (su.st_mode & 0o7777, su.st_uid, su.st_gid) == (0o4755, 5, 6)
        assert os.getxattr(top / "attributes", "user.colour") == b"red"
        assert os.stat(top / "disk").st_blocks * 512 < 1 << 20
    finally:
        podman_store.podman("image", "umount", f"docker.io/{image_name}")


@pytest.mark.parametrize("kind", IMAGES)
def test_podman_saves_and_skopeo_copies_what_we_wrote(
    podman_store: Store, image_name: str, tmp_path: Path, kind: str
) -> None:
    written(podman_store, image_name, IMAGES[kind])
    config = IMAGES[kind].manifest().config.digest

    # as Docker's archive, this podman does not save what once was zstd, whoever stored it
    form = "oci-archive" if kind == "layered" else "docker-archive"
    podman_store.podman("save", "--format", form, "--output", str(tmp_path / "saved.tar"), f"docker.io/{image_name}")
    skopeo(podman_store, "copy", f"{podman_store.prefix}docker.io/{image_name}", f"oci:{tmp_path}/layout:v1")

    with tarfile.open(tmp_path / "saved.tar") as archive:
        names = archive.getnames()
    assert form == "oci-archive" or {f"{diff_id.hex}.tar" for diff_id in IMAGES[kind].diff_ids} <= set(names)
    index = json.loads((tmp_path / "layout/index.json").read_text())
    manifest = json.loads((tmp_path / "layout/blobs" / index["manifests"][0]["digest"].replace(":", "/")).read_text())
    assert manifest["config"]["digest"] == str(config)


def test_podman_creates_a_container_of_what_we_wrote_and_copies_out_of_it(
    podman_store: Store, image_name: str, tmp_path: Path
) -> None:
    written(podman_store, image_name, a_container())

    container = podman_store.podman("create", f"docker.io/{image_name}", "/none")
    podman_store.podman("cp", f"{container}:/boot/kernel", str(tmp_path / "kernel"))
    podman_store.podman("rm", container)

    assert (tmp_path / "kernel").read_bytes() == b"kernel"


def test_layers_are_shared_and_stay_while_another_image_needs_them(podman_store: Store, image_name: str) -> None:
    base = an_image().tar_layer({"base": image_name.encode()}, compression="gzip")
    one, other = base.tar_layer({"one": b"one"}), base.tar_layer({"other": b"other"})
    name, _, tag = image_name.partition(":")
    written(podman_store, f"{name}-one:{tag}", one)
    layers = podman_store.root / f"{podman_store.driver}-layers/layers.json"
    before = len(json.loads(layers.read_text()))

    written(podman_store, f"{name}-other:{tag}", other)
    shared = len(json.loads(layers.read_text())) - before
    podman_store.podman("rmi", f"docker.io/{name}-one:{tag}")

    assert shared == 1
    assert diff_ids(reading(podman_store, f"{name}-other:{tag}")) == list(other.diff_ids)
    podman_store.podman("save", "--output", "/dev/null", f"docker.io/{name}-other:{tag}")


def test_skopeo_adds_to_a_store_of_ours_and_shares_its_layers(
    podman_store: Store, image_name: str, tmp_path: Path
) -> None:
    image = an_image().tar_layer({"base": image_name.encode()}, compression="gzip").tar_layer({"x": b"x"})
    copied(image.build(), open_sink(f"oci:{tmp_path}/layout:v1", Settings()))
    name, _, tag = image_name.partition(":")
    written(podman_store, f"{name}-ours:{tag}", replace(image, labels={"ours": "1"}))
    layers = podman_store.root / f"{podman_store.driver}-layers/layers.json"
    before = layers.read_text()

    skopeo(podman_store, "copy", f"oci:{tmp_path}/layout:v1", f"{podman_store.prefix}docker.io/{name}-theirs:{tag}")

    assert len(json.loads(layers.read_text())) == len(json.loads(before))
    assert diff_ids(reading(podman_store, f"{name}-theirs:{tag}")) == list(image.diff_ids)
    podman_store.podman("rmi", f"docker.io/{name}-ours:{tag}")
    assert diff_ids(reading(podman_store, f"{name}-theirs:{tag}")) == list(image.diff_ids)


@pytest.mark.parametrize("kind", IMAGES)
def test_what_skopeo_wrote_is_read_byte_for_byte(
    podman_store: Store, image_name: str, tmp_path: Path, kind: str
) -> None:
    image = IMAGES[kind]
    if kind == "layered":  # this skopeo writes no zstd
        image = an_image()
        for layer in a_container("none").layers:
            image = image.tar_layer(layer[1])
        image = image.tar_layer(an_archive(member("etc/.wh.x"), member("n" * 180, content=b"n")), compression="gzip")
    copied(image.build(), open_sink(f"oci:{tmp_path}/layout:v1", Settings()))

    skopeo(podman_store, "copy", f"oci:{tmp_path}/layout:v1", f"{podman_store.prefix}docker.io/{image_name}")

    with reading(podman_store, image_name) as source:
        assert load_image(source).manifest.config.digest == image.manifest().config.digest
    assert diff_ids(reading(podman_store, image_name)) == list(image.diff_ids)


def test_what_buildah_built_is_read(podman_store: Store, image_name: str, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel" * 1000)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY kernel /boot/kernel\nLABEL colour=red\n")

    podman_store.buildah("bud", "--tag", f"docker.io/{image_name}", str(tmp_path))

    assert len(diff_ids(reading(podman_store, image_name))) == 1
    with reading(podman_store, image_name) as source:
        assert load_image(source).config.labels["colour"] == "red"


def test_we_and_podman_write_at_the_same_time_and_nothing_is_lost(
    podman_store: Store, image_name: str, tmp_path: Path
) -> None:
    images = {
        f"{image_name}-{number}": an_image().tar_layer({"x": f"{image_name} {number}".encode()}, compression="gzip")
        for number in range(12)
    }
    for name, image in images.items():
        copied(image.build(), open_sink(f"oci:{tmp_path}/layout:{name.partition(':')[2]}", Settings()))

    def write(name: str) -> None:
        if int(name[-1]) % 2:
            source = f"oci:{tmp_path}/layout:{name.partition(':')[2]}"
            skopeo(podman_store, "copy", source, f"{podman_store.prefix}docker.io/{name}")
        else:
            written(podman_store, name, images[name])
            podman_store.podman("images")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, images))

    for name, image in images.items():
        assert diff_ids(reading(podman_store, name)) == list(image.diff_ids)
        assert name in podman_store.podman("images", "--format", "{{.Repository}}:{{.Tag}}")


def test_podman_removes_what_a_crash_left_incomplete(podman_store: Store, image_name: str) -> None:
    image = an_image().tar_layer({"x": image_name.encode()})
    written(podman_store, image_name, image)
    podman_store.podman("untag", f"docker.io/{image_name}")
    layers = podman_store.root / f"{podman_store.driver}-layers/layers.json"
    images = podman_store.root / f"{podman_store.driver}-images/images.json"
    records = json.loads(layers.read_text())
    identity = image.diff_ids[0].hex
    layers.write_text(json.dumps([r | {"flags": {"incomplete": True}} if r["id"] == identity else r for r in records]))
    images.write_text(json.dumps([r for r in json.loads(images.read_text()) if r.get("layer") != identity]))

    written(podman_store, f"{image_name}-other", an_image().tar_layer({"y": image_name.encode()}))
    podman_store.podman("rmi", f"docker.io/{image_name}-other")

    assert identity not in layers.read_text()


def test_the_store_of_a_plain_user_is_written_and_read_by_that_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rootless podman needs a user namespace, which a test cannot count on: the layout is what is looked at."""
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chown(home, 65534, 65534)
        _as_nobody(home)
        store = Path(home) / ".local/share/containers/storage"
        assert {path.stat().st_uid for path in store.rglob("*") if not path.is_symlink()} == {65534}
        [kernel] = store.rglob("boot/kernel")
        assert kernel.read_bytes() == b"kernel"
        listed = run(
            Programs().podman,
            *("--root", str(store), "--runroot", f"{home}/run", "--storage-driver", "overlay", "images", "--noheading"),
        )
        assert "x.io/machine" in listed


def _as_nobody(home: str) -> None:
    """Write and read an image in the default store of the user nobody, in a child that becomes that user."""
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            settings = Settings(environ={"HOME": home}, timeout=30)
            copied(a_container().build(), open_sink("containers-storage:x.io/machine:1", settings))
            found = diff_ids(open_source("containers-storage:x.io/machine:1", settings))
            status = 0 if found == list(a_container().diff_ids) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def additional(podman_overlay: Store, image_name: str, tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """A store of ours as one that podman only reads."""
    root = tmp_path / "additional"
    copied(a_container().build(), open_sink(f"containers-storage:[overlay@{root}]docker.io/{image_name}", Settings()))
    conf = tmp_path / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tmp_path}/own"\nrunroot = "{tmp_path}/run"\n'
        f'[storage.options]\nadditionalimagestores = ["{root}"]\n'
    )
    yield podman_overlay, str(conf)
    subprocess.run(["umount", "--lazy", tmp_path / "own/overlay"], check=False, capture_output=True)


def test_podman_reads_a_store_of_ours_as_an_additional_one(additional: tuple[Store, str], image_name: str) -> None:
    store, conf = additional
    env = store.env | {"CONTAINERS_STORAGE_CONF": conf}

    listed = run(Programs().podman, "images", "--format", "{{.Repository}}:{{.Tag}} {{.ReadOnly}}", env=env)
    run(Programs().podman, "save", "--output", "/dev/null", f"docker.io/{image_name}", env=env)

    assert f"docker.io/{image_name} true" in listed
