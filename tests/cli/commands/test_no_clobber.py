"""--no-clobber: what is there stays, and then nothing else is written either."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

import eci_convert as ec
from eci_convert.files.atomic import AtomicFiles
from tests.support.command_line import Run, one_line
from tests.support.images import files_in

MACHINE = ec.Machine(kernel=b"kernel", initrd=b"initrd", root=ec.Disk(b"root", type="raw", name="r"))


@pytest.fixture
def place(tmp_path: Path) -> str:
    return ec.push(MACHINE, f"oci:{tmp_path}/layout:m").reference


@pytest.mark.parametrize("command", [["extract", "{place}", "{out}"], ["pull", "{place}", "--dir", "{out}"]])
def test_a_file_that_is_there_keeps_everything_as_it_is(
    command: list[str], place: str, run: Run, tmp_path: Path
) -> None:
    words = [word.format(place=place, out=tmp_path / "out") for word in command]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/initrd").write_bytes(b"mine")

    said = run(*words, "--no-clobber", exits=9)

    one_line(said, "out/initrd", "file exists")
    assert files_in(tmp_path / "out") == {"initrd": b"mine"}
    run(*words)
    assert files_in(tmp_path / "out")["initrd"] == b"initrd"


def test_a_link_that_leads_nowhere_is_there_too(place: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "nowhere")
    run("extract", place, "--kernel", tmp_path / "k", "--no-clobber", exits=9)
    run("extract", place, "--kernel", tmp_path / "k", "--no-clobber", "--dry-run", exits=9)
    run("pullfiles", place, "--kernel", tmp_path / "k", "--no-clobber", exits=9)


def test_what_is_not_there_is_written(place: str, run: Run, tmp_path: Path) -> None:
    run("extract", place, tmp_path / "out", "--no-clobber")
    run("pullfiles", place, "--kernel", tmp_path / "k", "--no-clobber")
    assert (tmp_path / "out/kernel").read_bytes() == (tmp_path / "k").read_bytes() == b"kernel"


def test_a_file_that_comes_meanwhile_stays(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(files: AtomicFiles, path: Path) -> BinaryIO:
        (tmp_path / "k").write_bytes(b"mine")
        return original(files, path)

    original = AtomicFiles.add
    monkeypatch.setattr(AtomicFiles, "add", add)

    with pytest.raises(ec.LocalError, match="file exists"):
        ec.extract(place, kernel=tmp_path / "k", initrd=tmp_path / "i", replace=False)

    assert (tmp_path / "k").read_bytes() == b"mine"
    assert not (tmp_path / "i").exists()


def test_sizes_that_an_image_tells_are_in_a_dry_run(run: Run, tmp_path: Path) -> None:
    place = ec.push(MACHINE, f"oci:{tmp_path}/layout:l", format="legacy").reference
    parts = run("extract", place, tmp_path / "out", "--dry-run", "--json").json["parts"]
    assert [part["size"] for part in parts] == [6, 6, 4]


def test_each_fault_that_verify_finds_is_said_once(place: str, run: Run, tmp_path: Path) -> None:
    run("extract", place, tmp_path / "out")
    (tmp_path / "out/kernel").write_bytes(b"lenrek")
    (tmp_path / "out/initrd").write_bytes(b"i")

    said = run("verify", place, tmp_path / "out", exits=6)

    assert said.out.count("wrong: ") == 2
    assert (said.out + said.err).count("/kernel") == 1
    one_line(said, "failed verification: 2 faults")
