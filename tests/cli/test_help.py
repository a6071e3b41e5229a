"""`--help`: what a command is about and examples first, then options by groups, each with its variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from eci_convert.cli.command import GROUPS
from eci_convert.cli.commands import COMMANDS, ORIGINALS, SECTIONS, all_commands
from eci_convert.cli.completion import PLATFORMS
from eci_convert.cli.param_types import Option
from eci_convert.dialects import READERS, WRITERS
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.cli.conftest import Parts
from tests.support.command_line import Run
from tests.support.fake_docker import a_docker
from tests.support.fake_registry.server import a_registry
from tests.support.images import a_container, copied

SCREEN = 48
"""Lines that a group of options has at most, in 80 columns."""

NAMES = [words for words, _ in all_commands()]


@pytest.mark.parametrize("words", NAMES)
def test_examples_come_first_and_each_group_fits_a_screen(words: str, run: Run) -> None:
    text = run(*words.split(), "--help").out
    assert text.index("Usage:") < text.index("Examples:") < text.index("ptions:\n")
    titles = [title for title in GROUPS if f"\n{title}:\n" in text]
    assert [text.index(f"\n{title}:\n") for title in titles] == sorted(text.index(f"\n{title}:\n") for title in titles)
    for group in text.split("\n\n"):
        assert len(group.splitlines()) <= SCREEN, group.splitlines()[0]


@pytest.mark.parametrize("words", NAMES)
def test_every_option_tells_its_values_and_its_variable(words: str, run: Run) -> None:
    text = " ".join(run(*words.split(), "--help").out.split())
    for parameter in dict(all_commands())[words].params:
        if (
            isinstance(parameter, Option)
            and not parameter.hidden
            and not parameter.opts[0].startswith(("--src", "--dest"))
        ):
            assert parameter.help, f"{words} {parameter.opts}"
            assert f"[{parameter.envvar}]" in text, parameter.envvar
            if isinstance(parameter.type, click.Choice) and not parameter.metavar:
                assert "|".join(parameter.type.choices) in text


@pytest.mark.parametrize("words", ["", *NAMES, "index", "cnab"])
def test_a_command_is_called_a_command(words: str, run: Run) -> None:
    assert "verb " not in run(*words.split(), "--help").out.lower().replace("verbose", "")
    assert "verbs" not in run(*words.split(), "--help").out.lower()


def test_the_sections_have_every_command_once(run: Run) -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(COMMANDS)
    text = run("--help").out
    for name in (*COMMANDS, *ORIGINALS):
        assert f"\n  {name} " in text


def test_options_of_one_side_are_told_in_a_sentence(run: Run) -> None:
    text = run("copy", "--help").out
    assert "--src-" in text
    assert "  --src-plain-http" not in text
    assert "--src-" not in run("inspect", "--help").out


def completed(line: str, folder: Path, **variables: str) -> list[str]:
    """What bash would be offered for *line*."""
    environ = variables | {
        "_ECI_CONVERT_COMPLETE": "bash_complete",
        "COMP_LINE": line,
        "COMP_WORDS": line.replace(" ", "\n"),
        "COMP_CWORD": str(line.count(" ")),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    words = [sys.executable, "-m", "eci_convert"]
    done = subprocess.run(words, env=environ, cwd=folder, check=True, capture_output=True, text=True)
    return list(filter(None, done.stdout.splitlines()))


@pytest.fixture
def folder(run: Run, parts: Parts, tmp_path: Path) -> Path:
    for name in ("edge/machine:1", "edge/other:2"):
        run("push", "--remote", tmp_path / "layout", name, "--kernel", parts.kernel)
    (tmp_path / "image.tar").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("inspect oc", ["nospace,oci://", "nospace,oci:", "nospace,oci-archive:"]),
        ("copy x docker-a", ["nospace,docker-archive:"]),
        ("build --to contai", ["nospace,containerd:", "nospace,containers-storage:"]),
        ("inspect oci:lay", ["plain,layout"]),
        ("build --to=oci:lay", ["plain,layout"]),
        ("inspect oci:pa", ["nospace,parts/"]),
        ("inspect oci:layout:edge/m", ["plain,1"]),
        ("inspect oci:layout:", ["plain,edge/machine:1", "plain,edge/other:2"]),
        ("extract oci-archive:im", ["plain,image.tar"]),
        ("inspect x --dialect eci", [f"plain,{name}" for name in READERS if name.startswith("eci")]),
        ("inspect x --platform linux/a", [f"plain,{name}" for name in PLATFORMS if name.startswith("linux/a")]),
        ("push x --format ", [f"plain,{name}" for name in WRITERS]),
        ("index add oci:layout:edge/machine:1 oci:lay", ["plain,layout"]),
        ("hel", ["plain,help"]),
    ],
)
def test_a_shell_completes_places_names_and_values(line: str, offered: list[str], folder: Path) -> None:
    expected = ["plain,edge/machine:1"] if line.endswith("edge/m") else offered
    assert completed(f"eci-convert {line}", folder) == expected


def test_a_shell_completes_the_tags_of_a_repository(run: Run, parts: Parts, folder: Path) -> None:
    with a_registry() as registry:
        for tag in ("1.0", "1.1", "2.0"):
            run("push", f"{registry.host}/edge/machine:{tag}", "--kernel", parts.kernel)
        line = f"eci-convert inspect docker://{registry.host}/edge/machine"
        assert completed(f"{line}:1", folder) == ["plain,1.0", "plain,1.1"]
        assert completed(f"{line}:", folder) == ["plain,1.0", "plain,1.1", "plain,2.0"]
        assert completed(line, folder) == []
        registry.users = {"me": "secret"}
        assert completed(f"{line}:", folder) == []
    assert completed(f"{line}:", folder) == []


def test_a_shell_completes_the_names_in_an_engine(folder: Path, tmp_path: Path) -> None:
    with a_docker(tmp_path) as docker:
        host = docker.environ["DOCKER_HOST"]
        environ = Settings(environ=docker.environ)
        copied(a_container().build(), open_sink("docker-daemon:machine:1", environ))
        assert completed("eci-convert inspect docker-daemon:ma", folder, DOCKER_HOST=host) == ["plain,machine:1"]
    assert completed("eci-convert inspect docker-daemon:ma", folder, DOCKER_HOST=host) == []


def test_bash_itself_completes_behind_a_colon(run: Run, folder: Path) -> None:
    program = folder / "eci-convert"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={":".join(sys.path)} exec {sys.executable} -m eci_convert "$@"\n')
    program.chmod(0o755)
    (folder / "script").write_text(run("completion", "bash").out)
    line = "eci-convert inspect oci:layout:edge/o"
    asked = (
        f"source ./script; COMP_LINE='{line}'; COMP_POINT={len(line)}; COMP_CWORD=6; "
        "COMP_WORDS=(eci-convert inspect oci : layout : edge/o); _eci_convert_completion ./eci-convert; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asked], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "edge/other:2\n", done.stderr


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (r"inspect oci:my\ lay", r"my\ layout"),
        ("inspect oci:my", r"my\ layout"),
        ("inspect 'oci:my lay", "oci:my layout"),
        ('inspect "oci:my layout:', "oci:my layout:a:1"),
        (r"inspect oci:my\ layout:", "a:1"),
        (r"inspect oci:\$a", r"\$a\ b"),
        ('inspect "oci:', r"oci:\$a b"),
        ("extract x --path /boot/vmlinuz=my", r"my\ layout/"),
        ("list oci:my", r"my\ layout"),
        ("diff x oci:my", r"my\ layout"),
        ("help bui", "build"),
        ("help index cr", "create"),
    ],
)
def test_a_reply_is_quoted_as_the_word_is(line: str, reply: str, run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "my layout", "a:1", "--kernel", parts.kernel)
    if "$" in reply:
        (tmp_path / "my layout").rename(tmp_path / "$a b")
    replies = [text.partition(",")[2] for text in completed(f"eci-convert {line}", tmp_path)]
    assert reply in replies


def test_a_bare_name_is_completed_where_the_command_looks_for_it(
    run: Run, parts: Parts, folder: Path, tmp_path: Path
) -> None:
    with a_registry() as registry, a_docker(tmp_path) as docker:
        run("push", f"{registry.host}/edge/machine:1.0", "--kernel", parts.kernel)
        copied(a_container().build(), open_sink("docker-daemon:machine:1", Settings(environ=docker.environ)))
        host = docker.environ["DOCKER_HOST"]
        assert completed(f"eci-convert pull {registry.host}/edge/machine:", folder, DOCKER_HOST=host) == ["plain,1.0"]
        assert completed("eci-convert extract mach", folder, DOCKER_HOST=host) == ["plain,machine:1"]
        assert completed("eci-convert extract machine:", folder, DOCKER_HOST=host) == ["plain,1"]
        assert completed("eci-convert pull mach", folder, DOCKER_HOST=host) == []
        assert completed("eci-convert copy mach", folder, DOCKER_HOST=host) == []


@pytest.mark.parametrize(
    ("shell", "expected"),
    [("zsh", "nospace\n--to=oci:parts/\n_"), ("fish", "plain,--to=oci:parts/")],
)
def test_the_value_behind_an_equals_sign_comes_with_its_option(shell: str, expected: str, folder: Path) -> None:
    environ = {
        "_ECI_CONVERT_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "eci-convert build --to=oci:pa",
        "COMP_CWORD": "2" if shell == "zsh" else "--to=oci:pa",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    words = [sys.executable, "-m", "eci_convert"]
    done = subprocess.run(words, env=environ, cwd=folder, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == expected


def test_nothing_is_said_into_a_line_that_is_being_typed(folder: Path) -> None:
    environ = {
        "_ECI_CONVERT_COMPLETE": "bash_complete",
        "COMP_LINE": "eci-convert extract m",
        "ECI_CONVERT_DEFAULT_TRANSPORT": "no-such-transport",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    words = [sys.executable, "-m", "eci_convert"]
    done = subprocess.run(words, env=environ, cwd=folder, check=False, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_one_that_the_shell_reads(shell: str, run: Run, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(run("completion", shell).out)
    assert "_ECI_CONVERT_COMPLETE" in script.read_text()
    if shell == "bash":
        subprocess.run(["bash", "-n", script], check=True)
