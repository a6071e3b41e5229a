"""What every test has: none of the user's environment; and fixtures about libraries and threads.

Hypothesis: the profile `dev` tries other examples on every run, `ci` the same ones; HYPOTHESIS_PROFILE chooses.
"""

from __future__ import annotations

import logging
import os
import threading
import tracemalloc  # noqa: F401 - pytest imports it in whichever thread it reports from, and two at once fail
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from eci_convert.compression import decoder
from eci_convert.transports.registry.endpoints import daemon_json, registries_conf
from tests.support import signals
from tests.support.isolation import isolate

signals.heed()


@pytest.fixture(autouse=True)
def _no_files_of_this_computer(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Which registries this computer's podman and dockerd know is nothing to the tests."""
    nowhere = tmp_path_factory.getbasetemp() / "nowhere"
    monkeypatch.setattr(registries_conf, "SYSTEM", nowhere)
    monkeypatch.setattr(registries_conf, "MACHINE_ALIASES", nowhere / "aliases")
    monkeypatch.setattr(daemon_json, "SYSTEM", nowhere / "daemon.json")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command line in this process sets up the log for the whole process; the next test has its own."""
    log = logging.getLogger("eci_convert")
    before = log.handlers[:], log.level, log.propagate
    yield
    log.handlers[:], log.propagate = before[0], before[2]
    log.setLevel(before[1])


settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

_numbers = count()


@pytest.fixture(autouse=True)
def _isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A home of the test's own, which is not there until something is written to it, and no variable of the user's."""
    isolate(monkeypatch, tmp_path_factory.getbasetemp() / "homes" / str(next(_numbers)))


@pytest.fixture(params=["isal", "zlib"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both libraries that inflate gzip: the second serves where there is no build of the first."""
    name: str = request.param
    if name == "zlib":
        monkeypatch.setattr(decoder, "igzip_lib", None)
    else:
        pytest.importorskip("isal")
    return name


CountByThread = Callable[[ModuleType, str], Counter[str]]


@pytest.fixture
def by_thread(monkeypatch: pytest.MonkeyPatch) -> CountByThread:
    """Counts the calls of a module's function, for each thread, by what its name begins with."""

    def start(module: ModuleType, name: str) -> Counter[str]:
        calls, original = Counter[str](), getattr(module, name)

        def counting(*arguments: Any) -> Any:
            calls[threading.current_thread().name.partition("_")[0]] += 1
            return original(*arguments)

        monkeypatch.setattr(module, name, counting)
        return calls

    return start
