"""What `make demo` shows is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration import demo, machine
from integration.engines.docker import DockerEngine
from integration.machine import GREETING


def test_the_demo_takes_a_machine_through_an_image_and_an_engine_and_boots_it(
    docker28: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker28.host)

    status = demo.main(tmp_path / "demo")

    said = capfd.readouterr().out
    assert status == 0, said
    assert "The same through a Docker engine" in said
    assert GREETING in said
    assert "Every byte is the same." in said
    assert "eci-convert-demo" not in docker28.docker("images")


def test_the_demo_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = machine.make(tmp_path / "parts")
    for given, name in zip((parts.kernel, parts.initrd, parts.root, parts.disk), _NAMES, strict=True):
        (tmp_path / name).write_bytes(given.read_bytes())
    assert demo.compare(parts, tmp_path)

    (tmp_path / "initrd").write_bytes(b"something else")

    assert not demo.compare(parts, tmp_path)
    assert "IS NOT THE SAME AS" in capsys.readouterr().out


_NAMES = ("kernel", "initrd", "disk-root-root.img", "disk-0-data.img")
