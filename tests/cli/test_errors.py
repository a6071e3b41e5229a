"""Bad input gets one clear line and the exit code of the contract, and touches nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eci_convert import errors
from eci_convert.cli import exit_codes
from eci_convert.cli.commands import COMMANDS
from eci_convert.errors import (
    AccessDeniedError,
    CannotHoldError,
    LimitExceededError,
    NotFoundError,
    UnsupportedImageError,
)
from tests.cli.conftest import QCOW2, Parts
from tests.support.command_line import Run, one_line


def every_error() -> list[type[errors.EciError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.EciError)]


def test_every_error_has_its_exit_code() -> None:
    expected = {
        errors.UsageError: 2, errors.TransportError: 3, NotFoundError: 4, AccessDeniedError: 5,
        errors.IntegrityError: 6, errors.FormatError: 7, LimitExceededError: 7, UnsupportedImageError: 8,
        CannotHoldError: 8, errors.LocalError: 9,
    }  # fmt: skip
    assert {kind: kind("x").exit_code for kind in expected} == expected


def test_the_readme_tells_the_exit_codes_that_the_program_has() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert told == {
        0,
        exit_codes.BUG,
        exit_codes.INTERRUPTED,
        *(kind.exit_code for kind in every_error() if kind is not errors.EciError),
    }


@pytest.mark.parametrize("verb", list(COMMANDS))
def test_every_verb_has_help_with_examples(verb: str, run: Run) -> None:
    said = run(verb, "--help").out
    assert "Examples:" in said
    assert f"eci-convert {verb}" in said


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["extract"],
        ["extract", "ftp://x/y"],
        ["extract", "oci:"],
        ["copy", "a", "b"],
        ["push", "x/y:1"],
        ["pullfiles", "x/y:1"],
        ["push", "--remote", "relative/dir", "x:1", "--kernel", "/dev/null"],
        ["extract", "oci:/tmp/x", "--platform", "linux"],
        ["extract", "oci:/tmp/x", "--max-size", "many"],
        ["extract", "oci:/tmp/x", "--disk", "first=/tmp/x"],
        ["extract", "oci:/tmp/x", "--kernel", "-", "--initrd", "-"],
        ["extract", "oci:/tmp/x", "-"],
        ["pull", "r.io/x", "--dir", "-"],
        ["extract", "oci:/tmp/x", "--username", "me"],
        ["inspect", "oci:/tmp/x", "--no-such-option"],
    ],
    ids=" ".join,
)
def test_a_command_that_makes_no_sense_is_exit_2(words: list[str], run: Run) -> None:
    one_line(run(*words, exits=2))


def test_a_file_or_layout_that_is_not_there_is_exit_4_and_is_not_made(run: Run, parts: Parts, tmp_path: Path) -> None:
    one_line(run("extract", f"oci:{tmp_path}/nowhere", tmp_path / "out", exits=4), "nowhere")
    one_line(run("push", "--remote", tmp_path / "l", "a:1", "--kernel", tmp_path / "no", exits=4), "no")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts"]


def test_a_path_that_is_taken_for_a_name_leads_to_the_places_of_files(run: Run, layout: Path) -> None:
    said = run("inspect", layout, exits=2)
    one_line(said, "is a path")
    assert "oci:DIR" in said.err


@pytest.mark.parametrize(("name", "text"), [("index.json", "{"), ("oci-layout", '{"imageLayoutVersion":"9"}')])
def test_which_of_two_layouts_is_malformed_is_said(
    layout: Path, run: Run, tmp_path: Path, name: str, text: str
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / name).write_text(text)
    one_line(run("copy", f"oci:{layout}:edge/machine:1", f"oci:{bad}:x", exits=7), f"oci:{bad}:x: {name}")
    one_line(run("copy", f"oci:{bad}", f"oci:{layout}:x", exits=7), f"oci:{bad}: {name}")


def test_an_empty_pipe_is_said_to_be_one(tmp_path: Path) -> None:
    for place in ("docker-archive:-", "oci-archive:-"):
        command = [sys.executable, "-m", "eci_convert", "extract", place, str(tmp_path / "out")]
        done = subprocess.run(command, input="", capture_output=True, text=True)
        assert done.returncode == 7, done.stderr
        assert "empty file" in done.stderr
        assert "hint: the command that writes to the pipe may have failed" in done.stderr


def test_a_disk_type_that_the_bytes_contradict_is_exit_8(run: Run, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(QCOW2)
    push: list[str | Path] = ["push", "--remote", tmp_path / "l", "a:1", "--root"]
    one_line(run(*push, f"{disk}:raw", exits=8), "qcow2", "raw")
    run(*push, f"{disk}:raw", "--trust-type")
    run(*push, disk)
    assert run("inspect", f"oci:{tmp_path}/l", "--json").json["parts"][0]["type"] == "qcow2"


def test_a_disk_that_could_be_anything_asks_for_its_type(run: Run, tmp_path: Path) -> None:
    disk = tmp_path / "disk.bin"
    disk.write_bytes(b"x" * 5000)
    one_line(run("push", "--remote", tmp_path / "l", "a:1", "--root", disk, exits=2), "disk.bin")


def test_a_part_that_the_image_has_not_is_exit_8_and_leaves_the_rest(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel)
    (tmp_path / "k").write_bytes(b"old")
    one_line(
        run("extract", f"oci:{tmp_path}/l", "--kernel", tmp_path / "k", "--initrd", tmp_path / "i", exits=8), "initrd"
    )
    assert (tmp_path / "k").read_bytes() == b"old"
    assert not (tmp_path / "i").exists()


def test_a_spoilt_blob_is_exit_6_and_the_old_file_stays(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel)
    digest = run("inspect", f"oci:{tmp_path}/l", "--json").json["parts"][0]["source"]["blob"].removeprefix("sha256:")
    blob = tmp_path / "l/blobs/sha256" / digest
    content = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(content[:-1] + b"!")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kernel").write_bytes(b"old")
    one_line(run("extract", f"oci:{tmp_path}/l", tmp_path / "out", exits=6), "digest")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"kernel": b"old"}


def test_a_part_over_the_limit_is_exit_7(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", *parts.words)
    one_line(run("extract", f"oci:{tmp_path}/l", tmp_path / "out", "--max-size", "1M", exits=7))
    assert not (tmp_path / "out").exists()


def test_a_directory_in_the_way_is_exit_9(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel)
    (tmp_path / "out/kernel").mkdir(parents=True)
    one_line(run("extract", f"oci:{tmp_path}/l", tmp_path / "out", exits=9), "kernel")
    assert (tmp_path / "out/kernel").is_dir()


def test_no_engine_is_exit_3_with_a_hint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    said = run("extract", "some-image", tmp_path / "out", exits=3)
    one_line(said)
    assert "hint: " in said.err


def test_a_digest_file_that_cannot_be_is_told_before_anything_is_written(
    parts: Parts, run: Run, tmp_path: Path
) -> None:
    for place in (tmp_path / "nowhere/digest", tmp_path):
        build: list[str | Path] = ["build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/made"]
        one_line(run(*build, "--digest-file", place, exits=9), str(place))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["dockerfile", "-o", "{part}"],
        ["dockerfile", "--stage", "{folder}/stage", "-o", "{folder}/../{name}/vmlinuz"],
        ["build", "--to", "oci-archive:{part}"],
        ["build", "--to", "docker-archive:{link}/vmlinuz:a:1"],
        ["build", "--to", "oci:{folder}/layout", "--digest-file", "{part}"],
        ["push", "--remote", "{folder}/layout", "a:1", "--digest-file", "{part}"],
        ["build", "--builder", "buildx", "--to", "oci-archive:{part}:a:1"],
        ["build", "-t", "a:1", "--builder", "docker", "--digest-file", "{part}"],
    ],
    ids=" ".join,
)
def test_a_part_is_not_replaced_by_what_is_made_of_it(words: list[str], parts: Parts, run: Run, tmp_path: Path) -> None:
    folder = parts.kernel.parent
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "kernel").symlink_to(parts.kernel)
    names = {"part": parts.kernel, "folder": folder, "name": folder.name, "link": tmp_path / "link"}
    before = parts.kernel.read_bytes()

    for kernel in (parts.kernel, tmp_path / "kernel"):
        said = run(*(word.format(**names) for word in words), "--kernel", kernel, exits=2)
        one_line(said, "is the kernel, and would be replaced")

    assert parts.kernel.read_bytes() == before
    assert not (folder / "layout").exists()


def test_one_file_for_two_parts_is_the_mistake_of_who_named_it_twice(layout: Path, run: Run, tmp_path: Path) -> None:
    image, one = f"oci:{layout}", tmp_path / "one"
    one_line(run("extract", image, "--kernel", one, "--initrd", f"{tmp_path}/./one", exits=2), "two parts")
    one_line(run("extract", image, tmp_path, "--kernel", tmp_path / "initrd", exits=8), "two parts")
    assert not one.exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_output_is_exit_9_without_a_traceback(parts: Parts, run: Run, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel)
    for words in (["inspect", f"oci:{tmp_path}/l"], ["extract", f"oci:{tmp_path}/l", "--kernel", "-"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([sys.executable, "-m", "eci_convert", *words], stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 9, done.stderr
        assert b"Traceback" not in done.stderr


def test_a_closed_pipe_is_no_traceback(parts: Parts, run: Run, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--root", f"{parts.root}:raw")
    command = f"{sys.executable} -m eci_convert extract oci:{tmp_path}/l --root - | head -c 1"
    done = subprocess.run(["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True)
    assert done.returncode == 9, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["dockerfile", "--help"], ["completion", "bash"]])
@pytest.mark.parametrize("stdout", [">&-", "> /dev/full"])
def test_what_cannot_be_said_is_exit_9_and_one_line(words: list[str], stdout: str) -> None:
    command = f"{sys.executable} -m eci_convert {' '.join(words)} {stdout}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert done.stderr.startswith("eci-convert: error: standard output cannot be written: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm_to_files(closed: str, parts: Parts, run: Run, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel)
    command = f"{sys.executable} -m eci_convert extract -v --progress plain oci:{tmp_path}/l {tmp_path}/out {closed}"
    done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == (9 if ">&- " in f"{closed} ".replace("2>&- ", "") else 0), done.stderr
    assert (tmp_path / "out/kernel").read_bytes() == parts.kernel.read_bytes()
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["kernel"]


def test_a_bug_is_exit_1_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import eci_convert.operations.extract

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("eci_convert.transports.open_source", broken)
    assert eci_convert.operations.extract
    said = run("inspect", "oci:/tmp/x", exits=1)
    assert "bug" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("verb", ["extract", "inspect", "copy", "copy --format legacy", "verify"])
def test_every_verb_that_reads_images_bounds_their_parts(verb: str, run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", *parts.words)
    name, *options = verb.split()
    targets = [f"oci:{tmp_path}/new:x"] if name == "copy" else [tmp_path / "new"] if name == "extract" else []
    said = run(name, f"oci:{tmp_path}/l", *targets, *options, "--max-size", "1M", exits=7)
    one_line(said, "failed verification" if name == "verify" else "limit")
    assert "limit" in said.out + said.err
    assert not (tmp_path / "new" / "index.json").exists()
    assert not list(tmp_path.glob("new/disk*"))
