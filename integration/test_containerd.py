"""containerd as a place: what we write is what `ctr` and Docker find, and it stays; what they write is what we read."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eci_convert.compression.codec import decompressed
from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    NotFoundError,
    TransportError,
    UploadLostError,
    UsageError,
)
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image, load_manifest
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Source
from eci_convert.transports.settings import Settings
from integration.engines import daemon
from integration.engines.containerd import _CONFIG, Containerd
from integration.engines.docker import DockerEngine
from integration.engines.programs import DEBIAN_PATH, UNSTABLE_PATH
from tests.support.images import ImageBuilder, IndexBuilder, a_container, a_machine, an_image, an_index, copied

IMAGES = {
    "artifacts": a_machine(),
    "container": a_container("gzip"),
    "uncompressed": a_container("none"),
    "zstd": a_container("zstd"),
}


def settings_of(engine: Containerd, namespace: str = "") -> Settings:
    return Settings(address=engine.address, namespace=namespace, timeout=30)


def written(engine: Containerd, name: str, image: ImageBuilder | IndexBuilder, namespace: str = "") -> Descriptor:
    return copied(image.build(), open_sink(f"containerd:{name}", settings_of(engine, namespace)))


def reading(engine: Containerd, name: str, namespace: str = "") -> Source:
    return open_source(f"containerd:{name}", settings_of(engine, namespace))


def everything(source: Source) -> dict[Digest, bytes]:
    """All documents and blobs of the image, verified."""
    found: dict[Digest, bytes] = {}
    waiting = [source.resolve()]
    while waiting:
        descriptor = waiting.pop()
        found[descriptor.digest] = load_document(source, descriptor)
        parsed = load_manifest(source, descriptor)
        if isinstance(parsed, Index):
            waiting.extend(parsed.manifests)
        else:
            found |= {blob.digest: load_document(source, blob) for blob in (parsed.config, *parsed.layers)}
    return found


def kept(engine: Containerd, namespace: str = "default") -> set[str]:
    return set(engine.ctr("content", "ls", "--quiet", namespace=namespace).split())


@pytest.fixture
def a_namespace(containerd_engine: Containerd, image_name: str) -> str:
    """A namespace that no other test uses."""
    return image_name.partition(":")[0].replace("/", "-")


@pytest.mark.parametrize("kind", IMAGES)
def test_every_byte_comes_back_and_ctr_finds_nothing_missing(
    containerd_engine: Containerd, image_name: str, kind: str
) -> None:
    name = f"docker.io/{image_name}"

    descriptor = written(containerd_engine, name, IMAGES[kind])

    with reading(containerd_engine, name) as source:
        assert source.resolve() == descriptor
        assert everything(source) == IMAGES[kind].contents()
    [_, state] = containerd_engine.ctr("images", "check", f"name=={name}").splitlines()
    assert str(descriptor.digest) in state
    assert " complete " in state
    assert containerd_engine.ctr("leases", "ls", "--quiet") == ""
    assert containerd_engine.ctr("content", "active").splitlines()[1:] == []


def test_an_index_is_kept_whole(containerd_engine: Containerd, image_name: str) -> None:
    index = an_index(a_container(), a_container("none").platform("linux/arm64"))
    name = f"docker.io/{image_name}"

    written(containerd_engine, name, index)

    with reading(containerd_engine, name) as source:
        assert everything(source) == index.build().blobs
    assert "linux/amd64,linux/arm64" in containerd_engine.ctr("images", "ls", f"name=={name}")


@pytest.mark.parametrize("kind", IMAGES)
def test_ctr_exports_what_was_written(
    containerd_engine: Containerd, image_name: str, tmp_path: Path, kind: str
) -> None:
    descriptor = written(containerd_engine, f"docker.io/{image_name}", IMAGES[kind])

    local = ["--local"] if containerd_engine.name == "containerd2" else []  # without it ctr 2 may end too early
    containerd_engine.ctr("images", "export", *local, str(tmp_path / "image.tar"), f"docker.io/{image_name}")

    with tarfile.open(tmp_path / "image.tar") as archive:
        index = json.load(archive.extractfile("index.json") or io.BytesIO())
        names = set(archive.getnames())
    assert [entry["digest"] for entry in index["manifests"]] == [str(descriptor.digest)]
    assert {f"blobs/sha256/{digest.hex}" for digest in IMAGES[kind].contents()} <= names


@pytest.mark.parametrize("kind", ["container", "uncompressed", "zstd"])
def test_ctr_unpacks_and_mounts_a_container_image(
    containerd_engine: Containerd, image_name: str, tmp_path: Path, kind: str
) -> None:
    name = f"docker.io/{image_name}"
    descriptor = written(containerd_engine, name, IMAGES[kind])

    unpacked = containerd_engine.ctr("snapshots", "--snapshotter=native", "unpack", str(descriptor.digest))
    (tmp_path / "top").mkdir()
    containerd_engine.ctr("images", "mount", "--snapshotter=native", name, str(tmp_path / "top"))

    try:
        assert "...done" in unpacked
        assert (tmp_path / "top/boot/kernel").read_bytes() == b"kernel"
        assert (tmp_path / "top/root.raw").read_bytes() == b"root" * 300
    finally:
        containerd_engine.ctr("images", "unmount", str(tmp_path / "top"))


@pytest.mark.parametrize("kind", ["artifacts", "container"])
def test_the_garbage_collector_takes_nothing_not_even_after_references_are_pruned(
    containerd_engine: Containerd, a_namespace: str, kind: str
) -> None:
    index = an_index(IMAGES[kind], IMAGES[kind].label("colour", "red").platform("linux/arm64"))
    written(containerd_engine, "docker.io/some/machine:1", index, a_namespace)
    garbage = a_machine(kernel=b"garbage")
    written(containerd_engine, "docker.io/some/garbage:1", garbage, a_namespace)

    containerd_engine.ctr("images", "rm", "--sync", "docker.io/some/garbage:1", namespace=a_namespace)
    after_removal = kept(containerd_engine, a_namespace)
    containerd_engine.ctr("content", "prune", "references", namespace=a_namespace)

    contents = set(map(str, index.build().blobs))
    assert after_removal == contents
    assert kept(containerd_engine, a_namespace) == contents


def test_without_our_own_labels_pruning_would_take_the_layers(containerd_engine: Containerd, a_namespace: str) -> None:
    image = a_machine()
    descriptor = written(containerd_engine, "docker.io/some/machine:1", image, a_namespace)
    layers = len(image.layers)
    gone = [f"containerd.io/gc.ref.content.eci-convert.l.{place}=" for place in range(layers)]
    containerd_engine.ctr("content", "label", str(descriptor.digest), *gone, namespace=a_namespace)

    containerd_engine.ctr("content", "prune", "references", namespace=a_namespace)

    assert len(kept(containerd_engine, a_namespace)) == len(image.contents()) - layers


def test_content_is_there_already_and_still_gets_its_name_and_its_labels(
    containerd_engine: Containerd, a_namespace: str
) -> None:
    """The original `eci` loses both there (docs/specs/eci.md#D20)."""
    descriptor = written(containerd_engine, "docker.io/some/machine:1", a_machine(), a_namespace)

    written(containerd_engine, "docker.io/some/machine:2", a_machine(), a_namespace)
    containerd_engine.ctr("images", "rm", "--sync", "docker.io/some/machine:1", namespace=a_namespace)

    with reading(containerd_engine, "docker.io/some/machine:2", a_namespace) as source:
        assert source.resolve() == descriptor
        assert everything(source) == a_machine().contents()


def test_a_name_moves_to_another_image_and_the_record_keeps_its_labels(
    containerd_engine: Containerd, a_namespace: str
) -> None:
    name = "docker.io/some/machine:1"
    written(containerd_engine, name, a_machine(), a_namespace)
    containerd_engine.ctr("images", "label", name, "io.cri-containerd.image=managed", namespace=a_namespace)

    second = written(containerd_engine, name, a_container(), a_namespace)

    listed = containerd_engine.ctr("images", "ls", namespace=a_namespace)
    assert str(second.digest) in listed
    assert "io.cri-containerd.image=managed" in listed
    assert len(listed.splitlines()) == 2


def test_names_are_found_as_they_are_spelt_spelt_out_with_a_digest_and_as_eci_wrote_them(
    containerd_engine: Containerd, a_namespace: str
) -> None:
    index = an_index(a_container(), a_container("none").platform("linux/arm64"))
    root = written(containerd_engine, "machine:1", index, a_namespace)
    child = index.index().manifests[1]
    other = written(containerd_engine, "docker.io/library/other:1", a_machine(), a_namespace)
    rename = (f"docker.io/library/other:1@{other.digest}", "docker.io/library/other:1")
    containerd_engine.ctr("images", "tag", rename[1], rename[0], namespace=a_namespace)
    containerd_engine.ctr("images", "rm", rename[1], namespace=a_namespace)

    def found(name: str) -> Digest:
        with reading(containerd_engine, name, a_namespace) as source:
            return source.resolve().digest

    assert "docker.io/library/machine:1" in containerd_engine.ctr("images", "ls", namespace=a_namespace)
    for name in ("machine:1", "docker.io/library/machine:1", f"machine@{root.digest}", str(root.digest)):
        assert found(name) == root.digest, name
    assert found(f"machine:1@{child.digest}") == child.digest
    for name in (
        "other:1",
        f"other:1@{other.digest}",
        f"other@{other.digest}",
        f"docker.io/library/other:1@{other.digest}",
    ):
        assert found(name) == other.digest, name
    for name in ("machine", "machine:2", f"machine:1@{other.digest}", f"third@{root.digest}", "sha256:" + 64 * "0"):
        with pytest.raises(NotFoundError):
            found(name)


def test_two_images_that_eci_wrote_under_one_name_are_not_guessed_between(
    containerd_engine: Containerd, a_namespace: str
) -> None:
    for image in (a_machine(), a_container()):
        descriptor = written(containerd_engine, "x.io/machine:1", image, a_namespace)
        name = f"x.io/machine:1@{descriptor.digest}"
        containerd_engine.ctr("images", "tag", "x.io/machine:1", name, namespace=a_namespace)
    containerd_engine.ctr("images", "rm", "x.io/machine:1", namespace=a_namespace)

    with (
        reading(containerd_engine, "x.io/machine:1", a_namespace) as source,
        pytest.raises(UsageError, match="ambiguous"),
    ):
        source.resolve()


def test_the_environment_says_where_and_in_which_namespace(containerd_engine: Containerd, a_namespace: str) -> None:
    there = {"CONTAINERD_ADDRESS": containerd_engine.address, "CONTAINERD_NAMESPACE": a_namespace}

    copied(a_machine().build(), open_sink("containerd:x.io/machine:1", Settings(environ=there)))

    assert "x.io/machine:1" in containerd_engine.ctr("images", "ls", "--quiet", namespace=a_namespace)
    assert "x.io/machine:1" not in containerd_engine.ctr("images", "ls", "--quiet")


def test_content_of_another_namespace_is_had_without_being_sent(
    containerd_engine: Containerd, a_namespace: str
) -> None:
    image = an_image().layer("application/octet-stream", a_namespace.encode() * 1000)
    written(containerd_engine, "x.io/machine:1", image, a_namespace)
    blob = image.layers[0][0]

    with open_sink("containerd:x.io/machine:1", settings_of(containerd_engine, f"{a_namespace}-2")) as sink:
        assert sink.has(blob)
        assert not sink.has(dataclasses.replace(blob, digest=Digest.of(b"never seen")))

    assert containerd_engine.ctr("content", "active", namespace=f"{a_namespace}-2").splitlines()[1:] == []


def test_content_that_is_not_what_was_promised_is_refused_and_leaves_nothing(
    containerd_engine: Containerd, a_namespace: str
) -> None:
    with open_sink("containerd:x.io/machine:1", settings_of(containerd_engine, a_namespace)) as sink:
        with pytest.raises(DigestMismatchError):
            sink.put("application/octet-stream", [b"lenrek"], digest=Digest.of(b"kernel"), size=6)
        with pytest.raises(CannotHoldError, match="sha512"):
            sink.put("application/octet-stream", [b"kernel"], digest=Digest.of(b"kernel", "sha512"), size=6)

    assert kept(containerd_engine, a_namespace) == set()
    assert containerd_engine.ctr("content", "active", namespace=a_namespace).splitlines()[1:] == []


def test_an_image_that_lacks_a_blob_gets_no_name(containerd_engine: Containerd, a_namespace: str) -> None:
    image = a_machine(kernel=a_namespace.encode())
    manifest = image.build().blobs[image.descriptor().digest]
    with open_sink("containerd:x.io/machine:1", settings_of(containerd_engine, a_namespace)) as sink:
        root = sink.put(image.media_type, [manifest])

        with pytest.raises(NotFoundError, match="which the image"):
            sink.publish(root)

    assert containerd_engine.ctr("images", "ls", "--quiet", namespace=a_namespace) == ""


def test_many_threads_write_and_some_write_the_same(containerd_engine: Containerd, a_namespace: str) -> None:
    blobs = [bytes([number]) * 300_000 for number in range(6)] * 3
    with (
        open_sink("containerd:x.io/machine:1", settings_of(containerd_engine, a_namespace)) as sink,
        ThreadPoolExecutor(6) as pool,
    ):
        stored = list(pool.map(lambda blob: sink.put("application/octet-stream", [blob]), blobs))

        assert [descriptor.digest for descriptor in stored] == [Digest.of(blob) for blob in blobs]
        assert len(kept(containerd_engine, a_namespace)) == 6


def test_a_blob_that_was_spoilt_in_the_store_is_noticed(containerd_engine: Containerd, image_name: str) -> None:
    image = a_machine(kernel=image_name.encode())
    written(containerd_engine, image_name, image)
    kernel = image.layers[0][0]
    stored = containerd_engine.folder / "root/io.containerd.content.v1.content/blobs/sha256" / kernel.digest.hex
    stored.chmod(0o644)
    stored.write_bytes(image_name.encode()[::-1])

    with reading(containerd_engine, image_name) as source, pytest.raises(DigestMismatchError):
        load_document(source, kernel)


def test_reading_begins_where_it_is_told_to(containerd_engine: Containerd, image_name: str) -> None:
    blob = os.urandom(3_000_000)
    image = an_image().layer("application/octet-stream", blob)
    written(containerd_engine, image_name, image)

    with reading(containerd_engine, image_name) as source:
        for skip in (0, 1, 1 << 20, 2_999_999, 3_000_000):
            with source.fetch(image.layers[0][0], skip) as chunks:
                assert b"".join(chunks) == blob[skip:]


KILLED = """
import os, sys, time
from eci_convert.oci.digest import Digest
from eci_convert.compression.codec import decompressed
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings

address, namespace, path, promised = sys.argv[1:]
def chunks():
    with open(path, "rb") as file:
        for number, chunk in enumerate(iter(lambda: file.read(1 << 20), b"")):
            if number == 40:
                print("forty", flush=True)
                time.sleep(600)
            yield chunk
digest = Digest.parse(promised) if promised else None
with open_sink("containerd:x.io/machine:1", Settings(address=address, namespace=namespace)) as sink:
    sink.put("application/octet-stream", chunks(), digest=digest)
"""


@pytest.mark.parametrize("promised", [True, False])
def test_what_a_killed_command_had_sent_is_not_sent_again(
    containerd_engine: Containerd, a_namespace: str, tmp_path: Path, promised: bool
) -> None:
    blob = os.urandom(64 << 20)
    (tmp_path / "blob").write_bytes(blob)
    digest = Digest.of(blob)
    command = [sys.executable, "-c", KILLED, containerd_engine.address, a_namespace, str(tmp_path / "blob")]
    victim = subprocess.Popen([*command, str(digest) if promised else ""], stdout=subprocess.PIPE)
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"forty\n"
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    [unfinished] = containerd_engine.ctr("content", "active", namespace=a_namespace).splitlines()[1:]

    counted = Counted(containerd_engine, tmp_path / "socket")

    with open_sink("containerd:x.io/machine:1", settings_of(counted.engine, a_namespace)) as sink:
        stored = sink.put("application/octet-stream", [blob], digest=digest if promised else None)

        assert stored.digest == digest
        assert kept(containerd_engine, a_namespace) == {str(digest)}
    assert "eci-convert-" in unfinished
    assert 24 << 20 < counted.sent < 34 << 20
    assert containerd_engine.ctr("content", "active", namespace=a_namespace).splitlines()[1:] == []


class Counted:
    """A socket in front of containerd's that counts what it is sent."""

    def __init__(self, engine: Containerd, path: Path) -> None:
        self.engine = dataclasses.replace(engine, address=str(path))
        self.sent = 0
        self._behind = engine.address
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            front, _ = self._listening.accept()
            back = socket.socket(socket.AF_UNIX)
            back.connect(self._behind)
            threading.Thread(target=self._pass_on, args=(front, back, 1), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(back, front, 0), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, counts: int) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 20):
                self.sent += counts * len(data)
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


def test_other_content_than_a_killed_command_began_with_is_never_mixed_with_it(
    containerd_engine: Containerd, a_namespace: str, tmp_path: Path
) -> None:
    blob = os.urandom(64 << 20)
    (tmp_path / "blob").write_bytes(blob)
    command = [sys.executable, "-c", KILLED, containerd_engine.address, a_namespace, str(tmp_path / "blob"), ""]
    victim = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"forty\n"
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    changed = blob[: 20 << 20] + os.urandom(44 << 20)

    with open_sink("containerd:x.io/machine:1", settings_of(containerd_engine, a_namespace)) as sink:
        with pytest.raises(UploadLostError):
            sink.put("application/octet-stream", [changed])
        stored = sink.put("application/octet-stream", [changed])

    assert stored.digest == Digest.of(changed)


RESOLVING = """
import sys
from eci_convert.transports import open_source
from eci_convert.transports.settings import Settings

open_source("containerd:x", Settings(address=sys.argv[1])).resolve()
"""


def test_nobody_may_not_and_nothing_listens(containerd_engine: Containerd, tmp_path: Path) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", RESOLVING, containerd_engine.address],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )

    assert "AccessDeniedError: containerd's socket" in done.stderr
    with pytest.raises(TransportError, match="no such file or directory") as caught:
        open_source("containerd:x", Settings(address=str(tmp_path / "nothing"))).resolve()
    assert any("is containerd running?" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("path", [DEBIAN_PATH, UNSTABLE_PATH], ids=["1.6", "2"])
def test_everything_is_still_there_after_a_restart(path: str) -> None:
    with daemon.own_folder() as folder:
        engine = Containerd(
            name="", address=f"{folder}/containerd.sock", env=os.environ | {"PATH": path}, folder=folder
        )
        (folder / "config.toml").write_text(_CONFIG.format(folder=folder))
        for start in range(2):
            with daemon.running(
                folder, ["containerd", f"--config={folder}/config.toml"], lambda: _answers(engine), engine.env
            ):
                if not start:
                    written(engine, "x.io/machine:1", a_machine())
                with reading(engine, "x.io/machine:1") as source:
                    assert everything(source) == a_machine().contents()


def _answers(engine: Containerd) -> bool:
    return Path(engine.address).exists() and "Server:" in engine.ctr("version", check=False)


@pytest.mark.parametrize("place", ["oci-archive", "docker-archive"])
def test_ctr_imports_the_archives_that_we_write(
    containerd_engine: Containerd, image_name: str, tmp_path: Path, place: str
) -> None:
    image = a_container("none")
    name = f"docker.io/{image_name}"
    copied(image.build(), open_sink(f"{place}:{tmp_path}/image.tar:{name}", Settings()))

    containerd_engine.ctr("images", "import", "--no-unpack", str(tmp_path / "image.tar"))

    with reading(containerd_engine, name) as source:
        found = load_image(source)
        assert found.manifest.config.digest == image.manifest().config.digest
        for layer, diff_id in zip(found.manifest.layers, image.diff_ids, strict=True):  # ctr compresses Docker's
            archive = b"".join(decompressed([load_document(source, layer)], None))
            assert Digest.of(archive) == diff_id


@pytest.fixture
def docker_containerd(docker28: DockerEngine) -> Settings:
    assert docker28.containerd_address
    return Settings(address=docker28.containerd_address, namespace="moby")


def test_docker_finds_what_was_written_to_its_containerd(
    docker28: DockerEngine, docker_containerd: Settings, image_name: str, tmp_path: Path
) -> None:
    copied(a_container().build(), open_sink(f"containerd:{image_name}", docker_containerd))

    [image] = json.loads(docker28.docker("image", "inspect", image_name))
    container = docker28.docker("create", image_name, "none")
    docker28.docker("cp", f"{container}:/boot/kernel", str(tmp_path / "kernel"))
    docker28.docker("rm", container)

    assert image["Config"]["Labels"]["org.lfedge.eci.artifact.kernel"] == "/boot/kernel"
    assert (tmp_path / "kernel").read_bytes() == b"kernel"


def test_what_docker_built_is_read_out_of_its_containerd(
    docker28: DockerEngine, docker_containerd: Settings, image_name: str, tmp_path: Path
) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY kernel /boot/kernel\nLABEL colour=red\n")
    docker28.docker("build", "--tag", image_name, str(tmp_path))

    with open_source(f"containerd:{image_name}", docker_containerd) as source:
        image = load_image(source)
        layers = [load_document(source, layer) for layer in image.manifest.layers]

    assert image.config.labels == {"colour": "red"}
    assert len(layers) == 1


def test_no_thread_is_left(containerd_engine: Containerd, image_name: str) -> None:
    before = set(threading.enumerate())

    written(containerd_engine, image_name, a_machine())
    with reading(containerd_engine, image_name) as source:
        everything(source)

    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(threading.enumerate()) - before == set()
