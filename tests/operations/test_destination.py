"""Tests of operations/destination.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from eci_convert.errors import UsageError
from eci_convert.oci.digest import Digest
from eci_convert.operations.destination import (
    archive_path,
    check_not_an_input,
    is_stdout,
    open_destination,
    pinned_reference,
)
from eci_convert.reading.local_parts import artifact_from_parts
from eci_convert.transports.settings import Settings

DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    ("reference", "pinned"),
    [
        ("oci:layout", f"oci:layout:@{DIGEST}"),
        ("oci:layout:y", "oci:layout:y"),
        ("oci-archive:a.tar", "oci-archive:a.tar"),
        ("docker-archive:a.tar", "docker-archive:a.tar"),
        ("docker://host/a", "docker://host/a"),
        ("containerd:host/a:1", "containerd:host/a:1"),
    ],
)
def test_an_image_without_a_name_in_a_layout_is_pinned_by_its_digest(reference: str, pinned: str) -> None:
    assert pinned_reference(reference, DIGEST) == pinned


@pytest.mark.parametrize(
    ("reference", "path", "stdout"),
    [
        ("oci-archive:a.tar:x", Path("a.tar"), False),
        ("docker-archive:-", None, True),
        ("oci-archive:/dev/stdout:x", None, True),
        ("oci-archive:/dev/fd/2", None, False),
        ("oci:-", None, False),
        ("my-machine:1", None, False),
    ],
)
def test_an_archive_is_a_file_or_standard_output(reference: str, path: Path | None, stdout: bool) -> None:
    assert archive_path(reference) == path
    assert is_stdout(reference) is stdout


def test_a_part_is_not_overwritten_by_what_is_made_of_it(tmp_path: Path) -> None:
    kernel, link = tmp_path / "vmlinuz", tmp_path / "link"
    kernel.write_bytes(b"kernel")
    link.symlink_to(kernel)
    artifact = artifact_from_parts(kernel=link)
    for output in (kernel, link):
        with pytest.raises(UsageError, match="is the kernel"):
            check_not_an_input(output, artifact)
    check_not_an_input(tmp_path / "other", artifact)
    check_not_an_input(Path("-"), artifact)


@pytest.mark.parametrize(
    ("scheme", "reused"),
    [("oci:{}/layout:x", True), ("oci-archive:{}/a.tar:x", False), ("docker-archive:{}/a.tar:x", False)],
)
def test_what_a_name_stood_for_is_read_where_its_blobs_stay(scheme: str, reused: bool, tmp_path: Path) -> None:
    with open_destination(scheme.format(tmp_path), Settings()) as destination:
        assert (destination.existing is not None) is reused
    assert not list(tmp_path.iterdir())
