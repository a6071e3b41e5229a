"""KraftKit's directory store, with its absolute links, read where it lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eci_convert.errors import CannotHoldError, EciError, NotFoundError
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.inspect import inspect
from eci_convert.operations.store.delete import delete
from eci_convert.operations.store.list import list_images
from eci_convert.operations.store.tag import tag
from eci_convert.operations.verify import verify_image
from eci_convert.reading.images import load_root
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.golden import unpack
from tests.support.images import a_machine, copied, files_in
from tests.support.reporters import Listening

PACKAGE = "127.0.0.1:5711/uk/gmulti:1"
NAMES = ["hello:2", "hello:latest", "unikraft.org/hello:2", "unikraft.org/hello:latest"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A package of three targets, whose links lead to /srv/kraftkit, which is not there."""
    unpack("kraftkit/store-multi.tar.gz", tmp_path)
    return tmp_path / "oci"


def names(store: Path, settings: Settings | None = None) -> list[str]:
    return [f"{image.name}:{image.tag}" for image in list_images(f"oci:{store}", settings)]


def test_a_package_is_listed_by_its_name_with_its_targets(store: Path) -> None:
    [image] = list_images(f"oci:{store}")

    assert (image.name, image.tag, image.dialect) == ("127.0.0.1:5711/uk/gmulti", "1", "unikraft")
    assert list(map(str, image.platforms)) == ["qemu/x86_64", "fc/x86_64", "xen/arm64"]
    assert image.digest
    assert image.digest.hex == os.readlink(store / "indexes/127.0.0.1/5711/uk/gmulti/1").rpartition("/")[2]


def test_names_without_a_registry_are_names_of_their_own(tmp_path: Path) -> None:
    """K4: hello and unikraft.org/hello lie beside each other."""
    unpack("kraftkit/store-names.tar.gz", tmp_path)

    assert names(tmp_path / "oci") == NAMES


def test_what_a_deletion_of_kraftkit_broke_is_listed_and_said(tmp_path: Path) -> None:
    """K6: it removes layers that other packages share."""
    unpack("kraftkit/store-names-after-delete.tar.gz", tmp_path)
    reporter = Listening()

    assert names(tmp_path / "oci", Settings(reporter=reporter)) == [
        name for name in NAMES if name != "unikraft.org/hello:2"
    ]
    assert len(reporter.warnings) == 3


@pytest.mark.parametrize("name", [PACKAGE, ""])
def test_a_target_is_extracted_out_of_it(store: Path, name: str) -> None:
    with open_source(f"oci:{store}:{name}" if name else f"oci:{store}", Settings()) as source:
        found = inspect(source, parse_platform("xen/arm64"))
        assert found.dialect == "unikraft"
        assert [part.name for part in found.artifact.parts] == ["kernel"]


def test_a_package_is_copied_out_of_it_with_its_digest(store: Path, tmp_path: Path) -> None:
    with (
        open_source(f"oci:{store}:{PACKAGE}", Settings()) as source,
        open_sink(f"oci:{tmp_path}/layout:{PACKAGE}", Settings()) as sink,
    ):
        packed = copy(source, sink, CopyRequest(all_platforms=True))
        root, _ = load_root(source)

    assert packed.descriptor.digest == root.digest
    assert names(tmp_path / "layout") == [PACKAGE]


def test_an_index_that_was_changed_where_it_lies_is_read_as_it_is(store: Path) -> None:
    """K6: KraftKit writes through the link, so that the blob is no longer what its name says."""
    [path] = (store / "digests/sha256").glob("e20f6ac4*")
    path.write_text(path.read_text().replace('"size":32', '"size": 32', 1))

    [image] = list_images(f"oci:{store}")
    assert image.digest
    assert image.digest.hex != path.name
    with open_source(f"oci:{store}:{PACKAGE}", Settings()) as source:
        assert inspect(source, parse_platform("fc/x86_64")).digest == image.digest
        assert len(verify_image(source).problems) == 2  # the sizes that the original gets wrong


def test_no_link_leads_out_of_the_store(store: Path, tmp_path: Path) -> None:
    [real] = (store / "digests/sha256").glob("e20f6ac4*")
    outside = tmp_path / "digests/sha256"
    outside.mkdir(parents=True)
    real.rename(outside / real.name)
    link = store / "indexes/127.0.0.1/5711/uk/gmulti/1"
    link.unlink()
    link.symlink_to(outside / real.name)
    (store / "indexes/etc").symlink_to("/etc")
    (store / "indexes/hello").mkdir()
    (store / "indexes/hello/1").write_text("no link")

    assert names(store) == []
    with pytest.raises(NotFoundError), open_source(f"oci:{store}:{PACKAGE}", Settings()) as source:
        source.resolve()


def test_it_is_not_changed(store: Path) -> None:
    before = files_in(store)

    for work in (
        lambda: tag(f"oci:{store}:{PACKAGE}", ["other:1"]),
        lambda: delete([f"oci:{store}:{PACKAGE}"]),
        lambda: copied(a_machine().build(), open_sink(f"oci:{store}:other", Settings())),
    ):
        with pytest.raises(CannotHoldError, match="KraftKit"):
            work()

    assert files_in(store) == before


def test_a_store_that_is_half_there_is_none(store: Path) -> None:
    (store / "digests").rename(store / "gone")

    with pytest.raises(EciError, match="not an OCI image layout"):
        list_images(f"oci:{store}")
