"""What a program says wrongly to the library is an EciError in its own words, before anything is done."""

from __future__ import annotations

import gc
import gzip
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eci_convert as ec
from eci_convert.library_terms import in_library_terms
from tests.support.fake_docker import a_docker

QCOW2 = b"QFI\xfb\x00\x00\x00\x03" + bytes(600)


@pytest.fixture
def place(tmp_path: Path) -> str:
    machine = ec.Machine(
        kernel=b"kernel", initrd=b"initrd", disks=[ec.Disk(b"d", type="raw", name="d")], cmdline="quiet"
    )
    return ec.push(machine, f"oci:{tmp_path}/layout:machine", format="legacy").reference


# What is asked for


@pytest.mark.parametrize(("word", "content"), [("kernel", b"kernel"), (ec.Role.INITRD, b"initrd"), ("disk-0", b"d")])
def test_a_part_is_opened_by_its_role_too(place: str, word: str, content: bytes) -> None:
    with ec.open_image(place) as image, image.open(word) as stream:
        assert stream.read() == content


def test_a_word_for_no_part_says_which_there_are(place: str) -> None:
    with ec.open_image(place) as image, pytest.raises(ec.MissingPartError, match="it has kernel, initrd, disk-0-d"):
        image.open("root")


def test_what_is_no_part_leaves_nothing_behind_that_complains(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    with ec.open_image(place) as image, pytest.raises(AttributeError, match="name"):
        image.open(3)  # type: ignore[arg-type]
    gc.collect()
    assert complaints == []


def test_the_command_line_is_extracted_where_it_is_wanted(place: str) -> None:
    cmdline = io.BytesIO()
    ec.extract(place, cmdline=cmdline)
    assert cmdline.getvalue() == b"quiet"


def test_nothing_asked_for_is_a_usage_error(place: str) -> None:
    with pytest.raises(ec.UsageError, match="give a directory"):
        ec.extract(place)
    with pytest.raises(ec.UsageError, match="directory"):
        ec.extract(place, kernel="kernel", only=["kernel"])


@pytest.mark.parametrize("words", [{"kernel": 3}, {"root": 3}, {"disks": [3]}, {"files": {"a": 3}}])
def test_what_is_no_content_is_a_usage_error(words: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ec.UsageError, match="int is not content: give a path, bytes"):
        ec.push(ec.Machine(**words), f"oci:{tmp_path}/layout:x")
    assert not (tmp_path / "layout").exists()


@pytest.mark.parametrize("words", [{"kernel": 3}, {"disks": {0: 3}}, {"files": {"/kernel": 3}}])
def test_what_is_no_output_is_a_usage_error(place: str, words: dict[str, Any]) -> None:
    with pytest.raises(ec.UsageError, match="int is not an output: give a path"):
        ec.extract(place, **words)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"compat": "lax"}, "auto, strict"),
        ({"concurrency": 0}, "from 1 to 64"),
        ({"retries": -1}, "from 0 to 100"),
        ({"timeout": 0.0}, "0.1 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(words: dict[str, Any], why: str) -> None:
    with pytest.raises(ec.UsageError, match=why):
        ec.Options(**words)


def test_a_blob_has_no_negative_size() -> None:
    with pytest.raises(ec.UsageError, match="negative"):
        ec.RemoteBlob(f"sha256:{64 * '0'}", -1)


# What is known without reading


@pytest.mark.parametrize("form", ["artifacts", "legacy", "containerdisk"])
def test_sizes_of_parts_are_known_where_the_image_tells_them(form: str, tmp_path: Path) -> None:
    machine = ec.Machine(kernel=b"kernel", root=ec.Disk(b"root", type="raw", name="r"))
    place = ec.push(machine, f"oci:{tmp_path}/layout:x", format=form).reference

    assert {part.role: part.size for part in ec.inspect(place).parts} == {"kernel": 6, "disk-root": 4}


@pytest.mark.parametrize("in_containerd", [False, True])
def test_the_files_of_an_image_in_the_engine_are_listed(tmp_path: Path, in_containerd: bool) -> None:
    with a_docker(tmp_path, in_containerd=in_containerd) as engine:
        options = ec.Options(environ=engine.environ)
        machine = ec.Machine(kernel=b"kernel", initrd=b"initrd")
        ec.push(machine, "docker-daemon:machine:1", format="legacy", options=options)
        with ec.open_image("docker-daemon:machine:1", options=options) as image:
            files = [(entry.path, entry.size) for entry in image.files()]

    assert files == [("/initrd", 6), ("/kernel", 6)]


# Hints


@pytest.mark.parametrize(
    ("ask", "hint"),
    [
        (lambda at: ec.push(ec.Machine(root=bytes(512)), at), 'say which: Disk(…, type="raw"), or "vhd"'),
        (lambda at: ec.push(ec.Machine(root=ec.Disk(QCOW2, type="vmdk", name="d")), at),
         "Disk(…, trust_declared_type=True) accepts"),
        (lambda at: ec.push(ec.Machine(root=ec.Disk(gzip.compress(b"d"), type="raw", name="d.gz")), at),
         'Disk(…, type="raw", trust_declared_type=True) packs'),
        (lambda at: ec.inspect(at, platform="linux/s390x"), "omit platform= to use it as it is"),
        (lambda at: ec.copy(at, "docker-archive:a.tar", format="artifacts"), 'use format="legacy"'),
        (lambda at: ec.inspect("containerd:a:1", options=ec.Options(address="/nowhere")),
         "Options(address=…) or CONTAINERD_ADDRESS"),
        (lambda at: ec.inspect("docker://me:secret@localhost:1/a"), "use Options(username=…)"),
    ],
)  # fmt: skip
def test_hints_are_in_the_words_of_the_library(ask: Callable[[str], object], hint: str, place: str) -> None:
    with pytest.raises(ec.EciError) as caught:
        ask(place)
    assert hint in caught.value.hint
    assert "--" not in str(caught.value) + caught.value.hint


def test_no_hint_of_the_library_has_an_option_of_the_command_line() -> None:
    """Whatever stands in the code as a hint, but for those of commands that the library has no function for."""
    package = Path(ec.__file__).parent
    only_commands = ("cli", "cnab", "docker_build", "operations/check_build.py", "operations/doctor", "testing")
    texts = []
    for path in package.rglob("*.py"):
        if not str(path.relative_to(package)).startswith(only_commands):
            texts += re.findall(r'"hint: ([^"]*)"', path.read_text())
    left = [
        text
        for text in map(in_library_terms, sorted(texts))
        if re.search(r"(?<!`)--[a-z]", re.sub("`[^`]*`", "", text))
    ]

    assert len(texts) > 60
    assert left == ["--strategy merge keeps its images of other platforms, overwrite none", "say which with --digest"]


@pytest.mark.parametrize(
    ("form", "needs"), [("onmetal", "onmetal needs an initramfs, and there is none"), ("unikraft", "needs a kernel")]
)
def test_a_format_says_which_part_it_needs(form: str, needs: str, tmp_path: Path) -> None:
    machine = (
        ec.Machine(kernel=b"k", root=ec.Disk(b"d", type="raw", name="d"))
        if form == "onmetal"
        else ec.Machine(initrd=b"i")
    )
    with pytest.raises(ec.CannotHoldError, match=needs):
        ec.push(machine, f"oci:{tmp_path}/layout:x", format=form)
