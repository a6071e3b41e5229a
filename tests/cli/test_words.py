"""Words that stand in odd places: before the verb, in the environment, empty, or half typed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import Parts
from tests.cli.running import Run, one_line


@pytest.mark.parametrize("verb", ["dockerfile", "build"])
def test_an_empty_name_is_an_error_and_never_swallows_the_next_word(verb: str, run: Run, parts: Parts) -> None:
    one_line(run(verb, "--kernel", parts.kernel, "--initrd", "", "--root", parts.root, exits=2), "--initrd", "empty")
    one_line(run(verb, "--kernel", parts.kernel, "--root", "", exits=2), "--root", "empty")


def test_an_empty_output_is_an_error(run: Run, layout: Path, tmp_path: Path) -> None:
    one_line(run("extract", f"oci:{layout}", "--kernel", tmp_path / "k", "--root", "", exits=2), "--root", "empty")
    assert not (tmp_path / "k").exists()


def test_an_empty_name_is_none_to_who_used_eci(run: Run, parts: Parts, tmp_path: Path) -> None:
    remote = ["--remote", str(tmp_path / "l")]
    run("push", *remote, "a:1", "--kernel", parts.kernel, "--initrd", "", "--root", "", "--disk", "", "--config", "")
    assert [part["role"] for part in run("inspect", f"oci:{tmp_path}/l", "--json").json["parts"]] == ["kernel"]
    run("pullfiles", *remote, "a:1", "--kernel", tmp_path / "k", "--initrd", "")
    assert (tmp_path / "k").read_bytes() == parts.kernel.read_bytes()


@pytest.mark.parametrize(
    "words",
    [["-q"], ["--retries", "3"], ["-v", "--timeout", "9"], ["--timeout=9", "--debug=false"], ["--debug=true"]],
    ids=" ".join,
)
def test_options_of_every_verb_may_stand_before_it(words: list[str], run: Run, layout: Path) -> None:
    assert "kernel" in run(*words, "inspect", f"oci:{layout}").out


def test_options_that_may_be_repeated_have_a_variable_too(
    run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["my disk.qcow2", "back\\slash", "it's"]
    for name in names:
        (parts.kernel.parent / name).write_bytes(parts.disk.read_bytes())
    monkeypatch.chdir(parts.kernel.parent)
    monkeypatch.setenv("ECI_CONVERT_DISK", "\n".join(names))
    monkeypatch.setenv("ECI_CONVERT_LABEL", "a=1 'b=2 3'")
    run("push", "--remote", tmp_path / "l", "a:1", "--format", "legacy")
    found = run("inspect", f"oci:{tmp_path}/l", "--json").json
    assert [part["name"] for part in found["parts"]] == [f"disk-{n}-{name}" for n, name in enumerate(names)]
    assert {"a": "1", "b": "2 3"}.items() <= found["labels"].items()

    monkeypatch.setenv("ECI_CONVERT_DISK", "it's back\\slash 'my disk.qcow2'")
    one_line(run("dockerfile", exits=4), "no such file")  # a quote that is not closed quotes nothing
    monkeypatch.setenv("ECI_CONVERT_DISK", "back\\slash 'my disk.qcow2'")
    assert "/disk-1-my disk.qcow2" in run("dockerfile").out


@pytest.mark.parametrize(("said", "told"), [("0", False), ("false", False), ("", False), ("1", True), ("yes", True)])
def test_the_variable_of_debug_says_yes_or_no(said: str, told: bool, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECI_CONVERT_DEBUG", said)
    assert ("Traceback" in run("dockerfile", "--kernel", "/nowhere", exits=4).err) is told


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("eci-convert ex", ["plain,extract"]),
        ("eci-convert extract --ker", ["plain,--kernel"]),
        ("eci-convert extract x --kernel vml", ["file,vml"]),
        ("eci-convert build --root d", ["file,d"]),
        ("eci-convert dockerfile --stage c", ["dir,c"]),
        ("eci-convert extract x o", ["dir,o"]),
        ("eci-convert build --builder d", ["plain,direct", "plain,docker"]),
    ],
)
def test_a_shell_completes_verbs_options_values_and_files(typed: str, offered: list[str]) -> None:
    environ = {
        "_ECI_CONVERT_COMPLETE": "bash_complete",
        "COMP_WORDS": typed.replace(" ", "\n"),
        "COMP_CWORD": str(typed.count(" ")),
    }
    said = subprocess.run(
        [sys.executable, "-m", "eci_convert"], env={**environ, "PYTHONPATH": ":".join(sys.path)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert said.stdout.splitlines() == offered


def test_an_image_for_another_platform_than_the_one_asked_for_is_not_taken(
    run: Run, parts: Parts, tmp_path: Path
) -> None:
    reference = f"oci:{tmp_path}/l"
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel, "--arch", "arm64")
    run("extract", reference, "--platform", "linux/aarch64", tmp_path / "out")
    run("extract", reference, tmp_path / "out")
    for words in (["inspect", reference], ["extract", reference, tmp_path / "no"], ["verify", reference],
                  ["copy", reference, f"oci:{tmp_path}/no:1"]):  # fmt: skip
        one_line(run(*words, "--platform", "linux/s390x", exits=8), "linux/s390x", "linux/arm64")
    one_line(
        run("copy", reference, f"oci:{tmp_path}/no:1", "--platform", "linux/arm64", "--all-platforms", exits=2),
        "exclude each other",
    )
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "words", [["--label", "a=b"], ["--annotation", "a=b"], ["--also", "containerdisk"]], ids=" ".join
)
def test_what_is_kept_is_not_changed(words: list[str], run: Run, layout: Path, tmp_path: Path) -> None:
    one_line(run("copy", f"oci:{layout}", f"oci:{tmp_path}/no:1", *words, exits=2), "keep")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(("name", "redirected"), [("-", ">"), ("/dev/stdout", ">"), ("/dev/fd/3", "3>")])
@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ("dockerfile -o {name}", b"# Made by eci-convert"),
        ("build --to oci:layout:a -q --digest-file {name}", b"sha256:"),
        ("extract oci:there --kernel {name}", b"kernel"),
    ],
)
def test_an_output_may_be_a_file_that_the_shell_has_opened(
    words: str, begins: bytes, name: str, redirected: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    run("push", "--remote", tmp_path / "there", "a:1", "--kernel", tmp_path / "kernel")
    more = "" if words.startswith("extract") else "--kernel kernel"
    command = f"{sys.executable} -m eci_convert {words.format(name=name)} {more} {redirected} out"
    environ = {"PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)}
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environ, check=True)
    assert (tmp_path / "out").read_bytes().startswith(begins)
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("place", ["oci-archive", "docker-archive"])
def test_nothing_is_printed_into_an_archive(place: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    command = f"{sys.executable} -m eci_convert build --kernel kernel --to {place}:{name}:a:1 > out"
    environ = {"PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)}
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environ, check=True)
    with tarfile.open(tmp_path / "out") as archive:
        assert archive.getnames()
