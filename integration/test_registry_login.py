"""Who we are, as the real programs store it: `docker login` and its kin, a registry behind htpasswd, and TLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import Machine

Run = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: str | Path, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], input=stdin, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture
def nobody(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has logged in nowhere."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "DOCKER_CONFIG": "",
        "XDG_RUNTIME_DIR": "",
        "XDG_CONFIG_HOME": "",
        "REGISTRY_AUTH_FILE": "",
    }


def goes(
    eci_convert: Run, registry: Registry, name: str, machine: Machine, env: dict[str, str], tmp_path: Path
) -> None:
    """Whether pushing and pulling works."""
    eci_convert("push", f"{registry.host}/{name}", "--kernel", machine.kernel, env=env)
    eci_convert("pull", f"{registry.host}/{name}", "--dir", tmp_path / "out", env=env)
    assert (tmp_path / "out/kernel").read_bytes() == machine.kernel.read_bytes()


def test_docker_login_is_enough(
    docker_engine: DockerEngine, registry_login: Registry, image_name: str, eci_convert: Run, machine: Machine,
    nobody: dict[str, str], tmp_path: Path,
) -> None:  # fmt: skip
    env = nobody | {"DOCKER_CONFIG": str(tmp_path / "docker")}
    docker = [shutil.which("docker", path=docker_engine.env["PATH"]) or "docker", "--config", env["DOCKER_CONFIG"]]
    user, password = registry_login.user or "", registry_login.password or ""
    run(
        *docker,
        "login",
        "-u",
        user,
        "--password-stdin",
        registry_login.host,
        stdin=password,
        env={"DOCKER_HOST": docker_engine.host},
    )
    goes(eci_convert, registry_login, image_name, machine, env, tmp_path)
    run(*docker, "logout", registry_login.host)
    eci_convert("pull", f"{registry_login.host}/{image_name}", "--dir", tmp_path / "no", env=env, exits=5)


@pytest.mark.parametrize("program", ["podman", "skopeo", "buildah"])
def test_podman_and_its_kin_log_us_in(
    registry_login: Registry, programs: Programs, image_name: str, eci_convert: Run, machine: Machine,
    nobody: dict[str, str], tmp_path: Path, program: str,
) -> None:  # fmt: skip
    env = nobody | {"XDG_RUNTIME_DIR": str(tmp_path)}
    login = [
        getattr(programs, program),
        "login",
        "--authfile",
        str(tmp_path / "containers/auth.json"),
        "--tls-verify=false",
    ]
    (tmp_path / "containers").mkdir()
    user, password = registry_login.user or "", registry_login.password or ""
    run(*login, "-u", user, "--password-stdin", registry_login.host, stdin=password)
    goes(eci_convert, registry_login, image_name, machine, env, tmp_path)


def test_podman_logs_us_in_without_a_runtime_directory(
    registry_login: Registry, programs: Programs, image_name: str, eci_convert: Run, machine: Machine,
    nobody: dict[str, str], tmp_path: Path,
) -> None:  # fmt: skip
    """As root: the login is in `/run/containers/0/auth.json`."""
    user, password = registry_login.user or "", registry_login.password or ""
    login = [programs.podman, "login", "--tls-verify=false", "-u", user, "--password-stdin", registry_login.host]
    run(*login, stdin=password, env=nobody)
    try:
        goes(eci_convert, registry_login, image_name, machine, nobody, tmp_path)
    finally:
        run(programs.podman, "logout", registry_login.host, env=nobody)


def test_oras_logs_us_in(
    registry_login: Registry, programs: Programs, image_name: str, eci_convert: Run, machine: Machine,
    nobody: dict[str, str], tmp_path: Path,
) -> None:  # fmt: skip
    config = tmp_path / "oras.json"
    user, password = registry_login.user or "", registry_login.password or ""
    run(
        programs.oras,
        "login",
        "--plain-http",
        "--registry-config",
        config,
        "-u",
        user,
        "--password-stdin",
        registry_login.host,
        stdin=password,
    )
    goes(eci_convert, registry_login, image_name, machine, nobody | {"REGISTRY_AUTH_FILE": str(config)}, tmp_path)
    goes(
        eci_convert, registry_login, image_name, machine, nobody | {"DOCKER_AUTH_CONFIG": config.read_text()}, tmp_path
    )


def test_a_credential_helper_logs_us_in(
    registry_login: Registry,
    image_name: str,
    eci_convert: Run,
    machine: Machine,
    nobody: dict[str, str],
    tmp_path: Path,
) -> None:
    helper = tmp_path / "docker-credential-ours"
    answer = json.dumps({"Username": registry_login.user, "Secret": registry_login.password})
    helper.write_text(f"#!/bin/sh\nread server\n[ \"$server\" = '{registry_login.host}' ] && echo '{answer}'\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {registry_login.host: "ours"}}))
    env = nobody | {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    goes(eci_convert, registry_login, image_name, machine, env, tmp_path)


def test_a_missing_helper_is_warned_of_and_a_public_image_is_still_had(
    registry: Registry, image_name: str, eci_convert: Run, machine: Machine, nobody: dict[str, str], tmp_path: Path
) -> None:
    """A registry that asks nobody never makes us run a helper; one that does is told nothing, and says so."""
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "gone"}))
    goes(eci_convert, registry, image_name, machine, nobody | {"DOCKER_CONFIG": str(tmp_path)}, tmp_path)


def test_a_missing_helper_is_named(
    registry_login: Registry, image_name: str, eci_convert: Run, nobody: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "gone"}))
    env = nobody | {"DOCKER_CONFIG": str(tmp_path)}
    done = eci_convert("pull", f"{registry_login.host}/{image_name}", "--dir", tmp_path / "out", env=env, exits=5)
    assert "docker-credential-gone" in done.stderr


def test_a_password_on_standard_input(
    registry_login: Registry, image_name: str, eci_convert: Run, machine: Machine, nobody: dict[str, str]
) -> None:
    name, user = f"{registry_login.host}/{image_name}", registry_login.user or ""
    flags = ["--username", user, "--password-stdin"]
    eci_convert("push", name, "--kernel", machine.kernel, *flags, stdin=registry_login.password, env=nobody)
    done = eci_convert(
        "push", name, "--kernel", machine.kernel, *flags, "--debug", stdin="wr0ng pass", env=nobody, exits=5
    )
    assert "wr0ng" not in done.stderr + done.stdout


def test_who_logs_in_mounts_what_an_earlier_run_sent(
    registry_login: Registry, image_name: str, eci_convert: Run, machine: Machine, nobody: dict[str, str]
) -> None:
    flags = ["--kernel", machine.kernel, "--username", registry_login.user or "", "--password-stdin", "--debug"]
    first, second = (f"{registry_login.host}/{place}/{image_name}" for place in ("first", "second"))
    eci_convert("push", first, *flags, stdin=registry_login.password, env=nobody)
    done = eci_convert("push", second, *flags, stdin=registry_login.password, env=nobody)
    asked = [line.split()[2] for line in done.stderr.splitlines() if "client: " in line and "/blobs/uploads/" in line]
    assert asked
    assert set(asked) == {"POST"}


def test_tls_with_a_named_authority(
    registry_tls: Registry, image_name: str, eci_convert: Run, machine: Machine, nobody: dict[str, str], tmp_path: Path
) -> None:
    name = f"{registry_tls.host}/{image_name}"
    eci_convert("push", name, "--kernel", machine.kernel, env=nobody, exits=3)
    eci_convert("push", name, "--kernel", machine.kernel, "--ca-file", registry_tls.ca_file or "", env=nobody)
    eci_convert("pull", name, "--dir", tmp_path / "a", "--insecure", env=nobody)
    eci_convert("pull", name, "--dir", tmp_path / "b", "--plain-http", env=nobody, exits=3)
    folder = Path(nobody["HOME"], ".config/containers/certs.d", registry_tls.host)
    folder.mkdir(parents=True)
    shutil.copy(registry_tls.ca_file or "", folder / "ca.crt")
    eci_convert("pull", name, "--dir", tmp_path / "c", env=nobody)
    assert (tmp_path / "a/kernel").read_bytes() == (tmp_path / "c/kernel").read_bytes() == machine.kernel.read_bytes()
