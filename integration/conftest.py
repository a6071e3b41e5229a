"""Fixtures of the integration tests: real engines, each started when first asked for and gone when the session ends.

An engine lives as long as the session and is shared by its tests, so name images after `image_name`.

`docker20`, `docker28`
    A `DockerEngine`: `.host`, `.env`, `.docker("build", …)`, `.run(program, …)`, `.keeps_images_in_containerd`.
`docker_engine`
    Each of the two in turn: the test runs twice.
`containerd16`, `containerd2`, `containerd_engine` (each in turn)
    A `Containerd`: `.address`, `.env`, `.ctr("images", "ls", namespace=…)`.
`registry`, `registry_login`, `registry_tls`
    A `Registry`: `.host`, `.url`, `.user`, `.password`, `.ca_file`, `.blob(digest)`.
`podman_vfs`, `podman_overlay`, `podman_store` (each in turn)
    A `Store`: `.prefix` for skopeo and eci-convert, `.podman("load", …)`, `.buildah("bud", …)`.
`podman_service`
    podman as a `DockerEngine`, through its Docker-compatible socket.
`any_engine`
    Each of the two Docker engines and podman's service in turn.
`programs`
    Paths of skopeo, umoci, oras, crane, qemu-img and others: see `integration/engines/programs.py`.
`eci_convert`
    Runs the installed program: `eci_convert("inspect", ref, env=docker20.env).stdout`; `exits=4` where it must fail.
    What it remembers of registries and of unfinished downloads, it remembers for the one test.
`machine`
    The parts of a machine that boots: `.kernel`, `.initrd`, `.root`, `.disk`. Do not change its files.
`image_name`
    A name with a tag that no other test uses, without a registry in front.

Where the engines cannot be, tests that ask for one are skipped; with ECI_CONVERT_REQUIRE_ENGINES=1 they fail instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from integration.engines import programs as installed
from integration.engines.containerd import Containerd, containerd2, containerd16
from integration.engines.docker import DockerEngine, docker20, docker28
from integration.engines.podman import Store, service, store
from integration.engines.registry import registry
from integration.support import boot_vm as machines
from tests.support import signals
from tests.support.isolation import PROXIES, isolate

signals.heed()


@pytest.fixture(scope="session", autouse=True)
def _isolated_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of the session's own, and no variable of the user's, for the engines, their clients and eci-convert.

    Proxies stay: packages are downloaded through them, and nothing else here is beyond this computer.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        isolate(monkeypatch, tmp_path_factory.mktemp("home"), keep=PROXIES)
        yield


def _session(name: str, start: Callable[[], AbstractContextManager[object]]) -> object:
    """A fixture that holds one engine for the whole session."""

    @pytest.fixture(scope="session", name=name)
    def engine() -> Iterator[object]:
        _need_engines()
        with start() as running:
            yield running

    return engine


def _need_engines() -> None:
    if reason := installed.missing():
        (pytest.fail if installed.REQUIRED else pytest.skip)(reason)


_docker20 = _session("docker20", docker20)
_docker28 = _session("docker28", docker28)
_containerd16 = _session("containerd16", containerd16)
_containerd2 = _session("containerd2", containerd2)
_registry = _session("registry", registry)
_registry_login = _session("registry_login", partial(registry, login=True))
_registry_tls = _session("registry_tls", partial(registry, tls=True))
_podman_vfs = _session("podman_vfs", partial(store, "vfs"))
_podman_overlay = _session("podman_overlay", partial(store, "overlay"))
_podman_service = _session("podman_service", service)


@pytest.fixture(params=["docker20", "docker28"])
def docker_engine(request: pytest.FixtureRequest) -> DockerEngine:
    engine: DockerEngine = request.getfixturevalue(request.param)
    return engine


@pytest.fixture(params=["docker20", "docker28", "podman_service"])
def any_engine(request: pytest.FixtureRequest) -> DockerEngine:
    engine: DockerEngine = request.getfixturevalue(request.param)
    return engine


@pytest.fixture(params=["containerd16", "containerd2"])
def containerd_engine(request: pytest.FixtureRequest) -> Containerd:
    engine: Containerd = request.getfixturevalue(request.param)
    return engine


@pytest.fixture(params=["podman_vfs", "podman_overlay"])
def podman_store(request: pytest.FixtureRequest) -> Store:
    a_store: Store = request.getfixturevalue(request.param)
    return a_store


@pytest.fixture(scope="session")
def programs() -> installed.Programs:
    _need_engines()
    return installed.Programs()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> machines.Machine:
    _need_engines()
    return machines.make(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def image_name() -> str:
    return f"eci-convert/test-{uuid.uuid4().hex[:12]}:v1"


@pytest.fixture
def eci_convert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    return partial(_eci_convert, tmp_path_factory.mktemp("state"))


def _eci_convert(
    state: Path,
    *arguments: str | os.PathLike[str],
    env: dict[str, str] | None = None,
    stdin: str | None = None,
    exits: int = 0,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "eci-convert"), *map(str, arguments)]
    own = {"XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(state / "cache")}
    environment = {**os.environ, **own, **(env or {})}
    done = subprocess.run(
        command, input=stdin, capture_output=True, env=environment, cwd=cwd, text=True, timeout=600, check=False
    )
    assert done.returncode == exits, f"{' '.join(command)}: exit {done.returncode}, not {exits}\n{done.stderr}"
    return done
