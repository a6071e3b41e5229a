"""The jobs of docs/howto/ci.md do what they say: their commands are run, as GitHub and GitLab would run them.

What is played: the services that run jobs, `docker login`, the installers, and the registry, which wants a login.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry
from tests.support.shell_pages import DOCS, run_script

PAGE = (DOCS / "howto/ci.md").read_text()
DOCKER = """#!/bin/sh
# docker login HOST -u USER --password-stdin
[ "$1 $3 $5" = "login -u --password-stdin" ] || exit 64
mkdir -p "$HOME/.docker"
printf '{"auths": {"%s": {"auth": "%s"}}}' "$2" "$(printf '%s:%s' "$4" "$(cat)" | base64)" > "$HOME/.docker/config.json"
"""
INSTALLER = """#!/bin/sh
[ "$*" = "install https://wheels.example/eci_convert.whl" ]
"""

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="the jobs are run by bash")


def yaml_of(heading: str) -> str:
    """The YAML below *heading*."""
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0], re.DOTALL)
    return str(text)


def job(text: str, name: str, indent: int) -> str:
    """The lines of the job *name* in *text*."""
    [lines] = re.findall(rf"^ {{{indent}}}{name}:\n((?: {{{indent + 1},}}.*\n)+)", text, re.MULTILINE)
    return str(lines)


def commands(text: str) -> list[str]:
    """The commands in *text*, in order: one of each `run:`, and each line of a `script:` or `before_script:`."""
    found = []
    for line, block in re.findall(r"^ +(?:- )?run: (?:\|\n((?: {10,}.*\n)+)|(.+)\n)", text, re.MULTILINE):
        found.append(line or block)
    for block in re.findall(r"^ +(?:before_)?script:\n((?: +- .*\n)+)", text, re.MULTILINE):
        found += re.findall(r"^ +- (.*)$", block, re.MULTILINE)
    return found


def with_expressions(command: str, values: Mapping[str, str]) -> str:
    """*command* with what GitHub puts in the place of `${{ … }}`."""
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda expression: values[expression[1]], command)


@pytest.fixture
def runner(workplace: Path, registry: FaultyRegistry) -> Path:
    """A place where jobs are run, with the files of the machine in it."""
    for name, script in {"docker": DOCKER, "pipx": INSTALLER, "pip": INSTALLER}.items():
        (workplace / "bin" / name).write_text(script)
        (workplace / "bin" / name).chmod(0o755)
    (workplace / "disk.qcow2").write_bytes(b"QFI\xfb\0\0\0\x03".ljust(70000, b"\0"))
    registry.users["ci"] = "secret"
    registry.bearer = True
    return workplace


def run_job(script: list[str], runner: Path, variables: Mapping[str, str]) -> None:
    done = run_script("\n".join(["set -eo pipefail", *script]), runner, variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr


def check(runner: Path, registry: FaultyRegistry) -> None:
    assert (runner / "machine/kernel").read_bytes() == (runner / "vmlinuz").read_bytes()
    assert (runner / "machine/disk-root-disk.qcow2").read_bytes() == (runner / "disk.qcow2").read_bytes()
    assert "ci:secret" in registry.secrets_seen()


def test_the_workflow_for_github_actions_pushes_and_tests(runner: Path, registry: FaultyRegistry) -> None:
    text = yaml_of("GitHub Actions").replace("ghcr.io", registry.host)
    values = {
        "github.repository": "edge/images",
        "github.actor": "ci",
        "secrets.GITHUB_TOKEN": "secret",
        "vars.WHEEL": "https://wheels.example/eci_convert.whl",
    }
    image, wheel = re.findall(r"^  (?:IMAGE|WHEEL): (.*)$", text, re.MULTILINE)
    variables = {"IMAGE": with_expressions(image, values), "WHEEL": with_expressions(wheel, values)}
    outputs = runner / "outputs"

    push = [with_expressions(command, values) for command in commands(job(text, "push", 2))]
    run_job(push, runner, {**variables, "GITHUB_SHA": "0123abc", "GITHUB_OUTPUT": str(outputs)})
    values["needs.push.outputs.digest"] = outputs.read_text().strip().removeprefix("digest=")
    shutil.rmtree(runner / "home/.docker")
    test = [with_expressions(command, values) for command in commands(job(text, "test", 2))]
    run_job(test, runner, variables)

    assert len(push) == len(test) == 3
    assert re.fullmatch("sha256:[0-9a-f]{64}", values["needs.push.outputs.digest"])
    check(runner, registry)


def test_the_pipeline_for_gitlab_ci_pushes_and_tests(runner: Path, registry: FaultyRegistry) -> None:
    text = yaml_of("GitLab CI")
    variables = {
        "CI_REGISTRY": registry.host,
        "CI_REGISTRY_IMAGE": f"{registry.host}/edge/images",
        "CI_REGISTRY_USER": "ci",
        "CI_REGISTRY_PASSWORD": "secret",
        "CI_COMMIT_SHORT_SHA": "0123abc",
        "WHEEL": "https://wheels.example/eci_convert.whl",
    }
    for name, value in re.findall(r"^  (ECI_CONVERT_\w+): \$(\w+)$", text, re.MULTILINE):
        variables[name] = variables[value]
    install = commands(job(text, "default", 0))

    push = commands(job(text, "push", 0))
    run_job([*install, *push], runner, variables)
    name, _, digest = (runner / "digest.env").read_text().strip().partition("=")
    run_job([*install, *commands(job(text, "test", 0))], runner, {**variables, name: digest})

    assert len(install) == 1
    assert len(push) == 2
    check(runner, registry)
