"""Container images whose labels say which file is which part."""

from __future__ import annotations

import pytest

from eci_convert import dialects
from eci_convert.errors import AmbiguousRoleError, FormatError, UnknownDialectError
from eci_convert.model import Role, RootfsFile
from tests.support.machines import an_image_of

KEY = "org.lfedge.eci.artifact."


@pytest.mark.parametrize("value", ["/boot/vmlinuz", "boot/vmlinuz", "./boot/vmlinuz", "//boot/./vmlinuz"])
def test_a_path_may_be_spelt_in_any_way(value: str) -> None:
    name, found = dialects.read(an_image_of(labels={f"{KEY}kernel": value}))

    assert name == "labels"
    assert found.parts[0].locator == RootfsFile(path="/boot/vmlinuz")
    assert found.parts[0].name == "kernel"


def test_names_are_those_of_the_eci_layout() -> None:
    labels = {f"{KEY}root": "/images/os.qcow2", f"{KEY}disk-1": "/data.iso", f"{KEY}disk-2": "/disk-2-more.raw"}

    found = dialects.read(an_image_of(labels=labels))[1]

    assert [part.name for part in found.parts] == ["disk-root-os.qcow2", "disk-1-data.iso", "disk-2-more.raw"]
    assert all(part.disk_type is None for part in found.parts)


def test_disks_are_in_the_order_of_their_numbers() -> None:
    labels = {f"{KEY}disk-{number}": f"/d{number}" for number in (10, 9, 2, 0, 100)}

    found = dialects.read(an_image_of(labels=labels))[1]

    assert [part.index for part in found.parts] == [0, 2, 9, 10, 100]


def test_two_spellings_of_one_number_are_refused() -> None:
    with pytest.raises(AmbiguousRoleError):
        dialects.read(an_image_of(labels={f"{KEY}disk-1": "/a", f"{KEY}disk-01": "/b"}))


@pytest.mark.parametrize(
    "value", ["", "/", ".", "..", "/boot/", "/boot/.", "/boot/..", "/a\0b", "/a\x1b[2J", "/" + "x" * 256]
)
def test_a_label_that_is_no_path_is_refused_and_located(value: str) -> None:
    with pytest.raises(FormatError, match=r"^config\.config\.Labels\['org\.lfedge\.eci\.artifact\.kernel'\]"):
        dialects.read(an_image_of(labels={f"{KEY}kernel": value}))


def test_dots_are_left_to_be_resolved_inside_the_image() -> None:
    found = dialects.read(an_image_of(labels={f"{KEY}root": "/../../etc/passwd"}))[1]

    assert found.parts[0].locator == RootfsFile(path="/../../etc/passwd")
    assert found.parts[0].name == "disk-root-passwd"


@pytest.mark.parametrize("key", ["kernel ", "KERNEL", "disk-", "disk-١", "disk--1", "disk-1x", "disk-9999999999", "x"])
def test_keys_that_are_not_ecis_say_nothing(key: str) -> None:
    with pytest.raises(UnknownDialectError):
        dialects.read(an_image_of(labels={KEY + key: "/p"}))


def test_labels_win_over_annotations_and_those_over_the_indexs() -> None:
    labels, annotations, entry = ({f"{KEY}kernel": path} for path in ("/l", "/a", "/i"))

    def path(**documents: dict[str, str]) -> object:
        return dialects.read(an_image_of(**documents))[1].parts[0].locator  # type: ignore[arg-type]

    assert path(labels=labels, annotations=annotations, entry=entry) == RootfsFile(path="/l")
    assert path(annotations=annotations, entry=entry) == RootfsFile(path="/a")
    assert path(entry=entry) == RootfsFile(path="/i")


def test_other_parts_are_read_beside_parts_with_a_role_and_do_not_make_a_machine() -> None:
    other = {"org.lfedge.eci.other": "/notes", "org.lfedge.eci.other-1": "/more"}

    found = dialects.read(an_image_of(labels={f"{KEY}kernel": "/k"} | other))[1]

    assert [(part.role, part.name) for part in found.parts] == [
        (Role.KERNEL, "kernel"),
        (Role.OTHER, "notes"),
        (Role.OTHER, "more"),
    ]
    with pytest.raises(UnknownDialectError):
        dialects.read(an_image_of(labels=other))


def test_labels_about_something_else_are_carried_along() -> None:
    found = dialects.read(an_image_of(labels={f"{KEY}kernel": "/k", "maintainer": "me", f"{KEY}x": "y"}))[1]

    assert found.labels == {"maintainer": "me"}
