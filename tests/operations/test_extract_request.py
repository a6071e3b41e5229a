"""What of an image goes where: what is asked for and is not there, and what nobody can know before looking."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from eci_convert.errors import MissingPartError, UnknownDialectError, UnsupportedImageError, UsageError
from eci_convert.model import Role
from eci_convert.operations.extract import extract
from eci_convert.operations.extract_request import ExtractRequest, plan_targets
from eci_convert.operations.inspect import inspect
from tests.support.images import KERNEL_TYPE, a_container, a_machine, an_image, files_in


def hinted(error: BaseException) -> bool:
    return any("--path" in note for note in getattr(error, "__notes__", ()))


def test_an_image_without_a_machine_says_how_to_get_a_file_out_of_it(tmp_path: Path) -> None:
    plain = an_image().tar_layer({"etc/": None, "etc/motd": b"hello"}).build()
    with pytest.raises(UnknownDialectError) as caught:
        extract(plain, ExtractRequest(directory=tmp_path))
    assert hinted(caught.value)
    assert files_in(tmp_path) == {}

    extract(plain, ExtractRequest(paths={"etc/motd": tmp_path / "motd"}))
    assert files_in(tmp_path) == {"motd": b"hello"}


def test_a_guess_that_is_asked_for_by_name_says_what_is_missing(tmp_path: Path) -> None:
    plain = an_image().tar_layer({"etc/motd": b"hello"}).build()
    with pytest.raises(MissingPartError, match="disk"):
        extract(plain, ExtractRequest(directory=tmp_path, dialect="containerdisk"))


def test_a_part_with_an_output_of_its_own_does_not_go_to_the_directory_too(tmp_path: Path) -> None:
    extract(a_machine().build(), ExtractRequest(directory=tmp_path / "out", roles={Role.KERNEL: tmp_path / "k"}))
    assert set(files_in(tmp_path)) == {"k", "out/initrd", "out/disk-root-root.raw"}


def test_an_open_file_is_as_good_as_a_path() -> None:
    kernel = io.BytesIO()
    extract(a_container().build(), ExtractRequest(roles={Role.KERNEL: kernel}))
    assert kernel.getvalue() == b"kernel"


def test_the_config_is_there_for_who_asks_for_it(tmp_path: Path) -> None:
    source = a_machine().build()
    extract(source, ExtractRequest(roles={Role.CONFIG: tmp_path / "config.json"}))
    assert (tmp_path / "config.json").read_bytes() == source.blobs[inspect(source).image.manifest.config.digest]


@pytest.mark.parametrize(
    "order",
    [
        ExtractRequest(roles={Role.INITRD: Path("i")}),
        ExtractRequest(disks={0: Path("d")}),
        ExtractRequest(directory=Path(), only=(Role.EXTRA_DISK,)),
    ],
)
def test_what_is_not_there_is_named_with_what_is(order: ExtractRequest) -> None:
    found = inspect(an_image().layer(KERNEL_TYPE, b"kernel", role="kernel", title="kernel").build())
    with pytest.raises(MissingPartError, match="it has kernel"):
        plan_targets(found, order)


def test_two_parts_never_go_to_one_file(tmp_path: Path) -> None:
    found = inspect(a_machine().build())
    with pytest.raises(UnsupportedImageError, match="two parts would be written to"):
        plan_targets(found, ExtractRequest(directory=tmp_path, roles={Role.KERNEL: tmp_path / "y/../initrd"}))
    with pytest.raises(UsageError, match="two parts would be written to"):
        plan_targets(found, ExtractRequest(roles={Role.KERNEL: tmp_path / "x", Role.INITRD: tmp_path / "y/../x"}))
    with pytest.raises(UsageError, match="two parts would be written to"):
        plan_targets(found, ExtractRequest(paths={"/a": tmp_path / "x", "/b": tmp_path / "x"}))
