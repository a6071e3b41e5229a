"""What `url` prints boots a machine: curl fetches its kernel and its initrd from a registry behind a login."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.registry import Registry
from integration.support.boot_vm import GREETING, Machine, boot

Run = Callable[..., subprocess.CompletedProcess[str]]

COMMAND_LINE = "console=ttyS0 fetched=by-url"


@pytest.fixture
def login(registry_login: Registry, tmp_path: Path) -> list[str]:
    """The flags of somebody who may enter; the password is in a file as `docker login` writes it."""
    from base64 import b64encode

    pair = b64encode(f"{registry_login.user}:{registry_login.password}".encode()).decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry_login.host: {"auth": pair}}}))
    return ["--authfile", str(tmp_path / "auth.json")]


def push(eci_convert: Run, name: str, machine: Machine, login: list[str], form: str, tmp_path: Path) -> None:
    parts = ["--kernel", machine.kernel, "--initrd", machine.initrd, "--root", f"{machine.root}:raw"]
    eci_convert("push", f"oci:{tmp_path}/made:1", *parts)
    eci_convert("copy", f"oci:{tmp_path}/made:1", f"docker://{name}", "--format", form, *login)


@pytest.mark.parametrize("form", ["artifacts", "ironcore", "onmetal"])
def test_curl_fetches_what_boots(
    registry_login: Registry, image_name: str, eci_convert: Run, machine: Machine, login: list[str], tmp_path: Path,
    form: str,
) -> None:  # fmt: skip
    if not machine.boots:
        pytest.fail("there is no kernel that boots: run integration/install_engines")
    name = f"{registry_login.host}/{image_name}"
    push(eci_convert, name, machine, login, form, tmp_path)

    for part in ("kernel", "initrd"):
        curl = eci_convert("url", name, "--part", part, "--curl", *login).stdout
        subprocess.run(curl, shell=True, cwd=tmp_path, check=True, capture_output=True)  # noqa: S602

    assert (tmp_path / "kernel").read_bytes() == machine.kernel.read_bytes()
    said = boot(tmp_path / "kernel", tmp_path / "initrd", command_line=COMMAND_LINE)
    assert GREETING in said, said
    assert "fetched=by-url" in said, said


def test_json_has_what_another_client_needs(
    registry_login: Registry, image_name: str, eci_convert: Run, machine: Machine, login: list[str], tmp_path: Path
) -> None:
    name = f"{registry_login.host}/{image_name}"
    push(eci_convert, name, machine, login, "ironcore", tmp_path)
    for flags in (["--part", "rootfs"], ["--part", "rootfs", "--follow"], []):
        request = json.loads(eci_convert("url", name, *flags, "--json", *login).stdout)
        headers = [word for key, values in request["headers"].items() for word in ("--header", f"{key}: {values[0]}")]
        command = ["curl", "--fail", "--silent", "--output", tmp_path / "file", *headers, request["url"]]
        subprocess.run(command, check=True)
        if flags:
            assert (tmp_path / "file").read_bytes() == machine.root.read_bytes()
        else:
            assert {"config", "layers"} <= json.loads((tmp_path / "file").read_text()).keys()
    eci_convert("url", name, "--part", "kernel", exits=5)


def test_the_how_to_does_what_it_says(
    registry: Registry, image_name: str, eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[1] / "docs/howto/boot-over-http.md").read_text()
    name = f"{registry.host}/{image_name}"
    parts = ["--kernel", machine.kernel, "--initrd", machine.initrd, "--root", f"{machine.root}:raw"]
    eci_convert("push", name, *parts)
    script = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    script = script.replace("registry.example/edge/machine:1.2", name)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=env, check=True, capture_output=True)

    assert (tmp_path / "kernel").read_bytes() == machine.kernel.read_bytes()
    assert (tmp_path / "initrd").read_bytes() == machine.initrd.read_bytes()
    assert (tmp_path / "boot.ipxe").read_text().startswith(f"#!ipxe\nkernel http://{registry.host}/")
