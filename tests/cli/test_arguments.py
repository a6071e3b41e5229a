"""Words that stand in odd places: before the verb, in the environment, empty, or half typed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import click
import pytest

from eci_convert.cli.commands import all_commands
from eci_convert.cli.param_types import PathParam
from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line


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
    [
        ["-q"],
        ["--progress", "none"],
        ["-v", "--progress", "plain"],
        ["--progress=none", "--debug=false"],
        ["--debug=true"],
    ],
    ids=" ".join,
)
def test_options_of_every_command_may_stand_before_it(words: list[str], run: Run, layout: Path) -> None:
    digest = run("inspect", f"oci:{layout}", "--json").json["digest"]
    assert digest in run(*words, "inspect", f"oci:{layout}").out


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


@pytest.mark.parametrize(
    ("verb", "option"),
    [
        *(
            (verb, option)
            for verb in ("extract", "pullfiles")
            for option in ("--kernel", "--initrd", "--root", "--config")
        ),
        ("extract", "--disk"),
        ("pullfiles", "--disk"),
        ("extract", "--path"),
        ("pull", "--dir"),
    ],
)
def test_an_output_that_is_given_twice_is_an_error_and_nothing_is_written(
    verb: str, option: str, run: Run, layout: Path, tmp_path: Path
) -> None:
    place = [f"oci:{layout}"] if verb == "extract" else ["--remote", layout, "edge/machine:1"]
    key = {"--disk": "0=", "--path": "/kernel="}.get(option, "")
    words = [option, f"{key}{tmp_path}/one", option, f"{key}{tmp_path}/two"]

    one_line(run(verb, *place, *words, exits=2), option, "twice")

    assert not {"one", "two"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("verb", ["push", "build", "dockerfile"])
@pytest.mark.parametrize("option", ["--kernel", "--initrd", "--root", "--config"])
def test_a_part_that_is_given_twice_is_an_error(verb: str, option: str, run: Run, parts: Parts, tmp_path: Path) -> None:
    place = {"push": ["oci:x"], "build": ["--to", f"oci:{tmp_path}/l:x"], "dockerfile": []}[verb]

    one_line(run(verb, *place, option, parts.kernel, option, parts.initrd, exits=2), option, "twice")


def test_names_and_places_of_an_image_are_given_once(run: Run, parts: Parts, layout: Path, tmp_path: Path) -> None:
    for words in (
        ["build", "--kernel", parts.kernel, "-t", "a", "--tag", "b"],
        ["build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/a:x", "--to", f"oci:{tmp_path}/b:x"],
        ["dockerfile", "--kernel", parts.kernel, "-o", tmp_path / "a", "--output", tmp_path / "b"],
        ["verify", f"oci:{layout}", "--fix", f"oci:{tmp_path}/a:x", "--fix", f"oci:{tmp_path}/b:x"],
        [
            "copy",
            f"oci:{layout}",
            f"oci:{tmp_path}/a:x",
            "--digest-file",
            tmp_path / "a",
            "--digest-file",
            tmp_path / "b",
        ],
    ):
        one_line(run(*words, exits=2), "twice")
    assert not {"a", "b"} & {path.name for path in tmp_path.iterdir()}


def test_disks_and_paths_may_be_several(run: Run, layout: Path, parts: Parts, tmp_path: Path) -> None:
    run("push", f"oci:{tmp_path}/l:x", "--disk", parts.disk, "--disk", parts.disk)

    run("extract", f"oci:{tmp_path}/l:x", "--disk", f"0={tmp_path}/0", "--disk", f"1={tmp_path}/1")

    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes() == parts.disk.read_bytes()


def test_two_parts_for_one_file_are_an_error(run: Run, layout: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(".")
    for one, other in (("x", "x"), ("x", "./x"), ("x", "link/x")):
        words: list[str | Path] = ["--kernel", tmp_path / one, "--initrd", f"{tmp_path}/{other}"]
        one_line(run("extract", f"oci:{layout}", *words, exits=2), "two parts")
    assert not (tmp_path / "x").exists()


def test_two_parts_for_one_open_file_are_an_error(run: Run, layout: Path, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        words = ["--kernel", f"/dev/fd/{file.fileno()}", "--initrd", f"/proc/self/fd/{file.fileno()}"]
        one_line(run("extract", f"oci:{layout}", *words, exits=2), "one open file")
    assert not (tmp_path / "x").read_bytes()


def test_an_archive_and_its_digest_are_two_files(run: Run, parts: Parts, layout: Path, tmp_path: Path) -> None:
    place, file = f"oci-archive:{tmp_path}/x.tar:a", f"{tmp_path}/./x.tar"
    for words in (
        ["build", "--kernel", parts.kernel, "--to", place],
        ["copy", f"oci:{layout}", place],
        ["verify", f"oci:{layout}", "--fix", place],
    ):
        one_line(run(*words, "--digest-file", file, exits=2), "the archive")
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize("name", ["nowhere/", "nowhere/.", "nowhere/..", "parts/", ".", ".."])
@pytest.mark.parametrize("words", [["--kernel", ""], ["--disk", "0="], ["--path", "/kernel="], ["--config", ""]])
def test_a_directory_is_no_file_to_write(name: str, words: list[str], run: Run, layout: Path, tmp_path: Path) -> None:
    option, key = words

    one_line(run("extract", f"oci:{layout}", option, f"{key}{tmp_path}/{name}", exits=2), name, "directory")

    assert not (tmp_path / "nowhere").exists()


def test_nor_is_it_for_a_digest_or_a_dockerfile(run: Run, parts: Parts, tmp_path: Path) -> None:
    words: list[str | Path] = [
        "push",
        f"oci:{tmp_path}/l:x",
        "--kernel",
        parts.kernel,
        "--digest-file",
        f"{tmp_path}/nowhere/",
    ]
    one_line(run(*words, exits=2), "nowhere/")
    one_line(run("dockerfile", "--kernel", parts.kernel, "-o", f"{tmp_path}/nowhere/", exits=2), "nowhere/")

    assert not {"nowhere", "l"} & {path.name for path in tmp_path.iterdir()}


def test_an_open_file_is_called_what_the_user_called_it(run: Run, layout: Path, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        name = f"/dev/fd/{file.fileno()}"
        for option, output in (("--kernel", name), ("--disk", f"0={name}")):
            assert name in run("extract", f"oci:{layout}", option, output).out
            assert name in run("extract", f"oci:{layout}", option, output, "--dry-run").out


PATHS = [
    (words, option.opts[0])
    for words, each in all_commands()
    for option in each.params
    if isinstance(option, click.Option) and isinstance(option.type, PathParam) and not option.multiple
]


def test_options_with_paths_are_found() -> None:
    assert {("preload", "-o"), ("cnab pull", "--bundle"), ("copy", "--dest-ca-file"), ("pull", "--dir")} <= set(PATHS)


@pytest.mark.parametrize(("words", "option"), PATHS, ids=" ".join)
def test_a_path_is_given_once(words: str, option: str, run: Run, tmp_path: Path) -> None:
    one_line(run(*words.split(), option, tmp_path / "a", option, tmp_path / "b", exits=2), option, "twice")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FORMAT", "foo"),
        ("COMPRESSION", "gz"),
        ("PLATFORM", "no/such/plat/form"),
        ("ROOT", "/nowhere:raw"),
        ("DISK", "/nowhere:raw /nowhere2:raw"),
        ("CMDLINE", "@/nowhere"),
        ("OTHER", "NOTES=/nowhere"),
        ("DIGEST_FILE", "/nowhere/digest"),
        ("RETRIES", "-1"),
        ("TIMEOUT", "nan"),
        ("JSON", "perhaps"),
    ],
)
def test_an_error_about_a_value_names_the_variable_that_it_comes_from(
    variable: str, value: str, run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"ECI_CONVERT_{variable}", value)
    code, out, err = run.anyhow("build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/out")
    assert (code, out) in ((2, ""), (4, ""), (9, ""))
    assert f"ECI_CONVERT_{variable}" in err
    assert not (tmp_path / "out").exists()


def test_a_value_of_the_command_line_is_not_said_to_be_that_of_a_variable(
    run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECI_CONVERT_COMPRESSION", "none")
    words = ["build", "--kernel", str(parts.kernel), "--to", f"oci:{tmp_path}/out"]
    for wrong in (["--compression", "gz"], ["--format", "foo"], ["--timeout", "inf"], ["--retries", "few"]):
        assert "ECI_CONVERT" not in run(*words, *wrong, exits=2).err


@pytest.mark.parametrize(("group", "commands"), [("index", "add, create, remove"), ("cnab", "fixup, pull, push")])
def test_a_group_alone_says_which_commands_it_has(group: str, commands: str, run: Run) -> None:
    said = run(group, exits=2)
    one_line(said, f"{group} needs a command: {commands}")
    assert said.out == ""
