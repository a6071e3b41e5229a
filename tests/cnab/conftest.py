"""Registries with the images of the recorded bundles, and the command line of cnab-to-oci to run against them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eci_convert.cli import main
from eci_convert.testing import FaultyRegistry
from tests.support import cnab_golden
from tests.support.command_line import Run
from tests.support.fake_registry.server import a_registry

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CNAB_CONFIG = b'"application/vnd.cnab.config.v1+json"'

REFUSALS = {
    "5721": lambda media_type, content: media_type == OCI_INDEX,
    "5722": lambda media_type, content: CNAB_CONFIG in content,
    "5723": lambda media_type, content: "oci" in media_type,
    "5724": lambda media_type, content: True,
}
"""What the registries on these ports refused when the cases were recorded."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No engine, a home that the test can look into, and a folder to work in."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def registry(environment: Path) -> Iterator[FaultyRegistry]:
    """A strict registry with the source images."""
    with a_registry() as running:
        running.apart = running.checks_references = True
        cnab_golden.hold_source_images(running)
        yield running


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], environment: Path) -> Run:
    return Run(capfd)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded case, played again where the registries are at other addresses."""

    case: cnab_golden.Case
    hosts: dict[str, str]
    target: FaultyRegistry
    folder: Path
    capfd: pytest.CaptureFixture[str]

    def play(self, verb: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of the recorded call of *verb*."""
        call = self.case.command(verb)
        assert call is not None
        (self.folder / "bundle.json").write_bytes(self.moved(self.case.bundle))
        self.capfd.readouterr()
        code = main([self.moved(word.encode()).decode() for word in call["argv"]])
        return (code, *self.capfd.readouterr())

    def expected(self, verb: str) -> dict[str, Any]:
        call = self.case.command(verb)
        assert call is not None
        return json.loads(self.moved(json.dumps(call).encode()))  # type: ignore[no-any-return]

    def moved(self, text: bytes) -> bytes:
        return cnab_golden.moved(text, self.hosts)

    def document(self, name: str) -> bytes:
        """A document of the recorded case as it has to be here."""
        if name in ("config.json", "config-manifest.json", "index.json"):
            return cnab_golden.moved_documents(self.case, self.hosts)[name]
        return self.moved(self.case.text(name))


@pytest.fixture
def recorded(
    request: pytest.FixtureRequest, environment: Path, capfd: pytest.CaptureFixture[str]
) -> Iterator[Recorded]:
    """The case that the test is parametrized with: its sources in one registry, its target there or in another."""
    case = cnab_golden.case(request.param)
    calls = json.dumps(case.commands)
    with a_registry() as source, a_registry() as other:
        cnab_golden.hold_source_images(source)
        hosts = {"127.0.0.1:5711": source.host, "127.0.0.1:5725": source.host}
        target = source
        for port, refuses in REFUSALS.items():
            if f"127.0.0.1:{port}/" in calls:
                hosts[f"127.0.0.1:{port}"], target, other.refuses = other.host, other, refuses
        for running in (source, other):
            running.apart = running.checks_references = True
        yield Recorded(case, hosts, target, environment, capfd)
