from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eci_convert.errors import (
    DigestMismatchError,
    FormatError,
    LimitExceededError,
    LocalError,
    NotFoundError,
    UsageError,
)
from eci_convert.oci import media_types
from eci_convert.oci.annotations import REF_NAME
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.layout.directory import open_sink as open_layout
from eci_convert.transports.settings import Settings
from tests.support.images import ImageBuilder, a_container, a_machine, copied, files_in
from tests.support.layouts_by_hand import blob_in, laid_out, manifest_digest
from tests.support.programs import python
from tests.support.reporters import Listening

ONE, OTHER = a_machine(kernel=b"one"), a_machine(kernel=b"other")


def write(image: ImageBuilder, layout: Path, name: str = "", settings: Settings | None = None) -> None:
    copied(image.build(), open_sink(f"oci:{layout}{name}", settings or Settings()))


def kernel_of(layout: Path, name: str = "") -> bytes:
    source = open_source(f"oci:{layout}{name}", Settings())
    blobs = [load_document(source, layer) for layer in load_image(source).manifest.layers]
    return blobs[0]


def listed(layout: Path) -> dict[str, str]:
    """The images in index.json: their names and their digests."""
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    return {entry.get("annotations", {}).get(REF_NAME, ""): entry["digest"] for entry in entries}


def test_a_layout_is_what_the_specification_says(tmp_path: Path) -> None:
    os.umask(umask := os.umask(0o022))
    write(ONE, tmp_path / "layout", ":machine")

    layout = tmp_path / "layout"
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((layout / "index.json").read_bytes()) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": str(manifest_digest(ONE)),
                "size": ONE.descriptor().size,
                "annotations": {REF_NAME: "machine"},
            }
        ],
    }
    assert {name for name in files_in(layout) if "blobs" not in name} == {"index.json", "oci-layout"}
    assert {path.name for path in (layout / "blobs/sha256").iterdir()} == {digest.hex for digest in ONE.build().blobs}
    for path in layout.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask


def test_other_images_and_what_others_wrote_about_them_are_kept(tmp_path: Path) -> None:
    layout = laid_out(
        tmp_path / "layout",
        (ONE, {REF_NAME: "one", "who": "me"}),
        (ONE, {}),
        index={"schemaVersion": 0, "annotations": {"a": "b"}, "x-unknown": [1, {"y": None}]},
    )
    before = json.loads((layout / "index.json").read_text())

    write(OTHER, layout, ":other")

    after = json.loads((layout / "index.json").read_text())
    assert after["manifests"][:2] == before["manifests"]
    assert {**after, "manifests": None, "schemaVersion": 0} == {**before, "manifests": None}
    assert after["schemaVersion"] == 2
    assert kernel_of(layout, ":one") == b"one"
    assert kernel_of(layout, ":other") == b"other"


def test_the_same_name_is_replaced_and_no_other(tmp_path: Path) -> None:
    write(ONE, tmp_path / "layout", ":1")
    write(ONE, tmp_path / "layout", ":2")
    write(OTHER, tmp_path / "layout", ":1")

    assert listed(tmp_path / "layout") == {"1": str(manifest_digest(OTHER)), "2": str(manifest_digest(ONE))}


def test_what_the_original_eci_calls_by_name_and_digest_is_replaced(tmp_path: Path) -> None:
    notes = {REF_NAME: f"r.example/edge:1@{manifest_digest(ONE)}"}
    others = {REF_NAME: f"r.example/edge:2@{manifest_digest(ONE)}"}
    strange = {REF_NAME: f"r.example/edge:1@{manifest_digest(OTHER)}"}
    layout = laid_out(tmp_path / "layout", (ONE, notes), (ONE, others), (ONE, strange))

    write(OTHER, layout, ":r.example/edge:1")

    assert listed(layout) == {
        others[REF_NAME]: str(manifest_digest(ONE)),
        strange[REF_NAME]: str(manifest_digest(ONE)),
        "r.example/edge:1": str(manifest_digest(OTHER)),
    }


def test_a_sink_that_puts_its_image_first_keeps_the_order_of_the_others(tmp_path: Path) -> None:
    write(ONE, tmp_path / "layout", ":1")
    write(ONE, tmp_path / "layout", ":2")
    copied(OTHER.build(), open_layout(f"{tmp_path}/layout:3", Settings(), first=True))

    assert list(listed(tmp_path / "layout")) == ["3", "1", "2"]


def test_an_image_without_a_name_is_listed_once_and_others_stay(tmp_path: Path) -> None:
    reporter = Listening()
    settings = Settings(reporter=reporter)
    for image in (ONE, ONE, OTHER):
        write(image, tmp_path / "layout", settings=settings)

    entries = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in entries] == [str(manifest_digest(ONE)), str(manifest_digest(OTHER))]
    assert all("annotations" not in entry for entry in entries)
    assert len(reporter.warnings) == 1
    assert str(manifest_digest(OTHER)) in reporter.warnings[0]


def test_a_name_with_a_digest_is_stored_without_it(tmp_path: Path) -> None:
    write(ONE, tmp_path / "layout", f":1@{manifest_digest(ONE)}")

    assert listed(tmp_path / "layout") == {"1": str(manifest_digest(ONE))}


def test_another_digest_than_the_name_says_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatchError):
        write(ONE, tmp_path / "layout", f":1@{manifest_digest(OTHER)}")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [":a b", ":\x1b[2J", ":@0", ":-x"])
def test_a_name_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not a valid image name|is a position in the index"):
        open_sink(f"oci:{tmp_path}/layout{name}", Settings())


def test_a_torn_blob_is_not_trusted(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "one"}))
    layer = ONE.manifest().layers[0]
    for torn in (b"", b"o", b"\0\0\0", b"onetwo"):
        blob_in(layout, layer.digest).write_bytes(torn)

        assert not open_sink(f"oci:{layout}:one", Settings()).has(layer)
        write(ONE, layout, ":one")

        assert kernel_of(layout, ":one") == b"one"


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
def test_what_is_in_the_place_of_a_blob_is_replaced_and_not_written_through(tmp_path: Path, kind: str) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "one"}))
    path = blob_in(layout, ONE.manifest().layers[0].digest)
    (tmp_path / "precious").write_bytes(b"one")
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / ("precious" if kind == "link" else "nowhere"))

    write(ONE, layout, ":one")

    assert kernel_of(layout, ":one") == b"one"
    assert not path.is_symlink()
    assert (tmp_path / "precious").read_bytes() == b"one"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("what", ["blobs", "blobs/sha256"])
def test_a_link_among_the_directories_is_not_followed(tmp_path: Path, what: str) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "one"}))
    (tmp_path / "elsewhere").mkdir()
    (layout / what).rename(tmp_path / "moved")
    (layout / what).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FormatError, match="is not a directory, or is a symbolic link"):
        write(OTHER, layout, ":other")

    assert files_in(tmp_path / "elsewhere") == {}
    assert not [name for name in files_in(layout) if ".part" in name]


@pytest.mark.parametrize("text", ["", "{", '{"manifests": 1}', "[]"])
def test_a_foreign_index_is_refused_before_the_first_byte(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    taken = []

    def chunks() -> Iterator[bytes]:
        taken.append(1)
        yield b"x"

    with open_sink(f"oci:{tmp_path}:1", Settings()) as sink, pytest.raises(FormatError, match=r"index.json"):
        sink.put("text/plain", chunks())

    assert taken == []
    assert files_in(tmp_path) == {"index.json": text.encode()}


def test_a_linked_index_is_not_written_through(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "one"}))
    (layout / "index.json").rename(tmp_path / "precious")
    (layout / "index.json").symlink_to(tmp_path / "precious")
    before = (tmp_path / "precious").read_bytes()

    with pytest.raises(FormatError, match=r"index.json is a symbolic link"):
        write(OTHER, layout, ":other")

    assert (tmp_path / "precious").read_bytes() == before


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "layout").write_bytes(b"precious")

    with pytest.raises(LocalError, match="is not a directory"):
        write(ONE, tmp_path / "layout", ":1")

    assert files_in(tmp_path) == {"layout": b"precious"}


def test_a_link_that_leads_nowhere_is_not_made_to_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "layout").symlink_to("nowhere")

    with pytest.raises(LocalError, match="cannot be created"):
        write(ONE, tmp_path / "layout", ":1")

    assert [path.name for path in tmp_path.iterdir()] == ["layout"]


def test_directories_are_made_when_they_are_needed_and_unmade_when_they_were_not(tmp_path: Path) -> None:
    with open_sink(f"oci:{tmp_path}/a/b/layout:1", Settings()) as sink:
        sink.has(ONE.manifest().layers[0])
        assert list(tmp_path.iterdir()) == []
        sink.put("text/plain", [b"x"])
        assert (tmp_path / "a/b/layout").is_dir()

    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_layout_as_it_was(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "one"}))
    before = files_in(layout)
    layer = OTHER.manifest().layers[0]

    with open_sink(f"oci:{layout}:one", Settings()) as sink:
        sink.put(layer.media_type, [b"other"])
        with pytest.raises(NotFoundError):
            sink.publish(OTHER.descriptor())

    assert files_in(layout) == before


def test_a_blob_that_failed_takes_no_room(tmp_path: Path) -> None:
    with open_sink(f"oci:{tmp_path}/layout:1", Settings()) as sink:
        with pytest.raises(DigestMismatchError):
            sink.put("text/plain", [b"x" * 1000], digest=Digest.of(b"y"))

        assert files_in(tmp_path) == {}


def test_several_writers_of_one_layout_lose_nothing(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    images = {f"image-{number}": a_machine(kernel=b"%d" % number, root=bytes(100_000)) for number in range(16)}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: write(images[name], layout, f":{name}"), images))

    assert listed(layout) == {name: str(manifest_digest(image)) for name, image in images.items()}
    for number in range(16):
        assert kernel_of(layout, f":image-{number}") == b"%d" % number
    assert {name for name in files_in(layout) if "blobs" not in name} == {"index.json", "oci-layout"}


def test_several_writers_of_one_image_write_that_image(tmp_path: Path) -> None:
    layout = tmp_path / "layout"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write(ONE, layout, ":machine"), range(16)))

    assert listed(layout) == {"machine": str(manifest_digest(ONE))}
    assert kernel_of(layout) == b"one"
    assert {path.name for path in (layout / "blobs/sha256").iterdir()} == {digest.hex for digest in ONE.build().blobs}


WRITER = """
    import sys
    from tests.support.images import a_machine, copied
    from eci_convert.transports import open_sink
    from eci_convert.transports.settings import Settings
    for number in range(5):
        image = a_machine(kernel=b"%s-%d" % (sys.argv[2].encode(), number))
        copied(image.build(), open_sink(f"oci:{sys.argv[1]}:{sys.argv[2]}-{number}", Settings()))
"""


def test_several_processes_that_write_one_layout_lose_nothing(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    running = [subprocess.Popen(python(WRITER, layout, name)) for name in ("a", "b", "c")]

    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert set(listed(layout)) == {f"{name}-{number}" for name in ("a", "b", "c") for number in range(5)}
    assert kernel_of(layout, ":b-3") == b"b-3"


KILLED = """
    import os, signal, sys
    from tests.support.images import a_machine, copied
    from eci_convert.transports import open_sink
    from eci_convert.transports.settings import Settings
    call, left = sys.argv[2], int(sys.argv[3])
    real = getattr(os, call)
    def deadly(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(os, call, deadly)
    copied(a_machine(kernel=b"other").build(), open_sink(f"oci:{sys.argv[1]}:machine", Settings()))
"""


@pytest.mark.parametrize(
    ("call", "number"),
    [
        *(("fsync", number) for number in (1, 3, 6, 7, 8, 9)),
        *(("rename", number) for number in (1, 2, 4)),
        ("replace", 1),
        ("pwrite", 1),
        ("ftruncate", 4),
        ("rmdir", 1),
        ("close", 8),
    ],
)
def test_a_writer_that_is_killed_leaves_the_old_image_or_the_new_one(tmp_path: Path, call: str, number: int) -> None:
    layout = tmp_path / "layout"
    write(ONE, layout, ":machine")
    write(a_container(), layout, ":container")

    done = subprocess.run(python(KILLED, layout, call, str(number)), check=False, timeout=60)

    assert done.returncode in (0, -signal.SIGKILL)
    assert kernel_of(layout, ":machine") in (b"one", b"other")
    write(OTHER, layout, ":machine")
    assert kernel_of(layout, ":machine") == b"other"
    assert set(listed(layout)) == {"machine", "container"}
    others = {name for name in files_in(layout) if "blobs/sha256/" not in name}
    assert others == {"index.json", "oci-layout", ".eci-convert.collect"}  # the last lists what was replaced


def test_the_killings_kill(tmp_path: Path) -> None:
    write(ONE, tmp_path / "layout", ":machine")

    done = subprocess.run(python(KILLED, tmp_path / "layout", "fsync", "1"), check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL
    assert [name for name in files_in(tmp_path / "layout") if ".part/" in name]


def test_what_a_living_writer_is_writing_is_not_swept_away(tmp_path: Path) -> None:
    layout = tmp_path / "layout"

    with open_sink(f"oci:{layout}:slow", Settings()) as slow:
        for layer in OTHER.manifest().layers:
            blob = OTHER.build().blobs[layer.digest]
            slow.put(layer.media_type, [blob])
        write(ONE, layout, ":quick")
        copied(OTHER.build(), slow)

    assert kernel_of(layout, ":slow") == b"other"
    assert kernel_of(layout, ":quick") == b"one"


FULL = """
    import resource, sys
    from tests.support.images import a_machine, copied
    from eci_convert.errors import LocalError
    from eci_convert.transports import open_sink
    from eci_convert.transports.settings import Settings
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        copied(a_machine(root=b"x" * 200_000).build(), open_sink(f"oci:{sys.argv[1]}:machine", Settings()))
    except LocalError as error:
        print(error)
        sys.exit(9)
"""


@pytest.mark.parametrize("before", ["nothing", "a layout"])
def test_a_full_disk_leaves_no_debris(tmp_path: Path, before: str) -> None:
    layout = tmp_path / "layout"
    if before == "a layout":
        write(ONE, layout, ":machine")
    there = files_in(tmp_path)

    done = subprocess.run(python(FULL, layout), capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 9, done.stderr
    assert "File too large" in done.stdout
    assert files_in(tmp_path) == there
    if before == "nothing":
        assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_never_given_back_is_an_error(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    write(ONE, layout, ":machine")
    descriptor = os.open(layout, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    with pytest.raises(LocalError, match="locked"):
        write(OTHER, layout, ":machine", Settings(timeout=0.1))

    os.close(descriptor)
    assert kernel_of(layout, ":machine") == b"one"


def test_holes_stay_holes(tmp_path: Path) -> None:
    blob = b"a" * 4096 + bytes(8 << 20)
    with open_sink(f"oci:{tmp_path}/layout:disk", Settings()) as sink:
        stored = sink.put("application/x-disk", (blob[at : at + (1 << 20)] for at in range(0, len(blob), 1 << 20)))
        sink.publish(stored)

    state = blob_in(tmp_path / "layout", stored.digest).stat()
    assert state.st_size == len(blob)
    assert state.st_blocks * 512 < 1 << 20


def test_a_sha512_blob_lies_among_its_like(tmp_path: Path) -> None:
    promise = Digest.of(b"blob", "sha512")
    with open_sink(f"oci:{tmp_path}/layout:x", Settings()) as sink:
        stored = sink.put("text/plain", [b"blob"], digest=promise)
        sink.publish(stored)

    assert blob_in(tmp_path / "layout", promise).read_bytes() == b"blob"
    source = open_source(f"oci:{tmp_path}/layout", Settings())
    assert load_document(source, stored) == b"blob"


def test_an_index_that_would_be_too_long_is_refused(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "x"}))
    text = json.loads((layout / "index.json").read_text())
    room = (4 << 20) - len(json.dumps(text)) - 100
    (layout / "index.json").write_text(json.dumps(text | {"annotations": {"x": "x" * room}}))
    before = files_in(layout)

    with pytest.raises(LimitExceededError, match="it would be 4194430 bytes"):
        write(OTHER, layout, ":other")

    assert files_in(layout) == before


def test_what_has_not_been_put_is_not_published(tmp_path: Path) -> None:
    with open_sink(f"oci:{tmp_path}/layout:x", Settings()) as sink, pytest.raises(NotFoundError):
        sink.publish(Descriptor.of(b"{}", media_types.OCI_MANIFEST))


def test_everything_is_on_the_disk_before_it_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str]] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def recorded_fsync(descriptor: int) -> None:
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def recorded_rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        room, there = (os.readlink(f"/proc/self/fd/{number}") for number in (src_dir_fd, dst_dir_fd))
        assert ("fsync", f"{room}/{old}") in calls
        calls.append(("name", f"{there}/{new}"))
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def recorded_replace(old: Path, new: Path) -> None:
        assert ("fsync", str(old)) in calls
        calls.append(("name", str(new)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recorded_rename)
    monkeypatch.setattr(os, "replace", recorded_replace)
    layout = tmp_path / "layout"
    write(ONE, layout, ":machine")

    named = [path for what, path in calls if what == "name"]
    blobs = [str(blob_in(layout, digest)) for digest in ONE.build().blobs]
    assert sorted(named[:-2]) == sorted(blobs)
    assert named[-2:] == [str(layout / "oci-layout"), str(layout / "index.json")]
    last_blob, index = calls.index(("name", named[-3])), calls.index(("name", named[-1]))
    assert ("fsync", str(layout / "blobs/sha256")) in calls[last_blob:index]
    assert ("fsync", str(layout)) in calls[index:]


@pytest.mark.parametrize("scheme", ["oci", "oci-archive"])
def test_an_image_without_a_name_is_found_beside_what_refers_to_it(tmp_path: Path, scheme: str) -> None:
    signature = OTHER.subject(ONE.descriptor())
    reference = f"{scheme}:{tmp_path}/layout.tar"

    for _ in range(2):
        with open_sink(reference, Settings()) as sink:
            copy(ONE.beside(signature).build(), sink, CopyRequest(referrers=True))

    with open_source(reference, Settings()) as source:
        assert source.resolve().digest == ONE.descriptor().digest
        assert [found.digest for found in source.referrers(ONE.descriptor().digest)] == [signature.descriptor().digest]
