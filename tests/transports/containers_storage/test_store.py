"""A store as a whole: names, sharing, locks, crashes, what others wrote into it, and where it is."""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    FormatError,
    IntegrityError,
    LocalError,
    NotFoundError,
    TransportError,
    UsageError,
)
from eci_convert.oci import media_types
from eci_convert.oci.digest import Digest
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image
from eci_convert.transports import open_source
from eci_convert.transports.containers_storage.drivers.staging import sweep
from eci_convert.transports.containers_storage.location import StoreLocation
from eci_convert.transports.settings import Settings
from tests.support.images import a_container, a_machine, an_image, copied
from tests.support.storage_layers import an_archive, member, seen
from tests.support.store_access import FIRST, SECOND, a_sink, a_source, images_of, layers_of

DRIVERS = pytest.mark.parametrize("driver", ["overlay", "vfs"])


def archives(root: Path, name: str = "x.io/machine:1", driver: str = "overlay") -> list[bytes]:
    """The archives of the image's layers, verified."""
    with a_source(root, name, driver) as source:
        return [load_document(source, layer) for layer in load_image(source).manifest.layers]


def test_ids_are_those_that_skopeo_gave(tmp_path: Path) -> None:
    """docs/specs/containers-storage.md#15."""
    first = bytes.fromhex("92f141e42e2f0ba96131f39e31a5ea87db3d397a1f4694bd95ee132ea5e55751")
    second = Digest.parse("sha256:9e7900f8dc7232b8a0ff0abf2d46de134e55eedca473b215e06a8198699fe0b5")

    from eci_convert.transports.containers_storage.commit import layer_id

    assert layer_id(first.hex(), second) == "e85de342dd0d2d8f56a2abd19536198da964f6d3b3931a94ed81d2d1eab9bb77"


@DRIVERS
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_an_image_comes_back_with_its_archives_and_its_config(tmp_path: Path, driver: str, compression: str) -> None:
    image = a_container(compression)

    copied(image.build(), a_sink(tmp_path / "s", driver=driver))

    with a_source(tmp_path / "s", driver=driver) as source:
        found = load_image(source)
    assert found.config.labels == image.labels
    assert found.manifest.config.digest == image.manifest().config.digest
    assert [Digest.of(archive) for archive in archives(tmp_path / "s", driver=driver)] == list(image.diff_ids)


@DRIVERS
def test_an_image_of_raw_layers_keeps_its_digest(tmp_path: Path, driver: str) -> None:
    image = a_container("none")

    written = copied(image.build(), a_sink(tmp_path, driver=driver))

    with a_source(tmp_path, driver=driver) as source:
        assert source.resolve() == written


def test_annotations_of_layers_are_kept(tmp_path: Path) -> None:
    image = an_image().tar_layer({"kernel": b"kernel"}, compression="gzip", role="kernel", title="kernel")

    copied(image.build(), a_sink(tmp_path))

    with a_source(tmp_path) as source:
        [layer] = load_image(source).manifest.layers
    assert layer.annotations == image.manifest().layers[0].annotations


@DRIVERS
def test_layers_are_shared_among_images_and_not_sent_twice(tmp_path: Path, driver: str) -> None:
    one = an_image().tar_layer(FIRST, compression="gzip").tar_layer(SECOND)
    other = an_image().tar_layer(FIRST, compression="gzip").tar_layer({"initrd": b"initrd"})
    copied(one.build(), a_sink(tmp_path, "x.io/one:1", driver))

    with a_sink(tmp_path, "x.io/other:1", driver) as sink:
        assert sink.has(other.manifest().layers[0])
        assert not sink.has(other.manifest().layers[1])
    copied(other.build(), a_sink(tmp_path, "x.io/other:1", driver))

    assert len(layers_of(tmp_path, driver)) == 3
    assert archives(tmp_path, "x.io/one:1", driver)[0] == archives(tmp_path, "x.io/other:1", driver)[0] == FIRST


@DRIVERS
def test_a_layer_that_lies_above_another_one_here_is_not_sent_either(tmp_path: Path, driver: str) -> None:
    copied(an_image().tar_layer(FIRST).tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/one:1", driver))
    turned = an_image().tar_layer(SECOND).tar_layer(FIRST)
    source = turned.build()

    with a_sink(tmp_path, "x.io/turned:1", driver) as sink:
        for layer in turned.manifest().layers:
            assert sink.has(layer)
        for digest in (turned.manifest().config.digest, turned.descriptor().digest):
            kind = media_types.OCI_CONFIG if digest == turned.manifest().config.digest else turned.media_type
            sink.put(kind, [source.blobs[digest]])
        sink.publish(turned.descriptor())

    assert archives(tmp_path, "x.io/turned:1", driver) == [SECOND, FIRST]


@DRIVERS
def test_one_layer_may_lie_in_an_image_twice(tmp_path: Path, driver: str) -> None:
    image = an_image().tar_layer(FIRST).tar_layer(SECOND).tar_layer(FIRST)

    copied(image.build(), a_sink(tmp_path, driver=driver))

    assert archives(tmp_path, driver=driver) == [FIRST, SECOND, FIRST]


def test_a_name_is_on_one_image_alone_and_an_image_may_have_several(tmp_path: Path) -> None:
    one, other = an_image().tar_layer(FIRST), an_image().tar_layer(SECOND)
    copied(one.build(), a_sink(tmp_path, "x.io/machine:1"))
    copied(one.build(), a_sink(tmp_path, "x.io/machine:2"))

    copied(other.build(), a_sink(tmp_path, "x.io/machine:1"))

    names = {record["id"]: record.get("names") for record in images_of(tmp_path)}
    assert names == {
        one.manifest().config.digest.hex: ["x.io/machine:2"],
        other.manifest().config.digest.hex: ["x.io/machine:1"],
    }


def test_what_others_wrote_into_the_records_is_kept(tmp_path: Path) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path, "x.io/one:1"))
    for path in (tmp_path / "overlay-layers/layers.json", tmp_path / "overlay-images/images.json"):
        [record] = json.loads(path.read_text())
        path.write_text(json.dumps([record | {"metadata": "theirs", "new-in-2030": {"a": [1]}}]))

    copied(an_image().tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/other:1"))

    for record in (layers_of(tmp_path)[0], images_of(tmp_path)[0]):
        assert record["new-in-2030"] == {"a": [1]}
        assert record["metadata"] == "theirs"


@pytest.mark.parametrize(
    "name",
    [
        "machine:1",
        "docker.io/library/machine:1",
        "docker.io/library/machine@{digest}",
        "{id}",
        "@{id}",
        "sha256:{id}",
        "x@{id}",
    ],
)
def test_an_image_is_found_by_every_name_that_podman_would_know(tmp_path: Path, name: str) -> None:
    image = a_container("none")
    written = copied(image.build(), a_sink(tmp_path, "machine:1"))

    with a_source(tmp_path, name.format(digest=written.digest, id=image.manifest().config.digest.hex)) as source:
        assert source.resolve() == written


def test_what_podman_built_here_is_found_by_its_short_name(tmp_path: Path) -> None:
    copied(a_container("none").build(), a_sink(tmp_path, "localhost/machine:latest"))

    with a_source(tmp_path, "machine") as source:
        source.resolve()


@pytest.mark.parametrize("name", ["machine:2", "other", "x.io/machine:1", "machine@sha256:" + 64 * "0", 64 * "0"])
def test_other_names_are_not_found(tmp_path: Path, name: str) -> None:
    copied(a_container("none").build(), a_sink(tmp_path, "machine:1"))

    with a_source(tmp_path, name) as source, pytest.raises(NotFoundError):
        source.resolve()


def test_there_may_be_no_store_at_all(tmp_path: Path) -> None:
    with a_source(tmp_path / "nothing") as source, pytest.raises(NotFoundError, match="is not an image store"):
        source.resolve()

    assert not (tmp_path / "nothing").exists()


def test_only_containers_can_be_held(tmp_path: Path) -> None:
    with pytest.raises(CannotHoldError, match="cannot hold a blob of type"):
        copied(a_machine().build(), a_sink(tmp_path))
    with pytest.raises(CannotHoldError, match="cannot hold a blob of type"):
        copied(an_image().config(b"{}", "application/vnd.oci.empty.v1+json").build(), a_sink(tmp_path))

    with a_source(tmp_path) as source, pytest.raises(NotFoundError):
        source.resolve()


def test_a_wrong_diff_id_is_refused_with_a_hint(tmp_path: Path) -> None:
    """As the original `eci` writes them (docs/specs/eci.md#D1)."""
    image = an_image().tar_layer(FIRST, diff_id=Digest.of(b"something else"))

    with pytest.raises(DigestMismatchError) as caught:
        copied(image.build(), a_sink(tmp_path))

    assert any("--fix" in note for note in caught.value.__notes__)
    assert not (tmp_path / "overlay-images/images.json").exists()


def test_nobody_else_is_let_in(tmp_path: Path) -> None:
    copied(a_container().build(), a_sink(tmp_path / "a/store"))

    for name in ("", "overlay", "overlay-layers", "overlay-images"):
        assert stat.S_IMODE(os.stat(tmp_path / "a/store" / name).st_mode) == 0o700, name
    for name in ("overlay-layers/layers.json", "overlay-images/images.json"):
        assert stat.S_IMODE(os.stat(tmp_path / "a/store" / name).st_mode) == 0o600, name


def test_times_that_go_would_not_read_are_not_written(tmp_path: Path) -> None:
    image = an_image().tar_layer(FIRST).config_field("created", "yesterday\x1b[31m")

    copied(image.build(), a_sink(tmp_path))

    assert images_of(tmp_path)[0]["created"] == "1970-01-01T00:00:00Z"


class Locked:
    """Another program that holds a lock as containers/storage does: for the whole process."""

    def __init__(self, path: Path) -> None:
        code = (
            "import fcntl,sys; f=open(sys.argv[1],'r+b'); fcntl.lockf(f,fcntl.LOCK_EX);"
            "print(flush=True); sys.stdin.read()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout
        self._process.stdout.readline()

    def release(self) -> None:
        self._process.communicate()


@pytest.mark.parametrize("lock", ["overlay-layers/layers.lock", "overlay-images/images.lock"])
def test_a_lock_of_another_program_is_waited_for_but_not_for_ever(tmp_path: Path, lock: str) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path))
    held = Locked(tmp_path / lock)

    with pytest.raises(TransportError, match="locked"):
        copied(an_image().tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/other:1", timeout=0.3))
    threading.Timer(0.5, held.release).start()
    copied(an_image().tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/other:1", timeout=30))

    assert archives(tmp_path, "x.io/other:1") == [SECOND]


def test_our_locks_keep_other_programs_out(tmp_path: Path) -> None:
    from eci_convert.transports.containers_storage import locks

    path = tmp_path / "x.lock"
    code = "import fcntl,sys; f=open(sys.argv[1],'r+b'); fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB)"
    with locks.exclusive_lock(path, 1) as written:
        written()
        refused = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)
        with pytest.raises(TransportError, match="timed out: locked by another process"), locks.shared_lock(path, 0.1):
            pass
    allowed = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)

    assert (refused.returncode, allowed.returncode) == (1, 0)
    _, count, process = struct.unpack("<QQI", path.read_bytes()[:20])
    assert (len(path.read_bytes()), count, process) == (64, 1, os.getpid())


@DRIVERS
def test_many_writers_lose_nothing(tmp_path: Path, driver: str) -> None:
    images = [an_image().tar_layer(FIRST).tar_layer({"number": str(number).encode()}) for number in range(8)]

    with ThreadPoolExecutor(8) as pool:
        for done in [
            pool.submit(copied, image.build(), a_sink(tmp_path, f"x.io/machine:{number}", driver, 60))
            for number, image in enumerate(images)
        ]:
            done.result()

    assert len(layers_of(tmp_path, driver)) == 9
    for number, image in enumerate(images):
        found = archives(tmp_path, f"x.io/machine:{number}", driver)
        assert [Digest.of(archive) for archive in found] == list(image.diff_ids)


KILLED = """
import sys
sys.path.insert(0, sys.argv[3])
from tests.support.images import an_image, copied
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
root, driver = sys.argv[1:3]
image = an_image()
for number in range(4):
    image = image.tar_layer({f"file-{place}": bytes([number]) * 5000 for place in range(30)}, compression="gzip")
print("begun", flush=True)
copied(image.build(), open_sink(f"containers-storage:[{driver}@{root}]x.io/killed:1", Settings(timeout=5)))
"""


@DRIVERS
def test_a_command_that_is_killed_at_any_moment_leaves_a_store_that_works(tmp_path: Path, driver: str) -> None:
    root = tmp_path / "store"
    copied(an_image().tar_layer(FIRST).build(), a_sink(root, driver=driver))
    tree = str(Path(__file__).parents[3])
    for _ in range(4):
        victim = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(root), driver, tree], stdout=subprocess.PIPE, env={**os.environ}
        )
        assert victim.stdout
        victim.stdout.readline()
        time.sleep(random.uniform(0, 0.15))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()

        assert archives(root, driver=driver) == [FIRST]
        complete = {layer["id"] for layer in layers_of(root, driver) if not layer.get("flags")}
        for image in images_of(root, driver):
            assert image["layer"] in complete

    subprocess.run([sys.executable, "-c", KILLED, str(root), driver, tree], check=True, capture_output=True)
    assert len(archives(root, "x.io/killed:1", driver)) == 4
    home = root / driver
    assert [path.name for path in home.iterdir() if path.name.startswith(".eci-convert")] == []


@DRIVERS
def test_what_was_killed_when_all_was_done_is_swept_away_by_who_has_nothing_to_do(tmp_path: Path, driver: str) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path, driver=driver))
    left = tmp_path / driver / ".eci-convert-left"
    (left / "0/diff").mkdir(parents=True)
    (left / "lock").touch()

    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path, driver=driver))

    assert not left.exists()


def test_an_incomplete_layer_is_no_layer_and_is_made_anew(tmp_path: Path) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path))
    path = tmp_path / "overlay-layers/layers.json"
    [record] = json.loads(path.read_text())
    path.write_text(json.dumps([record | {"flags": {"incomplete": True}}]))
    (tmp_path / "overlay" / str(record["id"]) / "diff/boot/kernel").unlink()
    with a_source(tmp_path) as source, pytest.raises(NotFoundError):
        source.resolve()

    with a_sink(tmp_path) as sink:
        assert not sink.has(an_image().tar_layer(FIRST).manifest().layers[0])
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path))

    assert archives(tmp_path) == [FIRST]
    assert len(layers_of(tmp_path)) == 1


def test_what_cannot_be_moved_to_its_place_is_recorded_as_incomplete(tmp_path: Path) -> None:
    """So whoever comes next, podman too, removes it, even if we are gone."""
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path))
    os.rename(tmp_path / "overlay/l", tmp_path / "overlay/l.aside")
    (tmp_path / "overlay/l").write_text("in the way")

    with pytest.raises(LocalError, match="File exists"):
        copied(an_image().tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/other:1"))

    assert [layer.get("flags") for layer in layers_of(tmp_path)] == [None, {"incomplete": True}]
    assert len(images_of(tmp_path)) == 1
    (tmp_path / "overlay/l").unlink()
    copied(an_image().tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/other:1"))
    assert archives(tmp_path, "x.io/other:1") == [SECOND]
    assert [layer.get("flags") for layer in layers_of(tmp_path)] == [None, None]


def test_nothing_is_written_where_another_command_is_at_work(tmp_path: Path) -> None:
    with a_sink(tmp_path) as sink:
        sink.put(media_types.OCI_LAYER, [FIRST])
        [staging] = (path for path in (tmp_path / "overlay").iterdir())

        copied(an_image().tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/other:1"))

        assert staging.is_dir()
    assert not staging.exists()


@DRIVERS
def test_a_file_that_was_changed_in_the_store_is_noticed(tmp_path: Path, driver: str) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path, driver=driver))
    [path] = (path for path in tmp_path.rglob("boot/kernel"))

    path.write_bytes(b"lenrek")
    with pytest.raises(DigestMismatchError):
        archives(tmp_path, driver=driver)
    path.write_bytes(b"longer than before")
    with pytest.raises(FormatError, match="is 18 bytes in the unpacked layer, expected 6"):
        archives(tmp_path, driver=driver)
    path.unlink()
    with pytest.raises(NotFoundError):
        archives(tmp_path, driver=driver)


@pytest.mark.parametrize("instead", ["link", "fifo", "directory"])
def test_a_file_that_became_something_else_in_the_store_is_not_followed(tmp_path: Path, instead: str) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path / "store"))
    secret = tmp_path / "secret"
    secret.write_bytes(b"kernel")
    [path] = (path for path in (tmp_path / "store").rglob("boot/kernel"))
    path.unlink()
    match instead:
        case "link":
            path.symlink_to(secret)
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()

    with pytest.raises(FormatError, match=r"passes through a link or a file|is not a file in the unpacked layer"):
        archives(tmp_path / "store")


@pytest.mark.parametrize("name", ["../secret", "/../../secret", "boot/../../../../secret"])
def test_tar_split_data_cannot_name_what_is_outside(tmp_path: Path, name: str) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path / "store"))
    (tmp_path / "secret").write_bytes(b"kernel")
    [path] = (tmp_path / "store").rglob("*.tar-split.gz")
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for line in lines:
        if line.get("size"):
            line["name"] = name
    path.write_bytes(gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines)))

    with pytest.raises(FormatError, match="points outside the layer"):
        archives(tmp_path / "store")


@pytest.mark.parametrize(
    "text",
    [b"", b"rubbish", gzip.compress(b"rubbish\n"), gzip.compress(b'{"type":3}\n'), gzip.compress(b"{}")],
    ids=["empty", "no gzip", "no JSON", "unknown type", "no type"],
)
def test_bad_tar_split_data_is_an_error(tmp_path: Path, text: bytes) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path))
    [path] = tmp_path.rglob("*.tar-split.gz")
    path.write_bytes(text)

    with pytest.raises((FormatError, IntegrityError), match=r"tar-split|expected 2560 bytes"):
        archives(tmp_path)


def test_a_layer_without_tar_split_data_cannot_be_read(tmp_path: Path) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path))
    [path] = tmp_path.rglob("*.tar-split.gz")
    path.unlink()

    with pytest.raises(TransportError, match="cannot be rebuilt"):
        archives(tmp_path)


@pytest.mark.parametrize("record", ["[1]", "{}", "[{}]", '[{"id":"../../x"}]', "rubbish", '[{"id":5}]'])
@pytest.mark.parametrize("which", ["overlay-layers/layers.json", "overlay-images/images.json"])
def test_bad_records_are_an_error_and_are_left_as_they_are(tmp_path: Path, record: str, which: str) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path))
    (tmp_path / which).write_text(record)

    with a_source(tmp_path) as source, pytest.raises((FormatError, NotFoundError), match="json"):
        source.resolve()
    assert (tmp_path / which).read_text() == record


def test_layers_may_be_in_another_store_that_is_to_be_read_only(tmp_path: Path) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path / "more"))
    copied(an_image().tar_layer(SECOND).build(), a_sink(tmp_path / "own", "x.io/other:1"))
    conf = tmp_path / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tmp_path}/own"\nrootless_storage_path = "{tmp_path}/own"\n'
        f'[storage.options]\nadditionalimagestores = ["{tmp_path}/more"]\n'
    )
    configured = Settings(environ={"CONTAINERS_STORAGE_CONF": str(conf)})

    with open_source("containers-storage:x.io/machine:1", configured) as source:
        [layer] = load_image(source).manifest.layers
        assert load_document(source, layer) == FIRST


_SMALL = st.sampled_from(["a", "b", "c"])
_Steps = list[tuple[list[str], str]]
_STEPS = st.lists(
    st.tuples(st.lists(_SMALL, min_size=1, max_size=3), st.sampled_from(["file", "dir", "link", "gone", "opaque"])),
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(_STEPS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_vfs_makes_the_tree_that_the_layers_make(
    tmp_path_factory: pytest.TempPathFactory, stack: list[_Steps], chance: random.Random
) -> None:
    """The tree of each layer is what laying it over the one below, name by name, gives."""
    image, trees = an_image(), []
    expected: dict[str, object] = {}
    for number, steps in enumerate(stack):
        image = image.tar_layer(_layer(steps, number))
        expected = _over(expected, steps, number)
        trees.append(dict(expected))
    root = tmp_path_factory.mktemp("store")

    copied(image.build(), a_sink(root, driver="vfs"))

    records = layers_of(root, "vfs")
    for record, tree in zip(records, trees, strict=False):
        assert seen(root / "vfs/dir" / str(record["id"])) == tree


def _plan(steps: _Steps) -> dict[str, str]:
    """One thing at a path, and nothing below what is no directory."""
    plan: dict[str, str] = {}
    for parts, what in steps:
        path = "/".join(parts)
        above = ["/".join(parts[:place]) for place in range(1, len(parts))]
        if path in plan or any(plan.get(other) not in (None, "dir", "opaque") for other in above):
            continue
        if any(other.startswith(path + "/") for other in plan) and what not in ("dir", "opaque"):
            continue
        plan |= {other: "dir" for other in above if other not in plan} | {path: what}
    return plan


def _layer(steps: _Steps, number: int) -> bytes:
    members = []
    for path, what in sorted(_plan(steps).items()):
        directory, _, name = path.rpartition("/")
        if what == "gone":
            members.append(member(f"{directory}/.wh.{name}".lstrip("/")))
        elif what == "link":
            members.append(member(path, "link", linkname="../a"))
        elif what == "file":
            members.append(member(path, content=f"{path} {number}".encode()))
        else:
            members.append(member(path, "dir"))
            if what == "opaque":
                members.append(member(f"{path}/.wh..wh..opq"))
    return an_archive(*members)


def _over(below: Mapping[str, object], steps: _Steps, number: int) -> dict[str, object]:
    tree = dict(below)
    plan = _plan(steps)
    for path, what in plan.items():
        if what == "gone" or (what in ("file", "link")) or (what in ("dir", "opaque") and tree.get(path) is not None):
            tree = {other: there for other, there in tree.items() if other != path and not other.startswith(path + "/")}
        if what == "opaque":
            tree = {other: there for other, there in tree.items() if not other.startswith(path + "/")}
    for path, what in sorted(plan.items()):
        if what != "gone":
            tree[path] = {"file": f"{path} {number}".encode(), "link": "-> ../a"}.get(what)
    return tree


@pytest.mark.parametrize(
    ("text", "driver", "root", "name"),
    [
        ("[overlay@/s]x", "overlay", "/s", "x"),
        ("[vfs@/s+/run]x:1", "vfs", "/s", "x:1"),
        ("[/s]x@sha256:00", "overlay", "/s", "x@sha256:00"),
        ("[overlay2@/s+/r:a=b,c=d]x", "overlay", "/s", "x"),
        ("[overlay@/s]@0000", "overlay", "/s", "@0000"),
    ],
)
def test_the_reference_says_which_store(text: str, driver: str, root: str, name: str) -> None:
    place = StoreLocation.parse(text, Settings())

    assert (place.driver, place.root, place.name) == (driver, Path(root), name)


@pytest.mark.parametrize("text", ["[overlay@/s]", "[overlay@/s", "[btrfs@/s]x", "[zfs@]x"])
def test_a_reference_that_names_no_store_or_no_image_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"has no image name|missing ]|is not a supported storage driver"):
        StoreLocation.parse(text, Settings())


def test_the_driver_is_the_one_that_is_there(tmp_path: Path) -> None:
    copied(a_container().build(), a_sink(tmp_path, driver="vfs"))

    assert StoreLocation.parse(f"[{tmp_path}]x", Settings()).driver == "vfs"


def test_storage_conf_says_where_and_the_home_directory_does_where_it_does_not(tmp_path: Path) -> None:
    conf = tmp_path / "storage.conf"
    conf.write_text('[storage]\ndriver="vfs"\ngraphroot="/g"\nrootless_storage_path="$HOME/r"\n')
    home = {"HOME": str(tmp_path), "CONTAINERS_STORAGE_CONF": str(conf)}

    place = StoreLocation.parse("x", Settings(environ=home))
    conf.write_text("")
    default = StoreLocation.parse("x", Settings(environ=home))

    if os.geteuid() == 0:
        assert (place.root, default.root) == (Path("/g"), Path("/var/lib/containers/storage"))
    else:
        assert (place.root, default.root) == (tmp_path / "r", tmp_path / ".local/share/containers/storage")
    assert place.driver == "vfs"
    conf.write_text("[[[")
    with pytest.raises(FormatError, match=r"not a storage.conf"):
        StoreLocation.parse("x", Settings(environ=home))


@DRIVERS
@pytest.mark.parametrize("limit", [10, 300, 5_000, 40_000, 80_001])
def test_a_disk_that_is_full_is_said_to_be_and_nothing_is_left(tmp_path: Path, driver: str, limit: int) -> None:
    """No file may become longer than *limit* bytes: the system refuses as it does where there is no space."""
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path, driver=driver))
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    files = {f"file-{number}": os.urandom(10_000 * number) for number in range(10)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(LocalError, match="File too large"):
            copied(an_image().tar_layer(files).build(), a_sink(tmp_path, "x.io/other:1", driver))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == before
    assert archives(tmp_path, driver=driver) == [FIRST]


def test_a_place_that_may_not_be_written_to_is_this_computers_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LocalError, match="File exists"):
        copied(a_container().build(), a_sink(tmp_path / "file/store"))


@pytest.mark.parametrize("kind", ["link", "another user's"])
def test_what_only_looks_like_a_directory_of_ours_is_not_swept(tmp_path: Path, kind: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "important").write_bytes(b"x")
    elsewhere.chmod(0o500)
    home = tmp_path / "home"
    home.mkdir()
    if kind == "link":
        (home / ".eci-convert-0123456789abcdef").symlink_to(elsewhere)
    elif os.geteuid():
        pytest.skip("only root can give a directory to another user")
    else:
        elsewhere.rename(home / ".eci-convert-0123456789abcdef")
        elsewhere = home / ".eci-convert-0123456789abcdef"
        os.chown(elsewhere, 4711, 4711)

    sweep(home)

    assert (elsewhere / "important").exists()
    assert elsewhere.stat().st_mode & 0o777 == 0o500
