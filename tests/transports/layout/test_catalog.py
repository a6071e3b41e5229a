"""Tests of catalog.py, index_entries.py and reachable.py: the catalog contract, and what is peculiar to layouts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from eci_convert.errors import EciError, TransportError
from eci_convert.oci.annotations import REF_NAME
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.operations.store.delete import delete
from eci_convert.operations.store.list import list_images
from eci_convert.operations.store.tag import tag
from eci_convert.operations.verify import verify_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.command_line import Run
from tests.support.contract.catalogs import CatalogContract, Place, ReadOnlyContract, image
from tests.support.golden import unpack
from tests.support.images import ImageBuilder, an_image, an_index, copied, files_in
from tests.support.programs import python
from tests.support.reporters import Listening


class TestLayout(CatalogContract):
    @contextmanager
    def opened(self, directory: Path) -> Iterator[Place]:
        root = f"oci:{directory / 'layout'}"
        yield Place(reference=root + ":{}", root=root, settings=Settings(timeout=5))


class TestOciArchive(ReadOnlyContract):
    def write(self, directory: Path, images: dict[str, ImageBuilder]) -> str:
        [(name, image)] = images.items()
        copied(image.build(), open_sink(f"oci-archive:{directory}/a.tar:{name}", Settings()))
        return f"oci-archive:{directory}/a.tar"


SETTINGS = Settings(timeout=5)
BLOBS = re.compile(r"blobs/sha256/[0-9a-f]{64}")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Three images upon one layer, the third without a name of its own."""
    for name in ("m:1", "m:2"):
        copied(image(name.encode()).build(), open_sink(f"oci:{tmp_path}/layout:{name}", SETTINGS))
    return tmp_path / "layout"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return Run(capfd)


def entries(layout: Path) -> list[dict[str, Any]]:
    found = json.loads((layout / "index.json").read_text())["manifests"]
    assert isinstance(found, list)
    return found


def rewrite(layout: Path, **fields: Any) -> None:
    index = json.loads((layout / "index.json").read_text())
    (layout / "index.json").write_text(json.dumps(index | fields))


def blobs(layout: Path) -> set[str]:
    return {path.name for path in (layout / "blobs/sha256").iterdir()}


def owned(built: ImageBuilder) -> set[str]:
    return {digest.hex for digest in built.build().blobs}


def is_whole(layout: Path, name: str) -> bool:
    with open_source(f"oci:{layout}:{name}", SETTINGS) as source:
        return verify_image(source).ok


def test_blobs_of_a_deleted_image_go_and_shared_ones_stay(layout: Path) -> None:
    delete([f"oci:{layout}:m:1"])

    assert blobs(layout) == owned(image(b"m:2"))


def test_blobs_that_nobody_deleted_stay_though_nothing_refers_to_them(layout: Path) -> None:
    """Another program writes its blobs before it lists them."""
    (layout / "blobs/sha256" / Digest.of(b"coming").hex).write_bytes(b"coming")

    delete([f"oci:{layout}:m:1"])

    assert Digest.of(b"coming").hex in blobs(layout)


def test_blobs_of_an_image_that_another_replaced_go_with_the_next_deletion(layout: Path) -> None:
    first, third = image(b"m:1"), image(b"m:3")
    copied(third.build(), open_sink(f"oci:{layout}:m:1", SETTINGS))
    assert owned(first) <= blobs(layout)  # whoever reads it can go on

    delete([f"oci:{layout}:m:2"], SETTINGS)

    assert blobs(layout) == owned(third)
    with open_source(f"oci:{layout}:m:1", SETTINGS) as source:
        assert verify_image(source).ok


def test_an_image_that_was_replaced_and_has_come_back_stays(layout: Path) -> None:
    copied(image(b"m:3").build(), open_sink(f"oci:{layout}:m:1", SETTINGS))
    copied(image(b"m:1").build(), open_sink(f"oci:{layout}:old:1", SETTINGS))

    delete([f"oci:{layout}:m:2"], SETTINGS)

    with open_source(f"oci:{layout}:old:1", SETTINGS) as source:
        assert verify_image(source).ok


def test_an_image_that_was_replaced_stays_whole_as_long_as_something_refers_to_it(layout: Path, run: Run) -> None:
    (layout.parent / "log").write_text("log")
    run("attach", f"oci:{layout}:m:1", layout.parent / "log", "--artifact-type", "build/log")
    copied(image(b"m:3").build(), open_sink(f"oci:{layout}:m:1", SETTINGS))

    delete([f"oci:{layout}:m:2"], SETTINGS)

    assert owned(image(b"m:1")) <= blobs(layout)


def test_nothing_is_left_of_an_index_that_was_made_one_image_at_a_time(tmp_path: Path, run: Run) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    kernel, place = str(tmp_path / "kernel"), f"oci:{tmp_path}/uk:app:1"
    build = ["build", "--kernel", kernel, "--format", "unikraft", "--to", place]
    for more in (["--plat", "qemu"], ["--plat", "fc", "--append"], ["--plat", "xen", "--append"]):
        run(*build, *more, "--platform", "linux/amd64")

    run("delete", place)

    assert blobs(tmp_path / "uk") == set()


def test_an_image_of_an_index_stays_with_the_index(layout: Path) -> None:
    members = [image(name.encode(), platform=f"linux/{name}") for name in ("amd64", "arm64")]
    copied(an_index(*members).build(), open_sink(f"oci:{layout}:all", SETTINGS))
    copied(members[0].build(), open_sink(f"oci:{layout}:one", SETTINGS))

    delete([f"oci:{layout}:one"])

    assert is_whole(layout, "all")
    delete([f"oci:{layout}:all"])
    assert blobs(layout) == owned(image(b"m:1")) | owned(image(b"m:2"))


def test_what_refers_to_a_deleted_image_goes_with_it(layout: Path) -> None:
    subject = image(b"m:1").descriptor()
    signature = an_image().layer("application/x.signature", b"signed").subject(subject)
    copied(signature.build(), open_sink(f"oci:{layout}", SETTINGS))
    assert len(entries(layout)) == 3

    delete([f"oci:{layout}:m:1"])

    assert [entry["annotations"] for entry in entries(layout)] == [{REF_NAME: "m:2"}]
    assert blobs(layout) == owned(image(b"m:2"))


def test_a_signature_is_deleted_and_its_subject_stays(layout: Path) -> None:
    signature = an_image().layer("application/x.signature", b"signed").subject(image(b"m:1").descriptor())
    copied(signature.build(), open_sink(f"oci:{layout}:signature", SETTINGS))

    delete([f"oci:{layout}:signature"])

    assert is_whole(layout, "m:1")


def test_two_commands_that_delete_the_images_of_one_layout_leave_the_third_whole(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    for number in range(8):
        copied(image(b"%d" % number).build(), open_sink(f"oci:{layout}:m:{number}", SETTINGS))
    program = """
        import sys
        from eci_convert.operations.store.delete import delete
        for name in sys.argv[2:]:
            delete([f"oci:{sys.argv[1]}:m:{name}"])
    """

    running = [subprocess.Popen(python(program, layout, *names)) for names in ("024", "135")]
    copied(image(b"new").build(), open_sink(f"oci:{layout}:new", SETTINGS))

    assert [process.wait(60) for process in running] == [0, 0]
    assert [f"{one.name}:{one.tag}" for one in list_images(f"oci:{layout}")] == ["m:6", "m:7", "new:"]
    for name in ("m:6", "m:7", "new"):
        assert is_whole(layout, name)
    assert not [name for name in files_in(layout) if name.startswith(".")]


def test_a_sink_whose_blob_was_collected_meanwhile_says_so_and_lists_nothing_broken(layout: Path) -> None:
    source = image(b"m:1").build()
    with open_sink(f"oci:{layout}:again", SETTINGS) as sink:
        manifest = source.resolve()
        assert all(sink.has(Descriptor.of(blob, "")) for blob in source.blobs.values())
        sink.put(manifest.media_type, [source.blobs[manifest.digest]], digest=manifest.digest, size=manifest.size)
        delete([f"oci:{layout}:m:1"])

        with pytest.raises(TransportError, match="another command has just removed"):
            sink.publish(manifest)

    assert {entry["annotations"][REF_NAME] for entry in entries(layout)} == {"m:2"}


KILLED = """
    import os, signal, sys
    from eci_convert.operations.store.delete import delete
    call, left = sys.argv[2], int(sys.argv[3])
    real = getattr(os, call)
    def deadly(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(os, call, deadly)
    delete([f"oci:{sys.argv[1]}:m:1"])
"""


@pytest.mark.parametrize(
    ("call", "number"),
    [*(("replace", number) for number in (1, 2)), *(("unlink", number) for number in (1, 2, 3, 4)), ("fsync", 2)],
)
def test_a_deletion_that_is_killed_leaves_others_whole_and_the_next_one_collects(
    layout: Path, call: str, number: int
) -> None:
    copied(image(b"m:3").build(), open_sink(f"oci:{layout}:m:3", SETTINGS))

    done = subprocess.run(python(KILLED, layout, call, str(number)), check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL
    assert is_whole(layout, "m:2")
    names = {entry["annotations"][REF_NAME] for entry in entries(layout)}
    if "m:1" in names:
        assert is_whole(layout, "m:1")
        delete([f"oci:{layout}:m:1"])
    delete([f"oci:{layout}:m:3"])
    assert blobs(layout) == owned(image(b"m:2"))
    assert {name for name in files_in(layout) if not BLOBS.fullmatch(name)} == {"index.json", "oci-layout"}


def test_what_a_killed_deletion_had_still_to_collect_stays_if_it_has_come_back(layout: Path) -> None:
    subprocess.run(python(KILLED, layout, "unlink", "1"), check=False, timeout=60)
    copied(image(b"m:1").build(), open_sink(f"oci:{layout}:m:1", SETTINGS))

    delete([f"oci:{layout}:m:2"])

    assert is_whole(layout, "m:1")
    assert blobs(layout) == owned(image(b"m:1"))


def test_doubled_entries_are_one_image_and_go_together(tmp_path: Path) -> None:
    """B1: onmetal-image lists every build without a name, and once more with each name."""
    unpack("onmetal/store-built.tar.gz", tmp_path)
    store = f"oci:{tmp_path}/store"

    listed = list_images(store)

    assert [(one.name, one.tag) for one in listed] == [
        (f"127.0.0.1:5711/acme/{name}", "1") for name in ("bare", "machine", "special")
    ]
    for one in listed:  # B2: the short ids that are listed are ids
        assert one.digest
        tag(f"{store}:{one.digest.hex[:12]}", [f"short:{one.name[-4:]}"])
    delete([f"{store}:{listed[0].digest}"], all_tags=True)
    delete([f"{store}:{one.name}:1" for one in listed[1:]])
    delete([f"{store}:short:{one.name[-4:]}" for one in listed[1:]])
    index = json.loads((tmp_path / "store/index.json").read_text())
    assert index["manifests"] == []  # B15: never null
    assert blobs(tmp_path / "store") == set()


def test_null_for_a_list_is_an_empty_store(tmp_path: Path) -> None:
    unpack("onmetal/store-null-manifests.tar.gz", tmp_path)

    assert list_images(f"oci:{tmp_path}/store") == ()


def test_a_tag_keeps_what_others_wrote_and_lists_an_image_once(layout: Path) -> None:
    first = entries(layout)[0] | {"platform": {"os": "linux", "architecture": "amd64"}, "x.unknown": [1]}
    rewrite(layout, manifests=[first | {"annotations": {"x.note": "n"}}], **{"x.field": True})

    tag(f"oci:{layout}:{first['digest']}", ["m:8"])

    index = json.loads((layout / "index.json").read_text())
    assert index["manifests"] == [first | {"annotations": {"x.note": "n", REF_NAME: "m:8"}}]
    assert index["x.field"] is True


def test_an_image_whose_last_name_is_given_away_is_listed_without_one(layout: Path) -> None:
    tag(f"oci:{layout}:m:1", ["m:2"])

    unnamed, *_ = list_images(f"oci:{layout}")

    assert unnamed.name == ""
    assert unnamed.digest == image(b"m:2").descriptor().digest
    assert is_whole(layout, f"@{unnamed.digest}")


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_where_what_stays_cannot_be_read_no_blob_goes(layout: Path, content: bytes | None) -> None:
    """It may refer to anything."""
    path = layout / "blobs/sha256" / image(b"m:2").descriptor().digest.hex
    path.unlink() if content is None else path.write_bytes(content)
    before, reporter = blobs(layout), Listening()

    delete([f"oci:{layout}:m:1"], Settings(reporter=reporter))

    assert blobs(layout) == before
    assert len(reporter.warnings) == 1
    assert "no blobs are removed" in reporter.warnings[0]


def test_an_image_that_an_index_lists_and_that_was_never_here_hinders_nothing(layout: Path) -> None:
    members = [image(name.encode(), platform=f"linux/{name}") for name in ("amd64", "arm64")]
    copied(an_index(*members).build(), open_sink(f"oci:{layout}:all", SETTINGS))
    (layout / "blobs/sha256" / members[1].descriptor().digest.hex).unlink()

    delete([f"oci:{layout}:m:1"])

    assert not owned(image(b"m:1")) - owned(image(b"m:2")) & blobs(layout)


def test_a_half_written_image_can_be_listed_and_deleted(layout: Path) -> None:
    (layout / "blobs/sha256" / image(b"m:1").descriptor().digest.hex).unlink()
    reporter = Listening()

    listed = list_images(f"oci:{layout}", Settings(reporter=reporter))
    delete([f"oci:{layout}:m:1"])

    assert [one.size is None for one in listed] == [True, False]
    assert len(reporter.warnings) == 1
    assert is_whole(layout, "m:2")


def test_no_blob_outside_goes_through_a_link(layout: Path, tmp_path: Path) -> None:
    (layout / "blobs/sha256").rename(tmp_path / "elsewhere")
    (layout / "blobs/sha256").symlink_to(tmp_path / "elsewhere")
    before = files_in(tmp_path / "elsewhere")

    with suppress(EciError):
        delete([f"oci:{layout}:m:1"])

    assert files_in(tmp_path / "elsewhere") == before


def test_a_list_of_what_is_to_be_collected_that_is_no_such_list_is_none(layout: Path) -> None:
    secret = layout.parent / "secret"
    secret.write_text("sha256:" + image(b"m:2").descriptor().digest.hex)
    (layout / ".eci-convert.collect").symlink_to(secret)

    delete([f"oci:{layout}:m:1"])

    assert is_whole(layout, "m:2")
    assert secret.exists()


def test_what_docker_saved_goes_by_its_whole_name(layout: Path) -> None:
    """It has the tag alone in the name of the specification."""
    first, second = entries(layout)
    names = {"io.containerd.image.name": "docker.io/library/m:1", REF_NAME: "1"}
    rewrite(layout, manifests=[first | {"annotations": names}, second])
    assert [f"{one.name}:{one.tag}" for one in list_images(f"oci:{layout}")] == ["docker.io/library/m:1", "m:2"]

    tag(f"oci:{layout}:m:1", ["other:1"])
    [(_, removed)] = delete([f"oci:{layout}:m:1"])

    assert removed.name == "docker.io/library/m:1"
    assert {entry["annotations"][REF_NAME] for entry in entries(layout)} == {"m:2", "other:1"}
