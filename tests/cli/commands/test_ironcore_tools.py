"""Tests of ironcore_tools.py, ironcore_image.py and onmetal_image.py: the recorded sessions of the originals, again."""

from __future__ import annotations

import json
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eci_convert.cli import main
from eci_convert.testing import FaultyRegistry
from tests.support.command_line import Run
from tests.support.fake_registry.server import a_registry
from tests.support.golden import GOLDEN, unpack

HOST = "127.0.0.1:5711"
SHORT_ID = re.compile(r"[0-9a-f]{12}")

_GONE = "gone with its name"
ON_PURPOSE = {
    "build --config arch=amd64,kernel=in/kernel": "a name is optional, as the help says (B12)",
    f"build --tag {HOST}/acme/x:1 --config kernel=in/kernel": "an error, and no panic (B12)",
    f"delete {HOST}/acme/never:1": "what is not there cannot be deleted (B3)",
    "delete sha256:a8bdc7c6627fa2ecfe092dc4d64ba1ddcd6521142d374da465448a2c5e846302 in onmetal-last": _GONE,
    "delete sha256:cbcc40fe6c0a8ef9ff1caaa71473ae63057bfae3ca639577cc456d109d750721 in ironcore-last": _GONE,
    f"url {HOST}/acme/machine@sha256:a8bdc7c6627fa2ecfe092dc4d64ba1ddcd6521142d374da465448a2c5e846302": "(B8)",
    f"url {HOST}/acme/machine@sha256:a6dec4323bee74532b8d299ebf5af1084e21c757cb47f2e886c2e05c764f01c5": "(B8)",
}
"""Recorded calls whose outcome differs, and why; and those with short ids, which name images here (B2)."""

LEFT_BEHIND = {"c7424768497a"}
"""What a build that failed for its name left in the originals' store (B7)."""


def calls(tool: str) -> list[dict[str, Any]]:
    found = json.loads((GOLDEN / tool / "commands.json").read_text())["commands"]
    assert isinstance(found, list)
    return found


def key(argv: list[str]) -> str:
    words = argv[1:]
    store = words[1] if words[0] == "--store-path" else ""
    words = words[2:] if store else words
    return " ".join(words) + (f" in {store}" if store.endswith("-last") and words[0] == "delete" else "")


def differs(argv: list[str]) -> bool:
    return key(argv) in ON_PURPOSE or any(SHORT_ID.fullmatch(word) for word in argv)


def rows(text: str) -> set[tuple[str, ...]]:
    """The rows of a list; of an image that has a name, not the row without one (B1)."""
    found = {tuple(line.removeprefix("IMAGE").split()) for line in text.splitlines()[1:]}
    named = {row[2] for row in found if row[0] != "<none>"}
    return {row for row in found if row[0] != "<none>" or row[2] not in named | LEFT_BEHIND}


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as registry:
        registry.checks_references = True
        yield registry


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "$HOME")
    return tmp_path


@pytest.mark.parametrize("tool", ["onmetal", "ironcore"])
def test_without_home_the_password_database_tells_where_the_store_is(
    tool: str, session: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be in the current directory."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(session / "own")))
    assert f"{session}/own/.{tool}" in run(f"{tool}-image", "list", "--help").out


@pytest.mark.parametrize("tool", ["onmetal", "ironcore"])
def test_a_recorded_session_says_the_same(tool: str, session: Path, registry: FaultyRegistry, run: Run) -> None:
    unpack(f"{tool}/inputs.tar.gz", session)
    wrong = []
    for call in calls(tool):
        argv = [word.replace(HOST, registry.host) for word in call["argv"]]
        if differs(call["argv"]):
            continue
        code, out, err = run.anyhow(*argv)
        out, err = out.replace(registry.host, HOST), err.replace(registry.host, HOST)
        expected = [line for line in call["stderr"].splitlines() if not line.startswith("level=")]
        same = (code, err.splitlines()) == (call["exit"], expected)
        if key(call["argv"]) == "list":
            same = same and rows(out) == rows(call["stdout"]) and out.splitlines()[1:] == sorted(out.splitlines()[1:])
        else:
            same = same and out.rstrip("\n") == call["stdout"].rstrip("\n")
        if not same:
            wrong.append(f"{' '.join(call['argv'])}\n  {code} {out!r} {err!r}\n  {call['exit']} {call['stdout']!r}")
    assert not wrong, "\n".join(wrong)


def test_only_what_is_said_to_differ_differs() -> None:
    recorded = {key(call["argv"]) for tool in ("onmetal", "ironcore") for call in calls(tool)}

    assert set(ON_PURPOSE) <= recorded


@pytest.fixture
def built(session: Path, run: Run) -> Path:
    """A store of onmetal-image with one image."""
    unpack("onmetal/inputs.tar.gz", session)
    build = ["build", "--rootfs-file", "in/rootfs", "--initramfs-file", "in/initramfs", "--kernel-file", "in/kernel"]
    run("onmetal-image", "--store-path", "store", *build, "--command-line", "ro console=tty0")
    return session / "store"


def test_the_last_word_of_a_build_is_the_digest(built: Path, run: Run) -> None:
    """Garden Linux's build script takes it, and packs the store as it is."""
    index = json.loads((built / "index.json").read_text())

    [entry] = index["manifests"]
    assert entry["digest"] == "sha256:a8bdc7c6627fa2ecfe092dc4d64ba1ddcd6521142d374da465448a2c5e846302"
    assert "annotations" not in entry


def test_a_short_id_that_is_listed_names_its_image(built: Path, run: Run) -> None:
    """B2."""
    listed = run("onmetal-image", "--store-path", "store", "list").out.split()[-1]

    said = run("onmetal-image", "--store-path", "store", "tag", listed, "a.example/m:1")
    run("onmetal-image", "--store-path", "store", "inspect", listed)

    assert said.out == f"Successfully tagged a.example/m:1 with {listed}\n"
    assert rows(run("onmetal-image", "--store-path", "store", "list").out) == {("a.example/m", "1", listed)}
    run("onmetal-image", "--store-path", "store", "delete", listed)
    assert json.loads((built / "index.json").read_text())["manifests"] == []


def test_the_same_build_twice_is_one_image(built: Path, run: Run, session: Path) -> None:
    """B1."""
    before = (built / "index.json").read_bytes()
    build = ["build", "--rootfs-file", "in/rootfs", "--initramfs-file", "in/initramfs", "--kernel-file", "in/kernel"]

    run("onmetal-image", "--store-path", "store", *build, "--command-line", "ro console=tty0")

    assert (built / "index.json").read_bytes() == before


def test_what_is_not_there_cannot_be_deleted(built: Path, run: Run) -> None:
    """B3."""
    said = run("onmetal-image", "--store-path", "store", "delete", "a.example/never:1", exits=1)

    assert said.out == ""
    assert said.err.startswith(
        "Error: error deleting image: error getting descriptor for ref a.example/never:1: not found"
    )


def test_what_only_reads_makes_no_store(session: Path, run: Run) -> None:
    """B13."""
    for words, code in ((["list"], 0), (["inspect", "a.example/m:1"], 1), (["delete", "a.example/m:1"], 1)):
        run("ironcore-image", "--store-path", "none", *words, exits=code)

    assert not (session / "none").exists()


def test_a_build_that_cannot_be_named_leaves_nothing(session: Path, run: Run) -> None:
    """B7."""
    unpack("onmetal/inputs.tar.gz", session)
    build = ["build", "--rootfs-file", "in/rootfs", "--initramfs-file", "in/initramfs", "--kernel-file", "in/kernel"]

    run("onmetal-image", "--store-path", "store", *build, "--tag", "short:1", exits=1)

    assert not (session / "store").exists()


def test_a_digest_in_the_reference_of_a_url_decides(built: Path, run: Run, registry: FaultyRegistry) -> None:
    """B8."""
    name = f"{registry.host}/acme/m"
    [entry] = json.loads((built / "index.json").read_text())["manifests"]
    run("onmetal-image", "--store-path", "store", "tag", entry["digest"], f"{name}:1")
    run("onmetal-image", "--store-path", "store", "push", f"{name}:1")

    said = run("onmetal-image", "url", f"{name}@{entry['digest']}")

    assert said.json["url"] == f"http://{registry.host}/v2/acme/m/manifests/{entry['digest']}"


def test_the_docker_configuration_that_is_named_counts(
    built: Path, run: Run, registry: FaultyRegistry, session: Path
) -> None:
    """B6: and the header of a login is in what `url` says."""
    registry.users["me"] = "secret"
    (session / "config").mkdir()
    auths = {"auths": {registry.host: {"username": "me", "password": "secret"}}}
    (session / "config/config.json").write_text(json.dumps(auths))
    name = f"{registry.host}/acme/m:1"
    run("onmetal-image", "--store-path", "store", "tag", "a8bdc7c6627f", name)
    words = ["--store-path", "store", "--docker-config-path", "config"]

    run("onmetal-image", "--store-path", "store", "push", name, exits=1)
    run("onmetal-image", *words, "push", name)
    said = run("onmetal-image", *words, "url", name, "--layer", "kernel")

    assert said.json["headers"]["Authorization"][0].startswith("Basic ")


def test_a_docker_configuration_that_cannot_be_looked_for_is_not_passed_over(built: Path, run: Run) -> None:
    words = ["--store-path", "store", "--docker-config-path", "n" * 300]

    said = run("onmetal-image", *words, "push", "registry.invalid/acme/m:1", exits=1)

    assert "File name too long" in said.err


def test_an_architecture_that_is_missing_is_said(session: Path, run: Run) -> None:
    """B12."""
    unpack("ironcore/inputs.tar.gz", session)

    said = run(
        "ironcore-image",
        "--store-path",
        "s",
        "build",
        "--tag",
        "a.example/m:1",
        "--config",
        "kernel=in/kernel",
        exits=1,
    )

    assert said.err == 'Error: invalid argument "kernel=in/kernel" for "--config" flag: arch is missing\n'


def test_a_path_may_hold_a_comma(session: Path, run: Run) -> None:
    """B12."""
    (session / "a,b=c").write_bytes(b"kernel")

    run("ironcore-image", "--store-path", "s", "build", "--tag", "a.example/m:1", "--config", "arch=amd64,kernel=a,b=c")

    assert (
        run("ironcore-image", "--store-path", "s", "inspect", "a.example/m:1-amd64").json["manifest"]["layers"][0][
            "size"
        ]
        == 6
    )


def test_a_build_without_a_name_is_listed_by_its_id(session: Path, run: Run) -> None:
    """B12."""
    (session / "kernel").write_bytes(b"kernel")

    said = run("ironcore-image", "--store-path", "s", "build", "--config", "arch=amd64,kernel=kernel")

    digest = said.out.split()[-1]
    assert digest[:12] in run("ironcore-image", "--store-path", "s", "list").out


@pytest.mark.parametrize("tool", ["onmetal-image", "ironcore-image"])
def test_a_link_of_its_name_is_the_tool(tool: str, tmp_path: Path) -> None:
    link = tmp_path / tool
    link.write_text(f"#!{sys.executable}\nimport sys\nfrom eci_convert.cli import main\nsys.exit(main())\n")
    link.chmod(0o755)

    done = subprocess.run(
        [link, "bogus"], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == f'Error: unknown command "bogus" for "{tool}"\nRun \'{tool} --help\' for usage.\n'


def test_a_hostile_store_is_one_line(session: Path, run: Run) -> None:
    (session / "s").mkdir()
    (session / "s/index.json").write_text('{"manifests": 5}')

    for words in (["list"], ["inspect", "a.example/m:1"], ["tag", "a", "a.example/m:1"], ["delete", "a.example/m:1"]):
        said = run("onmetal-image", "--store-path", "s", *words, exits=1)
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("Error: ")
    assert (session / "s/index.json").read_text() == '{"manifests": 5}'


def test_main_takes_the_name_as_a_command() -> None:
    assert main(["onmetal-image", "--help"]) == 0


def test_help_of_a_command_is_what_its_flag_says(run: Run) -> None:
    assert run("onmetal-image", "help", "build").out == run("onmetal-image", "build", "--help").out
    assert run("onmetal-image", "completion", "bash", exits=1).err.startswith("Error: completion scripts are")
