from __future__ import annotations

import gzip
import os
import random
import subprocess
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert.errors import (
    DigestMismatchError,
    FormatError,
    LocalError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedImageError,
    UsageError,
)
from eci_convert.oci import media_types
from eci_convert.oci.annotations import REF_NAME
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import to_json
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings
from tests.support.images import Hard, Link, a_container, a_machine, a_tar, an_image, an_index, copied, files_in
from tests.support.layouts_by_hand import laid_out, manifest_digest
from tests.support.programs import python
from tests.support.stdlib_tarfile import json_in

ONE, OTHER = a_machine(kernel=b"one"), a_machine(kernel=b"other")


def opened(path: Path | str, name: str = "") -> Source:
    return open_source(f"oci-archive:{path}{name}", Settings())


def kernel_of(source: Source) -> bytes:
    with source:
        return load_document(source, load_image(source).manifest.layers[0])


def packed(layout: Path, prefix: str = "") -> bytes:
    """The layout as a tar archive, as somebody's tar makes it."""
    return a_tar({f"{prefix}{name}": blob for name, blob in files_in(layout).items()})


@pytest.mark.parametrize("prefix", ["", "./", "onmetal/", "./onmetal/"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_layout_lies_at_the_top_or_in_the_one_directory(tmp_path: Path, prefix: str, compressed: bool) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "one"}), (OTHER, {REF_NAME: "other"}))
    archive = packed(layout, prefix)
    (tmp_path / "archive").write_bytes(gzip.compress(archive) if compressed else archive)

    assert kernel_of(opened(tmp_path / "archive", ":one")) == b"one"
    assert kernel_of(opened(tmp_path / "archive", ":other")) == b"other"
    with pytest.raises(UnsupportedImageError, match="'one', 'other'"):
        opened(tmp_path / "archive").resolve()
    with pytest.raises(NotFoundError):
        opened(tmp_path / "archive", ":two").resolve()


def test_of_several_directories_none_is_taken(tmp_path: Path) -> None:
    files = files_in(laid_out(tmp_path / "layout", (ONE, {})))
    twice = {f"{directory}/{name}": blob for directory in "ab" for name, blob in files.items()}
    (tmp_path / "archive").write_bytes(a_tar(twice))

    with pytest.raises(NotFoundError, match="not an OCI image layout"):
        opened(tmp_path / "archive").resolve()


def test_a_blob_of_another_size_is_refused(tmp_path: Path) -> None:
    files = files_in(laid_out(tmp_path / "layout", (ONE, {})))
    layer = ONE.manifest().layers[0]
    files[f"blobs/sha256/{layer.digest.hex}"] += b"x"
    (tmp_path / "archive").write_bytes(a_tar(files))

    with pytest.raises(SizeMismatchError):
        kernel_of(opened(tmp_path / "archive"))


def test_a_blob_of_another_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    copied(ONE.build(), open_sink(f"oci-archive:{tmp_path}/archive", Settings()))
    layer = ONE.manifest().layers[0]

    with pytest.raises(SizeMismatchError), opened(tmp_path / "archive").fetch(replace(layer, size=layer.size + 1)):
        pytest.fail("it was opened")


def test_a_blob_that_is_a_link_out_of_the_archive_is_refused(tmp_path: Path) -> None:
    files: dict[str, bytes | Link | Hard | None] = {**files_in(laid_out(tmp_path / "layout", (ONE, {})))}
    layer = ONE.manifest().layers[0]
    files[f"blobs/sha256/{layer.digest.hex}"] = Link("/etc/hostname")
    (tmp_path / "archive").write_bytes(a_tar(files))

    with pytest.raises(FormatError, match="is a link to outside"):
        kernel_of(opened(tmp_path / "archive"))


def test_an_archive_of_docker_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(a_tar({"manifest.json": b"[]"}))

    with pytest.raises(NotFoundError) as caught:
        opened(tmp_path / "archive").resolve()

    assert "docker-archive:" in caught.value.__notes__[0]


def test_a_path_may_hold_colons(tmp_path: Path) -> None:
    copied(ONE.build(), open_sink(f"oci-archive:{tmp_path}/plain.tar:a:b", Settings()))
    (tmp_path / "plain.tar").rename(tmp_path / "with:colon.tar")

    assert kernel_of(opened(tmp_path / "with:colon.tar")) == b"one"
    assert kernel_of(opened(tmp_path / "with:colon.tar", ":a:b")) == b"one"
    assert kernel_of(opened(tmp_path / "with:colon.tar", f"@{manifest_digest(ONE)}")) == b"one"


def test_an_archive_is_a_layout(tmp_path: Path) -> None:
    copied(ONE.build(), open_sink(f"oci-archive:{tmp_path}/archive.tar:machine", Settings()))

    with tarfile.open(tmp_path / "archive.tar") as archive:
        names = archive.getnames()
        index = json_in(archive, "index.json")
        marker = json_in(archive, "oci-layout")
    assert names[-2:] == ["oci-layout", "index.json"]
    assert names[:-2] == [
        f"blobs/sha256/{digest.hex}"
        for digest in (
            *(layer.digest for layer in ONE.manifest().layers),
            ONE.manifest().config.digest,
            manifest_digest(ONE),
        )
    ]
    assert marker == {"imageLayoutVersion": "1.0.0"}
    [entry] = index["manifests"]
    assert entry["annotations"] == {REF_NAME: "machine"}
    assert entry["digest"] == str(manifest_digest(ONE))


def test_the_same_image_makes_the_same_archive_in_whatever_order_it_comes(tmp_path: Path) -> None:
    image = an_image()
    for number in range(8):
        image = image.tar_layer({f"{number}": os.urandom(20_000)})
    blobs = list(image.build().blobs.items())
    archives = []
    for number in range(4):
        random.Random(number).shuffle(blobs)
        with open_sink(f"oci-archive:{tmp_path}/{number}:x", Settings()) as sink:
            barrier = threading.Barrier(3)

            def put(found: tuple[Digest, bytes], sink: Sink = sink, barrier: threading.Barrier = barrier) -> None:
                digest, blob = found
                barrier.wait(30)
                kind = image.media_type if digest == manifest_digest(image) else "x/y"
                sink.put(kind, iter([blob]), digest=digest, size=len(blob))

            with ThreadPoolExecutor(3) as pool:
                list(pool.map(put, [*blobs, *blobs[: -len(blobs) % 3]]))
            sink.publish(image.descriptor())
        archives.append((tmp_path / f"{number}").read_bytes())

    assert len(set(archives)) == 1


def test_an_index_is_archived_with_all_its_images(tmp_path: Path) -> None:
    images = [an_image().platform(f"linux/{name}").tar_layer({"a": name.encode()}) for name in ("amd64", "arm64")]
    source = an_index(*images).build()

    copied(source, open_sink(f"oci-archive:{tmp_path}/archive:x", Settings()))

    with opened(tmp_path / "archive") as read:
        assert read.resolve().digest == source.resolve().digest
        for image in images:
            assert load_image(read, image.runs_on).config.diff_ids == image.diff_ids


def test_another_digest_than_the_name_says_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatchError):
        copied(ONE.build(), open_sink(f"oci-archive:{tmp_path}/archive:1@{manifest_digest(OTHER)}", Settings()))

    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("name", [":a b", ":\x1b", ":@0"])
def test_a_name_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not a valid image name|is a position in the index"):
        open_sink(f"oci-archive:{tmp_path}/archive{name}", Settings())


def test_a_failure_leaves_the_old_archive(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"old")

    with open_sink(f"oci-archive:{tmp_path}/archive:1", Settings()) as sink:
        sink.put(media_types.OCI_LAYER, [b"x"])
        with pytest.raises(NotFoundError):
            sink.publish(OTHER.descriptor())

    assert files_in(tmp_path) == {"archive": b"old"}


FULL = """
import resource, sys
from tests.support.images import an_image, copied
from eci_convert.errors import LocalError
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    copied(an_image().tar_layer({"root": b"x" * 200_000}).build(), open_sink(sys.argv[1], Settings()))
except LocalError as error:
    print(error)
    sys.exit(9)
"""


@pytest.mark.parametrize("scheme", ["oci-archive", "docker-archive"])
def test_a_full_disk_leaves_the_old_archive(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "archive").write_bytes(b"old")
    command = python(FULL, f"{scheme}:{tmp_path}/archive")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 9, done.stderr
    assert files_in(tmp_path) == {"archive": b"old"}


def test_standard_output_and_input_are_an_archive(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from tests.support.images import a_machine, copied\n"
        "from eci_convert.transports import open_sink, open_source\n"
        "from eci_convert.transports.settings import Settings\n"
        "copied(open_source('oci-archive:-', Settings()), open_sink('oci-archive:-:again', Settings()))\n"
    )
    copied(ONE.build(), open_sink(f"oci-archive:{tmp_path}/archive:machine", Settings()))

    done = subprocess.run(
        python(program),
        input=gzip.compress((tmp_path / "archive").read_bytes()),
        capture_output=True,
        check=True,
    )

    (tmp_path / "again").write_bytes(done.stdout)
    assert kernel_of(opened(tmp_path / "again", ":again")) == b"one"


def test_an_archive_whose_index_comes_first_or_last_is_one(tmp_path: Path) -> None:
    files = files_in(laid_out(tmp_path / "layout", (ONE, {})))
    for order in (sorted(files), sorted(files, reverse=True)):
        (tmp_path / "archive").write_bytes(a_tar({name: files[name] for name in order}))
        assert kernel_of(opened(tmp_path / "archive")) == b"one"


def test_referrers_in_an_archive_are_found(tmp_path: Path) -> None:
    image = a_container()
    signature = an_image().layer("text/plain", b"signed").subject(image.descriptor())
    layout = laid_out(tmp_path / "layout", (image, {REF_NAME: "1"}), (signature, {}))
    (tmp_path / "archive").write_bytes(packed(layout))

    [found] = opened(tmp_path / "archive", ":1").referrers(image.descriptor().digest)

    assert found.digest == manifest_digest(signature)


def test_a_document_without_its_blobs_is_archived_as_it_is(tmp_path: Path) -> None:
    text = to_json(ONE.manifest())
    with open_sink(f"oci-archive:{tmp_path}/archive:x", Settings()) as sink:
        sink.publish(sink.put(media_types.OCI_MANIFEST, [text]))

    with opened(tmp_path / "archive") as source:
        assert source.resolve().digest == Digest.of(text)
        with pytest.raises(NotFoundError):
            load_image(source)


def test_what_nothing_known_refers_to_is_kept(tmp_path: Path) -> None:
    strays = [os.urandom(100) for _ in range(5)]
    with open_sink(f"oci-archive:{tmp_path}/archive:x", Settings()) as sink:
        for stray in strays:
            sink.put("x/y", [stray])
        sink.publish(sink.put("application/vnd.example.manifest+json", [b"{}"]))

    with opened(tmp_path / "archive") as source:
        for stray in strays:
            assert load_document(source, Descriptor.of(stray, "x/y")) == stray


def test_a_closed_pipe_is_said() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with (
        open_sink(f"oci-archive:/dev/fd/{theirs}:x", Settings()) as sink,
        pytest.raises(LocalError, match="Broken pipe"),
    ):
        sink.put("x/y", [b"x" * 100_000])
    os.close(theirs)
