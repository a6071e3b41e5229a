"""Paths that no file can have are refused before anybody looks for them, and long ones cost what they are long."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from eci_convert.dialects import part_names
from eci_convert.dialects.part_names import absolute_image_path
from eci_convert.errors import EciError, LimitExceededError, MissingPartError, UsageError
from eci_convert.model import Role
from eci_convert.operations.extract import extract
from eci_convert.operations.extract_request import ExtractRequest
from eci_convert.operations.inspect import inspect
from eci_convert.operations.verify import verify_image
from eci_convert.rootfs.search import _WantedPaths
from tests.support.images import LABEL, Link, a_machine, an_image

LONG = "/" + "a/" * 32_767 + "b"
DEEP = "/" + "a/" * 2040 + "k"
SOURCES = {
    "label": an_image().tar_layer({"k": b"k"}).label(LABEL + "kernel", LONG),
    "label of dots": an_image().tar_layer({"k": b"k"}).label(LABEL + "kernel", "/./" * 20_000 + "k"),
    "label of links": an_image().tar_layer({"a": Link("a")}).label(LABEL + "kernel", LONG),
    "disk": an_image().tar_layer({"k": b"k"}).label(LABEL + "disk-0", LONG),
    "annotation": an_image().tar_layer({"k": b"k"}).annotation(LABEL + "kernel", LONG),
    "4096 bytes": an_image().tar_layer({"k": b"k"}).label(LABEL + "kernel", "/" + "ä/" * 1365),
}


def cheaply(call: Callable[..., object], *arguments: object) -> EciError:
    """What *call* raises. It takes no more memory than the image."""
    tracemalloc.start()
    with pytest.raises(EciError) as caught:
        call(*arguments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    return caught.value


@pytest.mark.parametrize("name", SOURCES)
def test_a_label_that_is_longer_than_a_path_is_refused_at_the_door(name: str, tmp_path: Path) -> None:
    source = SOURCES[name].build()

    for ask in (lambda: extract(source, ExtractRequest(roles={Role.KERNEL: tmp_path / "k"})), lambda: inspect(source)):
        error = cheaply(ask)
        assert isinstance(error, LimitExceededError)
        assert len(str(error)) < 400
    assert not (tmp_path / "k").exists()


def test_verify_says_so_of_every_such_label() -> None:
    for image in (SOURCES["label"], a_machine().label(LABEL + "kernel", LONG)):
        report = verify_image(image.build())
        assert any(isinstance(finding.error, LimitExceededError) for finding in report.problems)
        assert isinstance(cheaply(report.raise_worst), LimitExceededError)


def test_a_user_who_asks_for_one_is_told(tmp_path: Path) -> None:
    source = an_image().tar_layer({"k": b"k"}).build()

    assert isinstance(cheaply(extract, source, ExtractRequest(paths={LONG: tmp_path / "k"})), UsageError)


def test_as_deep_a_path_as_there_can_be_is_looked_for_in_linear_memory(tmp_path: Path) -> None:
    image = an_image().tar_layer({f"l{n}": Link("nowhere") for n in range(50)})
    for number in range(60):
        image = image.label(f"{LABEL}disk-{number}", f"{DEEP[:-4]}{number}")

    error = cheaply(extract, image.build(), ExtractRequest(directory=tmp_path / "out"))

    assert isinstance(error, MissingPartError)


def test_what_is_on_the_way_to_something() -> None:
    wanted = _WantedPaths()
    wanted.add("p", "boot/x/kernel")
    wanted.add("q", "disk/")
    wanted.add("r", "boot-x")

    on = [path for path in ("boot", "boot/x", "boot/x/kernel", "disk", "boot-x") if wanted.is_on_the_way(path)]
    off = [
        path
        for path in ("b", "bo", "boot/y", "boot/x/kernel/z", "dis", "disk/x", "boot-", "z")
        if wanted.is_on_the_way(path)
    ]

    assert on == ["boot", "boot/x", "boot/x/kernel", "disk", "boot-x"]
    assert not off


def test_a_path_of_just_the_limit_is_one() -> None:
    path = "/" + "a" * 200 + "/b" * ((part_names.LONGEST_PATH - 201) // 2)

    assert not part_names.is_too_long(path)
    assert absolute_image_path(path, "x") == path
    assert part_names.is_too_long(path + "/bb")
