"""`kill -9` in the middle of everything: what was there is there, or what was to be; and the next run of the same
command finishes what is left, which is seen by the bytes that it moves.

Uploads are counted at a registry that keeps to the specification and gives what arrived of a chunk a chance
(eci_convert/testing); the real one, docker-registry 2.8, calls off every upload that was cut within a chunk, so there
it is whole blobs that are not sent again.
"""

from __future__ import annotations

import filecmp
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry
from integration.bench.link import slow_link
from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import write_disk
from integration.support.tcp_proxy import Relay, relay
from tests.support.fake_registry.server import a_registry
from tests.support.images import files_in

MIB = 1 << 20
KERNEL, INITRD, DATA = 300_000, 8 * MIB, 24 * MIB
ALL = KERNEL + INITRD + DATA
LOST = 3 * MIB
"""Bytes that were on their way when the process was killed: in the buffers of sockets, and of threads."""

Words = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Here:
    """Somebody's computer, which lasts from one run to the next."""

    folder: Path
    kernel: Path
    initrd: Path
    root: Path

    @property
    def parts(self) -> list[str | Path]:
        return ["--kernel", self.kernel, "--initrd", self.initrd, "--root", f"{self.root}:raw"]

    def started(self, *words: str | Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """`eci-convert` with a home, a cache and a place for temporary files of its own."""
        own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")} | own | (env or {})
        command = [str(Path(sys.executable).parent / "eci-convert"), *map(str, words)]
        return subprocess.Popen(
            command, env=environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str | Path, env: dict[str, str] | None = None) -> bytes:
        process = self.started(*words, env=env)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err.decode()
        return out

    def is_in(self, directory: Path) -> bool:
        """Whether the machine's parts, and nothing that is not finished, are in *directory*."""
        assert {path.name for path in directory.iterdir()} - {"config.json"} == {
            "kernel", "initrd", "disk-root-root.raw",
        }  # fmt: skip
        return all(
            filecmp.cmp(directory / name, mine, shallow=False)
            for name, mine in (("kernel", self.kernel), ("initrd", self.initrd), ("disk-root-root.raw", self.root))
        )

    def left_behind(self) -> list[str]:
        """What has no reason to be there any more when a command has succeeded; what is known of registries has one."""
        found = [*files_in(self.folder / "tmp"), *files_in(self.folder / "home")]
        return [
            path for path in found if not re.search(r"/eci-convert/(hosts|blobs|conversions)/[0-9a-f]+\.json$", path)
        ]


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """A machine: a small kernel, an initrd of more than one chunk, and a disk of more."""
    made = Here(tmp_path, tmp_path / "kernel", tmp_path / "initrd", tmp_path / "root.raw")
    made.kernel.write_bytes(random.Random("kernel").randbytes(KERNEL))
    made.initrd.write_bytes(random.Random("initrd").randbytes(INITRD))
    write_disk(made.root, DATA, {0: random.Random("root").randbytes(DATA)})
    (tmp_path / "tmp").mkdir()
    (tmp_path / "home").mkdir()
    return made


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
    assert process.returncode == -9, "it was too fast to be killed"


@pytest.fixture
def faulty() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        yield running


def killed_on(link: Relay, process: subprocess.Popen[bytes]) -> int:
    """Kills *process* when *link* has come to its limit and the process has made what it could of what came.

    The bytes that had passed.
    """
    while not link.held.wait(0.05):
        assert process.poll() is None, process.communicate()[1].decode()
    time.sleep(0.3)
    kill(process)
    passed = max(link.up, link.down)
    link.open()
    return passed


# Registries: the next run goes on


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_killed_push_is_gone_on_with(here: Here, faulty: FaultyRegistry, form: str, part: float) -> None:
    with relay(faulty.host) as link:
        push = ["push", f"{link.host}/edge/machine:1", *here.parts, "--format", form, "--concurrency", "1"]
        link.hold(up=int(ALL * part))
        passed = killed_on(link, here.started(*push))
        assert not faulty.manifests, "the name is there before the image is"
        assert passed >= int(ALL * part)

        here.run(*push)

        assert link.up < ALL - passed + LOST
        assert not faulty.uploads, "an upload is left open"
        link.open()
        here.run("pull", f"{link.host}/edge/machine:1", "--dir", "out")
    assert here.is_in(here.folder / "out")
    assert not here.left_behind()


def test_a_push_that_is_killed_again_and_again_ends_all_the_same(here: Here, faulty: FaultyRegistry) -> None:
    with relay(faulty.host) as link:
        push = ["push", f"{link.host}/edge/machine:1", *here.parts]
        sent = 0
        for _ in range(6):
            link.hold(up=7 * MIB)
            process = here.started(*push)
            while process.poll() is None and not link.held.wait(0.05):
                pass
            if process.poll() is not None:
                break
            sent += killed_on(link, process)
        assert process.communicate()[0].startswith(b"Pushed image")
        assert sent + link.up < ALL + 5 * LOST


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_a_killed_push_leaves_the_old_image_and_does_not_send_whole_blobs_again(
    here: Here, registry: Registry, image_name: str, form: str
) -> None:
    with relay(registry.host) as link:
        name = f"{link.host}/{image_name}"
        (here.folder / "old").write_bytes(b"old")
        here.run("push", name, "--kernel", "old")
        link.open()
        push = ["push", name, *here.parts, "--format", form, "--concurrency", "1"]
        link.hold(up=int(ALL * 0.8))
        killed_on(link, here.started(*push))

        assert here.run("extract", f"docker://{name}", "--kernel", "-") == b"old"
        link.open()
        here.run(*push)

        assert link.up < ALL - KERNEL - INITRD + LOST
        here.run("pull", name, "--dir", "out")
    assert here.is_in(here.folder / "out")


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_a_push_over_a_link_that_is_cut_needs_no_second_run(
    here: Here, registry: Registry, image_name: str, form: str
) -> None:
    with relay(registry.host) as link:
        push = here.started("push", f"{link.host}/{image_name}", *here.parts, "--format", form)
        for part in (0.2, 0.5):
            link.hold(up=int(ALL * part))
            assert link.held.wait(60)
            link.open()
        _, said = push.communicate(timeout=120)
        assert push.returncode == 0, said.decode()
        here.run("pull", f"{link.host}/{image_name}", "--dir", "out")
    assert here.is_in(here.folder / "out")


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
@pytest.mark.parametrize("carries", [2 * MIB, 150_000])
def test_a_push_goes_through_connections_each_of_which_breaks_early(
    here: Here, registry: Registry, image_name: str, form: str, carries: int
) -> None:
    with relay(registry.host) as link:
        link.carries = carries
        push = here.started("push", f"{link.host}/{image_name}", *here.parts, "--format", form)
        _, said = push.communicate(timeout=120)
        assert push.returncode == 0, said.decode()
        assert link.up < 4 * ALL
    here.run("pull", f"{registry.host}/{image_name}", "--dir", "out")
    assert here.is_in(here.folder / "out")


@pytest.mark.parametrize(
    ("verb", "form", "part"),
    [
        ("pull", "artifacts", 0.1), ("pull", "artifacts", 0.95), ("pull", "legacy", 0.5), ("extract", "artifacts", 0.5),
        ("extract", "legacy", 0.1), ("extract", "legacy", 0.95),
    ],
)  # fmt: skip
def test_a_killed_pull_is_gone_on_with(
    here: Here, registry: Registry, image_name: str, verb: str, form: str, part: float
) -> None:
    here.run("push", f"{registry.host}/{image_name}", *here.parts, "--format", form)
    (here.folder / "out").mkdir()
    (here.folder / "out/kernel").write_bytes(b"old")
    with relay(registry.host) as link:
        name = f"{link.host}/{image_name}"
        pull = ["pull", name, "--dir", "out"] if verb == "pull" else ["extract", f"docker://{name}", "out"]
        link.hold(down=int(ALL * part))
        passed = killed_on(link, here.started(*pull))
        assert {p.name: p.read_bytes() for p in (here.folder / "out").glob("[!.]*")} == {"kernel": b"old"}

        here.run(*pull)

        assert link.down < ALL - passed + LOST + 2 * KERNEL
    assert here.is_in(here.folder / "out")
    assert not here.left_behind()


def test_a_killed_pull_over_a_slow_link_is_gone_on_with(here: Here, registry: Registry, image_name: str) -> None:
    """Several connections bring ranges there, and what comes of them is kept in order."""
    speed = 6_000_000
    here.run("push", f"{registry.host}/{image_name}", *here.parts)
    with slow_link(registry.host, speed) as slow, relay(slow) as link:
        pull = ["pull", f"{link.host}/{image_name}", "--dir", "out"]
        process = here.started(*pull)
        while link.down < ALL * 0.6:
            time.sleep(0.01)
        kill(process)
        passed = link.down
        link.open()
        here.run(*pull)
        assert link.down < ALL - passed + 8 * 0.3 * speed + LOST
    assert here.is_in(here.folder / "out")


@pytest.mark.parametrize("format", ["keep", "legacy"])
def test_a_killed_copy_is_gone_on_with(here: Here, registry: Registry, image_name: str, format: str) -> None:
    here.run("push", f"{registry.host}/{image_name}", *here.parts)
    with relay(registry.host) as link:
        copy = ["copy", f"docker://{link.host}/{image_name}", "oci:layout:name", "--format", format]
        link.hold(down=int(ALL * 0.7))
        passed = killed_on(link, here.started(*copy))
        assert not (here.folder / "layout/index.json").exists()

        here.run(*copy)

        assert link.down < ALL - passed + LOST + 2 * KERNEL
    here.run("extract", "oci:layout", "out")
    assert here.is_in(here.folder / "out")
    assert not list((here.folder / "layout").glob(".*"))
    assert not here.left_behind()


# Everything else: the old, or the new


@dataclass(frozen=True, slots=True)
class Job:
    """A command, and what must hold after it was killed at any moment."""

    words: Words
    check: Callable[[], None]
    env: dict[str, str] | None = None


def killed_at_many_moments(here: Here, job: Job, times: int = 6) -> None:
    """Kills *job* at moments that are random and the same each time; then lets it finish."""
    begun = time.monotonic()
    here.run(*job.words, env=job.env)
    takes, moments = time.monotonic() - begun, random.Random(str(job.words[:2]))
    for _ in range(times):
        process = here.started(*job.words, env=job.env)
        time.sleep(takes * moments.uniform(0.3, 1.0))
        process.kill()
        process.communicate()
        job.check()
    here.run(*job.words, env=job.env)
    job.check()
    assert not files_in(here.folder / "tmp")


def old_or_new(path: Path, *contents: Path) -> None:
    assert any(filecmp.cmp(path, content, shallow=False) for content in contents), path


@pytest.mark.parametrize("place", ["oci:{0}/source", "oci-archive:{0}/source.tar", "docker-archive:{0}/docker.tar"])
def test_a_killed_extract_leaves_each_file_old_or_new(here: Here, place: str) -> None:
    source = place.format(here.folder)
    here.run("build", *here.parts, "--to", source)
    out = here.folder / "out"

    def check() -> None:
        for name, new in (("kernel", here.kernel), ("initrd", here.initrd), ("disk-root-root.raw", here.root)):
            old_or_new(out / name, new, here.folder / "old")
            (here.folder / "fresh").write_bytes(b"old")
            os.replace(here.folder / "fresh", out / name)

    (here.folder / "old").write_bytes(b"old")
    killed_at_many_moments(here, Job(["extract", source, out], check))
    here.run("extract", source, out)
    assert here.is_in(out)


def test_extract_from_the_docker_engine(here: Here, docker28: DockerEngine, image_name: str) -> None:
    out = here.folder / "out"
    here.run("build", *here.parts, "-t", image_name, env=docker28.env)

    def check() -> None:
        assert {path.name for path in out.glob("[!.]*")} == {"kernel", "initrd", "disk-root-root.raw"}

    killed_at_many_moments(here, Job(["extract", image_name, out], check, docker28.env), times=4)
    assert here.is_in(out)
    assert not docker28.docker("ps", "--all", "--quiet", "--filter", f"ancestor={image_name}")


@pytest.mark.parametrize("verb", ["build", "push", "copy"])
def test_a_layout_is_always_valid(here: Here, programs: Programs, verb: str) -> None:
    layout = here.folder / "layout"
    here.run("build", "--kernel", here.root, "--to", f"oci:{layout}:old")
    here.run("build", *here.parts, "--to", "oci:source:new", "--compression", "zstd")
    words: dict[str, Words] = {
        "build": ["build", *here.parts, "--to", f"oci:{layout}:new"],
        "push": ["push", "--remote", layout, "new", *here.parts],
        "copy": ["copy", "oci:source:new", f"oci:{layout}:new"],
    }

    def check() -> None:
        index = json.loads((layout / "index.json").read_bytes())
        names = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]]
        assert "old" in names  # behind what `push --remote` puts first, as the original eci does
        for name in names:
            target = f"oci:{here.folder}/skopeo:{name}"
            subprocess.run(
                [programs.skopeo, "copy", "--quiet", f"oci:{layout}:{name}", target], check=True, capture_output=True
            )
        if "new" in names:
            forget(layout, "new")

    killed_at_many_moments(here, Job(words[verb], check), times=6)
    here.run(*words[verb])
    for name in ("old", "new"):
        here.run("verify", f"oci:{layout}:{name}")
    assert not list(layout.glob(".*"))
    assert reachable(layout) == {path.name for path in (layout / "blobs/sha256").iterdir()}


def forget(layout: Path, name: str) -> None:
    """Takes the image *name* out of the layout, so that it is written again."""
    index = json.loads((layout / "index.json").read_bytes())
    kept = [entry for entry in index["manifests"] if name not in entry["annotations"].values()]
    (layout / "index.json").write_text(json.dumps(index | {"manifests": kept}))
    wanted = reachable(layout)
    for path in (layout / "blobs/sha256").iterdir():
        if path.name not in wanted:
            path.unlink()


def reachable(layout: Path) -> set[str]:
    found: set[str] = set()
    for entry in json.loads((layout / "index.json").read_bytes())["manifests"]:
        digest = entry["digest"].removeprefix("sha256:")
        manifest = json.loads((layout / "blobs/sha256" / digest).read_bytes())
        blobs = [manifest["config"], *manifest["layers"]]
        found |= {digest, *(blob["digest"].removeprefix("sha256:") for blob in blobs)}
    return found


@pytest.mark.parametrize("scheme", ["oci-archive", "docker-archive"])
def test_an_archive_is_the_old_one_or_the_new_one(here: Here, scheme: str) -> None:
    archive = here.folder / "archives/machine.tar"
    archive.parent.mkdir()
    here.run("build", "--kernel", here.root, "--to", f"{scheme}:{archive}")
    old = here.folder / "old.tar"
    os.link(archive, old)
    new = here.folder / "new.tar"
    here.run("build", *here.parts, "--to", f"{scheme}:{new}")

    def check() -> None:
        old_or_new(archive, old, new)
        archive.unlink()
        os.link(old, archive)

    words = ["build", *here.parts, "--to", f"{scheme}:{archive}"]
    killed_at_many_moments(here, Job(words, check))
    here.run(*words)
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]
    assert filecmp.cmp(archive, new, shallow=False)
