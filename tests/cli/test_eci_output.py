"""`pull` and `pullfiles` print what the original `eci` printed of its own images (golden/eci/commands.json)."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line

GOLDEN = Path(__file__).parent.parent / "golden" / "eci"
CALLS: list[dict[str, Any]] = [
    call
    for call in json.loads((GOLDEN / "commands.json").read_text())["commands"]
    if call["argv"][1] in ("pull", "pullfiles")
    and call["exit"] == 0
    and (GOLDEN / f"{call['argv'][3].removeprefix('/DIR/')}.tar.gz").exists()
]


def unpacked(argv: list[str], directory: Path) -> None:
    """The store that the call reads, in *directory*."""
    with tarfile.open(GOLDEN / f"{argv[3].removeprefix('/DIR/')}.tar.gz") as archive:
        archive.extractall(directory, filter="data")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call['argv'][1]}-{call['argv'][3][5:]}")
def test_the_lines_are_the_originals(call: dict[str, Any], run: Run, tmp_path: Path) -> None:
    unpacked(call["argv"], tmp_path)

    said = run(*(word.replace("/DIR", str(tmp_path)) for word in call["argv"][1:]))

    assert said.out == call["stdout"].replace("/DIR", str(tmp_path))


def test_a_root_disk_may_be_named_that_the_image_has_not(run: Run, parts: Parts, tmp_path: Path) -> None:
    """As scripts for the original do, which leaves an empty file: here it is told, and no file is written."""
    run("push", "--remote", tmp_path / "layout", "a:1", "--kernel", parts.kernel)
    words = ("pullfiles", "--remote", tmp_path / "layout", "a:1", "--root", tmp_path / "r")

    said = run(*words, "--kernel", tmp_path / "k")

    assert said.out.splitlines()[2:] == ["\tkernel: kernel", "\troot: "]
    assert "has no disk-root" in said.err
    assert not (tmp_path / "r").exists()
    assert (tmp_path / "k").read_bytes() == parts.kernel.read_bytes()
    one_line(run(*words, exits=8), "nothing of what was asked for")
    one_line(run(*words, "--initrd", tmp_path / "i", exits=8), "initrd")


def test_extra_disks_are_told_whatever_is_asked_for(run: Run, tmp_path: Path) -> None:
    unpacked(["eci", "pullfiles", "--remote", "/DIR/legacy"], tmp_path)

    said = run(
        "pullfiles", "--remote", tmp_path / "legacy", "registry.example/edge/machine:1", "--kernel", tmp_path / "k"
    )

    assert said.out.splitlines()[1:] == [
        "file locations and types:",
        "\tkernel: kernel",
        "\tadditional disk 0: disk-0-disk1.qcow2 Qcow2",
        "\tadditional disk 1: disk-1-d2.iso ISO",
    ]


def test_verbose_lines_name_each_blob(run: Run, tmp_path: Path) -> None:
    unpacked(["eci", "pull", "--remote", "/DIR/artifacts"], tmp_path)
    words = ("--remote", tmp_path / "artifacts", "registry.example/edge/machine:1", "--verbose")

    said = run("pull", *words, "--dir", tmp_path / "out")

    assert "Downloaded 6923dd1bc046 kernel\n" in said.out
    assert sum(line.startswith("Downloaded ") for line in said.out.splitlines()) == 6
    assert "Downloaded" not in run("pull", *words[:-1], "--dir", tmp_path / "out").out


def test_a_push_names_what_it_sends_when_asked(run: Run, parts: Parts, tmp_path: Path) -> None:
    said = run("push", "--remote", tmp_path / "layout", "registry.example/a:1", "--verbose", *parts.words)

    *downloaded, sentence = said.out.splitlines()
    assert [line.split()[2] for line in downloaded] == [
        "kernel", "initrd", "disk-root-root.img", "disk-0-data.iso", "config.json"
    ]  # fmt: skip
    assert sentence.startswith(f"Pushed image registry.example/a:1 to {tmp_path}/layout with digest sha256:")


def test_without_a_directory_the_current_one_is_told_in_full(
    run: Run, parts: Parts, layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    said = run("pull", "--remote", layout, "edge/machine:1")

    assert f"\tkernel: {tmp_path}/here/kernel\n" in said.out
    assert said.out.splitlines()[0].endswith(f" to directory {tmp_path}/here")


def test_programs_get_json_as_before(run: Run, layout: Path, tmp_path: Path) -> None:
    said = run("pull", "--remote", layout, "edge/machine:1", "--dir", tmp_path / "out", "--json")

    assert {part["role"] for part in said.json["parts"]} >= {"kernel", "initrd", "disk-root", "disk-additional"}


def test_a_name_of_an_image_cannot_write_to_the_terminal(run: Run, tmp_path: Path) -> None:
    unpacked(["eci", "pull", "--remote", "/DIR/artifacts"], tmp_path)
    directory = tmp_path / "out\x1b[2J"

    said = run("pull", "--remote", tmp_path / "artifacts", "registry.example/edge/machine:1", "--dir", directory)

    assert "\x1b" not in said.out
