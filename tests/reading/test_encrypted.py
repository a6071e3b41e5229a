"""An encrypted layer is a good one that cannot be read here: it travels as it is, and nothing is its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from eci_convert import dialects
from eci_convert.errors import CannotHoldError, UnsupportedImageError
from eci_convert.model import Role
from eci_convert.oci import media_types
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.extract import extract
from eci_convert.operations.extract_request import ExtractRequest
from eci_convert.operations.inspect import inspect
from eci_convert.operations.list_files import list_files
from eci_convert.operations.verify import verify_image
from eci_convert.transports.base import SinkCapabilities
from eci_convert.transports.memory import MemorySink, MemoryStore
from tests.support.images import LABEL, ImageBuilder, a_tar, an_image

TYPES = [
    media_types.OCI_LAYER + "+encrypted",
    media_types.OCI_LAYER + "+gzip+encrypted",
    media_types.OCI_LAYER + "+zstd+encrypted",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip+encrypted",
    media_types.DOCKER_LAYER + ".gzip+encrypted",
]
CIPHER = bytes(range(256)) * 9


def encrypted(media_type: str = TYPES[1]) -> ImageBuilder:
    return an_image().layer(media_type, CIPHER).label(LABEL + "kernel", "/k")


@pytest.mark.parametrize("media_type", TYPES)
def test_what_is_in_it_is_not_to_be_had(media_type: str, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"old")

    for order in (
        ExtractRequest(roles={Role.KERNEL: tmp_path / "kernel"}),
        ExtractRequest(paths={"/k": tmp_path / "kernel"}),
    ):
        with pytest.raises(UnsupportedImageError, match="encrypted"):
            extract(encrypted(media_type).build(), order)

    assert (tmp_path / "kernel").read_bytes() == b"old"


def test_what_lies_above_it_is_to_be_had(tmp_path: Path) -> None:
    image = encrypted().tar_layer({"k": b"kernel"}, compression="gzip")

    extract(image.build(), ExtractRequest(roles={Role.KERNEL: tmp_path / "kernel"}))

    assert (tmp_path / "kernel").read_bytes() == b"kernel"


@pytest.mark.parametrize("media_type", TYPES)
def test_an_image_that_only_its_content_could_tell_is_said_to_be_encrypted(media_type: str, tmp_path: Path) -> None:
    source = an_image().layer(media_type, CIPHER).build()

    assert "encrypted" in inspect(source).unknown
    with pytest.raises(UnsupportedImageError, match="encrypted"):
        extract(source, ExtractRequest(directory=tmp_path))
    with pytest.raises(UnsupportedImageError, match="encrypted"):
        dialects.read(inspect(source).image)


def test_it_is_copied_as_it_is_and_cannot_be_written_in_another_dialect() -> None:
    store = MemoryStore({}, {})
    source = encrypted().build()

    assert copy(source, MemorySink(store)).descriptor == source.resolve()
    assert CIPHER in store.blobs.values()
    with pytest.raises(UnsupportedImageError, match="encrypted"):
        copy(source, MemorySink(MemoryStore({}, {})), CopyRequest(format="legacy"))


def test_an_engine_that_would_have_to_unpack_it_cannot_hold_it() -> None:
    with pytest.raises(CannotHoldError, match="cannot hold an encrypted image") as caught:
        copy(encrypted().build(), MemorySink(MemoryStore({}, {}), capabilities=SinkCapabilities(artifacts=False)))
    assert "skopeo" in caught.value.__notes__[0]


@pytest.mark.parametrize("media_type", TYPES)
def test_its_files_cannot_be_listed_and_those_of_an_artifact_can_by_their_titles(media_type: str) -> None:
    with pytest.raises(UnsupportedImageError, match="encrypted"):
        list_files(encrypted(media_type).build())

    artifact = an_image().typed(media_types.OCI_MANIFEST, "a/b").layer(media_type, CIPHER, title="disk.raw").build()
    assert [file.path for file in list_files(artifact).files] == ["disk.raw"]


def test_verify_checks_its_digest_and_says_that_it_cannot_look_inside() -> None:
    report = verify_image(encrypted().tar_layer({"other": b""}).build())

    assert [type(finding.error) for finding in report.problems] == [UnsupportedImageError]
    with pytest.raises(UnsupportedImageError, match="encrypted"):
        report.raise_worst()


def test_a_layer_is_not_encrypted_because_its_media_type_says_so_elsewhere(tmp_path: Path) -> None:
    image = an_image().layer("application/vnd.encrypted.tar", a_tar({"k": b"kernel"})).label(LABEL + "kernel", "/k")

    extract(image.build(), ExtractRequest(roles={Role.KERNEL: tmp_path / "kernel"}))

    assert (tmp_path / "kernel").read_bytes() == b"kernel"
