"""registries.conf on the command line: short names, mirrors, what is blocked, and what -v says of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import eci_convert
from eci_convert import Options
from eci_convert.testing import FaultyRegistry
from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line
from tests.support.fake_registry.server import a_registry


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        yield running


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(path))
    path.write_text("")
    return path


@pytest.mark.parametrize(
    "command",
    ["pull", "inspect", "copy", "verify", "extract", "url", "discover", "ls", "diff", "preload", "index create"],
)
def test_a_mirror_is_used_and_v_says_so(
    command: str, run: Run, registry: FaultyRegistry, parts: Parts, conf: Path, tmp_path: Path
) -> None:
    run("push", f"{registry.host}/cache/machine:1", "--kernel", parts.kernel, "--format", "legacy")
    conf.write_text(
        f'[[registry]]\nlocation = "registry.invalid"\n[[registry.mirror]]\nlocation = "{registry.host}/cache"\n'
    )
    more: dict[str, list[str | Path]] = {
        "pull": ["--dir", tmp_path / "out"],
        "extract": [tmp_path / "out"],
        "copy": [f"oci:{tmp_path}/copy:1"],
        "diff": [f"docker://{registry.host}/cache/machine:1"],
        "preload": ["--root", tmp_path / "store"],
    }
    words: list[str | Path] = [command, "docker://registry.invalid/machine:1", *more.get(command, [])]
    if command == "index create":
        words = ["index", "create", f"oci:{tmp_path}/index:1", words[1]]
    if command == "pull":
        words[1] = "registry.invalid/machine:1"
    assert registry.host not in run(*words).err
    said = run(*words, "-v").err
    assert f": reading from docker://{registry.host}/cache/machine:1 (configured in {conf}:1)" in said


def test_a_short_name_is_looked_up_and_a_reference_is_not(
    run: Run, registry: FaultyRegistry, parts: Parts, conf: Path, tmp_path: Path
) -> None:
    run("push", f"{registry.host}/team/machine:1", "--kernel", parts.kernel)
    conf.write_text(
        f'[aliases]\n"machine" = "{registry.host}/team/machine"\n[[registry]]\nlocation = "docker.io"\nblocked = true\n'
    )
    said = run("pull", "machine:1", "--dir", tmp_path / "out", "-v").err
    assert f"machine is short for {registry.host}/team/machine" in said
    one_line(run("inspect", "docker://machine:1", exits=5), f"{conf}:5")
    one_line(run("push", "machine:1", "--kernel", parts.kernel, exits=5), f"{conf}:5")


def test_a_blocked_registry_is_exit_5(run: Run, registry: FaultyRegistry, parts: Parts, conf: Path) -> None:
    conf.write_text(f'[[registry]]\nlocation = "{registry.host}/evil"\nblocked = true\n')
    one_line(run("push", f"{registry.host}/evil/machine:1", "--kernel", parts.kernel, exits=5), f"{conf}:3", "blocked")
    assert not registry.requests
    run("push", f"{registry.host}/good/machine:1", "--kernel", parts.kernel)


def test_a_file_without_sense_is_exit_9(run: Run, registry: FaultyRegistry, parts: Parts, conf: Path) -> None:
    conf.write_text("[[registry]\n")
    one_line(run("push", f"{registry.host}/machine:1", "--kernel", parts.kernel, exits=9), str(conf))


def test_an_insecure_registry_is_spoken_to_without_believed_certificates(
    run: Run, parts: Parts, conf: Path, tmp_path: Path
) -> None:
    with a_registry(cert="elsewhere") as registry:
        run("push", f"{registry.host}/machine:1", "--kernel", parts.kernel, exits=3)
        conf.write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        run("push", f"{registry.host}/machine:1", "--kernel", parts.kernel)
        run("pull", f"{registry.host}/machine:1", "--dir", tmp_path / "out")
    assert (tmp_path / "out/kernel").read_bytes() == parts.kernel.read_bytes()


def test_an_insecure_mirror_is_too(run: Run, parts: Parts, conf: Path, tmp_path: Path) -> None:
    with a_registry(cert="elsewhere") as mirror:
        run("push", f"{mirror.host}/machine:1", "--kernel", parts.kernel, "--insecure")
        text = f'[[registry]]\nlocation = "registry.invalid"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n'
        conf.write_text(text)
        run("pull", "registry.invalid/machine:1", "--dir", tmp_path / "out", exits=3)
        conf.write_text(f"{text}insecure = true\n")
        run("pull", "registry.invalid/machine:1", "--dir", tmp_path / "out")


def test_the_library_reads_from_mirrors_too(
    run: Run, registry: FaultyRegistry, parts: Parts, conf: Path, tmp_path: Path
) -> None:
    run("push", f"{registry.host}/cache/machine:1", "--kernel", parts.kernel, "--format", "legacy")
    conf.write_text(
        f'[[registry]]\nlocation = "registry.invalid"\n[[registry.mirror]]\nlocation = "{registry.host}/cache"\n'
    )
    reference, options = "docker://registry.invalid/machine:1", Options(environ=dict(os.environ))
    digest = eci_convert.inspect(reference, options=options).digest

    with eci_convert.open_image(reference, options=options) as image:
        assert image.digest == digest
    assert eci_convert.extract(reference, tmp_path / "out", options=options).inspection.digest == digest
    assert eci_convert.copy(reference, f"oci:{tmp_path}/copy:1", options=options).digest == digest
    assert eci_convert.verify(reference, options=options).ok
    assert eci_convert.create_index(f"oci:{tmp_path}/index:1", [reference], options=options).digest
    assert registry.host in eci_convert.blob_url(reference, options=options).url
